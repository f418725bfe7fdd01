"""Correlations, responses, currents and entropy production against a list of all batches (F20 to F35).

The references know the enumerated step only: its mean map, its second moments, and Bayes' rule for Gaussians.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.kernels.constant import gradient_step
from fluctua.kernels.flow import langevin_flow
from fluctua.theory.entropy import Chain, gaussian_entropy
from helpers.enumeration import TINY, Enumeration, away_from, error, tiny
from helpers.kernels import momentum_step

OPTIMISERS = {
    "plain": {},
    "heavy ball": {"momentum": 0.9},
    "dampened": {"momentum": 0.8, "dampening": 0.4},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}
LAGS = (0, 1, 2, 3, 7)
FLUCTUATING = ("general", "six samples", "dead feature", "duplicated feature", "one loud sample", "one feature")
case = pytest.mark.parametrize("optimiser", OPTIMISERS)
sampling_case = pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
decay_case = pytest.mark.parametrize("decay", [0.0, 0.2])
any_case = pytest.mark.parametrize("name", TINY)
fluctuating_case = pytest.mark.parametrize("name", FLUCTUATING)


class TwoTimes:
    """What the enumerated step says about two times, in the modes of a problem."""

    def __init__(self, truth, problem, moment):
        self.truth, self.problem, self.moment = truth, problem, moment
        self.mean = truth.maps.mean(axis=0)
        size = truth.optimum.size
        self.weights = np.eye(size, self.mean.shape[0])  # reads vec V off the state
        self.turn = np.kron(np.eye(problem.outputs), problem.modes.T)

    def of_outputs(self, mixed):
        """The same for some sums of the outputs, (n, c), instead of each."""
        other = TwoTimes(self.truth, self.problem, self.moment)
        other.turn = np.kron(mixed, self.problem.modes.T)
        return other

    def lagged(self, lag, read=None):
        """E[vec V(t) vec V(t + lag)^T] in the modes, (c r, c r); of another linear reading of the state if given."""
        out = self.turn @ (self.weights if read is None else read)
        return out @ self.moment @ np.linalg.matrix_power(self.mean, lag).T @ out.T

    def summed(self, lag):
        """The same summed over outputs, (r, r)."""
        c, r = self.problem.outputs, self.problem.rank
        return np.einsum("kikj->ij", self.lagged(lag).reshape(c, r, c, r))

    def kicked(self, lag):
        """Shift of the mean after a kick of every mode of the first output, the momentum buffer spared, (r, r)."""
        r, after = self.problem.rank, np.linalg.matrix_power(self.mean, lag)
        return (self.turn @ self.weights @ after @ self.weights.T @ self.turn.T)[:r, :r]

    def path_entropy(self, read):
        """E log p(w2 | w1, w0)/p(w0 | w1, w2) of the Gaussian chain of these second moments, per step."""
        now, one, two = (self.lagged(lag, read) for lag in range(3))
        past = np.block([[now, one.T], [one, now]])  # of (w1, w0), E[w1 w0^T] = one^T
        ahead = np.hstack([one.T, two.T])  # E[w2 (w1, w0)^T]
        coefficients = np.linalg.solve(past, ahead.T).T
        noise = now - coefficients @ ahead.T
        behind = np.hstack([one, two])  # E[w0 (w1, w2)^T]
        future = np.block([[now, one], [one.T, now]])
        backwards = now - coefficients @ behind.T - behind @ coefficients.T + coefficients @ future @ coefficients.T
        return 0.5 * np.trace(np.linalg.solve(noise, backwards - noise))


@cache
def setting(name, sampling, decay, optimiser):
    """A recipe at half its limit, and its enumeration."""
    inputs, targets = tiny(name)
    problem, size, options = fl.LeastSquares(inputs, targets), min(2, len(inputs) - 1), OPTIMISERS[optimiser]
    lr = 0.5 * fl.max_stable_lr(problem, fl.SGD(1.0, size, weight_decay=decay, sampling=sampling, **options))
    sgd = fl.SGD(lr, size, weight_decay=decay, sampling=sampling, **options)
    return problem, sgd, Enumeration(inputs, targets, lr, size, sampling, decay, **options)


@cache
def stationary(name, sampling, decay, optimiser):
    problem, sgd, truth = setting(name, sampling, decay, optimiser)
    return TwoTimes(truth, problem, truth.stationary()), fl.predict(problem, sgd)


@case
@decay_case
@sampling_case
@any_case
def test_the_regression_is_that_of_all_batches(name, sampling, decay, optimiser):
    truth, prediction = stationary(name, sampling, decay, optimiser)
    scale = np.abs(truth.summed(0)).max() + 1e-3
    for lag in LAGS:
        found = prediction.lagged_covariance(lag)
        assert error(found / scale, truth.summed(lag) / scale) <= 10  # of the reference's system, as in test_momentum


@case
@pytest.mark.parametrize("name", ["general", "fewer samples than features", "one loud sample"])
def test_at_finite_time_from_any_start_too(name, optimiser):
    problem, sgd, truth = setting(name, "with_replacement", 0.2, optimiser)
    start = away_from(truth)
    moments = list(truth.moments(start, 5))
    for steps in ((1,), (3,), (1, 2, 5)):
        then = TwoTimes(truth, problem, np.mean([moments[t] for t in steps], axis=0))
        now = fl.predict(problem, sgd).after(steps, start=start, rtol=1e-15)
        for lag in LAGS:
            assert error(now.lagged_covariance(lag), then.summed(lag)) <= 1


@case
def test_from_the_start_itself_the_first_step_is_the_optimiser_s_own(optimiser):
    problem, sgd, truth = setting("general", "with_replacement", 0.2, optimiser)
    start = away_from(truth)
    means = [truth.mean(moment) for moment in truth.moments(start, 7)]
    now = fl.predict(problem, sgd).after(0, start=start, rtol=1e-15)
    for lag in LAGS:
        assert error(now.lagged_covariance(lag), problem.modes.T @ means[0].T @ means[lag] @ problem.modes) <= 1


@case
@decay_case
@sampling_case
@any_case
def test_a_kick_is_answered_as_by_the_mean_of_all_batches(name, sampling, decay, optimiser):
    truth, prediction = stationary(name, sampling, decay, optimiser)
    for lag in LAGS:
        assert error(np.diag(prediction.response(lag)), truth.kicked(lag)) <= 1


@pytest.mark.parametrize("optimiser", ["plain", "heavy ball", "Nesterov"])  # torch does not dampen a first step
@pytest.mark.parametrize("name", ["general", "dead feature", "one feature"])
def test_new_targets_push_the_mean_as_a_step_force(name, optimiser):
    problem, sgd, truth = setting(name, "with_replacement", 0.2, optimiser)
    push = np.random.default_rng(5).normal(size=problem.targets.shape)
    pushed = Enumeration(**{**vars_of(truth), "targets": problem.targets + push})
    force = push.T @ problem.inputs / problem.samples @ problem.modes
    prediction = fl.predict(problem, sgd)
    for lag, moment in enumerate(pushed.moments(truth.optimum, 7)):
        shift = (pushed.mean(moment) + pushed.optimum - truth.optimum) @ problem.modes
        assert error(shift, force * prediction.step_response(lag)) <= 1


def vars_of(truth):
    return {name: getattr(truth, name) for name in truth.__dataclass_fields__}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_step_force_adds_up_impulses(optimiser):
    """In steep and flat modes: the answer to a force is the sum of the answers to unit noise, a sign apart."""
    h = np.array([2.0, 0.7, 1e-2, 1e-9])
    options = {"momentum": 0.0, "dampening": 0.0, "nesterov": False} | OPTIMISERS[optimiser]
    kernel = momentum_step(h, 0.3, **options) if options["momentum"] else gradient_step(h, 0.3)
    beta, tau, nesterov = options["momentum"], 1 - options["dampening"], options["nesterov"]
    v, u = np.zeros_like(h), np.zeros_like(h)
    for lag in range(1, 60):
        g = h * v - 1
        u = beta * u + tau * g
        v = v - 0.3 * (g + beta * u if nesterov else u)
        np.testing.assert_allclose(kernel.step_response(lag), v, rtol=1e-10)
    np.testing.assert_allclose(kernel.step_response(10**12)[:3], 1 / h[:3], rtol=1e-9)


@decay_case
@sampling_case
@any_case
def test_the_circulation_is_the_area_swept_per_step(name, sampling, decay):
    truth, prediction = stationary(name, sampling, decay, "plain")
    area = 0.5 * (truth.summed(1) - truth.summed(1).T)
    scale = np.abs(truth.summed(0)).max() + 1e-3
    assert error((scale * np.eye(len(area)) + prediction.circulation) / scale, np.eye(len(area)) + area / scale) <= 10
    h, s = np.diag(prediction.curvatures), prediction.mode_covariance
    commutator = 0.5 * prediction.law.sgd.lr * (h @ s - s @ h)
    np.testing.assert_allclose(prediction.circulation, commutator, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("optimiser", ["heavy ball", "dampened", "Nesterov"])
@decay_case
@fluctuating_case
def test_with_momentum_weights_and_velocities_circulate(name, decay, optimiser):
    truth, prediction = stationary(name, "with_replacement", decay, optimiser)
    c, r = truth.problem.outputs, truth.problem.rank

    def summed(matrix):
        return np.einsum("kikj->ij", matrix.reshape(c, r, c, r))

    now, one, two = (summed(truth.lagged(lag)) for lag in range(3))
    # x(t) = (V(t), V(t) - V(t-1)) against x(t+1)
    ahead = np.block([[one, one - now], [one - two, (one - now) - (two - one)]])
    area = 0.5 * (ahead - ahead.T)
    scale = np.abs(now).max()
    found = prediction.circulation
    assert np.abs(found - area).max() / scale < 1e-11
    assert np.abs(found[:r, r:]).max() / scale > 1e-3  # a current, in one mode too
    if optimiser != "Nesterov":
        sgd, h = prediction.law.sgd, np.diag(prediction.curvatures)
        rate = sgd.step.effective_lr(sgd.lr)
        s = prediction.mode_covariance
        np.testing.assert_allclose(found[:r, :r], 0.5 * rate * (h @ s - s @ h), atol=1e-11 * scale)


@case
@decay_case
@sampling_case
@fluctuating_case
def test_the_entropy_production_is_that_of_the_enumerated_paths(name, sampling, decay, optimiser):
    truth, prediction = stationary(name, sampling, decay, optimiser)
    read = truth.weights.copy()
    if optimiser == "Nesterov":  # the point before it looks ahead, lr momentum times the buffer away, is the chain
        sgd, size = truth.truth, truth.truth.optimum.size
        read[:, size : 2 * size] = sgd.lr * sgd.momentum * np.eye(size)
    found, outputs = prediction.entropy_production, truth.problem.outputs
    rounding = 2e-11 if optimiser == "plain" else 2e-8  # of the reference: V(t) and V(t-1) are nearly the same
    assert found.total == pytest.approx(fluctuating(truth, decay).path_entropy(read), rel=rounding, abs=1e-11)
    for k in range(outputs):
        alone = truth.of_outputs(np.eye(outputs)[k : k + 1]).path_entropy(read)
        assert found.outputs[k] == pytest.approx(alone, rel=rounding, abs=1e-11)
        assert found.total >= found.outputs[k] - 1e-12


def fluctuating(truth, decay):
    """All outputs, but for sums of them that fit every sample exactly and so never fluctuate."""
    minimum = truth.problem.minimum(decay)
    _, singular, mixed = np.linalg.svd(minimum.residuals)
    kept = mixed[: np.sum(singular > 1e-10 * singular[0])]
    return truth if decay else truth.of_outputs(kept)


@case
def test_irreversibility_is_how_differently_two_modes_lag_behind_their_noise(optimiser):
    """B against the mean of sin^2 of the difference of phases over all frequencies, from the recursion's spectrum."""
    h, lr = np.array([2.0, 0.9, 0.3]), 0.3
    options = {"momentum": 0.0, "dampening": 0.0, "nesterov": False} | OPTIMISERS[optimiser]
    kernel = momentum_step(h, lr, **options) if options["momentum"] else gradient_step(h, lr)
    beta, tau = options["momentum"], 1 - options["dampening"]
    z = np.exp(2j * np.pi * np.arange(4096) / 4096)[:, None]
    buffer = tau * z / (z - beta)  # the gradient's share of the buffer
    moved = lr * (1 + beta * buffer) if options["nesterov"] else lr * buffer
    phase = np.angle(1 / (z - 1 + moved * h))
    apart = np.mean(np.sin(phase[:, :, None] - phase[:, None]) ** 2, axis=0)
    np.testing.assert_allclose(Chain.of(kernel).irreversibility, apart, atol=1e-13)


def test_in_continuous_time_the_entropy_production_is_the_ornstein_uhlenbeck_process_s(small_problem):
    """Per unit of time, from its own closed form, on the discrete rung; the ladder meets at small lr."""
    lr = 1e-5
    expected = ornstein_uhlenbeck(small_problem)
    for theory in ("langevin", "discrete", "exact"):
        found = fl.predict(small_problem, fl.SGD(lr, 4), theory=theory).entropy_production
        assert found.total / lr == pytest.approx(expected, rel=3e-4)
    for lr in (0.01, 0.05):  # of any length, because a step of it is exact
        found = fl.predict(small_problem, fl.SGD(lr, 4), theory="langevin").entropy_production
        assert found.total < expected * lr  # what a clock of steps sees of it
    assert langevin_flow(np.ones(1), 0.1).components == 1


def ornstein_uhlenbeck(problem):
    """tr(D^-1 H S H) - tr H of dV = -V H dt + noise of covariance 2 D dt, all outputs together."""
    minimum, c = problem.minimum(), problem.outputs
    gradients = np.einsum("nk,np->nkp", minimum.residuals, problem.projections).reshape(problem.samples, -1)
    noise = gradients.T @ gradients / problem.samples
    h = np.tile(minimum.curvatures, c)
    covariance = noise / np.add.outer(h, h)  # H S + S H = 2 D, and 2 D = noise
    return float(np.trace(np.diag(h) @ np.linalg.solve(0.5 * noise, np.diag(h) @ covariance)) - h.sum())


def test_the_one_mode_temperature_is_off_by_the_law_of_one_mode():
    """X = 1/(1 - eta h/2) at every lag, and with momentum beta 1/(1 - eta tau h/(2 (1 + beta))) at long ones."""
    problem = fl.LeastSquares(*tiny("general"))
    for optimiser, options in OPTIMISERS.items():
        lr = 0.5 * fl.max_stable_lr(problem, fl.SGD(1.0, 2, **options))
        prediction = fl.predict(problem, fl.SGD(lr, 2, **options))
        h, beta, tau = prediction.curvatures, options.get("momentum", 0.0), 1 - options.get("dampening", 0.0)
        for lag in (1, 10, 10**6) if optimiser == "plain" else (10**6,):
            found = prediction.effective_temperatures(lag) / prediction.bath_temperatures
            if optimiser != "Nesterov":
                np.testing.assert_allclose(found, 1 / (1 - lr * tau * h / (2 * (1 + beta))), rtol=1e-9)
        np.testing.assert_allclose(prediction.effective_temperatures(10**6), prediction.temperatures, rtol=1e-9)


def test_detailed_balance_holds_where_noise_and_curvature_commute():
    balanced = fl.LeastSquares(*tiny("equal curvatures"))
    prediction = fl.predict(balanced, fl.SGD(0.1, 2, weight_decay=0.2))
    assert prediction.detailed_balance_violation == 0
    assert not prediction.circulation.any()
    assert prediction.entropy_production.total == pytest.approx(0, abs=1e-14)
    assert fl.predict(balanced, fl.SGD(0.1, 2)).entropy_production.total == 0  # every sample is fitted: no noise
    tilted = fl.predict(fl.LeastSquares(*tiny("general")), fl.SGD(0.1, 2))
    h, g = np.diag(tilted.curvatures), tilted._source
    expected = np.linalg.norm(h @ g - g @ h) / np.linalg.norm(h @ g + g @ h)
    assert tilted.detailed_balance_violation == pytest.approx(expected, rel=1e-12)
    assert tilted.entropy_production.total > 0


def test_the_equilibrium_rung_has_no_current(digits_problem):
    prediction = fl.predict(digits_problem, fl.SGD(0.05, 8), theory="equilibrium")
    assert not prediction.circulation.any()
    with pytest.raises(InvalidInput, match="sum over outputs only"):
        _ = prediction.entropy_production


def test_some_modes_see_less_and_all_outputs_more(digits_problem):
    prediction = fl.predict(digits_problem, fl.SGD(0.05, 8))
    found = [prediction.entropy_production_in(modes) for modes in (1, 2, 4, 8)]
    assert found[0].total == pytest.approx(0, abs=1e-12)
    assert all(fewer.total < more.total for fewer, more in pairwise(found))
    assert (found[-1].total > found[-1].outputs).all()


def test_where_a_step_back_needs_noise_that_never_comes_the_entropy_production_is_infinite():
    noise, different = np.ones((2, 2)), Chain.of(gradient_step(np.array([1.0, 0.1]), 0.5)).irreversibility
    assert gaussian_entropy(noise, different) == np.inf
    assert gaussian_entropy(noise, 0 * different) == 0
    fitted = np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[2.0, 0.3], [0.3, 1.0]]))  # two outputs, sum zero
    assert gaussian_entropy(fitted, different) == pytest.approx(gaussian_entropy(fitted[:2, :2], different), rel=1e-9)


WRONG = {
    "a current one per mille too strong": lambda j: 1.001 * j,
    "a current the other way": lambda j: -j,
    "no current": lambda j: 0 * j,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_slightly_wrong_current_is_told_apart(wrong):
    truth, prediction = stationary("general", "with_replacement", 0.2, "plain")
    area = 0.5 * (truth.summed(1) - truth.summed(1).T)
    assert error(WRONG[wrong](prediction.circulation), area) > 1e6


@pytest.mark.parametrize(
    ("sgd", "average", "message"),
    [
        (fl.SGD(0.01, 4, sampling="shuffle"), None, "a motion without memory"),
        (fl.SGD(0.01, 4, schedule=[1.0, 0.5]), None, "a constant learning rate"),
        (fl.SGD(0.01, 4), fl.EMA(0.9), "not of an average"),
    ],
)
def test_what_has_no_time_domain_law_is_refused_with_the_reason(small_problem, sgd, average, message):
    prediction = fl.predict(small_problem, sgd, average=average)
    for ask in (
        lambda p: p.lagged_covariance(1),
        lambda p: p.response(1),
        lambda p: p.circulation,
        lambda p: p.entropy_production,
        lambda p: p.detailed_balance_violation,
    ):
        with pytest.raises(InvalidInput, match=message):
            ask(prediction)


def test_what_cannot_be_is_refused(small_problem, digits_problem):
    sgd = fl.SGD(0.01, 4)
    with pytest.raises(InvalidInput, match="lag must be at least 0"):
        fl.predict(small_problem, sgd).lagged_covariance(-1)
    with pytest.raises(InvalidInput, match="no stationary state"):
        fl.predict(small_problem, fl.SGD(9.0, 4), check_stability=False).lagged_covariance(1)
    with pytest.raises(InvalidInput, match="of the stationary state"):
        _ = fl.predict(small_problem, sgd).after(3).entropy_production
    with pytest.raises(InvalidInput, match="of weights and velocities is of the stationary"):
        _ = fl.predict(small_problem, fl.SGD(0.01, 4, momentum=0.5)).after(3).circulation
    with pytest.raises(InvalidInput, match="weights and no velocity"):
        fl.predict(small_problem, fl.SGD(0.01, 4, momentum=0.5), theory="equilibrium").lagged_covariance(1)
    many = fl.LeastSquares(digits_problem.inputs, np.eye(60)[np.arange(1797) % 60])
    with pytest.raises(InvalidInput, match=r"3660 weights, and 3000 are the most.*at most 50"):
        _ = fl.predict(many, sgd, theory="discrete").entropy_production
