"""The verdict of a study follows from the roles of its statements, and is a file like any other."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.stats import t

from fluctua.errors import InvalidInput, ResultError, UnknownName, UnknownRow
from fluctua.report import render
from fluctua.storage.results import load_arrays, save_arrays
from fluctua.verification.conclusion import StatementVerdict, conclude
from fluctua.verification.statements import KNOWN, Measured, scaled, stated
from helpers.commands import check

LAW = {"mean": 2.0, "square": 5.0}
FOUND = {"mean": 2.0 + 0.1 * np.linspace(-1, 1, 64), "square": 5.0 + 0.2 * np.linspace(1, -1, 64)}


def concluded(*rows, level=0.01, resolution=0.05):
    arrays = {"k": np.arange(3), "value": np.array([1.0, 2.0, 4.0])}
    return conclude(
        "coin",
        "a coin",
        rows,
        level=level,
        resolution=resolution,
        steps=10,
        replicas=64,
        entropy="1",
        arrays=arrays,
        tables={"points": ["k", "value"]},
        facts={"Coin": "of copper"},
    )


@pytest.fixture
def right():
    return stated("exact", "claim", LAW, FOUND)


@pytest.fixture
def verdict(right):
    return concluded(right, scaled("exact", 1.05, LAW, FOUND), stated("fair", "rung", {"mean": 1.9}, FOUND))


def test_claims_that_hold_and_mutants_that_do_not_pass(verdict):
    assert (verdict.consistent, verdict.sharp, verdict.outcome) == (True, True, "passed")
    assert verdict.detectable < 0.05
    assert not verdict.row("fair").consistent  # from a rung nothing follows
    assert [row.name for row in verdict.mutants] == ["exact x 1.05"]
    with pytest.raises(UnknownRow, match="Did you mean 'exact'"):
        verdict.row("exakt")


def test_a_claim_that_is_rejected_fails_and_is_named():
    found = concluded(stated("exact", "claim", {"mean": 2.2}, FOUND))
    assert found.outcome == "failed"
    assert "NOT consistent: exact" in found.words


def test_a_mutant_that_is_not_rejected_makes_it_inconclusive_and_is_named(right):
    found = concluded(right, stated("nearly", "mutant", {"mean": 2.0001}, FOUND))
    assert found.outcome == "inconclusive"
    assert "NOT rejected though wrong: nearly" in found.words


def test_claims_share_the_level_and_quantities_that_of_their_claim(right):
    other = stated("other", "claim", {"mean": 2.0}, FOUND)
    assert [row.level for row in concluded(right, other).rows] == [0.005, 0.005]
    off = stated("off", "claim", {"mean": 2.01, "square": 5.0}, FOUND)
    alone = stated("off", "claim", {"mean": 2.01}, FOUND)
    assert off.p_value == pytest.approx(2 * alone.p_value)
    assert (off.worst.name, off.predicted, off.z) == ("mean", 2.01, alone.z)


def test_z_and_p_are_those_of_student():
    values = FOUND["mean"]
    one = stated("off", "claim", {"mean": 2.02}, {"mean": values})
    error = values.std(ddof=1) / math.sqrt(64)
    assert one.z == pytest.approx((2.0 - 2.02) / error, rel=1e-12)
    assert one.p_value == pytest.approx(2 * t.sf(0.02 / error, 63), rel=1e-12)  # symmetric: no skewness
    given = stated("off", "claim", {"mean": 2.02}, {"mean": Measured(2.0, error, 63)})
    assert given.p_value == pytest.approx(one.p_value, rel=1e-9)
    both = stated("off", "claim", {"mean": Measured(2.02, error)}, {"mean": Measured(2.0, error, 63)})
    assert both.z == pytest.approx(one.z / math.sqrt(2), rel=1e-9)


def test_what_is_caught_is_rejected_with_probability_95_percent():
    one = stated("exact", "claim", {"mean": 2.0}, {"mean": Measured(2.0, 0.1, KNOWN)})
    assert one.detectable == pytest.approx((2.5758 + 1.6449) * 0.1 / 2, rel=1e-3)
    assert stated("none", "claim", {"mean": 0.0}, {"mean": Measured(0.0, 0.1)}).detectable == math.inf


def test_a_prediction_that_runs_cannot_tell_is_unresolved(right):
    assert stated("far", "rung", {"mean": 2.1}, FOUND).if_told(right, 0.01).role == "mutant"
    near = stated("near", "rung", {"mean": 2.001}, FOUND).if_told(right, 0.01)
    assert near.role == "unresolved"
    assert concluded(right, near).passed


def test_a_claim_of_nothing_needs_no_resolution():
    drift = stated("drift", "claim", {"mean": 0.0}, {"mean": Measured(0.001, 0.01)})
    assert concluded(drift).passed
    assert not concluded(drift, stated("wrong", "mutant", {"mean": 0.01}, {"mean": Measured(0.001, 0.01)})).passed


@pytest.mark.parametrize(
    ("predicted", "found", "match"),
    [
        ({}, FOUND, "predicts nothing"),
        ({"mean": 1.0}, {"mean": [1.0, math.nan]}, "row of finite numbers"),
        ({"mean": 1.0}, {"mean": [1.0]}, "at least two replicas"),
        ({"mean": 1.0}, {"mean": Measured(1.0, -0.1)}, "standard error of at least 0"),
        ({"mean": math.inf}, {"mean": Measured(1.0, 0.1)}, "finite prediction"),
    ],
)
def test_statements_of_what_is_no_number_are_refused(predicted, found, match):
    with pytest.raises(InvalidInput, match=match):
        stated("exact", "claim", predicted, found)


def test_a_quantity_that_was_not_found_is_refused_by_name():
    with pytest.raises(UnknownName, match="Did you mean 'mean'"):
        stated("exact", "claim", {"meen": 1.0}, FOUND)


def test_a_verdict_without_claims_or_with_two_of_a_name_is_refused(right):
    with pytest.raises(InvalidInput, match="needs a claim"):
        concluded(stated("fair", "rung", LAW, FOUND))
    with pytest.raises(InvalidInput, match="different names"):
        concluded(right, right)


def test_it_is_saved_and_read_and_obeys_its_schema(verdict, tmp_path):
    check(json.loads(verdict.to_json()), "study")
    verdict.save(tmp_path)
    assert StatementVerdict.load(tmp_path) == verdict
    assert list(verdict.columns("points")) == ["k", "value"]
    assert verdict.columns()["statement"] == ["exact", "exact x 1.05", "fair"]


def test_a_file_that_was_changed_is_refused(verdict, tmp_path):
    verdict.save(tmp_path)
    header, arrays = load_arrays(tmp_path / "study.npz")
    changed = {
        "passed": (dict(header, passed=False), arrays),
        "points": (header, {"k": arrays["k"]}),
        "rows": (dict(header, rows=[]), arrays),
    }
    for name, (head, held) in changed.items():
        save_arrays(tmp_path / "study.npz", {key: value for key, value in head.items() if key != "format"}, held)
        with pytest.raises(ResultError, match=name):
            StatementVerdict.load(tmp_path)


def test_its_page_has_every_statement_and_no_letters_of_the_theorem(verdict):
    hostile = dataclasses.replace(verdict, title="<script>alert(1)</script>")
    page = render(hostile)
    assert "<script>alert" not in page
    assert "Statements against runs" in page or "statements.svg" in page or "quantities.csv" in page
    assert "of copper" in page
    assert "curvature with eigenvalues" not in page
