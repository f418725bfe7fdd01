"""F0, F1, the stability limit and the simulator's step, F3, against all batches of tiny problems.

Errors are measured in the largest element: a small element of S is a difference of terms as large as the largest, so
rounding limits it to eps times that, and 1e-12 of the largest is what float64 can promise. `FLOOR` is the rounding of
W* itself (every number here is of order one): it matters only where V is gone, as in deterministic descent.
"""

from functools import cache
from itertools import product

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem.least_squares import Minimum
from fluctua.recipe.sampling import Distinct, Sampler
from fluctua.simulation import steppers as dynamics
from helpers.enumeration import TINY, Enumeration, away_from, error, tiny

STEPS = 5
SAMPLINGS = ("with_replacement", "without_replacement")
CASES = [
    pytest.param(name, sampling, decay, size, id=f"{name}, {sampling}, decay {decay:g}, b {size}")
    for name in TINY
    for sampling in SAMPLINGS
    for decay in (0.0, 0.2)
    for size in range(1, len(tiny(name)[0]) + 1)
]
case = pytest.mark.parametrize(("name", "sampling", "decay", "size"), CASES)


@cache
def setting(name, sampling, decay, size):
    """A stable recipe (no single batch can push away) on a tiny problem, and its enumeration."""
    inputs, targets = tiny(name)
    lr = 1.2 / (np.square(inputs).sum(axis=1).max() + decay)
    sgd = fl.SGD(lr, size, weight_decay=decay, sampling=sampling)
    return fl.LeastSquares(inputs, targets), sgd, Enumeration(inputs, targets, lr, size, sampling, decay)


def in_modes(problem, block):
    """A (d, d) block in the modes, symmetrised as `output_block` gives it."""
    turned = problem.modes.T @ block @ problem.modes
    return 0.5 * (turned + turned.T)


@case
def test_the_balance_law_holds_at_every_step_from_any_start(name, sampling, decay, size):
    problem, sgd, truth = setting(name, sampling, decay, size)
    start, prediction = away_from(truth), fl.predict(problem, sgd)
    for t, moment in enumerate(truth.moments(start, STEPS)):
        now = prediction.after(t, start=start, rtol=1e-15)
        assert error(now.covariance, truth.covariance(moment)) <= 1
        assert error(now.mean, truth.mean(moment)) <= 1
        assert error(now.excess_loss, truth.excess_loss(moment)) <= 1


@case
def test_the_learning_curve_is_the_expected_loss_at_every_step(name, sampling, decay, size):
    problem, sgd, truth = setting(name, sampling, decay, size)
    start = away_from(truth)
    expected = [truth.excess_loss(moment) for moment in truth.moments(start, STEPS)]
    assert error(fl.learning_curve(problem, sgd, STEPS, start=start, rtol=1e-15), expected) <= 1
    kept = fl.predict(problem, sgd).after(STEPS, start=start, rtol=1e-15, curve=True).curve
    assert error(kept, expected) <= 1


@case
def test_the_stationary_law_is_the_fixed_point_of_the_enumerated_step(name, sampling, decay, size):
    problem, sgd, truth = setting(name, sampling, decay, size)
    moment, prediction = truth.stationary(), fl.predict(problem, sgd)
    assert error(truth.mean(moment), np.zeros(truth.optimum.shape)) <= 1
    assert error(prediction.covariance, truth.covariance(moment)) <= 1
    assert error(prediction.excess_loss, truth.excess_loss(moment)) <= 1
    check_blocks(problem, prediction, truth.blocks(moment))


@case
def test_every_pair_of_outputs_obeys_the_law_at_finite_time(name, sampling, decay, size):
    problem, sgd, truth = setting(name, sampling, decay, size)
    for t, moment in enumerate(truth.moments(truth.optimum, 2)):
        check_blocks(problem, fl.predict(problem, sgd).after(t, rtol=1e-15), truth.blocks(moment))


def check_blocks(problem, prediction, blocks):
    """Each block by its own solve, and all of them through the one adjoint solve."""
    for k in range(problem.outputs):
        for l in range(k + 1):  # noqa: E741
            assert error(prediction.output_block(k, l), in_modes(problem, blocks[k, l])) <= 1
    curvature = problem.inputs.T @ problem.inputs / problem.samples
    traces = np.einsum("ij,klij->kl", curvature, blocks)
    assert error(prediction.output_covariance, traces) <= 1


@pytest.mark.parametrize("name", TINY)
def test_an_average_over_steps_is_the_average_of_the_moments(name):
    problem, sgd, truth = setting(name, "with_replacement", 0.2, 2)
    start, steps = away_from(truth), (0, 2, 3, 5)
    average = np.mean([m for t, m in enumerate(truth.moments(start, STEPS)) if t in steps], axis=0)
    now = fl.predict(problem, sgd).after(steps, start=start, rtol=1e-15)
    assert error(now.covariance, truth.covariance(average)) <= 1
    assert error(now.mean, truth.mean(average)) <= 1
    assert error(now.excess_loss, truth.excess_loss(average)) <= 1


@pytest.mark.parametrize("name", TINY)
def test_beyond_the_stability_limit_the_growing_moments_still_agree(name):
    problem, _, _ = setting(name, "with_replacement", 0.0, 2)
    lr = 1.2 * fl.max_stable_lr(problem, fl.SGD(1.0, 2))
    truth = Enumeration(problem.inputs, problem.targets, lr, 2)
    moments = list(truth.moments(away_from(truth), 20))
    assert truth.excess_loss(moments[-1]) > truth.excess_loss(moments[10])
    now = fl.predict(problem, fl.SGD(lr, 2), check_stability=False).after(20, start=away_from(truth), rtol=1e-15)
    assert error(now.covariance, truth.covariance(moments[-1])) <= 1
    assert error(now.excess_loss, truth.excess_loss(moments[-1])) <= 1


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", TINY)
def test_the_stability_limit_is_where_the_enumerated_step_stops_contracting(name, sampling, decay):
    inputs, targets = tiny(name)
    problem = fl.LeastSquares(inputs, targets)
    for size in range(1, min(problem.samples, 4) + 1):
        sgd = fl.SGD(1.0, size, weight_decay=decay, sampling=sampling)
        limit = fl.max_stable_lr(problem, sgd)

        def growth(lr, sgd=sgd):
            return Enumeration(inputs, targets[:, :1], lr, sgd.batch_size, sampling, decay).growth()

        assert growth(limit) == pytest.approx(1, abs=1e-9)
        assert growth(limit * 0.999) < 1 - 1e-5
        assert growth(limit * 1.001) > 1 + 1e-5


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("name", TINY)
def test_a_full_batch_without_replacement_is_deterministic(name, decay):
    problem, sgd, truth = setting(name, "without_replacement", decay, len(tiny(name)[0]))
    assert len(truth.batches) == 1
    assert not fl.predict(problem, sgd).mode_covariance.any()
    now = fl.predict(problem, sgd).after(STEPS, start=away_from(truth))
    assert error(now.covariance, now.mean.T @ now.mean) <= 1


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", TINY)
def test_the_mean_square_step_balances_the_gradient_s_work(name, sampling):
    """Yaida's relation 2<V.G> = eta <|G|^2>, with <|G|^2> from all batches and <V.G> = tr(H S) from the theory."""
    problem, sgd, truth = setting(name, sampling, 0.2, 1)
    square = truth.gradient_square(truth.stationary())
    assert error(4 * fl.predict(problem, sgd).excess_loss, sgd.lr * square) <= 1


class Given(list):
    """Batches chosen by the test, (replicas, b) a step."""

    def batches(self, steps):
        return [np.stack(self[:steps])]


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", ["general", "dead feature", "fewer samples than features"])
def test_the_simulator_s_step_on_every_batch_is_the_enumerated_step(name, sampling, decay):
    problem, sgd, truth = setting(name, sampling, decay, 2)
    advance = dynamics.stepper(problem, sgd, "sgd", np.dtype(np.float64))
    begin = away_from(truth) - truth.optimum
    v = np.repeat(begin[None], len(truth.batches), axis=0)
    advance(v[None], Given([truth.batches]), 1, 0)
    assert error(v, truth.step(truth.optimum + begin) - truth.optimum) <= 1

    pairs = np.array(list(product(truth.batches, repeat=2)))
    v = np.repeat(begin[None], len(pairs), axis=0)
    advance(v[None], Given([pairs[:, 0], pairs[:, 1]]), 2, 0)
    now = fl.predict(problem, sgd).after(2, start=away_from(truth), rtol=1e-15)
    assert error(v.mean(axis=0), now.mean) <= 1
    assert error(np.einsum("nki,nkj->ij", v, v) / len(pairs), now.covariance) <= 1


def kappa_wrong_by_one_per_cent(monkeypatch):
    for kind in (Sampler, Distinct):
        right = kind.kappa
        monkeypatch.setattr(kind, "kappa", lambda *asked, right=right: 1.01 * right(*asked))


def feedback_dropped(monkeypatch):
    right = Minimum.source
    monkeypatch.setattr(Minimum, "source", lambda m, covariance, mean: right(m, 0 * covariance, mean))
    monkeypatch.setattr(fl.LeastSquares, "feedback", lambda _, covariance: 0 * covariance)


def decay_square_dropped(monkeypatch):
    right = Minimum.source

    def undecayed(m):
        return m.problem.scatter(weights=m.squared_residuals)

    def source(m, covariance, mean):
        return right(m, covariance, mean) + m.weight_decay**2 * m.mode_weights.T @ m.mode_weights

    monkeypatch.setattr(Minimum, "noise", property(undecayed))
    monkeypatch.setattr(Minimum, "source", source)


def cross_term_of_the_mean_dropped(monkeypatch):
    right = Minimum.source
    monkeypatch.setattr(Minimum, "source", lambda m, covariance, _: right(m, covariance, None))


def curvature_wrong_by_one_per_mille(monkeypatch):
    monkeypatch.setattr(Minimum, "curvatures", property(lambda m: 1.001 * (m.problem.curvatures + m.weight_decay)))


MUTANTS = {
    kappa_wrong_by_one_per_cent: ("stationary", "finite time"),
    feedback_dropped: ("stationary", "finite time"),
    decay_square_dropped: ("stationary", "finite time"),
    cross_term_of_the_mean_dropped: ("finite time",),
    curvature_wrong_by_one_per_mille: ("stationary", "finite time"),
}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("mutant", "route"), [(m, route) for m, routes in MUTANTS.items() for route in routes])
def test_a_slightly_wrong_theory_is_caught(monkeypatch, mutant, route, sampling):
    inputs, targets = tiny("general")
    _, sgd, truth = setting("general", sampling, 0.2, 2)
    mutant(monkeypatch)
    prediction = fl.predict(fl.LeastSquares(inputs, targets), sgd)
    if route == "stationary":
        moment = truth.stationary()
    else:
        *_, moment = truth.moments(away_from(truth), 3)
        prediction = prediction.after(3, start=away_from(truth), rtol=1e-15)
    assert error(prediction.covariance, truth.covariance(moment)) > 1e8
