"""The work of two windows, the floor and the decision (F80 to F86), against what was built by other means."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import t as student

from fluctua.verification.equilibrium.looks import SHORTEST, bin_width, decided, level, look_lengths
from fluctua.verification.equilibrium.unit import Rule
from fluctua.verification.equilibrium.work import BLOCKS, DOUBLING, Reading, degrees, pairings, reading, sketch_error

RULES = {
    "plain": Rule(0.3),
    "momentum": Rule(0.05, 0.9),
    "dampening": Rule(0.2, 0.9, 0.7),
    "negative dampening": Rule(0.05, 0.5, -0.3),
    "nesterov": Rule(0.05, 0.9, 0.0, True),
}


@pytest.fixture
def draws():
    return np.random.default_rng(3)


def stationary(rule, curvature, noise):
    """Covariance of (v, u) where v is the weights and u the buffer, and the step s, from Lyapunov's equation."""
    one, nothing = np.eye(len(curvature)), np.zeros_like(curvature)
    beta, gain = rule.momentum, 1 - rule.dampening
    buffer = np.hstack([gain * curvature, beta * one, gain * one])  # u' of v, u and the noise of the gradient
    gradient = np.hstack([curvature, nothing, one])
    step = gradient + beta * buffer if rule.nesterov else buffer
    moved = np.hstack([one, nothing, nothing]) - rule.lr * step
    whole = np.vstack([moved, buffer])
    size = 2 * len(curvature)
    spread = solve_discrete_lyapunov(whole[:, :size], whole[:, size:] @ noise @ whole[:, size:].T)
    joint = np.block([[spread, np.zeros((size, len(noise)))], [np.zeros((len(noise), size)), noise]])
    return spread[: len(noise), : len(noise)], buffer @ joint @ buffer.T, step @ joint @ step.T, step @ joint @ buffer.T


@pytest.mark.parametrize("name", RULES)
def test_the_floor_of_a_step_is_the_excess_loss_of_lyapunovs_solution(draws, name):
    """F82 and F83 in three coupled modes, with noise that shares no axis with the curvature."""
    rule, (a, c) = RULES[name], draws.normal(size=(2, 3, 3))
    curvature, noise = a @ a.T / 3 + 0.1 * np.eye(3), c @ c.T
    spread, buffers, steps, crossed = stationary(rule, curvature, noise)
    excess = 0.5 * np.trace(curvature @ spread)
    square = steps if rule.nesterov else buffers
    assert rule.floor(np.trace(square), np.trace(crossed)) == pytest.approx(excess, rel=1e-8)


@pytest.mark.parametrize("name", RULES)
def test_where_the_weights_went_says_the_sum_of_the_gradients(draws, name):
    rule, gradients = RULES[name], draws.normal(size=(40, 5))
    weights, buffer = draws.normal(size=(2, 5))
    first, before = weights, buffer
    for gradient in gradients:
        buffer = rule.momentum * buffer + (1 - rule.dampening) * gradient
        weights = weights - rule.lr * (gradient + rule.momentum * buffer if rule.nesterov else buffer)
    found = rule.gradients(first - weights, buffer - before)
    np.testing.assert_allclose(found, gradients.sum(0), rtol=0, atol=1e-12 * 40 / rule.lr)


def descent(draws, steps, size=6):
    """Weights before each step, their gradients, and the loss of a noiseless quadratic."""
    a = draws.normal(size=(size, size))
    curvature, best, weights = a @ a.T / size, *draws.normal(size=(2, size))
    path = []
    for _ in range(steps):
        path.append(weights)
        weights = weights - 0.05 * curvature @ (weights - best)
    path = np.array(path)
    return path, (path - best) @ curvature, lambda w: 0.5 * (w - best) @ curvature @ (w - best)


def blocks_of(values):
    """Means over the 2m blocks."""
    return values.reshape(2 * BLOCKS, -1, *values.shape[1:]).mean(1)


def test_the_work_is_what_the_mean_weights_lose(draws):
    """F80 on a noiseless quadratic, where a trapezoid is exact."""
    path, gradients, loss = descent(draws, 2 * BLOCKS * 5)
    a, b = path[: len(path) // 2].mean(0), path[len(path) // 2 :].mean(0)
    read = reading(pairings(blocks_of(path), blocks_of(gradients)), np.ones(2 * BLOCKS))
    assert read.work == pytest.approx(loss(a) - loss(b), rel=0, abs=1e-12)


@pytest.fixture
def windows(draws):
    return draws.normal(size=(2, 2 * BLOCKS, 7)) + 3, draws.uniform(1, 2, size=2 * BLOCKS)


def by_hand(weights, gradients):
    """W and its standard errors by windows, block by block as they are written in F85."""
    m = BLOCKS
    w_a, w_b, g_a, g_b = (sum(each[s]) / m for each in (weights, gradients) for s in (slice(m), slice(m, None)))
    x = [0.5 * (weights[j] @ (g_a + g_b) + gradients[j] @ (w_a - w_b)) for j in range(m)]
    y = [0.5 * (-weights[j] @ (g_a + g_b) + gradients[j] @ (w_a - w_b)) for j in range(m, 2 * m)]
    return 0.5 * (w_a - w_b) @ (g_a + g_b), [math.sqrt(spread(each) / m) for each in (x, y)]


def spread(values):
    return sum((values[j] - 2 * values[j + 1] + values[j + 2]) ** 2 for j in range(len(values) - 2)) / (
        6 * (len(values) - 2)
    )


def test_the_error_bar_is_that_of_second_differences(windows):
    (weights, gradients), floors = windows
    read = reading(pairings(weights, gradients), floors)
    work, errors = by_hand(weights, gradients)
    assert read.work == pytest.approx(work, rel=1e-12)
    assert read.parts == pytest.approx((math.hypot(*errors), 0.0), rel=1e-10)
    assert read.work_error == pytest.approx(math.hypot(*errors), rel=1e-10)
    assert read.floor == pytest.approx(floors.mean(), rel=1e-14)
    assert read.floor_error == pytest.approx(math.sqrt(spread(floors) / 16), rel=1e-12)


def test_weights_may_be_relative_to_any_point_and_runs_are_read_together(windows):
    (weights, gradients), floors = windows
    moved = reading((weights + 5) @ gradients.T, floors)
    several = reading(pairings(np.stack([weights, 2 * weights]), np.stack([gradients] * 2)), np.stack([floors] * 2))
    read = reading(pairings(weights, gradients), floors)
    for one in (moved, Reading(several.work[0], several.floor[0], several.parts, 0, 0)):
        assert one.work == pytest.approx(read.work, rel=1e-10)
    assert several.work[1] == pytest.approx(2 * read.work, rel=1e-10)
    np.testing.assert_allclose(several.work_error, [read.work_error, 2 * read.work_error], rtol=1e-10)


def test_a_steady_drift_is_no_noise(windows):
    """With weights and gradients that go straight through both windows nothing is left of the error bar."""
    (weights, gradients), _ = windows
    time = np.arange(2.0 * BLOCKS)[:, None]
    read = reading(pairings(time * weights[0], gradients[0] + 0 * time), 1.0 + time[:, 0])
    assert read.work != 0
    assert read.work_error == pytest.approx(0, abs=1e-12 * abs(read.work))
    assert read.floor_error == pytest.approx(0, abs=1e-14)


def test_the_local_unit_is_half_the_covariance_in_the_second_window(draws):
    """F84, with weights relative to an odd point."""
    w, g = draws.normal(size=(2, 2 * BLOCKS * 10, 4)) + 2
    late = slice(BLOCKS * 10, None)
    expected = 0.5 * ((w[late] * g[late]).sum(1).mean() - w[late].mean(0) @ g[late].mean(0))
    read = reading(blocks_of(w) @ blocks_of(g).T, blocks_of(0.5 * (w * g).sum(1)), local=True)
    assert read.floor == pytest.approx(expected, rel=1e-12)
    assert read.degrees == degrees(BLOCKS)


@pytest.mark.parametrize("blocks", [8, 16])
def test_degrees_of_freedom_are_those_of_the_quadratic_form(blocks):
    """A quadratic form y Q y of independent normal numbers has 2 mean^2/variance = (tr Q)^2 / tr Q^2 of them."""
    second = np.diff(np.eye(blocks), 2, axis=0)
    form = second.T @ second
    assert degrees(blocks) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form), rel=1e-12)


def test_degrees_of_a_sum_are_satterthwaites():
    read = Reading(1.0, 2.0, (0.3, 0.2), 0.4, 7.5)
    squares = np.array([2.3**2 * 0.09, 2.3**2 * 0.04, 0.5**2 * 0.16])
    error, freedom = read.error(0.5)
    assert error == pytest.approx(math.sqrt(squares.sum()), rel=1e-12)
    expected = squares.sum() ** 2 / (squares[0] ** 2 / (2 * degrees(BLOCKS)) + squares[2] ** 2 / 7.5)
    assert freedom == pytest.approx(expected, rel=1e-12)


def windows_of(power, ends=4000):
    """W of the loss -t^power, or -log t, over the windows that end at a time, and what the next doubling gains."""
    loss = (lambda time: -np.log(time)) if power == 0 else lambda time: -(time**power)
    time = np.arange(1.0, 2 * ends + 1)
    mean = {span: loss(time[slice(*(int(ends * each) for each in span))]).mean() for span in SPANS}
    return mean[SPANS[0]] - mean[SPANS[1]], mean[SPANS[2]] - mean[SPANS[3]]


SPANS = (0.5, 0.75), (0.75, 1.0), (0.5, 1.0), (1.0, 2.0)
"""A and B, then the halves (t/2, t] and (t, 2t] between which the loss of the next doubling falls."""


@pytest.mark.parametrize(("power", "factor"), [(0, 2.04), (0.25, 2.24), (0.3, 2.28), (1.0, 3.0)])
def test_the_gain_of_the_next_doubling_is_bounded_for_powers_of_time_up_to_0_3(power, factor):
    work, gain = windows_of(power)
    assert gain / work == pytest.approx(factor, abs=0.01)
    assert (gain < DOUBLING * work) == (power <= 0.3)


def test_looks_grow_denser_and_their_levels_add_up():
    lengths = list(itertools.islice(look_lengths(), 60))
    assert lengths[:10] == [4, 6, 8, 12, 16, 20, 24, 28, 32, 40]
    assert lengths[0] == SHORTEST
    assert all(1.14 < later / sooner <= 1.25 for sooner, later in itertools.pairwise(lengths[4:]))
    assert all(later == 2 * sooner for sooner, later in zip(lengths[4:], lengths[8:], strict=False))
    assert next(look_lengths(13)) == 16
    assert sum(level(0.01, look) for look in range(8)) == pytest.approx(0.005, rel=1e-12)
    assert sum(level(0.01, look) for look in range(10**5)) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("shortest", [1, 3, 40])
def test_windows_hold_at_most_128_bins_and_half_as_many_where_they_may(shortest):
    for length in itertools.islice(look_lengths(shortest), 40):
        bins = 2 * BLOCKS * length / bin_width(length, shortest)
        assert bins <= 128
        assert bins > 64 or bin_width(length, shortest) == shortest


def test_the_error_of_the_floor_is_better_known_from_shorter_blocks(windows):
    (weights, gradients), floors = windows
    short = np.sin(np.arange(64.0))
    read = reading(pairings(weights, gradients), floors, samples=short)
    assert read.floor == pytest.approx(floors.mean(), rel=1e-14)
    assert read.floor_error == pytest.approx(math.sqrt(spread(short) / 64), rel=1e-12)
    assert read.degrees == degrees(64)


NUMBERS = [(0.01, 1.0, 0.001, 0.01), (0.2, 1.0, 0.001, 0.01), (0.05, 1.0, 0.02, 0.1), (0.2, 1.0, 0.001, 0.5)]


@pytest.mark.parametrize("numbers", [*NUMBERS, (-0.3, 1.0, 0.01, 0.6), (0.02, 1.0, 0.0, 0.0), (0.0, 1.0, 0.1, 2.0)])
@pytest.mark.parametrize("delta", [0.02, 0.1, 0.5, 3.0])
def test_a_state_is_where_delta_lies_to_the_interval(numbers, delta):
    """F86 from the error of the gain less delta F: the ends of the interval are where that decision changes.

    A floor that may be zero bounds no gain from above.
    """
    work, floor, work_error, floor_error = numbers
    read = Reading(work, floor, (work_error, 0.0), floor_error, 7.5)
    said = decided(read, delta, 0.001)
    error, freedom = read.error(delta)
    away = (2.3 * work - delta * floor) / error if error else math.inf * np.sign(2.3 * work - delta * floor)
    quantile = student.isf(0.001, freedom)
    expected = "equilibrated" if away < -quantile else "drifting" if away > quantile else "undecided"
    if expected == "equilibrated" and floor < quantile * floor_error:
        expected = "undecided"
    assert said.state == expected
    assert (said.state == "equilibrated") == (said.high < delta)
    assert (said.state == "drifting") == (said.low > delta)
    assert bool(said.reason) == (said.state == "undecided")


@pytest.mark.parametrize(("floor", "words"), [(0.0, "not positive"), (-1.0, "not positive"), (np.nan, "not finite")])
def test_without_a_floor_nothing_is_decided(floor, words):
    said = decided(Reading(0.1, floor, (0.1, 0.0), 0.1, 7.5), 0.1, 0.01)
    assert said.state == "undecided"
    assert words in said.reason
    assert (said.low, said.high) == (-math.inf, math.inf)


def test_the_error_of_a_fold_is_that_of_half_a_product(draws):
    """Against products of vectors folded with fresh signs."""
    a, b = draws.normal(size=(2, 400))
    b += a
    signs = draws.choice([-1.0, 1.0], size=(20_000, 20, 20))
    folded = [(signs * each.reshape(20, 20)).sum(1) for each in (a, b)]
    measured = (0.5 * (folded[0] * folded[1]).sum(-1)).std()
    assert measured == pytest.approx(sketch_error(a @ a, b @ b, a @ b, 20), rel=0.1)
