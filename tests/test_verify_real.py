"""Verdicts on the publishers' files; needs FLUCTUA_DATA."""

from __future__ import annotations

import pytest

import fluctua as fl

pytestmark = pytest.mark.real_data


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-3)
def test_mnist_agrees_mode_by_mode_and_rejects_the_lower_theories():
    """All of MNIST, lr 0.01, b 32, from the optimum. z-rms over 712 modes: its spread between seeds is about 0.04."""
    data = fl.load("mnist")
    verdict = fl.verify(fl.LeastSquares(data.inputs, data.targets), fl.SGD(0.01, 32), steps=8000, replicas=32, rng=11)
    assert verdict.tested.comparison.p_value > 1e-3
    assert 0.9 < verdict.tested.comparison.z_rms < 1.15
    assert verdict.sharp
    for name in ("langevin", "exact, stationary", "hessian", "equilibrium"):
        assert not verdict.row(name).consistent
