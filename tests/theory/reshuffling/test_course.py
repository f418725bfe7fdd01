"""Epochs in which the rate moves, by the expansion, F63 and F64: sums, orders in lr, averages, the curve."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.law import Law
from fluctua.theory.reshuffling import mean_path
from fluctua.theory.reshuffling.course_cycle import CourseCycle
from fluctua.theory.reshuffling.course_run import CourseRun
from fluctua.theory.reshuffling.course_timetable import CourseEpoch
from fluctua.theory.reshuffling.stationary import Cycle
from fluctua.theory.reshuffling.transient import Epochs
from helpers.agreement import close
from helpers.enumeration import EpochEnumeration, away_from, followed_in_epochs, tiny


@pytest.fixture(autouse=True)
def whole_path(monkeypatch):
    """Nothing of the mean's path is left out."""
    monkeypatch.setattr(mean_path, "LEFT_OUT", 1e-15)


FACTORS = [1.0, 0.3, 0.8, 0.5, 1.2, 0.1, 0.4, 0.9]
OPTIMISERS = {
    "plain": {},
    "momentum": {"momentum": 0.5},
    "dampened": {"momentum": 0.5, "dampening": 0.3},
    "nesterov": {"momentum": 0.5, "nesterov": True},
}
AVERAGES = {"weights": None, "ema": fl.EMA(0.6), "running": fl.RunningAverage(1)}
every = pytest.mark.parametrize("optimiser", OPTIMISERS)


def data(samples=81):
    rng = np.random.default_rng(5)
    return fl.LeastSquares(rng.normal(size=(samples, 3)), rng.normal(size=(samples, 2)))


def law_of(problem, lr=0.02, average=None, theory="exact", size=2, **options):
    return Law(problem, fl.SGD(lr, size, weight_decay=0.2, sampling="shuffle", **options), theory, average)


def run_of(law, steps, mean=None, rtol=1e-12):
    return CourseRun(law.shuffle, law._course(law.minimum.curvatures, steps), mean, rtol)


def responses_of(course, steps):
    """R(t, v) for all v < t <= steps, (T + 1, T, k, r), step by step."""
    k, r = course.push.shape[1], len(course.curvatures)
    found = np.zeros((steps + 1, steps, k, r))
    for v in range(steps):
        found[v + 1, v] = course.push[v][:, None]
        for t in range(v + 1, steps):
            gradient = course.curvatures * found[t, v, 0]
            found[t + 1, v] = course.motion[t] @ found[t, v] + course.push[t][:, None] * gradient
    return found


# -- what an epoch takes back of its noise ----------------------------------------------------------------------------


@pytest.mark.parametrize("average", AVERAGES)
@every
def test_noise_that_feels_nothing_is_exact_at_any_rates(optimiser, average):
    """F44 with moving rates: batches are anticorrelated as F41 says, R carries them; 41 steps, the last batch of 1."""
    problem, steps = data(), 41
    factors = np.random.default_rng(8).uniform(0.05, 1.5, steps)
    law = law_of(problem, 0.1, AVERAGES[average], "discrete", schedule=factors, **OPTIMISERS[optimiser])
    course = law._course(law.minimum.curvatures, steps)
    shown, eps = responses_of(course, steps)[:, :, course.shown], 1 / 80
    covariance = np.diag((1 + eps) / law.shuffle.sizes) - eps
    run = law.relaxation(None, steps, 1e-3)
    for t in (2, 17, 40, 41):
        expected = np.einsum("vp,vw,wq->pq", shown[t], covariance, shown[t]) * law.minimum.noise
        end = run.average([steps])[0]
        assert close(2 * run.average([t, steps])[0] - end, expected, rtol=1e-11)


@pytest.mark.parametrize("average", AVERAGES)
@every
def test_noise_frozen_at_the_minimum_is_the_mean_over_all_orders(optimiser, average):
    """The same against a listing of all orders, in which every sample's gradient keeps its noise at W*."""
    inputs, targets = tiny("six samples")
    problem = fl.LeastSquares(inputs, targets)
    law = law_of(problem, 0.1, AVERAGES[average], "discrete", schedule=FACTORS, **OPTIMISERS[optimiser])
    truth = Frozen(inputs, targets, 0.1, 2, weight_decay=0.2, **OPTIMISERS[optimiser])
    shares = np.ones(8) if law.average is None else law.average.weights(range(8))
    moments = list(followed_in_epochs(truth, FACTORS, shares))
    start = (away_from(truth) - truth.optimum) @ problem.modes
    size = truth.optimum.size
    for t in (3, 5, 8):
        expected = problem.modes.T @ truth.covariance(moments[t - 1][:size, :size]) @ problem.modes
        assert close(law.relaxation(start, t, 1e-3).average([t])[0], expected, rtol=1e-12)


class Frozen(EpochEnumeration):
    """Every sample's gradient is the mean gradient, and its own at W*."""

    def _step(self, weights, buffer, first):
        moved, buffers = super()._step(self.optimum, np.zeros_like(buffer), first)
        push = (self.optimum - moved) / self.lr  # what the noise alone does, from rest
        n, d = self.inputs.shape
        hessian = self.inputs.T @ self.inputs / n + self.weight_decay * np.eye(d)
        mean = (weights - self.optimum) @ hessian
        kept = 0.0 if first else self.momentum * buffer
        taken = 1.0 if first or not self.momentum else 1 - self.dampening
        after = kept + taken * mean
        direction = mean + self.momentum * after if self.nesterov else after
        return weights - self.lr * (direction + push), after + buffers


# -- sums over steps --------------------------------------------------------------------------------------------------


@every
def test_sums_of_responses_are_exact_for_modes_without_curvature(optimiser):
    """F64: whatever the rates; a dozen nodes among 41 steps, where the sums are of responses alone."""
    problem = data()
    law = law_of(problem, schedule=np.linspace(1.0, 0.05, 41), **OPTIMISERS[optimiser])
    course = law._course(np.full(3, 1e-9), 41)
    epoch, flat = CourseEpoch(course, 0, law.shuffle.sizes, 12), responses_of(course, 41)[:, :, 0, 0]
    p = np.array([epoch.response(int(u))[0] for u in epoch.lags.nodes])
    for t in epoch.times.tolist()[1:]:
        assert epoch.lag_counts(t) @ p == pytest.approx(flat[t].sum(), rel=1e-6)
        assert epoch.lag_squares(t) @ p**2 == pytest.approx(np.square(flat[t]).sum(), rel=1e-6)
        ramp = np.arange(41.0)
        assert epoch.lag_counts(t, ramp) @ p == pytest.approx(flat[t] @ ramp[: flat.shape[1]], rel=1e-6)
        assert (p @ epoch.lag_positions(t)).sum() == pytest.approx(flat[t].sum(), rel=1e-6)
        assert (epoch.lag_responses(t)[0] @ p) == pytest.approx(np.square(flat[t]).sum(), rel=1e-6)
        earlier = sum(flat[t, v] * flat[v].sum() for v in range(t))
        assert epoch.lag_sums(t)[0] @ p == pytest.approx(earlier, rel=1e-6)
        assert (epoch.history_lags(t) @ p).sum() == pytest.approx(flat[t].sum(), rel=1e-6)


@every
def test_a_rate_that_stays_is_the_law_of_alike_epochs(optimiser):
    """Every step of these epochs is a node, so that nothing is interpolated; torch's first step is left out."""
    law = law_of(data(11), 0.05, schedule=np.ones(7), **OPTIMISERS[optimiser])
    found = law._course(law.minimum.curvatures, 7)
    course, mean = replace(found, motion=found.motion[1:], push=found.push[1:]), np.ones((2, 3)) * [0.5, -1.0, 0.3]
    run, expected = CourseRun(law.shuffle, course, mean, 1e-13), Epochs(law.shuffle, mean, 1e-13)
    end = run.average([6])[0]
    for t in range(1, 6):
        assert close(run.means([t]), expected.means([t]), rtol=1e-12)
        assert close(2 * run.average([t, 6])[0] - end, expected.average([t])[0], rtol=1e-10)


# -- steps without a rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [None, np.ones((2, 3)) * [0.5, -1.0, 0.3]], ids=["at W*", "elsewhere"])
@pytest.mark.parametrize(
    "factors", [[1.0] * 6 + [0.0] * 6, [0.0] * 6 + [1.0] * 6, [1.0, 0.0] * 6], ids=["last", "first", "every other"]
)
def test_steps_without_a_rate_take_no_part(factors, begun):
    """Batches are alike: which six of twelve are used does not matter. Every step is a node."""
    expected = run_of(law_of(data(24), 0.3, schedule=[1.0] * 6), 6, begun)
    found = run_of(law_of(data(24), 0.3, schedule=factors), 12, begun)
    assert close(found.average([12])[0], expected.average([6])[0], rtol=1e-12)
    assert close(found.means([12]), expected.means([6]), rtol=1e-7)


# -- orders in lr -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", [None, fl.EMA(0.6)], ids=["weights", "ema"])
@every
def test_the_law_is_exact_to_the_order_in_lr_of_constant_rates(optimiser, average):
    """From W*, over all batches of one but the last: the relative error falls as lr^2, however the rate moves."""
    moving, constant = (errors(OPTIMISERS[optimiser], average, factors) for factors in (FACTORS, [1.0] * 8))
    assert all(larger / smaller > 3 for larger, smaller in pairwise(moving))
    assert all(one < 1.1 * other < 0.02 for one, other in zip(moving, constant, strict=True))


def errors(options, average, factors):
    """The largest relative error of S, at three learning rates."""
    inputs, targets = tiny("general")
    problem, steps, found = fl.LeastSquares(inputs, targets), len(inputs) - 1, []
    shares = np.ones(steps) if average is None else average.weights(range(steps))
    for lr in (0.01, 0.005, 0.0025):
        law = law_of(problem, lr, average, size=1, schedule=factors, **options)
        truth = EpochEnumeration(inputs, targets, lr, 1, weight_decay=0.2, **options)
        moment = list(followed_in_epochs(truth, factors[:steps], shares, truth.optimum))[-1]
        size = truth.optimum.size
        expected = problem.modes.T @ truth.covariance(moment[:size, :size]) @ problem.modes
        found.append(np.abs(run_of(law, steps).average([steps])[0] - expected).max() / np.abs(expected).max())
    return found


@pytest.mark.parametrize("average", AVERAGES)
@every
def test_epochs_follow_one_another(optimiser, average):
    """Over three epochs from elsewhere, with rates within the epoch: off by what the law leaves out, at small rates."""
    inputs, targets = tiny("six samples")
    problem, seen = fl.LeastSquares(inputs, targets), AVERAGES[average]
    lr = 0.02 * (1 - OPTIMISERS[optimiser].get("momentum", 0.0))
    law = law_of(problem, lr, seen, schedule=FACTORS, **OPTIMISERS[optimiser])
    truth = EpochEnumeration(inputs, targets, lr, 2, weight_decay=0.2, **OPTIMISERS[optimiser])
    shares = np.ones(8) if seen is None else seen.weights(range(8))
    moments = list(followed_in_epochs(truth, FACTORS, shares))
    size, run = truth.optimum.size, run_of(law, 8, (away_from(truth) - truth.optimum) @ problem.modes)
    for t in (4, 6, 8):
        moment = moments[t - 1][np.ix_(kept := np.r_[:size, len(moments[0]) - 1], kept)]
        expected = problem.modes.T @ truth.covariance(moment) @ problem.modes
        assert close(run.average([t])[0], expected, rtol=1e-4)
        assert close(run.means([t]), truth.mean(moment) @ problem.modes, rtol=1e-5)


# -- what is asked of a run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", AVERAGES)
def test_a_curve_is_the_loss_at_every_step_and_a_mean_of_steps_their_mean(average):
    problem = data()
    law = law_of(problem, 0.1, AVERAGES[average], schedule=np.linspace(1, 0.1, 100), momentum=0.5)
    mean, h = np.ones((2, 3)), law.minimum.curvatures
    curve = run_of(law, 100, mean).average([100], h)[1]
    assert curve.shape == (101,)
    places = [0, 7, 40, 41, 81, 82, 99, 100]
    for t, (s, _) in run_of(law, 100, mean).at_each(places).items():
        assert curve[t] == pytest.approx(h @ np.diag(s), rel=2e-3)
    places += [7, 100]  # which count twice
    together = run_of(law, 100, mean).average(places)[0]
    assert h @ np.diag(together) == pytest.approx(curve[places].mean(), rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"schedule": [1.0, 0.5, 0.25] * 30}], ids=["constant", "schedule"])
def test_a_held_out_curve_is_the_loss_of_each_prediction(options):
    problem, rng = data(), np.random.default_rng(3)
    sgd = fl.SGD(0.05, 2, sampling="shuffle", **options)
    other, average = (rng.normal(size=(5, 3)), rng.normal(size=(5, 2))), fl.EMA(0.8) if options else None
    steps = [50, 0, 82, 90, 50]
    found = fl.held_out_curve(problem, sgd, steps, *other, average=average)
    prediction = fl.predict(problem, sgd, average=average)
    expected = [fl.held_out_loss(prediction.after(t, start="zero"), *other).expected for t in steps]
    assert close(found, expected, rtol=1e-3)


def test_a_run_of_no_steps_is_its_start():
    law = law_of(data(), average=fl.EMA(0.9), schedule=[1.0, 0.5])
    run = run_of(law, 0, np.ones((2, 3)))
    covariance, curve = run.average([0], np.ones(3))
    assert close(covariance, np.full((3, 3), 2.0))
    assert curve.tolist() == pytest.approx([6.0])
    assert close(run.means([0]), np.ones((2, 3)))


def test_epochs_whose_steps_are_alike_share_what_they_are_made_of():
    law = law_of(data(), schedule=fl.schedules.StepLR(82, 0.1))
    made = [each.shuffle for _, each in run_of(law, 41 * 4, rtol=1e-3)._epochs(41 * 4)]
    assert made[0] is made[1]
    assert made[1] is not made[2]
    assert made[2] is made[3]


# -- stationary averages ----------------------------------------------------------------------------------------------


@every
def test_a_stationary_average_of_nothing_is_the_weights(optimiser):
    """EMA(0) is the weights: the periodic epoch is that of `Cycle`, at every position."""
    law = law_of(data(), 0.1, **OPTIMISERS[optimiser])
    found, expected = CourseCycle(law.shuffle, law.sgd, fl.EMA(0.0)), Cycle(law.shuffle)
    for place in (None, 0, 3, 17, 40):
        for one, other in zip(found.settled_at(place), expected.settled_at(place), strict=True):
            assert close(one, other, rtol=3e-3)
    assert close(found.settled_at(None)[0], expected.settled_at(None)[0], rtol=1e-4)


@every
def test_a_stationary_average_is_where_a_long_run_ends(optimiser):
    """After twenty epochs a billionth of the start is left in the flattest mode."""
    law, steps = law_of(data(), 0.03, fl.EMA(0.9), **OPTIMISERS[optimiser]), 41 * 20 + 20
    late = run_of(law, steps, rtol=1e-8)
    settled = law.settled_in_epochs(20)
    assert law.measured is None
    assert close(late.average([steps])[0], settled[0], rtol=2e-3)
    assert close(late.means([steps]), settled[1], rtol=2e-2)
    assert np.trace(settled[0]) < 0.7 * np.trace(replace(law, average=None).settled_in_epochs(20)[0])


@pytest.mark.parametrize(
    "factors", [[0.0] * 13 + [1.0] * 13, [0.0] * 6 + [1.0] * 13 + [0.0] * 7], ids=["on", "on, off"]
)
def test_a_rate_that_jumps_within_an_epoch_has_more_nodes(monkeypatch, factors):
    """The mean has a kink there, which twelve positions miss by some per cent of the excess loss, from a far start."""
    problem = data(26 * 4)
    lr = 0.5 * fl.max_stable_lr(problem, fl.SGD(0.1, 4))

    def excess(nodes, kinked):
        monkeypatch.setattr("fluctua.theory.law.NODES", nodes)
        monkeypatch.setattr("fluctua.theory.reshuffling.course_run._KINKED", kinked)
        monkeypatch.setattr("fluctua.theory.reshuffling.course_run.NODES", nodes)
        law = replace(law_of(problem, lr, size=4, schedule=factors), rough=True)
        s = run_of(law, 26, np.array([[3.0, -2.0, 1.0], [1.0, 2.0, -3.0]]), 1e-6).average([26])[0]
        return 0.5 * law.minimum.curvatures @ np.diag(s)

    whole = excess(26, 26)
    few, more = (abs(excess(12, kinked) / whole - 1) for kinked in (12, 20))
    assert more < 1e-2
    assert 2 * more < few
