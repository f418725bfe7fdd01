"""Schedules, F14, against torch's own schedulers, step by step to 1e-14 of the largest rate."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, TooLarge
from fluctua.recipe.schedules import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PerEpoch,
    PolynomialLR,
    SequentialLR,
    StepLR,
    from_torch,
)

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
theirs = torch.optim.lr_scheduler
LR, STEPS = 0.3, 60
ALONE = [
    *(StepLR(7, gamma) for gamma in (0.3, 1.0, 0.0)),
    *(ExponentialLR(gamma) for gamma in (0.0, 0.9, 1.0, 1.01)),
    MultiStepLR([5, 20, 30]),
    MultiStepLR([20, 5, 5], 0.5),
    MultiStepLR([0, 7, 59, 60, 1000], 0.5),
    MultiStepLR([], 0.5),
    MultiStepLR([3], 0.0),
    MultiStepLR([3, 9], 1.0),
    *(PolynomialLR(total, power) for total in (1, 20, 60, 100) for power in (0.0, 0.5, 1.0, 2.7)),
    *(ConstantLR(factor, total) for factor in (0.25, 1 / 3, 1.0) for total in (1, 5, 100)),
    *(LinearLR(begin, end, total) for begin, end in ((0.1, 1.0), (1.0, 0.0), (1 / 3, 0.5)) for total in (1, 9, 100)),
    *(CosineAnnealingLR(last, least) for last in (60, 100) for least in (0.0, 0.01, 0.5)),
    *(
        CosineAnnealingWarmRestarts(first, more, least)
        for first in (1, 2, 7, 100)
        for more in (1, 2, 3)
        for least in (0.0, 0.01, 0.5)
    ),
]
WAYS = [
    OneCycleLR(max_lr=0.7, total_steps=length, pct_start=start, anneal_strategy=shape, three_phase=phases, **options)
    for length in (60, 61, 200)
    for start in (0.0, 0.01, 0.3, 0.45, 0.5, 0.7, 1.0)
    for shape in ("cos", "linear")
    for phases in (False, True)
    for options in ({"cycle_momentum": False}, {"cycle_momentum": False, "div_factor": 3.0, "final_div_factor": 0.5})
]
SEQUENCES = [
    SequentialLR([LinearLR(0.1, 1.0, 10), CosineAnnealingLR(50)], [10]),
    SequentialLR([LinearLR(0.1, 1.0, 4), CosineAnnealingLR(50, 0.01)], [10]),
    SequentialLR([ConstantLR(0.5, 3), StepLR(2, 0.5)], [0]),
    SequentialLR([ConstantLR(0.5, 3), StepLR(2, 0.9)], [100]),
    SequentialLR([ConstantLR(0.5, 3), StepLR(2, 0.9), ExponentialLR(0.9)], [4, 4]),
    SequentialLR([LinearLR(0.1, 1.0, 4), CosineAnnealingWarmRestarts(3, 2, 0.01), PolynomialLR(20, 2.0)], [5, 31]),
    SequentialLR([CosineAnnealingWarmRestarts(3, 2, 0.01), MultiStepLR([0, 3], 0.5), LinearLR()], [9, 33]),
    SequentialLR([ExponentialLR(0.8)], []),
]
PRODUCTS = [
    ChainedScheduler([LinearLR(0.1, 1.0, 10), ExponentialLR(0.95)]),
    ChainedScheduler([ConstantLR(0.5, 7), CosineAnnealingLR(60), MultiStepLR([0, 30], 0.5)]),
    ChainedScheduler([PolynomialLR(80, 2.0), StepLR(9, 0.5)]),
]


def followed(build, steps=STEPS, lr=LR, every=1):
    """The rate before each step of torch's loop, which steps the scheduler after every so many batches."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler, rates = build(optimizer), []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < steps:  # beyond the end of a cycle torch raises, or divides by zero
            scheduler.step()
    return np.array(rates)


def built(schedule, optimizer):
    """torch's scheduler by the name and the arguments of ours."""
    options = {name: getattr(schedule, name) for name in schedule.to_dict() if name != "name"}
    kind = getattr(theirs, type(schedule).__name__)
    if "schedulers" not in options:
        return kind(optimizer, **options)
    parts = [built(part, optimizer) for part in options.pop("schedulers")]
    options = {name: list(value) for name, value in options.items()}
    return kind(optimizer, parts, **options) if options else kind(parts)


def agree(found, expected):
    assert np.abs(found - expected).max() <= 1e-14 * expected.max()


@pytest.mark.parametrize("schedule", [*ALONE, *SEQUENCES, *PRODUCTS], ids=lambda schedule: schedule.words)
def test_the_rates_are_torchs(schedule):
    expected = followed(lambda optimizer: built(schedule, optimizer))
    agree(schedule.rates(LR, np.arange(STEPS)), expected)
    agree(np.array([float(schedule.rates(LR, step)) for step in (59, 0, 31)]), expected[[59, 0, 31]])


@pytest.mark.parametrize("last", [1, 2, 7, 30])
@pytest.mark.parametrize("least", [0.0, 0.01])
def test_a_cosine_past_its_end_is_torchs_closed_form(last, least):
    """torch steps from rate to rate, and its rounding grows where the cosine comes up again: that is 1e-13."""
    schedule, closed = CosineAnnealingLR(last, least), []

    def watched(optimizer):
        scheduler = built(schedule, optimizer)
        for step in range(STEPS):
            scheduler.last_epoch = step
            closed.append(scheduler._get_closed_form_lr()[0])
        scheduler.last_epoch = 0
        return scheduler

    found = schedule.rates(LR, np.arange(STEPS))
    assert np.abs(found - followed(watched)).max() <= 1e-13 * LR
    agree(found, np.array(closed))


@pytest.mark.parametrize("shape", ["cos", "linear"])
@pytest.mark.parametrize("phases", [False, True])
def test_one_cycle_is_torchs_whatever_the_optimiser_was_given(shape, phases):
    """And without a `max_lr` it is the cycle whose peak is lr."""
    for schedule in WAYS:
        if (schedule.anneal_strategy, schedule.three_phase) != (shape, phases):
            continue
        for lr in (0.3, 5.0):
            found = fl.SGD(lr, 4, schedule=schedule).rates(np.arange(STEPS))
            agree(found, followed(lambda optimizer, cycle=schedule: built(cycle, optimizer), lr=lr))
        options = {name: value for name, value in schedule.to_dict().items() if name not in {"name", "max_lr"}}
        agree(OneCycleLR(**options).rates(0.7, np.arange(STEPS)), found)


def test_one_cycle_counts_epochs_as_torch_does():
    options = {"epochs": 6, "steps_per_epoch": 10, "cycle_momentum": False}
    found = OneCycleLR(0.7, **options).rates(LR, np.arange(STEPS))
    agree(found, followed(lambda optimizer: theirs.OneCycleLR(optimizer, 0.7, **options)))


@pytest.mark.parametrize("schedule", [ExponentialLR(0.9), CosineAnnealingLR(5, 0.01), MultiStepLR([1, 3])], ids=str)
def test_stepped_once_an_epoch(schedule):
    expected = followed(lambda optimizer: built(schedule, optimizer), every=11)
    agree(PerEpoch(schedule, 11).rates(LR, np.arange(STEPS)), expected)
    factors = from_torch(lambda optimizer: built(schedule, optimizer), 6, lr=LR)
    agree(PerEpoch(factors, 11).rates(LR, np.arange(STEPS)), expected)


BUILDS = {
    "lambda": (lambda optimizer: theirs.LambdaLR(optimizer, lambda t: 1 / (1 + 0.1 * t)), None),
    "multiplicative": (lambda optimizer: theirs.MultiplicativeLR(optimizer, lambda t: 0.9 if t % 2 else 1.05), None),
    "cyclic": (lambda optimizer: theirs.CyclicLR(optimizer, 0.1, 0.4, 7, cycle_momentum=False), LR),
    "one cycle": (lambda optimizer: theirs.OneCycleLR(optimizer, 0.5, 60, cycle_momentum=False), LR),
    "a floor": (lambda optimizer: theirs.CosineAnnealingLR(optimizer, 20, 0.01), LR),
    "a cosine past its end": (
        lambda optimizer: theirs.ChainedScheduler(
            [theirs.LinearLR(optimizer), theirs.CosineAnnealingLR(optimizer, 20), theirs.ExponentialLR(optimizer, 0.9)]
        ),
        None,
    ),
    "nested sequences": (
        lambda optimizer: theirs.SequentialLR(
            optimizer,
            [
                theirs.SequentialLR(optimizer, [theirs.LinearLR(optimizer), theirs.ExponentialLR(optimizer, 0.9)], [6]),
                theirs.ConstantLR(optimizer, 0.1, 100),
            ],
            [30],
        ),
        None,
    ),
    "a warm-up to one cycle": (
        lambda optimizer: theirs.SequentialLR(
            optimizer, [theirs.LinearLR(optimizer), theirs.OneCycleLR(optimizer, 0.5, 60, cycle_momentum=False)], [9]
        ),
        LR,
    ),
    "a momentum that is set once": (
        lambda optimizer: theirs.OneCycleLR(optimizer, 0.5, 60, base_momentum=0.9, max_momentum=0.9),
        LR,
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", BUILDS)
def test_any_scheduler_is_recorded(name):
    build, lr = BUILDS[name]
    expected = followed(build)
    sgd = fl.SGD(LR, 8, momentum=0.9, schedule=from_torch(build, STEPS, lr=lr))
    agree(sgd.rates(np.arange(STEPS)), expected)
    agree(fl.SGD(LR, 8, schedule=from_torch(build, STEPS, lr=LR)).rates(np.arange(STEPS)), expected)
    if lr is not None:
        with pytest.raises(InvalidInput, match="no multiples of the optimizer's lr"):
            from_torch(build, STEPS)


def with_groups(optimizer):
    optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)], "lr": 0.01})
    return theirs.ExponentialLR(optimizer, 0.9)


def with_one_rate(optimizer):
    optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
    return theirs.ExponentialLR(optimizer, 0.9)


def an_optimiser():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


REFUSED = {
    "no function": (lambda: 0.9, "build must be a function that builds the scheduler.*got 0.9"),
    "a scheduler": (
        lambda: theirs.ExponentialLR(an_optimiser(), 0.9),
        r"build must be a function.*from_torch\(lambda optimizer: ExponentialLR\(optimizer",
    ),
    "a function of the step": (lambda: lambda _step: 0.9, r"must return a scheduler of torch, got 0\.9"),
    "returns nothing": (lambda: lambda _optimizer: None, "must return a scheduler of torch, got None"),
    "takes nothing": (lambda: lambda: 1, r"build\(optimizer\) raised TypeError"),
    "a class that needs more": (lambda: theirs.ExponentialLR, r"build\(optimizer\) raised TypeError.*gamma"),
    "another optimiser": (
        lambda: lambda _: theirs.ExponentialLR(an_optimiser(), 0.9),
        "on the optimizer that it is given, not another",
    ),
    "follows the loss": (lambda: theirs.ReduceLROnPlateau, "ReduceLROnPlateau follows the loss of the run"),
    "moves the momentum": (
        lambda: lambda optimizer: theirs.OneCycleLR(optimizer, 0.5, 60),
        r"moves the momentum, from 0\.95 to .*cycle_momentum=False",
    ),
    "groups": (lambda: with_groups, r"parameter groups have the learning rates \[0\.01, 1\.0\]"),
    "rates for groups": (
        lambda: lambda optimizer: theirs.LambdaLR(optimizer, [lambda t: 0.9**t] * 2),
        "a learning rate for each group is not covered",
    ),
    "ends before": (
        lambda: lambda optimizer: theirs.OneCycleLR(optimizer, 0.5, 20, cycle_momentum=False),
        "the scheduler has 21 rates and raised ValueError at its step 21",
    ),
    "negative": (
        lambda: lambda optimizer: theirs.LambdaLR(optimizer, lambda t: 1 - t),
        "a learning rate cannot be negative: the schedule's factor at step 59",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_schedule_is_refused(name):
    make, words = REFUSED[name]
    with pytest.raises(InvalidInput, match=words):
        from_torch(make(), STEPS)


def test_groups_of_one_rate_are_one():
    agree(from_torch(with_one_rate, STEPS).rates(LR, np.arange(STEPS)), 0.3 * 0.9 ** np.arange(STEPS))


def test_a_scheduler_of_several_groups_is_told_so():
    optimizer = an_optimiser()
    scheduler = with_groups(optimizer)
    with pytest.raises(InvalidInput, match="several groups, which are not covered"):
        fl.SGD(0.1, 4, schedule=scheduler)


@pytest.mark.parametrize("steps", [0, -3, 2.5, "all"])
def test_the_length_of_the_run_is_a_whole_number(steps):
    with pytest.raises(InvalidInput, match="steps must be"):
        from_torch(theirs.LinearLR, steps)


def test_more_steps_than_memory_holds_are_refused():
    with pytest.raises(TooLarge, match="steps = 1099511627776, each with its rate, would take about"):
        from_torch(theirs.LinearLR, 2**40)


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_what_is_refused_inside_a_sequence_is_what_torch_itself_does_otherwise():
    """The reasons of the refusals: torch's nested sequence is a step early, its cycle takes the warm-up's rate."""
    nested = followed(BUILDS["nested sequences"][0])
    flat = SequentialLR([LinearLR(), ExponentialLR(0.9), ConstantLR(0.1, 100)], [6, 30]).rates(LR, np.arange(STEPS))
    assert nested[6] == pytest.approx(flat[7])
    assert abs(nested[6] - flat[6]) > 0.01
    warmed = followed(BUILDS["a warm-up to one cycle"][0])
    assert warmed[0] == pytest.approx(0.5 / 25 / 3)
