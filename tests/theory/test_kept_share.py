"""Shuffled epochs at the local level: the share of a mode's variance that is left, against sums over every batch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.local.shuffled import kept_share

CURVATURES = np.array([1.3, 0.2, 0.04])
RECIPES = [
    fl.SGD(lr=0.3, batch_size=8, sampling="shuffle"),
    fl.SGD(lr=0.1, batch_size=8, momentum=0.8, sampling="shuffle"),
    fl.SGD(lr=0.1, batch_size=8, momentum=0.5, nesterov=True, sampling="shuffle"),
    fl.QHM(lr=0.2, batch_size=8, momentum=0.8, nu=0.6, sampling="shuffle"),
]


def of_batches(samples, sizes):
    """Covariance of the gradients of an epoch's batches, from that of N samples which are drawn once, in units of C."""
    alone = (np.eye(samples) - 1 / samples) * samples / (samples - 1)
    ends = np.cumsum([0, *sizes])
    means = np.array([np.isin(np.arange(samples), np.arange(a, b)) / (b - a) for a, b in pairwise(ends)])
    return means @ alone @ means.T


def summed(h, sgd, samples, position):
    """The variance `position` steps into an epoch after many others, from the covariance of all gradients."""
    sizes = sgd.batch_sizes(samples)
    batches = len(sizes)
    steps = batches * int(np.ceil(3000 / batches)) + position
    moved, push = sgd.step.transition(sgd.lr, np.array([h]))[0], sgd.step.at(sgd.lr)[1]
    response, state = np.empty(steps), push
    for n in range(steps):
        response[steps - 1 - n], state = state[0], moved @ state
    covariance, total = of_batches(samples, sizes), 0.0
    for start in range(0, steps, batches):
        part = response[start : start + batches]
        total += part @ covariance[: len(part), : len(part)] @ part
    return total / (response @ response * covariance[0, 0])


@pytest.mark.parametrize("sgd", RECIPES, ids=str)
@pytest.mark.parametrize(
    ("samples", "position"),
    [(16, 1), (16, 2), (72, 4), (320, 40), (11, 1), (11, 2), (66, 9), (66, 5), (71, 8), (71, 9)],
)
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_share_is_the_sum_over_every_earlier_batch(sgd, samples, position, drop_last):
    sgd = replace(sgd, drop_last=drop_last)
    expected = [summed(h, sgd, samples, position % len(sgd.batch_sizes(samples))) for h in CURVATURES]
    np.testing.assert_allclose(kept_share(CURVATURES, sgd, samples, position), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("samples", [72, 66])
@pytest.mark.parametrize("sgd", RECIPES, ids=str)
def test_without_a_position_it_is_the_mean_over_an_epoch(sgd, samples):
    each = [kept_share(CURVATURES, sgd, samples, place) for place in range(1, 10)]
    np.testing.assert_allclose(kept_share(CURVATURES, sgd, samples), np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(kept_share(CURVATURES, sgd, 8), 0)  # a single batch is all samples


@pytest.mark.parametrize("size", [20, 150, 190])
def test_it_agrees_with_the_law_of_shuffled_epochs_where_noise_does_not_feel_the_weights(size):
    """Of a last batch of 50 and of 100 samples too, which leave three times as much and more."""
    rng = np.random.default_rng(0)
    inputs = np.linalg.qr(rng.normal(size=(2000, 3)))[0] * np.sqrt(2000) * np.array([1.0, 0.5, 0.2])
    problem = fl.LeastSquares(inputs, rng.normal(size=2000) + inputs @ [1.0, 2.0, 3.0])
    shuffled = fl.SGD(lr=0.01, batch_size=size, sampling="shuffle")
    apart = fl.SGD(lr=0.01, batch_size=size, sampling="without_replacement")
    measured = fl.predict(problem, shuffled).mode_variances / fl.predict(problem, apart).mode_variances
    np.testing.assert_allclose(kept_share(problem.curvatures, shuffled, 2000), measured, rtol=0.03)
