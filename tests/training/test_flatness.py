"""Variance against flatness, F88: known exponents, and the transient of a network."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.local.flatness import exponent, principal_flatness, quadratic_flatness


def test_the_width_of_a_parabola_is_met_by_its_loss():
    loss, curvature = 0.3, 2.0
    half = 0.5 * float(quadratic_flatness(loss, np.array(curvature)))
    assert loss + 0.5 * curvature * half**2 == pytest.approx(np.e * loss, rel=1e-14)


@pytest.mark.parametrize(("power", "psi"), [(-1, -2), (0, 0), (1, 2)])
def test_equilibrium_isotropy_and_noise_have_their_exponents(power, psi):
    h = np.geomspace(3, 0.1, 12)
    assert exponent(*principal_flatness(np.diag(h**power), h, 0.2)) == pytest.approx(psi, abs=1e-12)


def test_directions_below_a_share_of_the_largest_variance_are_left_out():
    variances, flatness = principal_flatness(np.diag([1.0, 1e-3, 0.9e-4]), np.array([3.0, 2.0, 1.0]), 1.0)
    assert variances == pytest.approx([1.0, 1e-3])
    assert flatness == pytest.approx(quadratic_flatness(1.0, np.array([3.0, 2.0])))
    assert np.isnan(exponent(variances[:1], flatness[:1]))


@pytest.mark.slow
@pytest.mark.torch
def test_the_inverse_relation_of_a_network_fades_as_its_modes_relax(digits):
    torch = pytest.importorskip("torch")
    import fluctua.torch as ft

    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = [(torch.tensor(digits.inputs[:200]), torch.tensor(digits.labels[:200]).long())]
    model = torch.nn.Sequential(torch.nn.Linear(64, 5), torch.nn.Tanh(), torch.nn.Linear(5, 10)).double()
    ft.minimise(model, "cross_entropy", data, weight_decay=0.02, gradient=1e-6)
    network = ft.local(model, "cross_entropy", data, top=20, weight_decay=0.02)
    prediction = fl.predict(network, fl.SGD(lr=0.05, batch_size=8, weight_decay=0.02))
    soon, later = (prediction.after(steps).flatness_exponent for steps in (1, 1000))
    noise = exponent(*principal_flatness(network.noise, network.curvatures, network.loss))
    assert soon == pytest.approx(noise, abs=1e-9)  # S = eta^2 kappa C after a step
    assert soon > 1.5
    assert later < 1.0
    assert prediction.flatness_exponent == pytest.approx(prediction.after(10**6).flatness_exponent, abs=1e-3)
