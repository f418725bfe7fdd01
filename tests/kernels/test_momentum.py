"""Momentum, F10 and F11: its kernel against a list of all batches, at every step and stationary; its limits."""

from functools import cache

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnstableSGD
from fluctua.kernels.constant import gradient_step
from fluctua.recipe.step import with_momentum
from helpers.enumeration import TINY, Enumeration, away_from, error, tiny
from helpers.kernels import momentum_step
from helpers.thinning import thinned

OPTIMISERS = {
    "heavy ball": {"momentum": 0.9},
    "little momentum": {"momentum": 0.2},
    "dampened": {"momentum": 0.8, "dampening": 0.4},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}
NAMES = ("general", "dead feature", "fewer samples than features", "equal curvatures", "one loud sample", "one feature")
case = pytest.mark.parametrize("optimiser", OPTIMISERS)
tiny_case = pytest.mark.parametrize("name", NAMES)
sampling_case = pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
decay_case = pytest.mark.parametrize("decay", [0.0, 0.2])


@cache
def setting(name, sampling, decay, optimiser):
    """A recipe at half its limit, and its enumeration."""
    inputs, targets = tiny(name)
    problem, size, options = fl.LeastSquares(inputs, targets), min(2, len(inputs) - 1), OPTIMISERS[optimiser]
    probe = fl.SGD(1.0, size, weight_decay=decay, sampling=sampling, **options)
    lr = 0.5 * fl.max_stable_lr(problem, probe)
    sgd = fl.SGD(lr, size, weight_decay=decay, sampling=sampling, **options)
    return problem, sgd, Enumeration(inputs, targets, lr, size, sampling, decay, **options)


@thinned(
    2,
    ("name", NAMES),
    ("sampling", ["with_replacement", "without_replacement"]),
    ("decay", [0.0, 0.2]),
    ("optimiser", list(OPTIMISERS)),
)
def test_the_law_holds_at_every_step_from_any_start(name, sampling, decay, optimiser):
    problem, sgd, truth = setting(name, sampling, decay, optimiser)
    start, prediction = away_from(truth), fl.predict(problem, sgd)
    losses = [truth.excess_loss(moment) for moment in truth.moments(start, 6)]
    for t, moment in enumerate(truth.moments(start, 6)):
        now = prediction.after(t, start=start, rtol=1e-15)
        assert error(now.covariance, truth.covariance(moment)) <= 1
        assert error(now.mean, truth.mean(moment)) <= 1
        assert error(now.excess_loss, truth.excess_loss(moment)) <= 1
    assert error(fl.learning_curve(problem, sgd, 6, start=start, rtol=1e-15), losses) <= 1


@case
@decay_case
@sampling_case
@tiny_case
def test_the_stationary_law_is_the_fixed_point(name, sampling, decay, optimiser):
    problem, sgd, truth = setting(name, sampling, decay, optimiser)
    prediction, moment = fl.predict(problem, sgd), truth.stationary()
    # the reference solves an ill-conditioned system of (2 c r + 1)^2 unknowns: ten times the rounding of one step
    assert error(prediction.covariance, truth.covariance(moment)) <= 10
    if not problem.minimum(decay).interpolates:
        assert error(1.01 * prediction.covariance, truth.covariance(moment)) > 1e6
    outputs = np.einsum("ij,klij->kl", truth.inputs.T @ truth.inputs / problem.samples, truth.blocks(moment))
    assert error(prediction.output_covariance, outputs) <= 20


@case
@sampling_case
@pytest.mark.parametrize("name", ["general", "one loud sample", "one feature"])
def test_the_limit_is_where_the_enumerated_second_moment_starts_to_grow(name, sampling, optimiser):
    _, sgd, truth = setting(name, sampling, 0.2, optimiser)
    limit, growth = 2 * sgd.lr, {}
    for share in (0.999, 1.001):
        at = Enumeration(
            truth.inputs, truth.targets, share * limit, sgd.batch_size, sampling, 0.2, **OPTIMISERS[optimiser]
        )
        growth[share] = at.growth()
    assert growth[0.999] < 1 < growth[1.001]


@pytest.mark.parametrize("lr", [1e-4, 0.03, 0.3, 0.9])
@case
def test_components_answer_an_impulse_as_the_recursion_does(optimiser, lr):
    """The kernel's m, f against torch's update, mode by mode, steep and flat, for 60 steps after one unit of noise."""
    h, options = np.array([2.0, 0.7, 1e-2, 1e-9, 0.0]), {"dampening": 0.0, "nesterov": False} | OPTIMISERS[optimiser]
    kernel = momentum_step(h, lr, **options)
    beta, tau, nesterov = options["momentum"], 1 - options["dampening"], options["nesterov"]
    v, u = np.zeros_like(h), np.zeros_like(h)
    for t in range(60):
        g = h * v + (t == 0)
        u = beta * u + tau * g
        v = v - lr * (g + beta * u if nesterov else u)
        found = (kernel.drive * kernel.decay**t).reshape(2, -1).sum(axis=0)
        np.testing.assert_allclose(found.real, v, rtol=1e-11, atol=1e-14 * lr)
        assert np.abs(found.imag).max() < 1e-14


@pytest.mark.parametrize("distance", [0.0, 1e-15, 1e-12, 1e-9, 1e-7, 1e-4])
def test_near_critical_damping_the_stationary_kernel_stays_smooth(distance):
    beta, lr = 0.64, 0.1
    critical = (1 - np.sqrt(beta)) ** 2 / lr
    h = np.array([critical * (1 + distance), 0.3])
    near = momentum_step(h, lr, beta, 0.0, False).stationary
    far = [momentum_step(h * (1 + e), lr, beta, 0.0, False).stationary for e in (-1e-3, 1e-3)]
    np.testing.assert_allclose(near, 0.5 * (far[0] + far[1]), rtol=1e-4)
    impulse, v, u = [], np.zeros(2), np.zeros(2)
    for t in range(4000):
        u = beta * u + h * v + (t == 0)
        v = v - lr * u
        impulse.append(v)
    np.testing.assert_allclose(near, np.transpose(impulse) @ impulse, rtol=3e-7)


def test_without_momentum_the_kernel_is_that_of_plain_sgd():
    h = np.array([1.5, 0.3, 1e-4])
    np.testing.assert_allclose(
        momentum_step(h, 0.4, 1e-300, 0.0, False).stationary, gradient_step(h, 0.4).stationary, rtol=1e-12
    )
    assert fl.SGD(0.1, 4, dampening=0.5).momentum == 0  # torch ignores dampening then, and so do we


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"momentum": 0.9}, 0.0835895),
        ({"momentum": 0.9, "nesterov": True}, 0.0499708),
        ({"momentum": 0.9, "dampening": 0.5}, 0.0364911),
    ],
)
def test_the_printed_numbers_of_momentum(digits_problem, options, expected):
    found = fl.predict(digits_problem, fl.SGD(0.02, 4, weight_decay=0.03, **options)).excess_loss
    assert found == pytest.approx(expected, abs=5.1e-8)
    effective = fl.predict(digits_problem, fl.SGD(0.02 / (1 - 0.9), 4, weight_decay=0.03), check_stability=False)
    assert effective.excess_loss != pytest.approx(expected, rel=0.1)  # not the floor of an effective rate


@case
def test_without_noise_the_limit_is_that_of_the_mean(optimiser):
    options = {"dampening": 0.0, "nesterov": False} | OPTIMISERS[optimiser]
    limit = with_momentum(**options).mean_limit(2.0)
    for share, contracts in ((0.999, True), (1.001, False)):
        assert momentum_step(np.array([2.0]), share * limit, **options).contracts is contracts
    problem = fl.LeastSquares(*tiny("general"))
    full = fl.SGD(0.1, 5, sampling="without_replacement", **OPTIMISERS[optimiser])
    assert fl.max_stable_lr(problem, full) == pytest.approx(with_momentum(**options).mean_limit(problem.curvatures[0]))


def test_dampening_without_momentum_changes_no_limit(digits_problem):
    plain, dampened = (fl.SGD(0.3, 8, dampening=d) for d in (0.0, 0.5))
    for theory in ("discrete", "exact"):
        limits = []
        for sgd in (plain, dampened):
            with pytest.raises(UnstableSGD) as caught:
                fl.predict(digits_problem, sgd, theory=theory)
            limits.append(caught.value.max_stable_lr)
        assert limits[0] == limits[1]


@case
def test_beyond_the_limit_there_is_no_stationary_state(digits_problem, optimiser):
    sgd = fl.SGD(0.01, 1, **OPTIMISERS[optimiser])
    limit = fl.max_stable_lr(digits_problem, sgd)
    for share in (1.02, 1.5, 100.0):
        with pytest.raises(UnstableSGD) as caught:
            fl.predict(digits_problem, fl.SGD(share * limit, 1, **OPTIMISERS[optimiser]))
        assert caught.value.max_stable_lr == pytest.approx(limit)
    assert fl.predict(digits_problem, fl.SGD(0.97 * limit, 1, **OPTIMISERS[optimiser])).excess_loss > 0


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"momentum": np.nan},
        {"momentum": 0.9, "dampening": 1.0},
        {"nesterov": True},
        {"momentum": 0.9, "dampening": 0.1, "nesterov": True},
    ],
)
def test_what_torch_refuses_is_refused(options):
    with pytest.raises(InvalidInput, match=r"momentum|dampening"):
        fl.SGD(0.1, 4, **options)


def test_every_tiny_problem_named_here_exists():
    assert set(NAMES) <= set(TINY)
