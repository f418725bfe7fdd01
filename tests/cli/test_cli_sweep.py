"""Sweeps on the command line."""

from __future__ import annotations

import json
import os
import signal
from importlib import import_module

import pytest

import fluctua as fl
from helpers.commands import check

work = import_module("fluctua.planning.sweep_work")
GRID = ("--lr", "0.01:0.1:3", "--batch-size", "2,8", "--steps", 40)
pytestmark = pytest.mark.any_seed


def test_a_sweep_prints_a_table_and_writes_its_files(run, features, tmp_path):
    code, out, err = run("sweep", features, *GRID, "--target", 0.45, "--out", "found")
    assert (code, err) == (0, "")
    for word in (
        "6 cells: 2 batch_size x 3 lr",
        "excess loss after 40 steps from zero, above L(W*) =",
        "steps to target",
    ):
        assert word in out
    assert "0.03162" in out
    assert max(map(len, out.splitlines()[:-4])) <= 110
    names = {path.name for path in (tmp_path / "found").iterdir()}
    assert names == {"cells", "sweep.json", "sweep.npz", "sweep.csv", "sweep.png", "sweep.svg"}
    check(json.loads((tmp_path / "found" / "sweep.json").read_text()), "sweep")
    assert (tmp_path / "found" / "sweep.csv").read_text() == fl.Sweep.load(tmp_path / "found").to_csv()


@pytest.mark.usefixtures("undrawn")
def test_the_json_of_a_measured_sweep_follows_the_schema(run, features):
    code, out, _ = run(
        "sweep", features, *GRID, "--momentum", "0,0.5", "--measure", "--replicas", 4, "--seed", 1, "--json"
    )
    found = json.loads(out)
    check(found, "sweep")
    assert code == (0 if found["agrees"] else 1)
    assert list(found["axes"]) == ["momentum", "batch_size", "lr"]
    assert len(found["cells"]) == 12
    assert {cell["measured"]["replicas"] for cell in found["cells"] if cell["measured"]} == {4}


@pytest.mark.usefixtures("undrawn")
def test_without_values_the_rates_reach_the_limit(run, features):
    code, out, _ = run("sweep", features, "--json")
    assert code == 0
    found = json.loads(out)
    assert [len(values) for values in found["axes"].values()] == [4, 12]
    assert found["steps"] == 1000
    assert any(cell["predicted"]["share"] >= 1 for cell in found["cells"])


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_in_the_same_directory_takes_what_is_the_same(run, features, monkeypatch):
    asked = ("sweep", features, *GRID, "--measure", "--replicas", 4, "--json")
    calls, simulate = [], work.simulate
    monkeypatch.setattr(work, "simulate", lambda *some, **more: calls.append(1) or simulate(*some, **more))
    first = run(*asked)
    assert run(*asked) == first
    count = len(calls)
    run(*asked, "--batch-size", "4")
    assert len(calls) == count + 3
    run(*asked, "--fresh")
    assert len(calls) == 2 * count + 3


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("name", "ended"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_after_a_signal_finished_cells_are_kept_and_gone_on_with(run, features, tmp_path, monkeypatch, name, ended):
    asked = ("sweep", features, *GRID, "--measure", "--replicas", 4, "--seed", 3, "--json")
    calls, simulate = [], work.simulate

    def pressed(*some, **more):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), getattr(signal, name))
        return simulate(*some, **more)

    with monkeypatch.context() as patch:
        patch.setattr(work, "simulate", pressed)
        code, out, err = run(*asked, "--out", "cut")
    assert (code, out) == (ended, "")
    assert "finished cells are kept in cut/cells; repeat the command to go on." in err
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"cells"}
    assert not list((tmp_path / "cut").rglob(".*"))
    whole = run(*asked, "--out", "whole")
    calls.clear()
    monkeypatch.setattr(work, "simulate", lambda *some, **more: calls.append(1) or simulate(*some, **more))
    assert run(*asked, "--out", "cut") == whole
    measured = sum(cell["measured"] is not None for cell in json.loads(whole[1])["cells"])
    assert len(calls) == measured - 2


def test_plot_draws_a_saved_sweep_again_and_report_says_that_it_holds_no_verdict(run, features, tmp_path):
    run("sweep", features, *GRID, "--out", "found")
    before = (tmp_path / "found" / "sweep.svg").read_bytes()
    for place in ("found", "found/sweep.npz"):
        code, out, _ = run("plot", place, "--out", "again")
        assert (code, out) == (0, "again/sweep.png\nagain/sweep.svg\n")
    assert (tmp_path / "again" / "sweep.svg").read_bytes() == before
    code, _, err = run("report", "found/sweep.npz")
    assert code == 2
    assert "holds no verdict" in err


@pytest.mark.usefixtures("undrawn")
def test_where_every_cell_is_unstable_none_is_best(run, features):
    code, out, _ = run("sweep", features, "--lr", "9,99", "--batch-size", "4", "--steps", 5, "--measure")
    assert code == 0
    assert "none: every cell is beyond the limit of stability" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lr", "0.1,x"), "--lr takes numbers with commas between, or FIRST:LAST:COUNT; got 'x'"),
        (("--lr", "0.1:0.2"), "--lr takes numbers or FIRST:LAST:COUNT, got '0.1:0.2'"),
        (("--lr", "0:1:3"), "--lr must be greater than 0"),
        (("--lr", "0.1:1:1"), "the count of --lr must be at least 2"),
        (("--lr", "0.1:1:1e9"), "--lr takes whole numbers"),
        (("--lr", "0.1,0.1"), "lr has a value twice"),
        (("--batch-size", "2.5"), "--batch-size takes whole numbers with commas between, got '2.5'"),
        (("--batch-size", ""), "--batch-size takes whole numbers"),
        (("--steps", 3, "--samples", 3), "two budgets"),
        (("--measure", "--replicas", 1), "replicas must be at least 2"),
        (("--schedule", "cosine", "--samples", 1000), "--schedule cosine needs --steps"),
        (("--target", 0.0), "not above the loss at the optimum"),
        (("--start", "one"), "unknown start 'one'"),
    ],
)
def test_bad_options_are_refused_and_leave_nothing(run, features, tmp_path, options, words):
    code, _, err = run("sweep", features, *options)
    assert code == 2
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]
