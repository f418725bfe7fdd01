"""The recipe as s' = B s + e g, against the definition of torch's step and of quasi-hyperbolic momentum."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import fluctua as fl
from fluctua.recipe.step import plain, quasi_hyperbolic, with_momentum

SGD = {
    "plain": {},
    "heavy ball": {"momentum": 0.9},
    "dampened": {"momentum": 0.7, "dampening": 0.3},
    "Nesterov": {"momentum": 0.8, "nesterov": True},
}


def torch_step(weight, buffer, gradient, lr, first, momentum=0.0, dampening=0.0, nesterov=False):
    """One step of torch.optim.SGD on one weight, as its documentation has it."""
    if not momentum:
        return weight - lr * gradient, buffer
    buffer = gradient if first else momentum * buffer + (1 - dampening) * gradient
    return weight - lr * (gradient + momentum * buffer if nesterov else buffer), buffer


@pytest.mark.parametrize("options", SGD.values(), ids=SGD)
def test_a_run_of_steps_is_torchs(options):
    rng = np.random.default_rng(0)
    step, rates = fl.SGD(0.1, 4, **options).step, rng.random(6)
    motion, push = step.along(rates)
    weight, buffer, state = 1.3, 0.0, np.array([1.3, 0.0])[: step.slots]
    for t, (lr, gradient) in enumerate(zip(rates, rng.normal(size=6), strict=True)):
        weight, buffer = torch_step(weight, buffer, gradient, lr, t == 0, **options)
        before, state = state, motion[t] @ state + push[t] * gradient
        assert state[0] == pytest.approx(weight, rel=1e-14)
        assert step.gradient(before, state, lr, t) == pytest.approx(gradient, rel=1e-12)


@pytest.mark.parametrize("options", SGD.values(), ids=SGD)
def test_the_limit_of_the_mean_is_where_an_eigenvalue_reaches_minus_one(options):
    step = fl.SGD(0.1, 4, **options).step
    limit = step.mean_limit(2.5)
    for share, grows in ((0.999, False), (1.001, True)):
        assert (np.abs(np.linalg.eigvals(step.transition(share * limit, 2.5)[0])).max() > 1) == grows


@pytest.mark.parametrize("away", [0.5, 1e-6, 1e-9, 1e-12])
def test_the_limit_of_the_mean_keeps_its_digits_where_little_of_a_gradient_is_taken(away):
    """2 (1 + beta)/(h (1 - dampening)) and 2 (1 + beta)/(h (1 + beta - 2 nu beta)), in rational numbers."""
    for beta in (0.9, 1 - away):
        dampened, exact = with_momentum(beta, 1 - away, False), Fraction(beta)
        expected = 2 * (1 + exact) / (Fraction(2.5) * (1 - Fraction(1 - away)))
        assert dampened.mean_limit(2.5) == pytest.approx(float(expected), rel=1e-14)
        for nu in (0.3, 1 - away, 1.0):
            expected = 2 * (1 + exact) / (Fraction(2.5) * (1 + exact - 2 * Fraction(nu) * exact))
            assert quasi_hyperbolic(beta, nu).mean_limit(2.5) == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize("options", SGD.values(), ids=SGD)
def test_a_flat_mode_drifts_as_with_the_effective_rate(options):
    step, flat = fl.SGD(0.1, 4, **options).step, 1e-9
    slowest = np.linalg.eigvals(step.transition(0.1, flat)[0]).max()
    assert (1 - slowest) / flat == pytest.approx(step.effective_lr(0.1), rel=1e-6)


def test_only_a_dampened_first_step_is_unlike_the_others():
    alike = {name: fl.SGD(0.1, 4, **options).step.begins_alike for name, options in SGD.items()}
    assert alike == {"plain": True, "heavy ball": True, "dampened": False, "Nesterov": True}


def test_quasi_hyperbolic_momentum_lies_between_plain_steps_and_a_moving_average_of_gradients():
    """u' = beta u + (1 - beta) g, w' = w - eta ((1 - nu) g + nu u'), from the definition."""
    beta, nu, lr = 0.9, 0.7, 0.05
    motion, push = quasi_hyperbolic(beta, nu).at(lr)
    weight, buffer, state = 0.4, 0.0, np.array([0.4, 0.0])
    for gradient in np.random.default_rng(1).normal(size=5):
        buffer = beta * buffer + (1 - beta) * gradient
        weight -= lr * ((1 - nu) * gradient + nu * buffer)
        state = motion @ state + push * gradient
        np.testing.assert_allclose(state, [weight, buffer], rtol=1e-13)
    assert quasi_hyperbolic(beta, 0.0).effective_lr(lr) == pytest.approx(plain().effective_lr(lr), rel=1e-14)
    full, torchs = quasi_hyperbolic(beta, 1.0), with_momentum(beta, 0.0, False)
    assert full.effective_lr(lr) == pytest.approx(torchs.effective_lr(lr * (1 - beta)), rel=1e-12)
