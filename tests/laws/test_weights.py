"""Samples that count unequally in the loss, or are drawn unequally, against all batches with their probabilities."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem.minimum import Minimum
from fluctua.simulation import steppers as dynamics
from fluctua.theory.kurtosis import excess_kurtosis
from helpers.enumeration import away_from, error, tiny
from helpers.weighted_batches import WeightedEnumeration

STEPS = 4
DATA = ("general", "fewer samples than features", "one loud sample")
COUNTED, DRAWN = np.array([1.0, 0.3, 2.0, 1.5, 0.0]), np.array([2.0, 1.0, 0.5, 3.0, 0.25])
KINDS = {
    "counted": (COUNTED, None, True),
    "drawn, unbiased": (None, DRAWN, True),
    "drawn, biased": (None, DRAWN, False),
    "counted and drawn, unbiased": (COUNTED, DRAWN, True),
    "counted and drawn, biased": (COUNTED, DRAWN, False),
    "one never drawn, which does not count": (COUNTED, [1, 2, 0.5, 3, 0], True),
    "one never drawn, biased": (None, [1, 0, 0.5, 3, 1], False),
}
OPTIMISERS = {"plain": {}, "momentum": {"momentum": 0.6, "dampening": 0.2}}
CASES = [
    pytest.param(name, kind, optimiser, decay, size, id=f"{name}, {kind}, {optimiser}, decay {decay:g}, b {size}")
    for (name, kind), optimiser in product(product(DATA, KINDS), OPTIMISERS)
    for decay, size in ((0.0, 1), (0.2, 2))
]
case = pytest.mark.parametrize(("name", "kind", "optimiser", "decay", "size"), CASES)


@cache
def setting(name, kind, optimiser, decay, size):
    """A recipe at 0.4 of its stability limit on a tiny problem, and its enumeration."""
    inputs, targets = tiny(name)
    *given, unbiased = KINDS[kind]
    counted, drawn = (None if each is None else np.array(each)[: len(inputs)] for each in given)
    problem = fl.LeastSquares(inputs, targets, sample_weight=counted)
    sampling = "with_replacement" if drawn is None else fl.WeightedSampling(drawn, unbiased=unbiased)
    sgd = fl.SGD(1.0, size, weight_decay=decay, sampling=sampling, **OPTIMISERS[optimiser])
    sgd = replace(sgd, lr=0.4 * float(fl.max_stable_lr(problem, sgd)))
    known = {"weight_decay": decay, "counted": counted, "drawn": drawn, "unbiased": unbiased, **OPTIMISERS[optimiser]}
    return problem, sgd, WeightedEnumeration(inputs, targets, sgd.lr, size, **known)


@case
def test_the_balance_law_holds_at_every_step_from_any_start(name, kind, optimiser, decay, size):
    problem, sgd, truth = setting(name, kind, optimiser, decay, size)
    start, prediction = away_from(truth), fl.predict(problem, sgd)
    assert error(prediction.optimum, truth.optimum) <= 1
    expected = []
    for t, moment in enumerate(truth.moments(start, STEPS)):
        now = prediction.after(t, start=start, rtol=1e-15)
        assert error(now.covariance, truth.covariance(moment)) <= 1
        assert error(now.mean, truth.mean(moment)) <= 1
        expected.append(truth.excess_loss(moment))
        assert error(now.excess_loss, expected[-1]) <= 1
    assert error(fl.learning_curve(problem, sgd, STEPS, start=start, rtol=1e-15), expected) <= 1


@case
def test_the_stationary_law_is_the_fixed_point_of_the_enumerated_step(name, kind, optimiser, decay, size):
    problem, sgd, truth = setting(name, kind, optimiser, decay, size)
    moment, prediction = truth.stationary(), fl.predict(problem, sgd)
    assert error(prediction.covariance, truth.covariance(moment)) <= 1
    blocks = truth.blocks(moment)
    curvature = truth._rows.T @ truth._rows
    assert error(prediction.output_covariance, np.einsum("ij,klij->kl", curvature, blocks)) <= 1
    turned = prediction.modes.T @ blocks[0, 1] @ prediction.modes
    assert error(prediction.output_block(0, 1), 0.5 * (turned + turned.T)) <= 1


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DATA)
def test_the_stability_limit_is_where_the_enumerated_step_stops_contracting(name, kind, optimiser):
    problem, sgd, truth = setting(name, kind, optimiser, 0.2, 2)
    limit = float(fl.max_stable_lr(problem, sgd))
    single = replace(truth, targets=truth.targets[:, :1])
    assert replace(single, lr=limit).growth() == pytest.approx(1, abs=1e-8)
    assert replace(single, lr=0.999 * limit).growth() < 1 - 1e-5


def test_every_rung_without_feedback_has_the_enumerated_noise():
    """From W*, one step on, S is lr^2 times the noise at W*: there all discrete rungs agree with the enumeration."""
    for kind in KINDS:
        problem, sgd, truth = setting("general", kind, "plain", 0.2, 2)
        *_, moment = truth.moments(truth.optimum, 1)
        now = fl.predict(problem, sgd, theory="discrete").after(1, rtol=1e-15)
        assert error(now.covariance, truth.covariance(moment)) <= 1


def test_an_average_and_a_schedule_see_the_same_source():
    problem, sgd, truth = setting("general", "counted and drawn, biased", "plain", 0.2, 2)
    steady = replace(sgd, schedule=[1.0] * STEPS)
    *_, moment = truth.moments(away_from(truth), STEPS)
    now = fl.predict(problem, steady).after(STEPS, start=away_from(truth), rtol=1e-15)
    assert error(now.covariance, truth.covariance(moment)) <= 1
    now = fl.predict(problem, sgd, average=fl.EMA(0.0)).after(STEPS, start=away_from(truth), rtol=1e-15)
    assert error(now.covariance, truth.covariance(moment)) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_spread_of_the_loss_is_of_the_enumerated_outputs(kind):
    """The Gaussian closure of the enumerated blocks."""
    problem, sgd, truth = setting("general", kind, "plain", 0.2, 2)
    *_, moment = truth.moments(truth.optimum, 3)
    blocks, mean = truth.blocks(moment), truth.mean(moment)
    blocks = blocks - np.einsum("ki,lj->klij", mean, mean)
    h = truth._rows.T @ truth._rows + 0.2 * np.eye(len(blocks[0, 0]))
    square = 0.5 * np.einsum("ij,kljm,mn,klin->", h, blocks, h, blocks)
    square += np.einsum("ki,ij,kljm,mn,ln->", mean, h, blocks, h, mean)
    found = fl.loss_spread(fl.predict(problem, sgd).after(3, rtol=1e-15), rtol=1e-14)
    assert found.std == pytest.approx(np.sqrt(square), rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kurtosis_is_that_of_the_enumerated_batches(kind):
    problem, sgd, truth = setting("general", kind, "plain", 0.2, 2)
    steps = (truth.step(truth.optimum) - truth.optimum) @ fl.predict(problem, sgd).modes
    second, fourth = (np.einsum("n,nkp->kp", truth.probabilities, steps**power) for power in (2, 4))
    assert excess_kurtosis(problem, sgd) == pytest.approx(fourth / second**2 - 3, rel=1e-9, abs=1e-9)


class Given(list):
    """Batches chosen by the test, (replicas, b) a step."""

    def batches(self, steps):
        return [np.stack(self[:steps])]


@pytest.mark.parametrize("kind", KINDS)
def test_the_simulator_s_step_on_every_batch_is_the_enumerated_step(kind):
    problem, sgd, truth = setting("general", kind, "plain", 0.2, 2)
    begin = away_from(truth) - truth.optimum
    possible = truth.probabilities > 0
    v = np.repeat(begin[None], possible.sum(), axis=0)
    advance = dynamics.stepper(problem, sgd, "sgd", np.dtype(np.float64))
    advance(v[None], Given([truth.batches[possible]]), 1, 0)
    assert error(v, truth.step(truth.optimum + begin)[possible] - truth.optimum) <= 1


def importance_dropped(monkeypatch):
    monkeypatch.setattr(fl.LeastSquares, "importance", property(lambda _: None, lambda *_: None), raising=False)


def importance_in_the_mean(monkeypatch):
    """The square of the mean gradient, counted as the samples are."""
    right = Minimum.squared_mean
    monkeypatch.setattr(Minimum, "squared_mean", lambda m, *state: right(m, *state) * m.problem.importance.mean())


@pytest.mark.parametrize("mutant", [importance_dropped, importance_in_the_mean])
def test_a_wrong_count_is_caught(monkeypatch, mutant):
    _, sgd, truth = setting("general", "drawn, unbiased", "plain", 0.2, 2)
    mutant(monkeypatch)
    *_, moment = truth.moments(away_from(truth), 3)
    now = fl.predict(fl.LeastSquares(truth.inputs, truth.targets), sgd).after(3, start=away_from(truth), rtol=1e-15)
    assert error(now.covariance, truth.covariance(moment)) > 1e8


@pytest.mark.parametrize("unbiased", [True, False])
def test_equal_weights_are_with_replacement(small_problem, unbiased):
    plain = fl.SGD(0.02, 4, weight_decay=0.1, momentum=0.5)
    sgd = replace(plain, sampling=fl.WeightedSampling(np.full(60, 3.0), unbiased=unbiased))
    same = fl.LeastSquares(small_problem.inputs, small_problem.targets, sample_weight=np.full(60, 0.2))
    for problem, recipe in ((small_problem, sgd), (same, plain), (same, sgd)):
        found, expected = (fl.predict(*each) for each in ((problem, recipe), (small_problem, plain)))
        assert error(found.mode_variances, expected.mode_variances) <= 1
        assert error(found.after(7).excess_loss, expected.after(7).excess_loss) <= 1
        limits = [float(fl.max_stable_lr(*each)) for each in ((problem, recipe), (small_problem, plain))]
        assert limits[0] == pytest.approx(limits[1], rel=1e-9)


def test_whole_weights_have_the_curvature_and_the_optimum_of_repeated_rows_and_more_noise(small_problem):
    weights = np.arange(60) % 3 + 1
    x, y = small_problem.inputs, small_problem.targets
    counted = fl.LeastSquares(x, y, sample_weight=weights).minimum(0.1)
    repeated = fl.LeastSquares(np.repeat(x, weights, axis=0), np.repeat(y, weights, axis=0)).minimum(0.1)
    assert error(counted.curvatures, repeated.curvatures) <= 1
    np.testing.assert_allclose(counted.weights, repeated.weights, rtol=1e-11, atol=1e-13)
    assert counted.loss == pytest.approx(repeated.loss, rel=1e-12)
    assert np.trace(counted.noise) > 1.05 * np.trace(repeated.noise)


def test_a_batch_of_a_biased_draw_is_one_of_repeated_rows(small_problem):
    """Whole weights, drawn: there a copy more is a chance more, and the noise is the same too."""
    weights = np.arange(60) % 3 + 1
    x, y = small_problem.inputs, small_problem.targets
    repeated = fl.LeastSquares(np.repeat(x, weights, axis=0), np.repeat(y, weights, axis=0))
    drawn = fl.SGD(0.02, 4, sampling=fl.WeightedSampling(weights, unbiased=False))
    found, expected = fl.predict(small_problem, drawn), fl.predict(repeated, fl.SGD(0.02, 4))
    assert error(found.curvatures, expected.curvatures) <= 1
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-10, atol=1e-14)
    assert found.excess_loss == pytest.approx(expected.excess_loss, rel=1e-11)
