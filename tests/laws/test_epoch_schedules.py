"""Shuffled epochs whose steps differ, F62: rates that move, averages and dampening, against every order of each."""

from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import NotConverged, UnstableRates
from fluctua.theory.law import Law
from fluctua.theory.reshuffling.measured import MeasuredEpochs
from fluctua.theory.reshuffling.measured_course import MeasuredCourse
from fluctua.theory.reshuffling.orders import Orders
from helpers.enumeration import EpochEnumeration, away_from, error, followed_in_epochs, tiny

LR, STEPS = 0.05, 8
OPTIMISERS = {
    "plain": {},
    "momentum": {"momentum": 0.6},
    "dampened": {"momentum": 0.6, "dampening": 0.3},
    "nesterov": {"momentum": 0.6, "nesterov": True},
}
SCHEDULES = {
    "constant": None,
    "within the epoch": [1.0, 0.3, 0.8, 0.5, 1.2, 0.1, 0.4, 0.9],
    "by epoch": fl.schedules.StepLR(3, 0.5),
}
AVERAGES = {"weights": None, "ema": fl.EMA(0.7), "running": fl.RunningAverage(2)}


def recipe(schedule=None, **options):
    return fl.SGD(LR, 2, weight_decay=0.2, sampling="shuffle", schedule=schedule, **options)


def truth_of(name, **options):
    inputs, targets = tiny(name)
    return fl.LeastSquares(inputs, targets), EpochEnumeration(inputs, targets, LR, 2, weight_decay=0.2, **options)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", ["general", "six samples"])
def test_a_run_is_the_mean_over_all_orders_of_each_epoch(name, optimiser, schedule, average):
    options, seen = OPTIMISERS[optimiser], AVERAGES[average]
    problem, truth = truth_of(name, **options)
    sgd, start = recipe(SCHEDULES[schedule], **options), away_from(truth)
    shares = np.ones(STEPS) if seen is None else seen.weights(range(STEPS))
    moments = list(followed_in_epochs(truth, sgd.rates(range(STEPS)) / LR, shares))
    prediction, size = fl.predict(problem, sgd, average=seen), truth.optimum.size
    expected = []
    for moment in moments:  # of the average, as if it were the weights
        kept = np.r_[:size, len(moment) - 1]
        expected.append(moment[np.ix_(kept, kept)])
    for t in (3, 4, 8):
        now, moment, modes = prediction.after(t, start=start), expected[t - 1], problem.modes
        assert error(now.mode_covariance, modes.T @ truth.covariance(moment) @ modes) <= 1
        assert error(now.mode_mean, truth.mean(moment) @ modes) <= 1
    curve = fl.learning_curve(problem, sgd, STEPS, start=start, average=seen)
    assert error(curve[1:], [truth.excess_loss(moment) for moment in expected]) <= 1
    x, y = inputs_elsewhere(truth)
    held_out = fl.held_out_curve(problem, sgd, [8, 4, 3, 4], x, y, start=start, average=seen)
    assert error(held_out, [loss_elsewhere(truth, expected[t - 1], x, y) for t in (8, 4, 3, 4)]) <= 1
    both = prediction.after([3, 8, 8], start=start)
    assert both.excess_loss == pytest.approx((curve[3] + 2 * curve[8]) / 3, rel=1e-12)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("schedule", ["constant", "within the epoch"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_what_a_start_has_outside_the_modes_meets_the_mean_of_epochs(weight_decay, schedule, average):
    """Held-out data and the covariance see both; batches displace the mean in the modes."""
    inputs, targets = tiny("fewer samples than features")
    truth = EpochEnumeration(inputs, targets, LR, 2, weight_decay=weight_decay)
    sgd = fl.SGD(LR, 2, weight_decay=weight_decay, sampling="shuffle", schedule=SCHEDULES[schedule])
    seen, start = AVERAGES[average], away_from(truth)
    shares = np.ones(STEPS) if seen is None else seen.weights(range(STEPS))
    size, moments = truth.optimum.size, followed_in_epochs(truth, sgd.rates(range(STEPS)) / LR, shares)
    expected = [moment[np.ix_(kept, kept)] for moment in moments for kept in [np.r_[:size, len(moment) - 1]]]
    prediction = fl.predict(fl.LeastSquares(inputs, targets), sgd, average=seen)
    x, y = inputs_elsewhere(truth)
    losses = [loss_elsewhere(truth, moment, x, y) for moment in expected]
    curve = fl.held_out_curve(prediction.law.problem, sgd, [1, 4, 8], x, y, start=start, average=seen)
    assert error(curve, [losses[0], losses[3], losses[7]]) <= 1
    for steps in ([4], [1, 4, 8, 8]):
        found, each = prediction.after(steps, start=start), [expected[t - 1] for t in steps]
        assert error(found.covariance, np.mean([truth.covariance(moment) for moment in each], axis=0)) <= 1
        assert error(fl.held_out_loss(found, x, y).expected, np.mean([losses[t - 1] for t in steps])) <= 1


def inputs_elsewhere(truth):
    rng = np.random.default_rng(4)
    return rng.normal(size=(7, truth.inputs.shape[1])), rng.normal(size=(7, truth.outputs))


def loss_elsewhere(truth, moment, x, y):
    """E of half the mean square of the errors on other data."""
    residuals, mean = x @ truth.optimum.T - y, truth.mean(moment)
    squares = np.einsum("ni,ij,nj->n", x, truth.covariance(moment), x)
    return 0.5 * float(np.mean(np.sum(residuals**2 + 2 * residuals * (x @ mean.T), axis=1) + squares))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_stationary_state_is_the_one_of_all_orders(optimiser):
    """Dampening changes it, and its first step does not; with a schedule it is that at lr, held."""
    problem, truth = truth_of("general", **OPTIMISERS[optimiser])
    settled = truth.covariance(truth.within(truth.stationary())[:-1].mean(axis=0))
    for schedule in (None, [0.5, 0.3]):
        assert error(fl.predict(problem, recipe(schedule, **OPTIMISERS[optimiser])).covariance, settled) <= 100


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_stationary_average_is_where_the_average_ends(optimiser):
    problem, _ = truth_of("general")
    sgd = recipe(**OPTIMISERS[optimiser])
    settled = fl.predict(problem, sgd, average=fl.EMA(0.7))
    late = [settled.after(place + 3 * 1000) for place in range(3)]
    assert np.allclose(np.mean([each.covariance for each in late], axis=0), settled.covariance, rtol=1e-9)
    for place, each in enumerate(late):
        assert np.allclose(settled.at(place).covariance, each.covariance, rtol=1e-9)
        assert np.allclose(settled.at(place).mean, each.mean, rtol=1e-9)
    assert settled.excess_loss < 0.7 * fl.predict(problem, sgd).excess_loss
    over_all_time = fl.predict(problem, sgd, average=fl.RunningAverage())
    assert np.allclose(over_all_time.at(1).mean, fl.predict(problem, sgd).mean, rtol=1e-9)
    assert np.allclose(over_all_time.covariance, over_all_time.mean.T @ over_all_time.mean, rtol=1e-9)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_some_orders_are_followed_with_their_weights(optimiser):
    problem, truth = truth_of("general", **OPTIMISERS[optimiser])
    law = Law(problem, recipe([1.0, 0.3, 0.8], **OPTIMISERS[optimiser]), "exact", fl.EMA(0.7))
    orders = Orders(np.array([[0, 1, 2, 3, 4], [4, 2, 1, 0, 3], [3, 0, 4, 1, 2]]), np.array([0.5, 0.2, 0.3]), False)
    start = away_from(truth)
    run = MeasuredCourse(
        MeasuredEpochs(problem, law.sgd, orders, law.shuffle.epoch),
        law.motion(3),
        (start - truth.optimum) @ problem.modes,
    )
    apart = np.array([averaged_along(truth, law.sgd, order, start) for order in orders.samples]) - truth.optimum
    modes = apart @ problem.modes
    s, mean = np.einsum("n,ncp,ncq->pq", orders.weights, modes, modes), np.tensordot(orders.weights, modes, 1)
    assert error(run.average([3])[0], s) <= 1
    assert error(run.means([3]), mean) <= 1
    assert error(run.average([3], np.ones(3))[1][-1], np.trace(s)) <= 1


def averaged_along(truth, sgd, order, start):
    """The EMA of the weights after one epoch in this order, from the definition of a step."""
    weights, buffer, average = start, np.zeros_like(start), start
    for step, batch in enumerate(np.split(order, [2, 4])):
        x, errors = truth.inputs[batch], truth.inputs[batch] @ weights.T - truth.targets[batch]
        gradient = errors.T @ x / len(batch) + truth.weight_decay * weights
        buffer = gradient if step == 0 else truth.momentum * buffer + (1 - truth.dampening) * gradient
        if not truth.momentum:
            buffer = gradient
        weights = weights - sgd.rates(step) * (gradient + truth.momentum * buffer if truth.nesterov else buffer)
        average = weights if step == 0 else 0.7 * average + 0.3 * weights
    return average


@pytest.mark.filterwarnings("ignore::fluctua.errors.UnstableRates")
@pytest.mark.parametrize("average", [None, fl.EMA(0.7)], ids=["weights", "ema"])
@pytest.mark.parametrize("schedule", [None, [1.0] * 100], ids=["constant", "schedule"])
@pytest.mark.parametrize("sampling", ["shuffle", "without_replacement"])
@pytest.mark.parametrize("theory", ["exact", "discrete"])
def test_a_run_beyond_the_range_of_floats_is_infinite(theory, sampling, schedule, average):
    """No warning of NumPy's, no number that is none."""
    problem, _ = truth_of("general")
    sgd = fl.SGD(1e6, 2, sampling=sampling, schedule=schedule, momentum=0.6)
    prediction = fl.predict(problem, sgd, theory=theory, average=average, check_stability=False)
    found = prediction.after(100, start="zero", curve=True)
    curve = np.asarray(found.curve)
    assert found.excess_loss == curve[-1] == np.inf
    assert not np.isnan(curve).any()
    x, y = np.eye(3), np.ones((3, 2))
    assert fl.held_out_loss(found, x, y).excess == np.inf
    if theory == "exact":
        assert fl.learning_curve(problem, sgd, 100, average=average)[-1] == np.inf
        assert fl.held_out_curve(problem, sgd, [100, 1], x, y, average=average)[0] == np.inf


# -- runs that diverge ------------------------------------------------------------------------------------------------


def diverging(kind, lr=3.0, **options):
    """Data whose epochs are listed, measured, and expanded; and a rate far beyond the limit."""
    shape = {"listed": (5, 2), "measured": (20, 3), "expanded": (200, 20)}[kind]
    rng = np.random.default_rng(0)
    problem = fl.LeastSquares(rng.normal(size=shape), rng.normal(size=(shape[0], 2)))
    return problem, fl.SGD(lr, 5 if kind == "expanded" else 2, sampling="shuffle", **options)


@pytest.mark.parametrize("schedule", [None, np.ones(150)], ids=["constant", "schedule"])
@pytest.mark.parametrize("kind", ["listed", "measured"])
def test_a_run_that_diverges_ends_infinite(kind, schedule):
    problem, sgd = diverging(kind, 30.0, schedule=schedule)
    law = Law(problem, sgd, "exact")
    assert law.measured.orders.listed == (kind == "listed")
    run, h = law.relaxation(np.ones((2, problem.rank)), 150, 1e-4), law.minimum.curvatures
    covariance, curve = run.average([150], 0.5 * h)
    assert np.isposinf(np.diag(covariance)).all()
    assert curve[0] == pytest.approx(h.sum())
    assert np.isposinf(curve[-1])
    assert not np.isnan(curve).any()
    assert np.isposinf(run.at_each([130, 150])[150][0]).any()
    assert len(curve) == 151


@pytest.mark.parametrize("schedule", [None, np.ones(80)], ids=["constant", "schedule"])
def test_the_expansion_says_in_which_epoch_it_fails_and_is_infinite_after_an_overflow(schedule):
    problem, sgd = diverging("expanded", schedule=schedule)
    law = Law(problem, sgd, "exact", rough=True)
    with pytest.raises(NotConverged, match=r"epoch of steps 0 to 39 .*the expansion of shuffled epochs fails"):
        law.relaxation(None, 80, 1e-4).average([80])
    law = Law(problem, replace(sgd, lr=0.02), "exact", rough=True)
    run, h = law.relaxation(np.full((2, problem.rank), 1e153), 80, 1e-4), law.minimum.curvatures
    covariance, curve = run.average([50], h)
    assert np.isposinf(np.diag(covariance)).all()
    assert np.isposinf(curve[1:]).all()
    assert curve[0] == pytest.approx(2e306 * h.sum())
    assert len(curve) == 51
    assert np.isposinf(np.diag(run.at_each([50, 70])[70][0])).all()


@pytest.mark.any_seed
def test_a_schedule_beyond_the_limit_is_told_with_its_steps_and_once():
    problem, sgd = truth_of("general")[0], recipe([1.0] * 4 + [30.0] * 3 + [1.0, 30.0])
    limit = fl.max_stable_lr(problem, sgd)
    words = rf"from step 4 to step 8, at 4 steps.*{30 * LR:.4g} at step 4.*largest stable one, {limit:.6g}"
    x, y = np.ones((3, 3)), np.ones((3, 2))
    for call in (
        lambda: fl.predict(problem, sgd).after(9),
        lambda: fl.learning_curve(problem, sgd, 9),
        lambda: fl.held_out_curve(problem, sgd, [9], x, y),
        lambda: fl.verify(problem, sgd, steps=9, replicas=4),
    ):
        with pytest.warns(UnstableRates, match=words) as caught:
            call()
        assert len(caught) == 1
        found = caught[0].message
        assert (found.step, found.last, found.count, found.max_stable_lr) == (4, 8, 4, float(limit))
    with pytest.warns(UnstableRates, match="at step 4, the schedule's"):
        fl.predict(problem, sgd).after(5)


@pytest.mark.any_seed
def test_a_run_that_diverges_says_at_which_step():
    problem, sgd = diverging("listed")
    run = fl.simulate(problem, sgd, steps=1200, replicas=4)
    assert run.diverged_at is not None
    verdict = fl.verify(problem, sgd, steps=1200, replicas=4, check_stability=False)
    assert verdict.diverged_at is not None
    assert f"diverged: a replica overflowed by step {verdict.diverged_at}" in verdict.words
    assert not verdict.passed
