"""Schedules, F14, and averages that run, F13: against all batches of tiny problems, torch's schedulers, and runs."""

import json
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName, UnstableRates
from fluctua.recipe.schedules import (
    SHAPES,
    ArrayLR,
    CosineAnnealingLR,
    InverseTimeLR,
    LinearLR,
    Schedule,
    StepLR,
    read_schedule,
)
from fluctua.theory.stability import warn_unstable
from helpers.enumeration import Enumeration, away_from, error, followed, tiny
from helpers.thinning import thinned

STEPS = 6
FACTORS = (1.0, 0.9, 0.9, 0.2, 1.3, 0.05)
OPTIMISERS = {
    "plain": {},
    "weight decay": {"weight_decay": 0.1},
    "heavy ball": {"momentum": 0.8},
    "dampened": {"momentum": 0.8, "dampening": 0.4, "weight_decay": 0.1},
    "Nesterov": {"momentum": 0.8, "nesterov": True},
}
AVERAGES = {"none": None, "EMA": fl.EMA(0.7), "running": fl.RunningAverage(), "tail": fl.RunningAverage(2)}
SCHEDULES = [StepLR(7, 0.3), CosineAnnealingLR(20, 0.01), CosineAnnealingLR(6), LinearLR(1, 0, 25), LinearLR(0.2, 1, 9)]


@thinned(
    2,
    ("optimiser", list(OPTIMISERS)),
    ("looked_at", list(AVERAGES)),
    ("sampling", ["with_replacement", "without_replacement"]),
)
def test_every_batch_listed(optimiser, looked_at, sampling):
    options, average = OPTIMISERS[optimiser], AVERAGES[looked_at]
    inputs, targets = tiny("general")
    truth = Enumeration(inputs, targets, 0.2, 2, sampling, **options)
    problem = fl.LeastSquares(inputs, targets)
    sgd = fl.SGD(0.2, 2, sampling=sampling, schedule=FACTORS, **options)
    prediction = fl.predict(problem, sgd, average=average, check_stability=False)
    shares = np.ones(STEPS) if average is None else np.append(average.weights(np.arange(STEPS)), [])
    shape = truth.optimum.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableRates)
        for step, moment in enumerate(followed(truth, FACTORS, shares), 1):
            if step <= getattr(average, "start", 0):
                continue  # refused: nothing is averaged yet
            now = prediction.after(step, start=away_from(truth), rtol=1e-15, curve=True)
            size = truth.optimum.size
            blocks = moment[:size, :size].reshape(*shape, *shape)
            assert error(now.covariance, np.einsum("kikj->ij", blocks)) < 1
            assert error(now.mean, moment[:size, -1].reshape(shape)) < 1
            state = np.zeros((truth.maps.shape[1],) * 2)
            state[:size, :size], state[:size, -1] = moment[:size, :size], moment[:size, -1]
            assert error(now.excess_loss, truth.excess_loss(state)) < 1
            assert error(now.curve[-1], truth.excess_loss(state)) < 1


def test_output_blocks_follow_the_schedule():
    inputs, targets = tiny("general")
    truth = Enumeration(inputs, targets, 0.2, 2)
    problem = fl.LeastSquares(inputs, targets)
    begun = fl.predict(problem, fl.SGD(0.2, 2, schedule=FACTORS)).after(STEPS, rtol=1e-15)
    moment = np.zeros((7, 7))
    moment[-1, -1] = 1
    for factor in FACTORS:
        maps = replace(truth, lr=0.2 * factor).maps
        moment = np.einsum("nia,ab,njb->ij", maps, moment, maps, optimize=True) / len(maps)
    blocks = truth.blocks(moment)
    for k, other in ((0, 0), (0, 1)):
        expected = problem.modes.T @ (blocks[k, other] + blocks[other, k]) / 2 @ problem.modes
        assert error(begun.output_block(k, other), expected) < 1
    with pytest.raises(InvalidInput, match="output_block"):
        _ = begun.output_covariance


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.words)
@pytest.mark.torch
def test_rates_are_torchs(schedule):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    options = {name: value for name, value in schedule.to_dict().items() if name != "name"}
    scheduler = getattr(torch.optim.lr_scheduler, type(schedule).__name__)(optimizer, **options)
    theirs = []
    for _ in range(40):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(schedule.rates(0.3, np.arange(40)), theirs, rtol=1e-9, atol=1e-15)


def test_the_inverse_of_time():
    np.testing.assert_allclose(InverseTimeLR(4).rates(0.8, [0, 4, 12]), [0.8, 0.4, 0.2], rtol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_schedule_survives_its_description(shape):
    sgd = fl.SGD(0.1, 4, schedule=SHAPES[shape](50))
    assert fl.SGD(**sgd.to_dict()) == sgd
    assert (sgd.rates(np.arange(50)) <= 0.1).all()
    assert len(sgd.rates(np.arange(50))) == 50


def test_the_running_average_is_the_mean_of_the_weights():
    shares, mean = fl.RunningAverage(3).weights(np.arange(10)), 0.0
    values = np.random.default_rng(1).normal(size=10)
    for share, value in zip(shares, values, strict=True):
        mean += share * (value - mean)
    assert mean == pytest.approx(values[3:].mean(), rel=1e-14)


@pytest.mark.any_seed
@pytest.mark.torch
def test_the_simulator_keeps_torchs_equal_average(digits_problem):
    torch = pytest.importorskip("torch")
    from fluctua.simulation.batches import Draws, generators, seed_sequence
    from fluctua.simulation.steppers import slots, stepper

    sgd, average = fl.SGD(0.05, 4, schedule=StepLR(3)), fl.RunningAverage(4)
    shape = digits_problem.minimum().weights.shape
    state = np.zeros((slots(sgd, average), 1, *shape))
    model = torch.nn.Linear(shape[1], shape[0], bias=False).double()
    kept = torch.optim.swa_utils.AveragedModel(model)
    draws = Draws(generators(seed_sequence(2), 1), digits_problem.samples, sgd)
    advance = stepper(digits_problem, sgd, "sgd", np.dtype(float), average)
    for step in range(12):
        advance(state, draws, 1, step)
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(state[0, 0]))
        if step >= average.start:
            kept.update_parameters(model)
    np.testing.assert_allclose(state[-1, 0], kept.module.weight.detach().numpy(), rtol=1e-12, atol=1e-16)


def test_before_the_first_step_there_is_nothing_to_average(digits_problem):
    begun = fl.predict(digits_problem, fl.SGD(0.05, 8), average=fl.RunningAverage(3)).after(0, start="zero")
    assert begun.excess_loss == pytest.approx(fl.learning_curve(digits_problem, fl.SGD(0.05, 8), 0)[0], rel=1e-14)


def test_averaging_late_beats_averaging_all_and_both_beat_the_last_weights(digits_problem):
    sgd = fl.SGD(0.05, 8)
    losses = [
        fl.predict(digits_problem, sgd, average=average).after(4000, start="zero", rtol=1e-3).excess_loss
        for average in (None, fl.RunningAverage(), fl.RunningAverage(2000))
    ]
    assert all(better < worse for worse, better in pairwise(losses))
    assert fl.predict(digits_problem, sgd, average=fl.RunningAverage()).excess_loss == 0


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize(
    ("options", "average"),
    [
        ({"schedule": CosineAnnealingLR(600)}, None),
        ({"schedule": StepLR(200), "momentum": 0.9, "lr": 0.005}, None),
        ({"schedule": LinearLR(1, 0.1, 600), "sampling": "without_replacement"}, fl.EMA(0.9)),
        ({}, fl.RunningAverage(200)),
    ],
    ids=["cosine", "drops, momentum", "linear, EMA", "tail average"],
)
def test_real_runs_are_as_predicted(digits_problem, options, average):
    sgd = fl.SGD(**{"lr": 0.05, "batch_size": 8, **options})
    verdict = fl.verify(digits_problem, sgd, steps=600, replicas=256, rng=23, average=average, level=1e-4)
    assert verdict.consistent
    assert verdict.sharp
    assert not verdict.row("exact x 1.05").consistent
    stationary = [row for row in verdict.rows if row.name == "exact, stationary"]
    assert len(stationary) == (sgd.schedule is None)  # under a schedule nothing is
    assert not any(row.consistent for row in stationary)
    assert verdict.balance is None


def test_a_rate_above_the_limit_is_told_with_its_step(digits_problem):
    limit = fl.max_stable_lr(digits_problem, fl.SGD(0.1, 8))
    factors = np.full(50, 0.5 * limit)
    factors[[13, 20]] = 1.1 * limit
    with pytest.warns(UnstableRates, match="from step 13 to step 20, at 2 steps") as caught:
        found = fl.learning_curve(digits_problem, fl.SGD(1.0, 8, schedule=factors), 50)
    assert np.isfinite(found).all()
    warning = caught[0].message
    assert (warning.step, warning.count, warning.max_stable_lr) == (13, 2, limit)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_no_warning_below_the_limit(digits_problem, momentum):
    sgd = fl.SGD(1.0, 8, momentum=momentum)
    limit = fl.max_stable_lr(digits_problem, sgd)
    warn_unstable(digits_problem, replace(sgd, schedule=[0.999 * limit] * 5), 5)
    with pytest.warns(UnstableRates):
        warn_unstable(digits_problem, replace(sgd, schedule=[0.999 * limit] * 4 + [1.001 * limit]), 5)
    warn_unstable(digits_problem, replace(sgd, schedule=[0.999 * limit] * 4 + [1.001 * limit]), 4)


@pytest.mark.parametrize("call", ["after", "learning_curve", "simulate", "verify"])
@pytest.mark.parametrize("what", ["schedule", "average"])
def test_what_does_not_reach_the_end_of_the_run_is_refused(digits_problem, call, what):
    sgd = fl.SGD(0.05, 8, schedule=np.ones(9)) if what == "schedule" else fl.SGD(0.05, 8)
    average = None if what == "schedule" else fl.RunningAverage(10)
    calls = {
        "after": lambda: fl.predict(digits_problem, sgd, average=average).after(10),
        "learning_curve": lambda: fl.learning_curve(digits_problem, sgd, 10, average=average),
        "simulate": lambda: fl.simulate(digits_problem, sgd, steps=10, replicas=2, average=average),
        "verify": lambda: fl.verify(digits_problem, sgd, steps=10, replicas=2, average=average),
    }
    with pytest.raises(InvalidInput, match="9 rates and the run 10" if what == "schedule" else "after 10 steps"):
        calls[call]()


@pytest.mark.parametrize(
    "make",
    [
        lambda: StepLR(0),
        lambda: StepLR(5, -0.1),
        lambda: CosineAnnealingLR(10, -0.1),
        lambda: LinearLR(-1),
        lambda: InverseTimeLR(0),
        lambda: ArrayLR([0.1, -0.1]),
        lambda: ArrayLR([0.1, np.nan]),
        lambda: ArrayLR([]),
        lambda: fl.SGD(0.1, 4, schedule=[[1.0, 2.0]]),
        lambda: fl.RunningAverage(-1),
    ],
)
def test_bad_values_are_refused(make):
    with pytest.raises(InvalidInput):
        make()


def test_numbers_of_numpy_are_kept_as_pythons_and_whole_ones_printed_whole():
    schedule = CosineAnnealingLR(np.int64(1234567), np.float32(0.5))
    assert schedule.words == "CosineAnnealingLR(T_max=1234567, eta_min=0.5)"
    assert json.loads(json.dumps(schedule.to_dict()))["T_max"] == 1234567


def test_an_unknown_schedule_is_named():
    with pytest.raises(UnknownName, match="CosineAnnealingLR"):
        read_schedule({"name": "CosineAnealingLR"})
    with pytest.raises(NotImplementedError):
        Schedule().rates(0.1, 3)


def test_continuous_time_has_no_schedule(digits_problem):
    scheduled = fl.SGD(0.05, 8, schedule=CosineAnnealingLR(10))
    with pytest.raises(InvalidInput, match="continuous time"):
        fl.predict(digits_problem, scheduled, theory="langevin").after(5)
    with pytest.raises(InvalidInput, match="no steps to schedule"):
        fl.simulate(digits_problem, scheduled, steps=5, replicas=2, dynamics="langevin")
    with pytest.raises(InvalidInput, match="constant learning rate"):
        fl.gradient_noise(digits_problem, scheduled)
