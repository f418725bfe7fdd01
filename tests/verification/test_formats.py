"""Numbers as people read them: no minus before a zero, no warning that escapes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.report import render
from fluctua.theory.kurtosis import excess_kurtosis
from fluctua.verification.formats import caught, shown
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
