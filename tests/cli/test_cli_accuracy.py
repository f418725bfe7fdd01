"""The accuracy that `fluctua predict` prints: shared out or solved, on training and on held-out data."""

import json

import numpy as np
import pytest

import fluctua as fl
from helpers.commands import check

RNG = np.random.default_rng(2)
X = RNG.normal(size=(200, 4))
LABELS = (X[:, :3] + 0.5 * RNG.normal(size=(200, 3))).argmax(axis=1)
RECIPE = ("--lr", "0.05", "--batch-size", "4")


@pytest.fixture
def files(tmp_path):
    for name, rows in (("one", slice(0, 150)), ("other", slice(150, None))):
        np.savez(tmp_path / f"{name}.npz", X=X[rows], y=LABELS[rows])
    np.savez(tmp_path / "values.npz", X=X, y=X[:, 0])
    return tmp_path


@pytest.mark.parametrize("solved", [False, True])
def test_the_json_has_both_accuracies(run, files, solved):
    given = ["predict", files / "one.npz", *RECIPE, "--held-out", files / "other.npz", *["--accuracy"] * solved]
    result = json.loads(run(*given, "--json")[1])
    check(result, "prediction")
    prediction = fl.predict(fl.LeastSquares(X[:150], LABELS[:150]), fl.SGD(0.05, 4))
    for part, data in (("training", ()), ("held_out", (X[150:], LABELS[150:]))):
        expected, found = fl.expected_accuracy(prediction, *data, pairs=solved), result["expected_accuracy"][part]
        assert found["expected"] == pytest.approx(expected.expected, abs=1e-6)
        assert (found["samples"], found["pairs"]) == (expected.samples, solved)
    assert ("optimistic" in run(*given)[1]) is not solved


def test_a_part_split_off_has_its_own(run, files):
    result = json.loads(run("predict", files / "one.npz", *RECIPE, "--test-size", "0.2", "--json")[1])
    check(result, "prediction")
    assert [result["expected_accuracy"][part]["samples"] for part in ("training", "held_out")] == [120, 30]


def test_values_have_none(run, files):
    code, _, err = run("predict", files / "values.npz", *RECIPE, "--accuracy")
    assert code == 2
    assert "--accuracy is of labels" in err


def test_one_output_of_two_values_has_an_accuracy_where_it_is_asked_for(run, files):
    signs = np.where(LABELS > 0, 1.0, -1.0)
    for name, rows in (("signs", slice(0, 150)), ("others", slice(150, None))):
        np.savez(files / f"{name}.npz", X=X[rows], y=signs[rows])
    given = ("predict", files / "signs.npz", *RECIPE, "--held-out", files / "others.npz")
    result = json.loads(run(*given, "--accuracy", "--json")[1])
    check(result, "prediction")
    prediction = fl.predict(fl.LeastSquares(X[:150], signs[:150]), fl.SGD(0.05, 4))
    for part, data in (("training", ()), ("held_out", (X[150:], signs[150:]))):
        expected = fl.expected_accuracy(prediction, *data).expected
        assert result["expected_accuracy"][part]["expected"] == pytest.approx(expected, abs=1e-6)
    assert "at W*" in run(*given, "--accuracy")[1]
    assert "accuracy  " not in run(*given)[1]
