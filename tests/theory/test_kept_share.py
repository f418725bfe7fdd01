"""Shuffled epochs at the local level: the share of a mode's variance that is left, against sums over every batch."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.local.shuffled import kept_share

CURVATURES = np.array([1.3, 0.2, 0.04])
RECIPES = [
    fl.SGD(lr=0.3, batch_size=8),
    fl.SGD(lr=0.1, batch_size=8, momentum=0.8),
    fl.SGD(lr=0.1, batch_size=8, momentum=0.5, nesterov=True),
    fl.QHM(lr=0.2, batch_size=8, momentum=0.8, nu=0.6),
]


def summed(h, sgd, batches, position):
    """The variance `position` steps into an epoch after many others, from the covariance of all gradients."""
    steps = batches * int(np.ceil(3000 / batches)) + position
    moved, push = sgd.step.transition(sgd.lr, np.array([h]))[0], sgd.step.at(sgd.lr)[1]
    response, state = np.empty(steps), push
    for n in range(steps):
        response[steps - 1 - n], state = state[0], moved @ state
    total = 0.0
    for start in range(0, steps, batches):
        part = response[start : start + batches]
        total += batches / (batches - 1) * (part @ part - part.sum() ** 2 / batches)
    return total / (response @ response)


@pytest.mark.parametrize("sgd", RECIPES, ids=str)
@pytest.mark.parametrize(("batches", "position"), [(2, 1), (2, 2), (9, 4), (40, 40)])
def test_the_share_is_the_sum_over_every_earlier_batch(sgd, batches, position):
    expected = [summed(h, sgd, batches, position) for h in CURVATURES]
    np.testing.assert_allclose(kept_share(CURVATURES, sgd, batches, position), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("sgd", RECIPES, ids=str)
def test_without_a_position_it_is_the_mean_over_an_epoch(sgd):
    each = [kept_share(CURVATURES, sgd, 9, place) for place in range(1, 10)]
    np.testing.assert_allclose(kept_share(CURVATURES, sgd, 9), np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(kept_share(CURVATURES, sgd, 1), 0)  # a single batch is all samples


def test_it_agrees_with_the_law_of_shuffled_epochs_where_noise_does_not_feel_the_weights():
    rng = np.random.default_rng(0)
    inputs = np.linalg.qr(rng.normal(size=(2000, 3)))[0] * np.sqrt(2000) * np.array([1.0, 0.5, 0.2])
    problem = fl.LeastSquares(inputs, rng.normal(size=2000) + inputs @ [1.0, 2.0, 3.0])
    shuffled = fl.SGD(lr=0.01, batch_size=20, sampling="shuffle")
    apart = fl.SGD(lr=0.01, batch_size=20, sampling="without_replacement")
    measured = fl.predict(problem, shuffled).mode_variances / fl.predict(problem, apart).mode_variances
    np.testing.assert_allclose(kept_share(problem.curvatures, shuffled, 100), measured, rtol=0.03)
