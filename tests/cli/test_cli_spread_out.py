"""Work that is spread out, from the command line: shards in a directory they share, processes, and Dask's workers."""

from __future__ import annotations

import json

import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, OutputError
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
    with pytest.raises(InvalidInput, match="shard = 4/5 has no cell: there are 3 cells"):
        fl.sweep(small_problem, fl.SGD(0.05, 4), lr=[0.01, 0.02, 0.03], steps=9, shard="4/5")


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
        ("9/99", "has no cell: there are 6 cells"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "reproduce"])
def test_shards_that_are_none_are_refused_and_leave_nothing(run, features, tmp_path, command, given, words):
    asked = {"sweep": (features, *GRID, "--seed", 1), "reproduce": ("--quick", "--data", "digits")}[command]
    code, _, err = run(command, *asked, f"--shard={given}", "--out", "out")
    assert code == 2
    assert words.replace("6 cells", "8 cells") in err if command == "reproduce" else words in err
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


def test_shards_that_measure_have_one_seed(run, features):
    code, _, err = run("sweep", features, *GRID, "--shard", "1/2")
    assert code == 2
    assert "must have one seed between them" in err


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
