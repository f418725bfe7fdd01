"""Finite time: the interpolated march against every-step iteration of F0, written out in the inputs' coordinates."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.kernels.constant import gradient_step
from fluctua.kernels.flow import langevin_flow
from fluctua.theory.transient import Relaxation
from helpers.thinning import thinned

STEPS = 100  # of every-step iteration
RECIPES = {
    "ordinary": fl.SGD(0.05, 8),
    "single samples": fl.SGD(0.05, 1),
    "near the limit": fl.SGD(0.13, 1, weight_decay=0.01),  # 0.987 of it
    "overshooting": fl.SGD(0.17, 4, sampling="without_replacement"),
    "beyond the limit": fl.SGD(0.21, 4),
    "beyond the limit of the mean": fl.SGD(0.23, 32),
}
SCHEDULED = {
    "held by a schedule": fl.SGD(0.05, 8, schedule=np.ones(STEPS + 1)),
    "cosine": fl.SGD(0.15, 2, schedule=fl.schedules.CosineAnnealingLR(STEPS)),
    "linear from beyond the limit": fl.SGD(0.25, 4, schedule=fl.schedules.LinearLR(1, 0, STEPS + 1)),
    "drops": fl.SGD(0.15, 1, schedule=fl.schedules.StepLR(30, 0.2)),
    "1/t": fl.SGD(0.15, 2, schedule=fl.schedules.InverseTimeLR(3)),
    "any array": fl.SGD(1.0, 4, schedule=np.random.default_rng(8).uniform(0.01, 0.18, STEPS + 1)),
}

ALL = RECIPES | SCHEDULED
pytestmark = pytest.mark.filterwarnings("ignore::fluctua.errors.UnstableRates")


@pytest.fixture(scope="module")
def problem(digits):
    """A tenth of digits: the curvatures of the whole, 1e-6 to 10, at a tenth of the time."""
    return fl.LeastSquares(digits.inputs[:180], digits.targets[:180])


def iterate(problem, sgd, start, steps):
    """S(t) in the modes and E L(W_t) - L(W*) at every step: F0 as theory.md prints it, with numpy alone."""
    x, y, decay = problem.inputs, problem.targets, sgd.weight_decay
    gram = x.T @ x / len(x)
    curvature = gram + decay * np.eye(len(gram))
    optimum = problem.minimum(decay).weights
    residuals = x @ optimum.T - y
    mean = np.zeros_like(optimum) if start == "optimum" else -optimum
    s, kappa = mean.T @ mean, sgd.sampling_factor(len(x))
    covariances, losses = [], []
    for lr in sgd.rates(np.arange(steps + 1)):
        drift, factor = np.eye(len(gram)) - lr * curvature, lr**2 * kappa
        covariances.append(problem.modes.T @ s @ problem.modes)
        losses.append(0.5 * np.sum(curvature * s))
        errors = np.square(residuals).sum(axis=1) + 2 * np.sum((x @ mean.T) * residuals, axis=1)
        errors = errors + np.einsum("ni,ni->n", x @ s, x)
        weight = decay * optimum
        gradients = gram @ s @ gram + weight.T @ weight - weight.T @ mean @ gram - gram @ mean.T @ weight
        s = drift @ s @ drift + factor * ((x * errors[:, None]).T @ x / len(x) - gradients)
        mean = mean @ drift
    return covariances, np.array(losses)


@pytest.fixture(scope="module")
def truth(problem):
    """Every-step iteration, once for each recipe and start."""
    return {
        (name, start): iterate(problem, sgd, start, STEPS) for name, sgd in ALL.items() for start in ("optimum", "zero")
    }


def relative(found, expected):
    return np.abs(np.asarray(found) / expected - 1).max()


recipes = pytest.mark.parametrize("name", ALL)
STARTS = ["optimum", "zero"]
constant_recipes = pytest.mark.parametrize("name", RECIPES)
starts = pytest.mark.parametrize("start", STARTS)


@thinned(3, ("name", list(ALL)), ("start", STARTS), ("rtol", [1e-2, 1e-3, 1e-6]))
def test_every_mode_s_variance_is_as_accurate_as_asked(problem, truth, name, start, rtol):
    covariances, losses = truth[name, start]
    prediction = fl.predict(problem, ALL[name], check_stability=False)
    for stop in (23, STEPS):
        now = prediction.after(stop, start=start, rtol=rtol, curve=True)
        assert relative(now.mode_variances, np.diag(covariances[stop])) < rtol
    assert relative(now.curve[1:], losses[1:]) < rtol


@starts
@recipes
def test_with_intervals_of_one_step_the_march_is_exact(problem, truth, name, start):
    covariances, losses = truth[name, start]
    prediction = fl.predict(problem, ALL[name], check_stability=False)
    for stop in (1, 2, 30):
        found = prediction.after(stop, start=start, rtol=1e-15).mode_covariance
        # the largest element is the measure; flat modes carry the rounding of W* itself, eps h_max/h
        assert np.abs(found - covariances[stop]).max() < 1e-11 * np.abs(covariances[stop]).max()
    curve = fl.learning_curve(problem, ALL[name], 30, start=start, rtol=1e-15)
    assert relative(curve[1:], losses[1:31]) < 2e-11


@starts
@pytest.mark.parametrize("name", ["ordinary", "overshooting"])
def test_an_average_over_steps_is_that_of_the_iteration(problem, truth, name, start):
    covariances, losses = truth[name, start]
    steps = (0, 3, 3, 40, 41, 100)
    now = fl.predict(problem, ALL[name], check_stability=False).after(steps, start=start, rtol=1e-4, curve=True)
    expected = np.mean([covariances[t] for t in steps], axis=0)
    assert np.abs(now.mode_covariance - expected).max() < 1e-4 * np.abs(expected).max()
    assert now.curve.shape == (101,)
    assert relative(now.curve[1:], losses[1:101]) < 1e-4


def test_a_tighter_tolerance_gives_a_smaller_error(problem, truth):
    """The mutant: the comparisons above resolve the interpolation's error, they do not only see rounding."""
    covariances, _ = truth["single samples", "zero"]
    prediction = fl.predict(problem, RECIPES["single samples"])
    errors = [
        relative(prediction.after(STEPS, start="zero", rtol=rtol).mode_variances, np.diag(covariances[STEPS]))
        for rtol in (3e-1, 1e-2, 1e-6)
    ]
    assert errors[0] > 1e-3 > errors[1] > 1e-6 > errors[2]


def count_sources(monkeypatch):
    calls, right = [], fl.LeastSquares.scatter
    monkeypatch.setattr(fl.LeastSquares, "scatter", lambda *args, **kw: (calls.append(1), right(*args, **kw))[1])
    return calls


def test_few_passes_over_the_data_reach_a_late_time(problem, monkeypatch):
    prediction = fl.predict(problem, RECIPES["ordinary"])
    calls = count_sources(monkeypatch)
    late = prediction.after(10**6, rtol=1e-3)
    assert len(calls) < 50  # about two for each doubling of time
    assert np.all(late.mode_variances < prediction.mode_variances * (1 + 1e-3))


@pytest.mark.parametrize("theory", ["discrete", "langevin", "hessian"])
def test_the_rungs_without_feedback_take_no_pass_over_the_data(problem, monkeypatch, theory):
    prediction = fl.predict(problem, RECIPES["ordinary"], theory=theory)
    calls = count_sources(monkeypatch)
    prediction.after([10, 10**5], curve=False)
    assert not calls


@starts
@pytest.mark.parametrize("theory", ["discrete", "langevin", "hessian"])
@constant_recipes
def test_the_rungs_without_feedback_are_the_recursion_with_a_constant_source(problem, name, theory, start):
    sgd = RECIPES[name]
    minimum, kappa = problem.minimum(sgd.weight_decay), sgd.sampling_factor(problem.samples)
    h, lr = minimum.curvatures, sgd.lr
    mean_square = np.square(minimum.residuals).sum(axis=1).mean()
    noise = np.diag(mean_square * problem.curvatures) if theory == "hessian" else minimum.noise
    total = np.add.outer(h, h)
    decay = 1 - lr * h if theory == "discrete" else np.exp(-lr * h)
    fed = lr**2 if theory == "discrete" else lr * -np.expm1(-lr * total) / total
    s = np.zeros_like(noise) if start == "optimum" else minimum.mode_weights.T @ minimum.mode_weights
    prediction = fl.predict(problem, sgd, theory=theory, check_stability=False)
    for t in range(31):
        if t in (0, 1, 2, 9, 30):
            found = prediction.after(t, start=start).mode_covariance
            np.testing.assert_allclose(found, s, rtol=1e-9, atol=1e-12 * np.abs(s).max())
        s = np.outer(decay, decay) * s + fed * kappa * noise


@pytest.mark.parametrize("lr", [0.5, 3.0])
@starts
def test_beyond_the_limit_a_run_grows_until_it_overflows_without_a_warning(problem, lr, start):
    curve = fl.learning_curve(problem, fl.SGD(lr, 4), 300, start=start, rtol=1e-3)
    finite = curve[np.isfinite(curve)]
    assert len(finite) > 50
    assert np.all(np.diff(finite[2:]) > 0)
    assert finite[-1] > 1e290
    assert not np.isfinite(curve[len(finite) :]).any()


def test_after_zero_steps_a_run_is_where_it_started(problem):
    prediction = fl.predict(problem, RECIPES["ordinary"])
    weights = problem.minimum().mode_weights
    np.testing.assert_array_equal(prediction.after(0).mode_covariance, np.zeros((problem.rank,) * 2))
    np.testing.assert_allclose(prediction.after(0, start="zero").mode_covariance, weights.T @ weights, rtol=1e-13)


@pytest.mark.parametrize("make", [gradient_step, langevin_flow])
def test_a_source_that_only_depends_on_the_state_is_followed_for_any_kernel(make):
    """A march of its own, without a problem: dS = kernel with G = C + S/4, against the plain recursion."""
    kernel, noise = make(np.array([0.9, 0.3, 0.01]), lr=0.8), np.diag([1.0, 2.0, 3.0]) + 0.5
    march = Relaxation(kernel, lambda s, _: 0.5 * noise + 0.125 * s, 0.5 * noise, np.zeros((3, 3)), None, 1e-5)
    s = np.zeros((3, 3))
    for _ in range(400):
        s = np.outer(kernel.decay, kernel.decay) * s + kernel.injection() * 0.5 * (noise + 0.25 * s)
    found, curve = march.average([400], np.ones(3))
    np.testing.assert_allclose(found, s, rtol=1e-5)
    assert curve[400] == pytest.approx(np.trace(s), rel=1e-5)
    assert curve.shape == (401,)
