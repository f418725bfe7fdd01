"""Bad input on the command line: one paragraph, exit code two, and nothing left behind."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fluctua.cli import main

SHUFFLE = ("--sampling", "shuffle")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--position", 3), "Use --sampling shuffle"),
        (("predict", *SHUFFLE, "--position", 25), "to 24, its last step; got 25"),
        (("predict", *SHUFFLE, "--position", -1), "got -1"),
        (("predict", *SHUFFLE, "--position", 3, "--steps", 9), "has its position already"),
        (("predict", "--average-every", 3), "give it with --ema or --tail"),
        (("predict", "--ema", 0.9, "--average-every", "epochs"), "a number of steps, or epoch, got 'epochs'"),
        (("predict", *SHUFFLE, "--ema", 0.9, "--average-every", 40, "--steps", 39), "and the run has 39"),
        (
            ("verify", "--tail", 10, "--average-every", "epoch", "--steps", 20),
            "for the first time after 25, and the run",
        ),
        (("predict", "--drop-last"), "drop_last needs epochs"),
        (("verify", "--sampling", "sequential"), "periodic orbit"),
        (("verify", "--sampling", "single_shuffle"), "periodic orbit"),
        (("predict", "--orders", 64), "for sampling='shuffle'"),
        (("predict", *SHUFFLE, "--orders", 65), "multiple of 32"),
        (("predict", *SHUFFLE, "--orders", 64, "--position", 9), "Give it without --position"),
        (("predict", *SHUFFLE, "--orders", 64, "--ema", 0.9), "Give it without an average of the weights"),
        (("noise", *SHUFFLE), "no memory"),
    ],
)
def test_what_is_not_there_in_epochs_is_refused(run, features, tmp_path, arguments, message):
    command, *options = arguments
    code, _, err = run(command, features, *options)
    assert code == 2
    assert message in err
    assert {path.name for path in tmp_path.iterdir()} == {"features.npz"}


def _bad_file(tmp_path, **arrays):
    np.savez(tmp_path / "bad.npz", **arrays)
    return ["verify", "bad.npz"]


BAD = {
    "nan": (lambda p: _bad_file(p, X=[[1.0, np.nan], [1, 2]], y=[0, 1]), "nan"),
    "infinity": (lambda p: _bad_file(p, X=[[1.0, np.inf], [1, 2]], y=[0, 1]), "inf"),
    "shape": (lambda p: _bad_file(p, X=[1.0, 2.0], y=[0, 1]), "shape"),
    "mismatch": (lambda p: _bad_file(p, X=np.eye(3), y=[0, 1]), "3"),
    "empty": (lambda p: _bad_file(p, X=np.empty((0, 2)), y=np.empty(0, int)), "empty"),
    "one sample": (lambda p: _bad_file(p, X=[[1.0, 2.0]], y=[1.5]), "single sample"),
    "constant": (lambda p: _bad_file(p, X=np.ones((5, 2)), y=[0, 1, 0, 1, 0]), "constant"),
    "batch 0": (lambda _: ["verify", "digits", "--batch-size", "0"], "at least 1, got 0"),
    "batch -3": (lambda _: ["verify", "digits", "--batch-size", "-3"], "got -3"),
    "batch > N": (lambda _: ["verify", "digits", "--batch-size", "2000", "--sampling", "without_replacement"], "1797"),
    "lr 0": (lambda _: ["verify", "digits", "--lr", "0"], "greater than 0"),
    "lr < 0": (lambda _: ["predict", "digits", "--lr", "-0.1"], "greater than 0"),
    "lr nan": (lambda _: ["predict", "digits", "--lr", "nan"], "finite"),
    "unstable": (lambda _: ["verify", "digits", "--lr", "0.3"], "0.1886971"),
    "data": (lambda _: ["verify", "digist"], "Did you mean 'digits'?"),
    "sampling": (lambda _: ["verify", "digits", "--sampling", "with_replacment"], "Did you mean 'with_replacement'?"),
    "theory": (lambda _: ["predict", "digits", "--theory", "exat"], "Did you mean 'exact'?"),
    "command": (lambda _: ["verfy", "digits"], "Did you mean 'verify'?"),
    "option": (lambda _: ["verify", "digits", "--batchsize", "8"], "--batch-size"),
    "missing file": (lambda _: ["verify", "nowhere.npz"], "does not exist"),
    "missing data": (lambda p: ["verify", "mnist", "--data-dir", str(p)], "fluctua data fetch mnist"),
    "result": (lambda _: ["plot", "nowhere"], "no such result"),
    "schema": (lambda _: ["schema", "verdit"], "Did you mean 'verdict'?"),
    "seed": (lambda _: ["verify", "digits", "--seed", "-1"], "seed"),
    "no argument": (lambda _: ["verify"], "DATA"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_paragraph_and_exit_code_two_and_leaves_nothing(run, tmp_path, case):
    make, expected = BAD[case]
    code, out, err = run(*make(tmp_path))
    assert code == 2
    assert expected in err
    assert "Traceback" not in err + out
    assert {path.name for path in tmp_path.iterdir()} <= {"bad.npz"}


@pytest.mark.parametrize(("content", "word"), [(b"", "bad"), (b"PK\x03\x04 cut short", "bad"), (b"text", "bad")])
def test_a_corrupt_file_is_refused(run, tmp_path, content, word):
    (tmp_path / "bad.npz").write_bytes(content)
    code, _, err = run("verify", "bad.npz")
    assert code == 2
    assert word in err


def test_an_unwritable_output_is_refused_before_any_work(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    began = time.perf_counter()
    code, out, err = run("verify", "digits", "--out", tmp_path / "file" / "sub")
    assert code == 2
    assert "--out" in err
    assert out == ""
    assert time.perf_counter() - began < 5


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="digist"):
        main(["--debug", "verify", "digist"])
