"""The diagonal of Phi and its weighed sums, which are made without it."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.kernels import constant
from fluctua.kernels.averaged import beside
from fluctua.kernels.coupled import CoupledKernel
from fluctua.kernels.flow import langevin_flow
from fluctua.kernels.momentum import step_kernel
from helpers.agreement import close

H = np.array([2.0, 1.0, 0.31, 0.1, 1e-3, 1e-9])
CRITICAL = np.array([(1 - 0.9**0.5) ** 2 / 0.5, 1.0, 1e-3])  # h of critical damping at lr 0.5, momentum 0.9
KERNELS = {
    "plain": step_kernel(H, fl.SGD(0.5, 1).step, 0.5),
    "momentum": step_kernel(H, fl.SGD(0.5, 1, momentum=0.9).step, 0.5),
    "Nesterov": step_kernel(H, fl.SGD(0.5, 1, momentum=0.9, nesterov=True).step, 0.1),
    "critical": step_kernel(CRITICAL, fl.SGD(0.5, 1, momentum=0.9).step, 0.5),
    "an average beside": beside(step_kernel(H, fl.SGD(0.5, 1).step, 0.5), fl.EMA(0.9)),
    "continuous": langevin_flow(H, 0.5),
}


@pytest.mark.parametrize("name", KERNELS)
def test_they_are_those_of_phi(name, monkeypatch):
    kernel = KERNELS[name]
    assert isinstance(kernel, CoupledKernel) == (name == "critical")
    expected, weights = kernel.stationary, np.random.default_rng(1).random((kernel.modes, kernel.modes))
    weights = weights + weights.T
    for height in (1, 4, 2**16):  # bands of one row, of some, and all at once
        monkeypatch.setattr(constant, "_BLOCK_ELEMENTS", height * kernel.modes)
        assert close(kernel.stationary, expected, rtol=1e-13)
        assert close(kernel.stationary_variances, np.diag(expected), rtol=1e-13)
        assert kernel.weighed(weights) == pytest.approx(np.vdot(weights, expected), rel=1e-12)
