"""Dissipation kernels against sums term by term, in eighty digits."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

import fluctua as fl
import fluctua.kernels.constant
from fluctua.kernels.constant import Kernel, gradient_step
from fluctua.kernels.flow import langevin_flow
from fluctua.kernels.momentum import step_kernel
from fluctua.kernels.time_varying import course
from fluctua.theory.interpolation import lagrange

KERNELS = pytest.mark.parametrize("make", [gradient_step, langevin_flow])
RATES = {
    "ordinary": [0.5, 0.1, 0.02],
    "flat": [1e-5, 1e-9, 1e-13],
    "steep and flat": [0.9, 1e-4, 1e-12],
    "overshooting": [1.9, 1.2, 0.3],
    "no memory": [1.0, 0.5, 1e-8],
    "growing": [2.3, 2.05, 0.1],
    "on the edge": [2.0, 0.5, 1e-3],
}


def exact_sums(gap, steps):
    """a and b of `Kernel.sums` for one element: closed forms in eighty digits, free of cancellation."""
    with localcontext() as context:
        context.prec = 80
        g, n = Decimal(float(gap)), Decimal(steps)
        if g == 0:
            return float(n), float((n - 1) / 2)
        a = (1 - (1 - g) ** steps) / g
        return float(a), float((n - a) / (n * g))


def term_by_term(gap, steps):
    """The same from the definition, a = sum_j x^(n-1-j) and b = sum_j x^(n-1-j) j/n, in fractions."""
    powers = [(1 - Fraction(float(gap))) ** (steps - 1 - j) for j in range(steps)]
    return float(sum(powers)), float(sum(p * j / steps for j, p in enumerate(powers)))


@pytest.mark.parametrize("gap", [0.0, 1e-17, 1e-8, 0.3, 1.0, 1.9, -0.4])
@pytest.mark.parametrize("steps", [1, 2, 3, 17])
def test_the_reference_is_the_sum_of_its_terms(gap, steps):
    assert exact_sums(gap, steps) == pytest.approx(term_by_term(gap, steps), rel=1e-14)


@KERNELS
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 60, 1001, 10**5, 10**8, 10**12])
@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_the_sums_over_an_interval_are_right_for_any_gap_and_length(make, rates, steps):
    if steps > 1001 and max(rates) > 2:
        steps = 1001  # growth beyond the range of floats
    kernel = make(np.array(rates), lr=1.0)
    a, b = kernel.sums(steps)
    for index, gap in np.ndenumerate(kernel.gap()):
        exact_a, exact_b = exact_sums(gap, steps)
        assert a[index] == pytest.approx(exact_a, rel=1e-12)
        assert b[index] == pytest.approx(exact_b, rel=5e-12)


def test_sums_from_the_rounded_decay_would_fail():
    """The mutant: m^n instead of the gap loses a flat mode's sums to cancellation."""
    kernel, steps = gradient_step(np.array([1e-9]), lr=1.0), 10**7
    gap = kernel.gap()[0, 0]
    a, b = exact_sums(gap, steps)
    rounded = (1 - kernel.decay[0] ** (2 * steps)) / gap
    assert abs(rounded / a - 1) > 1e-9
    assert abs((steps - rounded) / (steps * gap) / b - 1) > 1e-7


@KERNELS
def test_the_stationary_kernel_is_the_sum_over_all_past_injections(make):
    kernel = make(np.array([1.7, 0.6, 0.05]), lr=0.9)
    a, _ = kernel.sums(5000)
    np.testing.assert_allclose(kernel.injection() * a, kernel.stationary, rtol=1e-13)


@KERNELS
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
@pytest.mark.parametrize("elements", [1, 10**6], ids=["row by row", "all rows at once"])
def test_an_advance_is_that_many_single_steps_under_a_linear_source(monkeypatch, make, steps, elements):
    """S' = m m S + i G, G moving linearly from its value at the beginning to that at the end, both sums of nodes."""
    monkeypatch.setattr(fluctua.kernels.constant, "_BLOCK_ELEMENTS", elements)
    kernel = make(np.array([2.1, 1.7, 0.6, 0.05]), lr=0.9)
    state, *sources = (m + m.T for m in np.random.default_rng(0).normal(size=(4, 4, 4)))
    weights = np.array([[0.5, -0.2, 0.0], [1.5, 0.3, 0.7]])
    first, last = np.einsum("kn,npq->kpq", weights, sources)
    expected = state
    for j in range(steps):
        source = first + j / steps * (last - first)
        expected = np.outer(kernel.decay, kernel.decay) * expected + kernel.injection() * source
    found = kernel.advance(state, sources, weights, 0, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())


@KERNELS
def test_rows_are_rows_of_the_whole(make):
    kernel, rows = make(np.array([1.7, 0.6, 0.05, 1e-5]), lr=0.9), slice(1, 3)
    np.testing.assert_array_equal(kernel.gap(rows), kernel.gap()[rows])
    for part, whole in zip(kernel.sums(12, rows), kernel.sums(12), strict=True):
        np.testing.assert_array_equal(part, whole[rows])


def test_phi_of_gradient_steps_is_the_formula_of_f2():
    h, lr = np.array([7.0, 1.0, 1e-3]), 0.2
    total = np.add.outer(h, h)
    np.testing.assert_allclose(gradient_step(h, lr).stationary, lr / (total - lr * np.outer(h, h)), rtol=1e-14)
    np.testing.assert_allclose(langevin_flow(h, lr).stationary, lr / total, rtol=1e-14)


def test_one_langevin_step_injects_the_integral_of_the_flow():
    """eta times the integral of exp(-(h_p + h_q) s) over 0 < s < eta, by quadrature."""
    h, lr = np.array([7.0, 1.0, 1e-3]), 0.2
    nodes, weights = np.polynomial.legendre.leggauss(30)
    times = 0.5 * lr * (nodes + 1)
    total = np.add.outer(h, h)
    integral = 0.5 * lr * np.einsum("t,tpq->pq", weights, np.exp(-times[:, None, None] * total))
    np.testing.assert_allclose(langevin_flow(h, lr).injection(), lr * integral, rtol=1e-13)


def test_at_small_lr_the_gradient_step_becomes_the_langevin_flow():
    """The ratio of the two Phi is 1 + eta h_p h_q / (h_p + h_q) + O(eta^2): ten times closer at a tenth of eta."""
    h = np.array([3.0, 1.0, 0.2])
    first = np.outer(h, h) / np.add.outer(h, h)
    for lr in (1e-2, 1e-3, 1e-4):
        excess = gradient_step(h, lr).stationary / langevin_flow(h, lr).stationary - 1
        np.testing.assert_allclose(excess, lr * first, rtol=2 * lr * first.max() + 1e-10)


def test_one_component_alone_keeps_its_phase_and_several_make_a_real_weight():
    """An epoch is one step of each component by itself: its mean is followed as it is, not as a part of V."""
    rate = np.array([0.1 + 0.2j, 0.3])
    lone = Kernel.alike(rate, np.ones(2), np.ones(2))
    np.testing.assert_allclose(lone.drift([0, 3]), [np.ones(2), (1 - rate) ** 3], rtol=1e-14)
    pair = np.array([0.1 + 0.2j, 0.1 - 0.2j])
    both = Kernel.alike(pair, np.ones(2), np.full(2, 0.5), components=2)
    assert (both.components, both.modes) == (2, 1)
    np.testing.assert_allclose(both.drift([3])[0], np.mean((1 - pair) ** 3).real, rtol=1e-14)


@pytest.mark.parametrize("steps", [3, 4, 25, 400])
@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("recipe", ["plain", "momentum", "critical", "cosine"])
def test_an_advance_under_a_polynomial_is_that_many_single_steps(recipe, degree, steps):
    """From values at evenly spaced times; the steps one by one with matrices on (V, u)."""
    h, lr, beta = np.array([3.0, 0.7, 0.02, 1e-5]), 0.1, 0.0 if recipe == "plain" else 0.81
    if recipe == "critical":
        h[1] = (1 - np.sqrt(beta)) ** 2 / lr
    schedule = fl.schedules.CosineAnnealingLR(steps + 1) if recipe == "cosine" else None
    sgd = fl.SGD(lr, 4, momentum=beta, schedule=schedule)
    kernel = course(h, sgd, None, steps + 1) if schedule else step_kernel(h, sgd.step, lr)
    rng = np.random.default_rng(5)
    sources = [m + m.T for m in rng.normal(size=(degree + 1, 4, 4))]
    begun = rng.normal(size=(4, 4))
    begun = begun @ begun.T
    places = np.arange(steps) / steps
    shares = lagrange(np.linspace(0, 1, degree + 1), places)
    state = kernel.begin(begun, sources[0])
    found = kernel.fold(kernel.advance(state, sources, np.eye(degree + 1), 1, steps))
    rates = sgd.rates(np.arange(steps + 1))
    moment = np.kron(np.diag([1.0, 0.0]), begun)
    for t in range(steps + 1):
        motion, push = sgd.step.at(rates[t])
        motion, push = (motion, push) if len(push) > 1 else (np.diag([motion[0, 0], 0.0]), np.array([push[0], 0.0]))
        step = np.kron(motion, np.eye(4)) + np.kron(np.outer(push, [1.0, 0.0]), np.diag(h))
        source = sources[0] if t == 0 else np.tensordot(shares[t - 1], np.array(sources), 1)
        moment = step @ moment @ step.T + np.kron(np.outer(push, push), source)
    scale = np.sqrt(np.outer(*[np.abs(np.diag(moment))[:4]] * 2))
    assert np.abs((found - moment[:4, :4]) / scale).max() < 1e-10
