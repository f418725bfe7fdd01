"""Samplers at two times: twins share thermal noise as they share batches."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput

RNG = np.random.default_rng(8)
X = RNG.standard_normal((30, 4)) * [1.5, 1.0, 0.8, 0.6]
PROBLEM = fl.LeastSquares(X, X[:, :1] + RNG.standard_normal((30, 1)))


@pytest.mark.statistical(alpha=1e-6)  # each at this level
@pytest.mark.parametrize(
    "sampler", [fl.SGLD(0.1, 4, 0.05, 0.05), fl.SGHMC(0.2, 1.5, 4, 0.05, 0.05), fl.BAOA(0.4, 1.0, 4, 0.05, 0.05)]
)
def test_correlations_and_responses_are_those_of_the_law(sampler):
    found = fl.verify_dynamic(PROBLEM, sampler, steps=300, replicas=64, rng=1, modes=3, level=1e-6, entropy=False)
    assert found.consistent
    response = found.row("response")
    assert response.z_rms < 2  # twins share their noise: what thermal noise would add is not there
    assert response.detectable < 0.05


@pytest.mark.any_seed
def test_a_full_batch_has_no_batches_for_twins_to_share():
    with pytest.raises(InvalidInput, match="full"):
        fl.verify_dynamic(PROBLEM, fl.ULA(0.1, 0.05, 0.05), steps=50, replicas=8, rng=1)
