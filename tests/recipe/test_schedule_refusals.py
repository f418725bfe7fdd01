"""What no schedule can be made of: values out of range, sequences that torch does not do alike twice, names."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName
from fluctua.recipe.schedules import (
    SHAPES,
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
    read_schedule,
)
from fluctua.recipe.schedules.reading import EXAMPLES

CYCLE = {"total_steps": 40, "cycle_momentum": False}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ExponentialLR(-0.1), "gamma must be at least 0"),
        (lambda: ExponentialLR(np.nan), "gamma must be a finite number"),
        (lambda: MultiStepLR([-1]), "milestones must be at least 0"),
        (lambda: MultiStepLR([2.5]), "milestones must be a whole number"),
        (lambda: MultiStepLR(None), "milestones"),
        (lambda: MultiStepLR([3], -1), "gamma must be at least 0"),
        (lambda: PolynomialLR(0), "total_iters must be at least 1"),
        (lambda: PolynomialLR(5, -0.5), "power must be at least 0"),
        (lambda: ConstantLR(-1), "factor must be at least 0"),
        (lambda: ConstantLR(0.5, 0), "total_iters must be at least 1"),
        (lambda: CosineAnnealingWarmRestarts(0), "T_0 must be at least 1"),
        (lambda: CosineAnnealingWarmRestarts(5, 0), "T_mult must be at least 1"),
        (lambda: CosineAnnealingWarmRestarts(5, 1.5), "T_mult must be a whole number"),
        (lambda: CosineAnnealingWarmRestarts(5, 1, -1), "eta_min must be at least 0"),
        (lambda: OneCycleLR(0.1, 10), "a momentum that moves is not covered. Give cycle_momentum=False"),
        (lambda: OneCycleLR([0.1, 0.2], **CYCLE), "a learning rate for each parameter group is not covered"),
        (lambda: OneCycleLR(0.1, cycle_momentum=False), "needs total_steps, or epochs and steps_per_epoch"),
        (lambda: OneCycleLR(0.1, epochs=3, cycle_momentum=False), "needs total_steps, or epochs and steps_per_epoch"),
        (lambda: OneCycleLR(0.0, **CYCLE), "max_lr must be greater than 0"),
        (lambda: OneCycleLR(0.1, pct_start=1.5, **CYCLE), "pct_start must be at most 1"),
        (lambda: OneCycleLR(0.1, pct_start=0.025, **CYCLE), "pct_start times the steps is 1, got 0.025 times 40"),
        (lambda: OneCycleLR(0.1, div_factor=0, **CYCLE), "div_factor must be greater than"),
        (lambda: OneCycleLR(0.1, three_phase=1, **CYCLE), "three_phase must be True or False"),
        (lambda: SequentialLR([], []), "schedulers is empty"),
        (lambda: SequentialLR([StepLR(3), StepLR(4)], []), "milestones must be 1 steps in rising order"),
        (lambda: SequentialLR([StepLR(3)] * 3, [5, 4]), r"milestones must be 2 steps.*got \[5, 4\]"),
        (
            lambda: SequentialLR([StepLR(3), SequentialLR([LinearLR(), StepLR(3)], [7])], [5]),
            "a SequentialLR inside SequentialLR",
        ),
        (lambda: SequentialLR([StepLR(3), OneCycleLR(**CYCLE)], [5]), "a OneCycleLR inside SequentialLR.*from_torch"),
        (lambda: SequentialLR([StepLR(3), "cosine"], [5]), r"CosineAnnealingLR\(T_max=steps\)"),
        (lambda: ChainedScheduler([StepLR(3), CosineAnnealingLR(5, 0.1)]), "eta_min=0.1. is not one.*from_torch"),
        (lambda: ChainedScheduler([CosineAnnealingWarmRestarts(5)]), "is not one: torch's overwrites the others"),
        (lambda: ChainedScheduler(StepLR(3)), "schedulers must be a sequence of schedules"),
        (lambda: PerEpoch(StepLR(3), 0), "batches must be at least 1"),
        (lambda: PerEpoch("cosine", 4), r"CosineAnnealingLR\(T_max=steps\)"),
        (lambda: ExponentialLR(1.5).rates(0.1, 10**4), "smaller factors, or fewer steps"),
        (lambda: StepLR(1, 1e10).rates(0.1, 100), "smaller factors, or fewer steps"),
        (lambda: MultiStepLR([1] * 400, 10.0).rates(0.1, 1), "smaller factors, or fewer steps"),
        (lambda: ChainedScheduler([ConstantLR(1e149)] * 3).rates(0.1, 1), "smaller factors, or fewer steps"),
        (lambda: OneCycleLR(div_factor=1e-149, final_div_factor=1e-149, **CYCLE).rates(1e3, 9), "smaller factors"),
        (lambda: read_schedule({"name": "SequentialLR", "schedulers": [{"name": "Step"}], "milestones": []}), "'Step'"),
    ],
)
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()


def test_an_unknown_strategy_is_named():
    with pytest.raises(UnknownName, match="cos"):
        OneCycleLR(0.1, anneal_strategy="cosine", **CYCLE)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("cosine", "CosineAnnealingLR(T_max=steps)"),
        ("CosineAnnealingLR", "CosineAnnealingLR(T_max=steps)"),
        ("cosine_annealing", "CosineAnnealingLR(T_max=steps)"),
        ("CosineAnnealingWarmRestarts", "CosineAnnealingWarmRestarts(T_0=steps)"),
        ("linear", "LinearLR(1.0, 0.0, total_iters=steps)"),
        ("OneCycleLR", "OneCycleLR(total_steps=steps, cycle_momentum=False)"),
        ("one_cycle", "OneCycleLR(total_steps=steps, cycle_momentum=False)"),
        ("exponential", "ExponentialLR(gamma=0.01 ** (1 / steps))"),
        ("exponentail", "ExponentialLR(gamma=0.01 ** (1 / steps))"),
        ("StepLR", "StepLR(step_size=steps)"),
        ("ConstantLR", "ConstantLR(factor=1 / 3, total_iters=20)"),
        ("SequentialLR", "SequentialLR([LinearLR(0.1, 1.0, 20), CosineAnnealingLR(steps - 20)], milestones=[20])"),
        ("MultiStepLR", "MultiStepLR(milestones=[steps // 2, 3 * steps // 4])"),
    ],
)
def test_a_name_is_answered_with_what_to_write(name, example):
    with pytest.raises(InvalidInput) as refused:
        fl.SGD(0.1, 4, schedule=name)
    assert f"schedule=fluctua.schedules.{example}, for a run of that many steps" in str(refused.value)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_to_write_can_be_written(name):
    schedule = eval(f"fl.schedules.{EXAMPLES[name]}", {"fl": fl, "steps": 90, **vars(fl.schedules)})
    assert fl.SGD(0.1, 4, schedule=schedule).rates(np.arange(90)).shape == (90,)
    if name in SHAPES and name not in {"step", "constant", "warmup-cosine"}:
        assert schedule == SHAPES[name](90)


def test_names_that_are_like_none_are_answered_with_all():
    with pytest.raises(InvalidInput, match=r"the shapes are .*fluctua\.schedules\.SequentialLR"):
        fl.SGD(0.1, 4, schedule="xyz")
    for name in ("ReduceLROnPlateau", "reduce_lr_on_plateau"):
        with pytest.raises(InvalidInput, match="train without ReduceLROnPlateau, which follows the loss"):
            fl.SGD(0.1, 4, schedule=name)
    with pytest.raises(InvalidInput, match=r"from_torch\(lambda optimizer: CyclicLR\(optimizer"):
        fl.SGD(0.1, 4, schedule="CyclicLR")
    with pytest.raises(InvalidInput, match="leave schedule out"):
        fl.SGD(0.1, 4, schedule="constant")


@pytest.mark.parametrize("lr", [[0.1, 0.2], (0.1,), {"head": 0.1}])
def test_a_learning_rate_for_each_group_is_not_covered(lr):
    with pytest.raises(InvalidInput, match="a learning rate for each parameter group is not covered"):
        fl.SGD(lr, 4)
    with pytest.raises(InvalidInput, match="a learning rate for each parameter group is not covered"):
        fl.QHM(lr, 4, 0.5, 0.5)
