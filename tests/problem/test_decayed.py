"""L(W*) and the diagonal of C at several weight decays are those of the minima there."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem.decayed import decayed_moments

DECAYS = np.array([0.0, 1e-4, 1e-2, 1.0, 10.0])


def made(kind):
    rng = np.random.default_rng(0)
    samples, features = {"tall": (50, 7), "wide, fits every sample": (9, 20), "weighted": (40, 5)}[kind]
    weights = rng.uniform(0.5, 2, samples) if kind == "weighted" else None
    return fl.LeastSquares(
        rng.normal(size=(samples, features)), rng.normal(size=(samples, 3)) + 1, sample_weight=weights
    )


@pytest.mark.parametrize("kind", ["tall", "wide, fits every sample", "weighted"])
def test_they_are_those_of_the_minima(kind):
    problem = made(kind)
    losses, noise = decayed_moments(problem, DECAYS)
    for decay, loss, variances in zip(DECAYS.tolist(), losses, noise, strict=True):
        minimum = problem.minimum(decay)
        assert loss == pytest.approx(minimum.loss, rel=1e-12, abs=1e-15)
        np.testing.assert_allclose(variances, np.diag(minimum.noise), rtol=1e-11, atol=1e-14)
