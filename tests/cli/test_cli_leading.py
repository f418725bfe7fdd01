"""fluctua predict --modes, and files that are too large to be read as a whole."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli import large
from helpers.commands import check


def test_predict_prints_every_number_with_its_bounds(run):
    code, out, _ = run("predict", "digits", "--lr", "0.05", "--modes", "40")
    assert code == 0
    for words in ("40 leading modes, curvature", "of it in other modes", "L(W*) = 0.1549409, at least", "from 0.00934"):
        assert words in out
    assert "of any direction of the leading modes to 0." in out
    assert "of the largest stable one, which is from" in out


def test_json_keeps_to_its_schema(run):
    code, out, _ = run("predict", "digits", "--lr", "0.05", "--modes", "40", "--json")
    assert code == 0
    found = json.loads(out)
    check(found, "prediction")
    low, high = found["excess_loss_bounds"]
    assert low < found["excess_loss"] < high < 1.01 * low
    assert found["max_stable_lr_bounds"][0] == found["max_stable_lr"] < found["max_stable_lr_bounds"][1]
    assert found["leading_modes"] == len(found["curvatures"]) == 40


@pytest.mark.parametrize(
    "more", [["--start", "zero"], ["--held-out", "x.npz"], ["--sampling", "shuffle"], ["--loss", "cross-entropy"]]
)
def test_what_needs_all_modes_is_refused(run, more):
    code, _, err = run("predict", "digits", "--modes", "5", *more)
    assert code == 2
    assert more[0] in err or "modes" in err


def test_a_run_is_predicted_with_its_bounds(run):
    asked = ["predict", "digits", "--lr", "0.05", "--modes", "40", "--steps", "30", "--start", "zero"]
    code, out, _ = run(*asked)
    assert code == 0
    assert "exact, after 30 steps, bounded from 40 leading modes" in out
    found = json.loads(run(*asked, "--json")[1])
    check(found, "prediction")
    assert found["steps"] == [30]
    low, high = found["excess_loss_bounds"]
    exact = json.loads(run(*asked[:4], *asked[6:], "--json")[1])
    assert low < exact["excess_loss"] < high < 1.001 * low


def test_a_file_that_is_too_large_is_read_in_chunks(run, tmp_path, monkeypatch):
    data = fl.load("digits", limit=600)
    np.save(tmp_path / "x.npy", data.inputs)
    np.save(tmp_path / "y.npy", data.labels)
    asked = ["predict", str(tmp_path / "x.npy"), "--targets", str(tmp_path / "y.npy"), "--lr", "0.05"]
    whole = json.loads(run(*asked, "--modes", "30", "--json")[1])
    monkeypatch.setattr(large, "_SHARE", 0.0)
    parts = json.loads(run(*asked, "--modes", "30", "--json")[1])
    assert parts["data"]["sha256"] != ""
    assert parts["excess_loss"] == pytest.approx(whole["excess_loss"], rel=1e-6)
    assert parts["excess_loss_bounds"] == pytest.approx(whole["excess_loss_bounds"], rel=1e-6)
    assert "leading modes" in run(*asked)[1]  # without being asked
    code, _, err = run(*asked, "--standardize")
    assert code == 2
    assert "--standardize needs all of it" in err
