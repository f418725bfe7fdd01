"""The reproduction: the same cells every time, each made once, and a summary that says what they found."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module

import pytest

import fluctua as fl
from fluctua.studies import names, reproduction
from fluctua.studies.cells import Done
from fluctua.studies.reproduction import SETS, cells, summary
from fluctua.studies.rows import study_cells
from helpers.commands import check


@pytest.fixture
def tiny(monkeypatch):
    """Two data sets of 150 digits, and runs of a moment."""
    sets = {
        name: dataclasses.replace(SETS["digits"], options={"limit": 150}, quick={"limit": 120}, shuffles=False)
        for name in ("digits", "mnist")
    }
    monkeypatch.setattr(reproduction, "SETS", sets)
    monkeypatch.setattr(reproduction, "_QUICK", {"steps": 64, "replicas": 8, "resolution": 0.9})
    monkeypatch.setattr(reproduction, "load", lambda _, **options: fl.load("digits", **options))


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_has_three_rates_three_batch_sizes_both_samplings_and_momentum(name):
    found = cells([name], quick=False, seed=1)
    recipes = [cell.sgd for cell in found]
    plain = [sgd for sgd in recipes if sgd.sampling == "with_replacement" and not sgd.momentum]
    assert len({sgd.lr for sgd in plain}) == 3
    assert len({sgd.batch_size for sgd in plain}) == 3
    assert any(sgd.sampling == "without_replacement" for sgd in recipes)
    assert any(sgd.momentum for sgd in recipes)
    assert len({cell.key for cell in found}) == len({cell.entropy for cell in found}) == len(found)
    assert sum(cell.base for cell in found) == 1


def test_shuffled_epochs_are_among_them_where_their_law_holds():
    for name, quick, there in (("digits", True, True), ("mnist", False, True), ("mnist", True, False)):
        assert any(cell.sgd.sampling == "shuffle" for cell in cells([name], quick=quick, seed=1)) == there


def test_the_same_cell_has_the_same_name_and_any_other_another():
    (cell, *_), (again, *_) = (cells(["digits"], quick=True, seed=1) for _ in range(2))
    assert (cell.key, cell.entropy) == (again.key, again.entropy)
    others = [
        dataclasses.replace(cell, seed=2),
        dataclasses.replace(cell, run={**cell.run, "steps": 501}),
        dataclasses.replace(cell, options={"limit": 9}),
        dataclasses.replace(cell, sgd=dataclasses.replace(cell.sgd, weight_decay=1e-9)),
    ]
    assert len({cell.key, *(other.key for other in others)}) == 5
    assert len({cell.entropy, *(other.entropy for other in others)}) == 5


@pytest.mark.any_seed
@pytest.mark.usefixtures("tiny")
def test_an_interrupted_reproduction_goes_on_where_it_stopped(run, tmp_path, monkeypatch):
    made = []

    def interrupted(*arguments, **options):
        made.append(arguments)
        if len(made) == 4:
            raise KeyboardInterrupt
        return fl.verify(*arguments, **options)

    monkeypatch.setattr(reproduction, "verify", interrupted)
    monkeypatch.setattr(reproduction, "surveyed", lambda verdict, _: verdict)
    options = "reproduce", "--quick", "--data", "digits"
    assert run(*options)[0] == 130
    directory = tmp_path / "fluctua-reproduction"
    assert len(list(directory.glob("cells/*/result.json"))) == 3
    assert not (directory / "summary.md").exists()
    code, out, _ = run(*options)
    assert code in (0, 1)
    assert out.count("(kept)") == 3
    assert len(made) == 4 + 4
    assert {path.name for path in directory.iterdir()} == {"cells", "report.html", "summary.md"}
    table = (directory / "summary.md").read_text()
    assert table.count("digits") == 7
    assert "cores" in table
    assert run(*options)[1].count("(kept)") == 7
    assert (directory / "summary.md").read_text() == table


@pytest.mark.any_seed
@pytest.mark.usefixtures("tiny", "coarse")
def test_two_data_sets_share_one_summary_and_one_report(run, tmp_path):
    code, out, _ = run("reproduce", "--quick", "--data", "digits", "--data", "mnist", "--out", "here", "--json")
    check(json.loads(out), "reproduction")
    found = json.loads(out)["cells"]
    check(found[0]["verdict"], "verdict")
    assert len(found) == 14
    assert code == (0 if all(cell["verdict"]["passed"] for cell in found) else 1)
    page = (tmp_path / "here" / "report.html").read_text()
    assert page.count("What if?") == 2  # the base recipe of each has its explorer and figures
    assert page.count('<div class="drawn"') == 6
    assert page.count("<article") == 14


@pytest.mark.any_seed
def test_the_summary_says_what_the_verdicts_say(small_problem):
    sgd = fl.SGD(0.02, 4)
    verdict = fl.verify(small_problem, sgd, steps=64, replicas=8, rng=1).about({"name": "small"})
    cell = dataclasses.replace(cells(["digits"], quick=True, seed=1)[0], sgd=sgd)
    line = summary([(cell, verdict)]).splitlines()[-1]
    off = 100 * (verdict.tested.excess_loss / verdict.excess_loss - 1)
    for word in ("digits | 60 | base | 0.02 | 4 |", f"| {off:+.2f} |", f"{verdict.tested.comparison.z_rms:.2f}"):
        assert f"{word}" in line
    assert ("passed" in line) == verdict.passed


@pytest.mark.any_seed
def test_the_lines_on_cells_stand_one_below_the_other(monkeypatch, small_problem, tmp_path):
    """The names of rows are as long as their studies want."""
    verdict = fl.verify(small_problem, fl.SGD(0.02, 4), steps=24, replicas=8, rng=1)
    module, said = import_module("fluctua.cli.reproduce"), []
    monkeypatch.setattr(module, "finished", lambda plan, *_: (Done(k, verdict, None) for k in range(len(plan))))
    module._run(study_cells(names(), quick=False, seed=1), tmp_path, None, said.append)
    assert len(said) > 10
    assert len({line.index("z-rms") for line in said}) == 1


def test_a_data_set_that_does_not_exist_is_refused_before_any_work(run, tmp_path):
    code, _, err = run("reproduce", "--data", "mnits")
    assert code == 2
    assert "Did you mean 'mnist'?" in err
    assert not list(tmp_path.iterdir())
