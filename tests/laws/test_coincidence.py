"""Components that coincide: momentum near critical damping, averages that forget as fast as a mode relaxes.

The reference carries the optimiser's own numbers, (V, u, average), in sixty digits, and solves for their moments.
"""

from decimal import Decimal, getcontext

import numpy as np
import pytest

import fluctua as fl
from fluctua.kernels.averaged import beside
from fluctua.kernels.constant import gradient_step
from fluctua.kernels.coupled import CoupledKernel
from helpers.kernels import momentum_step

H, LR = 2.0, 0.1
OFFSETS = [0.0, 1e-15, -1e-12, 1e-9, -1e-7, 1e-5, -1e-3, 3e-2, -0.3]


@pytest.fixture(autouse=True)
def _sixty_digits():
    before, getcontext().prec = getcontext().prec, 60
    yield
    getcontext().prec = before


exactly = np.vectorize(lambda x: Decimal(float(x)), otypes=[object])


class Mode:
    """One step of torch.optim.SGD with an average beside it, in one mode: s' = B s + e n, and the first one."""

    def __init__(self, h, momentum, dampening, nesterov, decay):
        self.h, self.lr, self.beta, self.keep = (Decimal(float(each)) for each in (h, LR, momentum, decay))
        self.tau, self.nesterov = 1 - Decimal(float(dampening)), nesterov
        self.first, self.later = self._maps(True), self._maps(False)

    def _step(self, state, noise, first):
        v, u, average = state
        g = self.h * v + noise
        u = g if first or not self.beta else self.beta * u + self.tau * g
        v = v - self.lr * (g + self.beta * u if self.nesterov else u)
        return [v, u, v if first else self.keep * average + (1 - self.keep) * v]

    def _maps(self, first):
        columns = [self._step(row, Decimal(0), first) for row in exactly(np.eye(3))]
        return np.array(columns).T, np.array(self._step(exactly(np.zeros(3)), Decimal(1), first))


def solve(matrix, right):
    """Gauss, with the largest pivot."""
    whole = np.column_stack([matrix, right])
    for k in range(len(whole)):
        pivot = k + int(np.argmax(np.abs(whole[k:, k])))
        whole[[k, pivot]] = whole[[pivot, k]]
        whole[k] = whole[k] / whole[k, k]
        for i in set(range(len(whole))) - {k}:
            whole[i] = whole[i] - whole[i, k] * whole[k]
    return whole[:, -1]


def moments(one, other):
    """Of V, u and average of two modes, for noise of covariance 1, (3, 3)."""
    (left, push), (right, pushed) = one.later, other.later
    return solve(exactly(np.eye(9)) - np.kron(left, right), np.kron(push, pushed)).reshape(3, 3)


def stationary(one, other):
    """E V V and the average's."""
    found = moments(one, other)
    return float(found[0, 0]), float(found[2, 2])


def power(matrix, n):
    out = exactly(np.eye(len(matrix)))
    while n:
        out, matrix, n = (matrix @ out if n % 2 else out), matrix @ matrix, n // 2
    return out


def transient(one, other, steps):
    """The same after a start with E V V = 0.7, a first step with noise 2, and then noise from 1 falling to 1/2."""
    (left, push), (right, pushed) = one.first, other.first
    begun = np.kron(left, right)[:, 0] * Decimal("0.7") + 2 * np.kron(push, pushed)
    (left, push), (right, pushed) = one.later, other.later
    whole = exactly(np.eye(11))
    whole[:9, :9], whole[:9, 9] = np.kron(left, right), np.kron(push, pushed)
    whole[:9, 10] = -np.kron(push, pushed) / (2 * max(steps - 1, 1))
    whole[10, 9] = Decimal(1)
    found = power(whole, steps - 1) @ np.array([*begun, Decimal(1), Decimal(0)])
    return float(found[0]), float(found[8])


def table(modes, of):
    """`of` every pair of modes, for V and for the average, (2, n, n)."""
    out = np.empty((2, len(modes), len(modes)))
    for i in range(len(modes)):
        for j in range(i, len(modes)):
            out[:, i, j] = out[:, j, i] = of(modes[i], modes[j])
    return out


def critical(momentum, dampening=0.0, nesterov=False):
    """The curvature of critical damping, (x_1 + x_2)^2 = 4 x_1 x_2, and x there."""
    nu, mu = (1.0, momentum) if nesterov else (0.0, 1.0)
    a = nu + mu * (1 - dampening)
    c = a - momentum * nu
    place = min(np.roots([a * a, 2 * (1 - momentum) * a - 4 * c, (1 - momentum) ** 2]).real)
    return place / LR, 0.5 * (1 - momentum + a * place)


OPTIMISERS = {
    "plain": {"momentum": 0.0},
    "heavy ball": {"momentum": 0.81},
    "little": {"momentum": 0.25},
    "strong": {"momentum": 0.99},
    "dampened": {"momentum": 0.9, "dampening": 0.3},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}


def setting(optimiser, offset, second):
    """A mode near critical damping, one near it, a steep and a flat one; an average whose decay is near the root."""
    options = {"dampening": 0.0, "nesterov": False} | OPTIMISERS[optimiser]
    middle, rate = critical(**options) if options["momentum"] else (H, LR * H)
    h = np.array([middle * (1 + offset), middle * (1 - second), 1.7 * middle, 1e-7])
    decay = 1 - rate * (1 + second)
    kernel = momentum_step(h, LR, **options) if options["momentum"] else gradient_step(h, LR)
    return beside(kernel, fl.EMA(decay)), [Mode(each, decay=decay, **options) for each in h]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("offset", OFFSETS)
def test_the_moments_are_those_of_sixty_digits_however_near_the_components_are(optimiser, offset):
    for second in (0.0, 1e-8, -1e-2):
        kernel, modes = setting(optimiser, offset, second)
        assert isinstance(kernel, CoupledKernel)
        for expected, observed in zip(table(modes, stationary), (False, True), strict=True):
            found, scale = kernel.phi(observed=observed), np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
            assert np.abs((found - expected) / scale).max() < 1e-10


@pytest.mark.parametrize("steps", [1, 2, 3, 40, 1000])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_at_finite_time_too(optimiser, steps):
    ones, falling = np.ones((4, 4)), np.array([[1.0, 0.0], [0.0, 1.0]])
    for offset, second in ((0.0, 0.0), (1e-9, 1e-8), (-1e-3, -1e-2)):
        kernel, modes = setting(optimiser, offset, second)
        state = kernel.begin(0.7 * ones, 2 * ones)
        state = kernel.advance(state, [ones, 0.5 * ones], falling, 1, steps - 1) if steps > 1 else state
        for expected, observed in zip(table(modes, lambda p, q: transient(p, q, steps)), (False, True), strict=True):
            found, scale = kernel.fold(state, observed=observed), np.sqrt(np.outer(*[np.diag(expected)] * 2))
            assert np.abs((found - expected) / scale).max() < 2e-10


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_mean_and_the_curve_step_by_step(optimiser):
    kernel, modes = setting(optimiser, 1e-9, 1e-8)
    state, sources, means = kernel.begin(0.7 * np.ones((4, 4)), np.zeros((4, 4))), np.zeros((30, 4)), []
    vectors = [mode.first[0][:, 0] for mode in modes]
    for variances in kernel.follow(state, sources, 1):
        vectors = [mode.later[0] @ vector for mode, vector in zip(modes, vectors, strict=True)]
        means.append([float(vector[2]) for vector in vectors])
        np.testing.assert_allclose(variances, 0.7 * np.square(means[-1]), rtol=1e-9)
    np.testing.assert_allclose(kernel.drift(np.arange(2, 32), observed=True), means, rtol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e-8, 1e-7, 1e-6])
def test_three_that_coincide_at_any_learning_rate_near_by(offset):
    """Decay 0.9 beside momentum 0.81 at lr = 0.01/h: 0.01549, in sixty digits."""
    problem = fl.LeastSquares([[1.0], [0.6], [-1.3], [0.2]], [1.0, -1.0, 0.4, 2.0])
    sgd = fl.SGD(0.01 / problem.curvatures[0] * (1 + offset), 1, momentum=0.81)
    prediction = fl.predict(problem, sgd, average=fl.EMA(0.9))
    assert prediction.mode_covariance[0, 0] == pytest.approx(0.01549, abs=5e-6)
    late = prediction.after(3000)
    assert late.mode_covariance[0, 0] == pytest.approx(prediction.mode_covariance[0, 0], rel=1e-6)


@pytest.mark.parametrize("optimiser", [name for name, given in OPTIMISERS.items() if given["momentum"]])
@pytest.mark.parametrize("offset", [0.0, 1e-12, -1e-7, 1e-3, -1e-2])
def test_correlations_and_responses_where_two_coincide(optimiser, offset):
    """E[V(t) V(t + lag)], answers to a kick and to a force, against the recursion in sixty digits."""
    options = {"dampening": 0.0, "nesterov": False} | OPTIMISERS[optimiser]
    h = critical(**options)[0] * np.array([1 + offset, 1.0, 0.1])
    kernel, modes = momentum_step(h, LR, **options), [Mode(each, decay=0.5, **options) for each in h]
    state, now = kernel.settled(np.ones((3, 3))), [[moments(one, other) for other in modes] for one in modes]
    scale = np.sqrt(np.outer(*[np.diag(kernel.fold(state))] * 2))
    for lag in (0, 1, 7, 60):
        later = [power(each.later[0], lag) for each in modes]
        np.testing.assert_allclose(kernel.response(lag), [float(p[0, 0]) for p in later], rtol=1e-10, atol=1e-13)
        forced = [-float(sum((power(each.later[0], s) @ each.later[1])[0] for s in range(lag))) for each in modes]
        np.testing.assert_allclose(kernel.step_response(lag), forced, rtol=1e-10, atol=1e-15)
        lagged = np.array([[float(now[i][j][0] @ later[j][0]) for j in range(3)] for i in range(3)])
        assert np.abs((kernel.lagged(state, lag) - lagged) / scale).max() < 1e-10
        assert np.abs((kernel.circulation(state, lag) - 0.5 * (lagged - lagged.T)) / scale).max() < 1e-10


def test_a_sweep_of_the_decay_through_the_roots_is_smooth():
    """Three thousand decays: neighbours differ by no more than the slope allows, no spike where rates meet."""
    problem = fl.LeastSquares([[1.0, 0.2], [0.6, -0.4], [-1.3, 0.1], [0.2, 1.0]], [1.0, -1.0, 0.4, 2.0])
    sgd = fl.SGD(0.01 / problem.curvatures[0], 1, momentum=0.81)
    decays = np.linspace(0.85, 0.95, 301)
    found = np.array([fl.predict(problem, sgd, average=fl.EMA(d)).mode_variances for d in decays])
    bent = np.diff(np.log(found), n=2, axis=0)
    assert np.abs(np.diff(bent, axis=0)).max() < 1e-6


def test_other_modes_keep_their_numbers():
    """A mode far from any coincidence has the same law alone and beside modes that coincide."""
    middle, _ = critical(0.81)
    far = np.array([middle * 0.05, middle * 9])
    alone, both = (beside(momentum_step(h, LR, 0.81, 0.0, False), fl.EMA(0.9)) for h in (far, np.append(far, middle)))
    np.testing.assert_allclose(both.phi(observed=True)[:2, :2], alone.phi(observed=True), rtol=1e-13)
