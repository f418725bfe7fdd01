"""What bounds the curvature of a batch, against all batches; and epochs of an exact fit in wide features."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.reshuffling.contraction import batch_curvature, steps_contract
from helpers.thinning import thinned


@pytest.mark.parametrize("shape", [(7, 2), (8, 5), (6, 9)])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_no_batch_is_steeper_than_the_bound(shape, size):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.standard_t(3, size=shape)
        steepest = max(np.linalg.norm(x[list(batch)], 2) ** 2 / size for batch in combinations(range(shape[0]), size))
        bound = batch_curvature(fl.LeastSquares(x, rng.normal(size=shape[0])), size)
        assert steepest <= bound * (1 + 1e-12)
        assert bound <= np.sum(x**2, axis=1).max() * (1 + 1e-12) * size


def test_orthogonal_samples_of_one_length_reach_it():
    assert batch_curvature(fl.LeastSquares(2 * np.eye(5), np.arange(5) + 0.5), 3) == pytest.approx(4 / 3, rel=1e-12)


@thinned(3, ("options", [{}, {"drop_last": True}, {"weight_decay": 0.0, "batch_size": 7}]))
def test_an_exact_fit_in_wide_features_has_the_floor_zero_at_rates_that_shrink_every_step(options):
    rng = np.random.default_rng(0)
    problem = fl.LeastSquares(rng.normal(size=(300, 400)), rng.normal(size=300))
    sgd = fl.SGD(**{"lr": 0.008, "batch_size": 8, "sampling": "shuffle"} | options)
    assert steps_contract(problem, sgd)
    assert not steps_contract(problem, fl.SGD(0.008, 8, sampling="shuffle", momentum=0.5))
    assert fl.predict(problem, sgd).excess_loss == 0
