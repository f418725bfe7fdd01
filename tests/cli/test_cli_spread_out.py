"""Work that is spread out, from the command line: shards in a directory they share, processes, and Dask's workers."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, OutputError
from fluctua.simulation import twins
from fluctua.storage.writing import output_directory
from helpers.commands import check

GRID = ("--lr", "0.01:0.1:3", "--batch-size", "2,8", "--steps", 40, "--measure", "--replicas", 4)
pytestmark = [pytest.mark.any_seed, pytest.mark.usefixtures("undrawn")]


def test_shards_fill_one_directory_and_the_whole_finds_all_there(run, features, monkeypatch, tmp_path):
    asked = ("sweep", features, *GRID, "--seed", 1, "--json")
    whole = run(*asked, "--out", "whole")
    cells = []
    for shard in ("1/4", "3/4", "2/4", "4/4"):
        code, out, err = run(*asked, "--out", "shared", "--shard", shard)
        assert err == ""
        found = json.loads(out)
        check(found, "sweep")
        assert found["shard"] == shard
        assert code == (0 if found["agrees"] in (True, None) else 1)
        cells += found["cells"]
        assert [path.name for path in (tmp_path / "shared").iterdir()] == ["cells"]
    monkeypatch.setattr("fluctua.planning.sweep_work._measure", None)
    monkeypatch.setattr("fluctua.planning.sweep_work._predict", None)
    assert run(*asked, "--out", "shared") == whole
    key = json.dumps
    assert sorted(map(key, cells)) == sorted(map(key, json.loads(whole[1])["cells"]))


def test_a_shard_of_a_sweep_is_saved_and_read_as_what_it_is(small_problem, tmp_path):
    found = fl.sweep(small_problem, fl.SGD(0.05, 4), lr=[0.01, 0.02, 0.03], steps=9, shard=" 2/2 ")
    assert [cell.values["lr"] for cell in found.cells] == [0.02]
    assert found.shard == "2/2"
    assert "1 cells of shard 2/2" in found.words
    found.save(tmp_path)
    assert fl.Sweep.load(tmp_path) == found


def test_a_shard_of_a_sweep_that_has_no_cell_is_a_sweep_without_any(small_problem, tmp_path):
    found = fl.sweep(small_problem, fl.SGD(0.05, 4), lr=[0.01, 0.02, 0.03], steps=9, shard="4/5", checkpoint=tmp_path)
    assert found.cells == ()
    assert found.agrees
    assert found.words == "shard 4/5 has nothing to do, there are 3 cells."
    assert len(found.table.splitlines()) == len(found.to_csv().splitlines()) == 1
    found.save(tmp_path)
    assert fl.Sweep.load(tmp_path) == found
    with pytest.raises(InvalidInput, match="shard 4/5 has no cell, and so none is the best"):
        _ = found.best
    with pytest.raises(InvalidInput, match="has no cell to draw"):
        fl.plot.draw(found)


NOTHING = {
    "sweep": (GRID, "nothing to do, there are 6 cells"),
    "reproduce": (("--quick", "--data", "digits"), "nothing to do, there are fewer cells than shards"),
    "squares": (("--steps", 40, "--replicas", 6), "nothing to do, there are 6 groups of replicas"),
    "head": (("--loss", "cross-entropy", "--weight-decay", 0.1, "--steps", 40, "--replicas", 4), "there are 4 groups"),
    "in time": (("--dynamic", "--steps", 40, "--replicas", 4, "--modes", 3), "there are 4 groups of replicas"),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_a_shard_beyond_the_work_has_nothing_to_do_and_the_whole_is_as_without_it(run, features, tmp_path, kind):
    """An array of jobs has the size that it has: the last ones may begin first, and end with code 0."""
    command = kind if kind in ("sweep", "reproduce") else "verify"
    options, words = NOTHING[kind]
    seed = ("--seed", 1) if command == "reproduce" else (features, "--seed", 1)
    for beyond in ("9/9", "99/99"):
        code, out, err = run(command, *seed, *options, "--out", "shared", "--shard", beyond)
        assert (code, err) == (0, "")
        assert words in " ".join(out.split())
        code, out, _ = run(command, *seed, *options, "--out", "shared", "--shard", beyond, "--json")
        assert code == 0
        check(json.loads(out), {"reproduce": "reproduction", "verify": "part"}.get(command, command))
    if command == "verify":
        whole, shared = (run(command, *seed, *options, "--json", "--out", each) for each in ("whole", "shared"))
        assert whole == shared
        assert sorted(path.name for path in (tmp_path / "shared").iterdir() if path.is_dir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("3/2", "is none of the parts"),
        ("0/4", "is none of the parts: i/n has i from 1 to n. Where the scheduler counts its jobs from 0, add 1"),
        ("1/0", "is none of the parts"),
        ("1", "must be i/n, the i-th of n parts, such as 2/8; got '1'"),
        ("-1/2", "must be i/n"),
        ("1/2/3", "must be i/n"),
        ("\u0661/2", "must be i/n"),
        ("", "must be i/n"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "reproduce", "verify"])
def test_shards_that_are_none_are_refused_and_leave_nothing(run, features, tmp_path, command, given, words):
    asked = {
        "sweep": (features, *GRID, "--seed", 1),
        "reproduce": ("--quick", "--data", "digits"),
        "verify": (features, "--replicas", 6, "--seed", 1),
    }[command]
    code, _, err = run(command, *asked, f"--shard={given}", "--out", "out")
    assert code == 2
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


def test_shards_that_measure_have_one_seed(run, features):
    code, _, err = run("sweep", features, *GRID, "--shard", "1/2")
    assert code == 2
    assert "must have one seed between them" in err


RUNS = {
    "squares": ("verify", "--steps", 40, "--replicas", 20, "--momentum", 0.5),
    "head": ("verify", "--loss", "cross-entropy", "--weight-decay", 0.1, "--steps", 40, "--replicas", 8),
    "in time": ("verify", "--dynamic", "--steps", 40, "--replicas", 12, "--modes", 3),
}


@pytest.mark.parametrize("kind", [pytest.param("head", marks=pytest.mark.slow), "squares", "in time"])
def test_shards_make_the_groups_of_one_verification_whose_numbers_are_those_of_one_process(
    run, features, monkeypatch, tmp_path, kind
):
    """Whatever parts they were asked for in: the halves of one, then eighths of another; and once again."""
    command, *options = RUNS[kind]
    asked = (command, features, *options, "--seed", 1, "--json", "--no-report")
    whole = run(*asked, "--out", "whole")
    groups = set()
    for shard in ("2/4", "1/8", "1/2", "2/2", "2/2"):
        code, out, err = run(*asked, "--out", "shared", "--shard", shard)
        part = json.loads(out)
        check(part, "part")
        assert (code, err, part["shard"]) == (0, "", shard)
        groups |= set(part["groups"])
    assert groups == set(range(part["of"]))
    monkeypatch.setattr("fluctua.simulation.runs.Runs.chunk", None)
    monkeypatch.setattr("fluctua.simulation.twins._watched", None)
    assert run(*asked, "--out", "shared") == whole
    names = [sorted(path.name for path in (tmp_path / each).iterdir()) for each in ("shared", "whole")]
    assert names[0] == names[1]
    for name in names[0]:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_shards_of_other_runs_are_refused_in_one_directory(run, features, tmp_path):
    asked = ("verify", features, "--steps", 20, "--replicas", 12, "--no-report", "--out", "shared")
    assert run(*asked, "--seed", 1, "--shard", "1/2")[0] == 0
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for options, differs in (
        (("--seed", 2, "--shard", "2/2"), "entropy"),
        (("--seed", 1, "--shard", "2/2", "--lr", 0.011), "recipe"),
        (("--seed", 1, "--steps", 30), "steps, records"),
    ):
        code, _, err = run(*asked, *options)
        assert code == 2
        assert f"holds groups of replicas of another run (different: {differs})" in err
        assert "choose another --out, or delete the directory" in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert run(*asked, "--shard", "1/2")[2].count("must have one seed between them") == 1
    code, out, _ = run(*asked)  # the seed is that of the shards
    assert code in (0, 1)
    assert "seed 1" in out


@pytest.mark.parametrize("spoiled", ["cut", "another's", "changed"])
def test_a_group_that_is_damaged_is_named(run, features, tmp_path, spoiled):
    asked = ("verify", features, "--steps", 20, "--replicas", 8, "--seed", 1, "--no-report", "--out", "shared")
    assert run(*asked, "--shard", "1/2")[0] == 0
    one, other, *_ = sorted((tmp_path / "shared" / "groups").glob("*.npz"))
    if spoiled == "cut":
        one.write_bytes(one.read_bytes()[:-40])
    elif spoiled == "another's":
        one.write_bytes(other.read_bytes())
    else:
        with np.load(one) as arrays:
            np.savez(one, **{**arrays, "0": arrays["0"][:, :2]})
    code, _, err = run(*asked)
    assert code == 2
    assert one.name in err
    assert "Delete it and run again" in err


CUT = {
    "in time": ("fluctua.simulation.twins._watched", ("verify", "features.npz", *RUNS["in time"][1:], "--threads", 1)),
    "study": (
        "fluctua.studies.coloring.runs.run_replica",
        ("study", "coloring", "K4", "--sweeps", 60, "--replicas", 9),
    ),
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.usefixtures("features")
def test_what_was_finished_of_a_run_that_is_cut_is_not_done_again(run, monkeypatch, tmp_path, kind):
    """Cut at its fourth group. The seed is that of the first call, where none is given."""
    place, asked = CUT[kind]
    module, name = place.rsplit(".", 1)
    work, done, last = getattr(import_module(module), name), [], 3

    def counted(*given):
        if len(done) == last:
            raise KeyboardInterrupt
        done.append(given)
        return work(*given)

    counted.__module__, counted.__qualname__ = work.__module__, work.__qualname__
    monkeypatch.setattr(place, counted)
    code, _, err = run(*asked, "--no-report", "--out", "out")
    assert code == 130
    assert "finished replicas are kept in out" in err
    kept, last = len(list((tmp_path / "out").rglob("*.npz"))), None
    done.clear()
    again = ("--json", "--no-report")
    code, out, _ = run(*asked, *again, *(() if kind == "study" else ("--resume",)), "--out", "out")
    found, rest = json.loads(out), len(done)
    assert code in (0, 1)
    assert kept >= 2
    assert json.loads(run(*asked, *again, "--seed", found["identity"]["entropy"], "--out", "whole")[1]) == found
    assert len(done) == 2 * rest + kept
    assert not list((tmp_path / "out").glob("groups*"))


def test_shards_that_go_on_with_a_run_that_was_cut_are_not_dropped_by_the_next(run, features, monkeypatch, tmp_path):
    """What one process left is dropped without --resume, unless shards have added to it."""
    asked, work = ("verify", features, *RUNS["in time"][1:], "--seed", 1, "--no-report", "--out", "out"), twins._watched
    cut = iter(range(3))
    monkeypatch.setattr(twins, "_watched", lambda *given: work(*given) if next(cut, None) is not None else 1 / 0)
    assert run(*asked, "--threads", 1)[0] == 3
    monkeypatch.setattr(twins, "_watched", work)
    assert run(*asked, "--shard", "2/2")[0] == 0
    kept = len(list((tmp_path / "out").rglob("*.npz")))
    done = []
    monkeypatch.setattr(twins, "_watched", lambda *given: done.append(given) or work(*given))
    assert run(*asked)[0] in (0, 1)
    assert len(done) == 12 - kept < 5


def test_shards_in_python_are_parts_and_the_same_call_without_is_the_whole(small_problem, tmp_path):
    sgd, place = fl.SGD(0.05, 4), tmp_path / "groups"
    asked = {"steps": 30, "replicas": 12, "rng": 1}
    part = fl.simulate(small_problem, sgd, **asked, checkpoint=place, shard=" 2/3 ")
    assert repr(part) == "Part(shard='2/3', groups=(1, 4, 7), of=8, replicas=4)"
    assert fl.verify(small_problem, sgd, **asked, checkpoint=place, shard="1/3").groups == (0, 3, 6)
    assert fl.verify(small_problem, sgd, **asked, checkpoint=place) == fl.verify(small_problem, sgd, **asked)
    assert not place.exists()
    assert fl.simulate(small_problem, sgd, **asked, checkpoint=place, shard="1/1").replicas == 12
    assert fl.simulate(small_problem, sgd, **asked, checkpoint=place) == fl.simulate(small_problem, sgd, **asked)
    with pytest.raises(InvalidInput, match="give checkpoint, a directory that all 3 jobs share"):
        fl.simulate(small_problem, sgd, **asked, shard="1/3")
    with pytest.raises(InvalidInput, match="shard must be i/n"):
        fl.verify_dynamic(small_problem, sgd, rng=1, checkpoint=place, shard=2)
    (tmp_path / "file").write_text("of someone's")
    with pytest.raises(OutputError, match="cannot write to"):
        fl.simulate(small_problem, sgd, **asked, checkpoint=tmp_path / "file", shard="1/3")


@pytest.mark.parametrize("first", [True, False])
def test_shards_share_a_directory_that_a_whole_run_has_alone(tmp_path, first):
    place, refused = tmp_path / "out", pytest.raises(OutputError, match="in use")
    with output_directory(place, alone=first), refused, output_directory(place, alone=not first):
        pass
    with output_directory(tmp_path / "out", alone=False), output_directory(tmp_path / "out", alone=False):
        pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--processes", 0), "'--processes': 0 is not in the range"),
        (("--dask", "nowhere"), "no Dask scheduler answers at 'nowhere'"),
        (("--dask", "tcp://10.0.0.1:8786", "--processes", 2), "two ways to do the same work"),
    ],
)
def test_workers_that_are_none_are_refused(run, features, options, words):
    pytest.importorskip("distributed")
    code, _, err = run("sweep", features, *GRID, *options)
    assert code == 2
    assert words in err
