"""How much of a new output is learned: the law against descent itself, and foretold from outputs that exist."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import t

import fluctua as fl

FEW = np.random.default_rng(2)
INPUTS, TARGETS, NEW = FEW.normal(size=(12, 3)), FEW.normal(size=(12, 2)), FEW.normal(size=(12, 2))
WEIGHTS = FEW.uniform(0.5, 2.0, 12)
PLAIN = fl.SGD(lr=0.1, batch_size=3)
RECIPES = {
    "plain": PLAIN,
    "decay": dataclasses.replace(PLAIN, weight_decay=0.2),
    "without": dataclasses.replace(PLAIN, sampling="without_replacement"),
    "momentum": dataclasses.replace(PLAIN, lr=0.03, momentum=0.8),
    "nesterov": dataclasses.replace(PLAIN, lr=0.03, momentum=0.8, nesterov=True),
    "dampening": dataclasses.replace(PLAIN, lr=0.03, momentum=0.8, dampening=0.4),
}


def descended(sgd, steps, weights=None):
    """<f W x>/<f^2> after steps of torch's descent on all samples: the mean of what batches do."""
    share = np.full(12, 1 / 12) if weights is None else weights / weights.sum()
    w, u = np.zeros((2, 3)), None
    for _ in range(steps):
        g = (share[:, None] * (INPUTS @ w.T - NEW)).T @ INPUTS + sgd.weight_decay * w
        u = g if u is None else sgd.momentum * u + (1 - sgd.dampening) * g
        w = w - sgd.lr * (g + sgd.momentum * u if sgd.nesterov else u)
    return share @ (NEW * (INPUTS @ w.T)) / (share @ NEW**2)


@pytest.mark.parametrize("name", RECIPES)
def test_the_exact_share_is_that_of_descent(name):
    """F120."""
    found = fl.learned_share(fl.LeastSquares(INPUTS, TARGETS), RECIPES[name], NEW, [0, 1, 7, 40])
    direct = [descended(RECIPES[name], steps) for steps in found.steps]
    assert found.exact == pytest.approx(np.array(direct), abs=1e-12)
    assert found.limit == pytest.approx(descended(RECIPES[name], 4000), abs=1e-9)
    assert found.foretold is None
    assert found.measured is None


def test_sample_weights_count():
    problem = fl.LeastSquares(INPUTS, TARGETS, sample_weight=WEIGHTS)
    found = fl.learned_share(problem, PLAIN, NEW, 7)
    assert found.exact[0] == pytest.approx(descended(PLAIN, 7, WEIGHTS), abs=1e-12)


@pytest.fixture(scope="module")
def digits():
    data = fl.load("digits")
    return fl.LeastSquares(data.inputs, data.targets), 1.0 - 2.0 * (data.labels % 2)


def test_parity_of_digits(digits):
    found = fl.learned_share(digits[0], fl.SGD(lr=0.05, batch_size=8), digits[1], [1, 10, 100, 1000])
    assert found.exact[:, 0] == pytest.approx([0.015485664, 0.136064317, 0.536835598, 0.680473841], abs=1e-9)
    assert found.limit[0] == pytest.approx(0.707667492, abs=1e-9)
    assert list(found.columns()) == ["steps", "output", "exact"]


BOUND = float(t.isf(5e-8 / 4, 31))
"""Two-sided, of four numbers together 1e-7."""


@pytest.mark.statistical(alpha=2e-7, miss=1e-7)
@pytest.mark.parametrize("name", ["plain", "momentum"])
def test_the_share_is_foretold_by_outputs_that_exist_and_measured_by_training(name):
    """64 replicas of 2 outputs: errors of 1 % and below, by which the share 8 steps earlier is off by more than 20."""
    found = fl.learned_share(fl.LeastSquares(INPUTS, TARGETS), RECIPES[name], NEW, [3, 12], replicas=512, rng=3)
    for value, error in ((found.foretold, found.foretold_error), (found.measured, found.measured_error)):
        assert (np.abs(value - found.exact) < BOUND * error).all()
        assert (np.abs(value[1] - found.exact[0]) > 2 * BOUND * error[1]).any()


@pytest.mark.any_seed
def test_a_first_step_of_its_own_is_measured_and_not_foretold():
    problem = fl.LeastSquares(INPUTS, TARGETS)
    found = fl.learned_share(problem, RECIPES["dampening"], NEW, 3, replicas=4, rng=1)
    assert found.foretold is None
    assert found.measured.shape == (1, 2)
    again = fl.learned_share(problem, RECIPES["dampening"], NEW, 3, replicas=4, rng=1, threads=1)
    assert again == found
    assert "measured" in repr(found)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"new_targets": NEW[:5]}, "a row for each of the 12 samples, got 5"),
        ({"new_targets": np.zeros(12)}, "new output 0 is zero for every sample"),
        ({"new_targets": ["a"] * 12}, "new_targets must hold real numbers"),
        ({"new_targets": np.full(12, np.nan)}, "holds nan"),
        ({"steps": -1}, "steps counts"),
        ({"steps": 0.5}, "steps must be a whole number"),
        ({"replicas": 1}, "replicas must be at least 2"),
        ({"replicas": 2, "steps": 10**13}, "of memory|operations"),
        ({"sgd": dataclasses.replace(PLAIN, sampling="shuffle")}, "comes from a motion without memory"),
        ({"sgd": dataclasses.replace(PLAIN, schedule=fl.schedules.CosineAnnealingLR(9))}, "constant learning rate"),
        ({"sgd": fl.SGD(lr=5.0, batch_size=3)}, "no stationary state"),
        ({"sgd": fl.SGD(lr=0.1, batch_size=12, sampling="without_replacement"), "replicas": 4}, "does not fluctuate"),
        ({"problem": "digits"}, "problem must be"),
    ],
)
def test_what_has_no_share_is_refused_before_any_run(given, match):
    asked = {"problem": fl.LeastSquares(INPUTS, TARGETS), "sgd": PLAIN, "new_targets": NEW, "steps": 3, **given}
    with pytest.raises(fl.FluctuaError, match=match):
        fl.learned_share(**asked)


def test_an_output_that_no_input_says_anything_of_is_refused():
    inputs = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    with pytest.raises(fl.FluctuaError, match="new output 0 is orthogonal to every input"):
        fl.learned_share(fl.LeastSquares(inputs, FEW.normal(size=(4, 1))), PLAIN, np.ones(4), 3)


@pytest.mark.any_seed
def test_too_few_runs_for_a_regression_are_refused_with_how_many_would_do(digits):
    with pytest.raises(fl.FluctuaError, match=r"regression of 61 numbers.*at least 37,210 pairs.*at least 59 replicas"):
        fl.learned_share(digits[0], fl.SGD(lr=0.05, batch_size=8), digits[1], 100, replicas=2, rng=1)
