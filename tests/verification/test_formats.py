"""Numbers as people read them: no minus before a zero, no warning that escapes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli.narrow import _is_table
from fluctua.report import render
from fluctua.theory.kurtosis import excess_kurtosis
from fluctua.verification.conclusion import conclude
from fluctua.verification.formats import caught, shown
from fluctua.verification.statements import Quantity, Statement
from helpers.thinning import thinned


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (-0.0, ">10.4g", "         0"),
        (-1e-5, ".2f", "0.00"),
        (-0.0004, "+.1%", "+0.0%"),
        (-0.04, "+.1f", "+0.0"),
        (-0.0, ".1e", "0.0e+00"),
        (-1e-5, ".1e", "-1.0e-05"),
        (-0.05, "+.1f", "-0.1"),
        (-2.0, "g", "-2"),
        (float("-inf"), "+.1%", "-inf%"),
        (float("nan"), ".2f", "nan"),
        (1e-20, ".2g", "1e-20"),
    ],
)
def test_zero_has_no_sign(value, spec, text):
    assert shown(value, spec) == text


@pytest.mark.any_seed
def test_what_cannot_be_caught_is_said_in_words():
    assert caught(float("inf")) == caught(float("nan")) == "nothing"
    assert caught(0.0123) == "1.2 %"
    assert caught(3.2e-6) == "0.00032 %"


def orthogonal() -> fl.LeastSquares:
    """A factorial design: all curvatures alike, so that nothing can circulate."""
    design = np.tile([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], (6, 1))
    return fl.LeastSquares(design, design @ [1.0, 2.0] + np.random.default_rng(0).normal(size=24))


@pytest.mark.any_seed
def test_where_nothing_circulates_the_tables_print_zero():
    found = fl.verify_dynamic(orthogonal(), fl.SGD(0.1, 4), steps=40, replicas=8, rng=1)
    page = render(found)
    for text in (found.table, found.entropy_table, found.relations_table, found.words, found.to_json()):
        assert not [word for word in text.replace(",", " ").split() if word.startswith("-0") and not float(word)]
    assert ">-0<" not in page
    assert found.entropy[0].predicted == 0
    assert json.loads(found.to_json())["entropy"][0]["predicted"] == 0


LONG = "anharmonic, stationary"  # a rung, longer than the others


def _tables(problem):
    """Tables that people read, with names and numbers that are longer than usual."""
    sgd = fl.SGD(0.02, 4)
    found = fl.verify(problem, sgd, steps=24, replicas=4, rng=1)
    first, *rows = found.rows
    far = replace(first, name=LONG, excess_loss=1.23456e-100, comparison=replace(first.comparison, z_rms=1e12))
    yield "verdict", replace(found, rows=(*rows, far)).table
    moved = fl.verify_dynamic(problem, sgd, steps=24, replicas=4, rng=1)
    rows = [replace(row, name=f"{row.name} as predicted by {LONG}", z_rms=1e9) for row in moved.rows]
    yield "in time", replace(moved, rows=(*moved.rows, *rows)).table
    one = Quantity("variance-kept-of-all-modes", 1.0, 0.63, 6.3e-10, 1, 0.0)
    asked = {"level": 0.01, "resolution": 0.1, "steps": 1, "replicas": 1, "entropy": "1"}
    yield "study", conclude("study", "title", [Statement("ode", "claim", (one,))], **asked).table
    plan = fl.plan(problem, 24, batch_size=4, momenta=(0,), schedules=("constant",))
    best = replace(plan.best, shape=LONG, loss=plan.best.loss + 1.0)
    yield "plan", replace(plan, candidates=(plan.best, best)).table


@pytest.mark.any_seed
def test_columns_stand_one_below_the_other_whatever_is_in_them(small_problem):
    wrong = [name for name, table in _tables(small_problem) if not _is_table(table.splitlines())]
    assert not wrong


@pytest.mark.any_seed
@pytest.mark.parametrize("replicas", [2, 3])
def test_few_replicas_warn_of_nothing(replicas, small_problem):
    """Warnings are errors here."""
    for sgd in (fl.SGD(0.02, 4), fl.SGD(0.01, 4, momentum=0.8)):
        found = fl.verify_dynamic(small_problem, sgd, steps=24, replicas=replicas, rng=1)
        assert found.table
        assert found.entropy_table
        assert fl.verify(small_problem, sgd, steps=24, replicas=replicas, rng=1).table


@pytest.mark.any_seed
@thinned(3, ("options", [{}, {"start": "zero"}, {"average": fl.EMA(0.9)}]), ("times", [1.5, 1e3, 1e6, 1e100]))
def test_a_run_that_diverges_says_so_and_warns_of_nothing(small_problem, times, options):
    limit = fl.max_stable_lr(small_problem, fl.SGD(1.0, 4))
    found = fl.verify(
        small_problem, fl.SGD(times * limit, 4), steps=300, replicas=4, rng=1, check_stability=False, **options
    )
    assert found.words
    assert found.table
    if times > 2:
        assert found.words.startswith("diverged")
    run = fl.simulate(
        small_problem, fl.SGD(times * limit, 4, momentum=0.5), steps=300, replicas=4, rng=1, dtype="float64"
    )
    assert np.isfinite(run.excess_loss_error) or times > 1
    assert repr(run)


@pytest.mark.any_seed
def test_a_batch_of_all_samples_has_no_kurtosis(small_problem):
    whole = fl.SGD(0.1, small_problem.samples, sampling="without_replacement")
    assert np.isnan(excess_kurtosis(small_problem, whole)).all()
