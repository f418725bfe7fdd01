"""Every kind of schedule: descriptions, words, ends, steps far away, refusals, and that none of them needs torch."""

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName, UnstableRates
from fluctua.planning.usual_rate import default_rate
from fluctua.recipe.schedules import (
    PLANNED,
    SHAPES,
    ArrayLR,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    InverseTimeLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PerEpoch,
    PolynomialLR,
    Schedule,
    SequentialLR,
    StepLR,
    from_torch,
    read_schedule,
)
from fluctua.recipe.schedules.reading import EXAMPLES

CYCLE = {"total_steps": 40, "cycle_momentum": False}
KINDS = {
    type(one).__name__: one
    for one in (
        ArrayLR(np.linspace(1, 0.5, 40)),
        ChainedScheduler([LinearLR(0.1, 1.0, 7), ExponentialLR(0.9)]),
        ConstantLR(0.5, 7),
        CosineAnnealingLR(40),
        CosineAnnealingWarmRestarts(5, 2, 0.01),
        ExponentialLR(0.9),
        InverseTimeLR(4),
        LinearLR(1.0, 0.0, 40),
        MultiStepLR([3, 30], 0.5),
        OneCycleLR(**CYCLE),
        PerEpoch(CosineAnnealingLR(4), 10),
        PolynomialLR(40, 2.0),
        SequentialLR([LinearLR(0.1, 1.0, 7), PerEpoch([1.0, 0.5, 0.1, 0.1], 10)], [7]),
        StepLR(9, 0.5),
    )
}
ENDLESS = [name for name in KINDS if name not in {"ArrayLR", "OneCycleLR", "SequentialLR"}]


def test_every_kind_is_here_and_in_the_schemas():
    assert set(KINDS) == {kind.__name__ for kind in Schedule.__subclasses__()}
    assert {kind.__name__ for kind in Schedule.__subclasses__()} <= set(fl.schedules.__all__)
    found = []

    def look(node):
        if isinstance(node, dict):
            found.extend([node["enum"]] if "ArrayLR" in node.get("enum", ()) else [])
            node = node.values()
        for one in node if not isinstance(node, str | int | float | None) else ():
            look(one)

    for path in (Path(fl.__file__).parent / "schemas").glob("*.json"):
        look(json.loads(path.read_text()))
    assert len(found) == 5
    assert all(sorted(KINDS) == names for names in found)


@pytest.mark.parametrize("name", KINDS)
def test_a_schedule_survives_json(name):
    sgd = fl.SGD(0.1, 4, schedule=KINDS[name])
    written = json.loads(json.dumps(sgd.to_dict()))
    assert fl.SGD(**written) == sgd
    assert hash(sgd) == hash(fl.SGD(**written))
    np.testing.assert_array_equal(fl.SGD(**written).rates(np.arange(40)), sgd.rates(np.arange(40)))


@pytest.mark.parametrize("name", KINDS)
def test_rates_have_the_shape_of_the_steps(name):
    rates = KINDS[name].rates(0.1, np.arange(40))
    assert (rates >= 0).all()
    np.testing.assert_array_equal(KINDS[name].rates(0.1, [[39, 0], [7, 7]]), rates[[[39, 0], [7, 7]]])
    assert KINDS[name].rates(0.1, 5).shape == ()
    assert KINDS[name].rates(0.1, np.zeros(0, dtype=int)).shape == (0,)
    assert KINDS[name].rates(0.1, np.uint8([3, 250 % 40])).tolist() == [rates[3], rates[10]]
    for steps in (-1, [0, -1], 1.5, "x"):
        with pytest.raises(InvalidInput, match="steps"):
            KINDS[name].rates(0.1, steps)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_step_far_away_costs_what_a_near_one_does(name):
    schedule = KINDS[name]
    if name == "PerEpoch":
        schedule = PerEpoch(CosineAnnealingWarmRestarts(4, 3), 10)
    tracemalloc.start()
    try:
        rate = schedule.rates(0.1, [2**50, 2**53])
        assert tracemalloc.get_traced_memory()[1] < 1e5
    finally:
        tracemalloc.stop()
    assert ((rate >= 0) & (rate <= 0.1)).all()


def test_words():
    words = {name: schedule.words for name, schedule in KINDS.items()}
    assert words["MultiStepLR"] == "MultiStepLR(milestones=[3, 30], gamma=0.5)"
    assert words["OneCycleLR"] == "OneCycleLR(total_steps=40, pct_start=0.3, anneal_strategy=cos, cycle_momentum=False)"
    assert words["PerEpoch"] == "CosineAnnealingLR(T_max=4, eta_min=0), stepped once in 10 steps"
    parts = "[LinearLR(start_factor=0.1, end_factor=1, total_iters=7), ExponentialLR(gamma=0.9)]"
    assert words["ChainedScheduler"] == f"ChainedScheduler(schedulers={parts})"


@pytest.mark.parametrize(
    ("schedule", "last", "words"),
    [
        (OneCycleLR(**CYCLE), 40, "OneCycleLR has 40 rates and the run 41 steps.*total_steps=41"),
        (PerEpoch([1.0, 0.5], 10), 20, "10 steps to an epoch.*has 2 rates and the run 3 steps"),
        (PerEpoch(OneCycleLR(**CYCLE), 3), 120, "OneCycleLR has 40 rates and the run 41 steps"),
        (SequentialLR([LinearLR(), [1.0, 0.5, 0.2]], [5]), 8, "from step 5 on, .*has 3 rates and the run 4 steps"),
        (SequentialLR([[1.0, 0.5], LinearLR()], [3]), 2, "from step 0 on, .*has 2 rates and the run 3 steps"),
        (ChainedScheduler([LinearLR(), CosineAnnealingLR(9)]), 10, "10 rates and the run 11 steps.*T_max=11"),
    ],
)
def test_a_schedule_that_ends_before_the_run_is_refused(small_problem, schedule, last, words):
    sgd = fl.SGD(0.02, 4, schedule=schedule)
    assert len(fl.learning_curve(small_problem, sgd, last)) == last + 1
    for call in (
        lambda: fl.learning_curve(small_problem, sgd, last + 1),
        lambda: fl.simulate(small_problem, sgd, steps=last + 1, replicas=2),
        lambda: sgd.rates([0, last]),
    ):
        with pytest.raises(InvalidInput, match=words):
            call()


def test_a_sequence_needs_no_more_of_a_part_than_its_turn():
    schedule = SequentialLR([[1.0, 0.5], LinearLR()], [2])
    schedule.refuse_beyond(1000)
    assert schedule.rates(1.0, [0, 1]).tolist() == [1.0, 0.5]


def test_restarts_are_at_the_sums_of_a_geometric_series():
    steps = [0, 3, 4, 11, 12, 27, 28, 59, 60]
    rates = CosineAnnealingWarmRestarts(4, 2).rates(1.0, steps)
    np.testing.assert_array_equal(rates[::2], 1.0)
    assert (rates[1::2] < 0.15).all()


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
        (lambda: SequentialLR([StepLR(3), KINDS["SequentialLR"]], [5]), "a SequentialLR inside SequentialLR"),
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
        ("MultiStepLR", "MultiStepLR(milestones=[steps // 2, 3 * steps // 4])"),
    ],
)
def test_a_name_is_answered_with_what_to_write(name, example):
    with pytest.raises(InvalidInput) as refused:
        fl.SGD(0.1, 4, schedule=name)
    assert f"schedule=fluctua.schedules.{example}, for a run of that many steps" in str(refused.value)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_to_write_can_be_written(name):
    schedule = eval(f"fl.schedules.{EXAMPLES[name]}", {"fl": fl, "steps": 90})
    assert fl.SGD(0.1, 4, schedule=schedule).rates(np.arange(90)).shape == (90,)
    if name in SHAPES and name != "step":
        assert schedule == SHAPES[name](90)


def test_names_that_are_like_none_are_answered_with_all():
    with pytest.raises(InvalidInput, match=r"the shapes are .*fluctua\.schedules\.SequentialLR"):
        fl.SGD(0.1, 4, schedule="xyz")
    with pytest.raises(InvalidInput, match="train without ReduceLROnPlateau, which follows the loss"):
        fl.SGD(0.1, 4, schedule="ReduceLROnPlateau")


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "constant"])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_lr_is_the_peak_of_every_usual_schedule(shape, steps):
    sgd = fl.SGD(0.1, 4, schedule=SHAPES[shape](steps))
    rates = sgd.rates(np.arange(steps))
    assert rates.max() <= 0.1 * (1 + 1e-15)
    if steps == 1000:
        assert rates.max() == pytest.approx(0.1, rel=1e-5)
        assert rates[-1] < 0.011


def test_the_warm_up_is_a_twentieth_of_the_run():
    rates = fl.SGD(0.1, 4, schedule=SHAPES["warmup-cosine"](100)).rates(np.arange(100))
    np.testing.assert_allclose(rates[[0, 5]], [0.01, 0.1], rtol=1e-15)
    assert (np.diff(rates[:6]) > 0).all()
    assert (np.diff(rates[5:]) < 0).all()


def test_plan_tries_the_others_where_they_are_asked_for(small_problem):
    assert PLANNED == ("constant", "linear", "cosine", "step", "inverse")
    usual = fl.plan(small_problem, 20, batch_size=4, momenta=[0.0])
    assert {one.shape for one in usual.candidates} == set(PLANNED)
    assert usual.table.startswith("schedule  momentum ")
    others = sorted(set(SHAPES) - set(PLANNED))
    found = fl.plan(small_problem, 20, batch_size=4, momenta=[0.0], schedules=others)
    assert sorted(one.shape for one in found.candidates) == others
    assert len({len(line) for line in found.table.splitlines()}) == 1


@pytest.mark.parametrize(
    ("schedule", "slower"),
    [
        (OneCycleLR(**CYCLE), 1),
        (LinearLR(0.1, 3.0, 20), 3),
        (SequentialLR([LinearLR(), MultiStepLR([3], 4.0)], [30]), 4),
        (ChainedScheduler([ConstantLR(5.0, 3), LinearLR(2.0, 1.0, 40)]), 10),
        (PerEpoch(ExponentialLR(2.0), 10), 8),
        (CosineAnnealingWarmRestarts(7, 2, 1e-6), 1),
    ],
    ids=lambda given: getattr(given, "words", str(given)),
)
def test_the_default_rate_is_that_of_the_peak(small_problem, schedule, slower):
    flat = default_rate(small_problem, fl.SGD(1.0, 4))
    found = default_rate(small_problem, fl.SGD(1.0, 4, schedule=schedule), 40)
    assert found.slower == pytest.approx(slower, rel=1e-3)
    assert found.lr == pytest.approx(flat.lr / slower, rel=0.5)


@pytest.mark.parametrize(
    "schedule",
    [OneCycleLR(max_lr=1e-5, **CYCLE), OneCycleLR(max_lr=10.0, **CYCLE), CosineAnnealingLR(40, 10.0)],
    ids=str,
)
def test_no_default_rate_where_lr_is_not_what_decides(small_problem, schedule):
    with pytest.raises(InvalidInput, match=r"whatever lr is.*give the learning rate"):
        default_rate(small_problem, fl.SGD(1.0, 4, schedule=schedule), 40)


def test_a_peak_above_the_limit_is_told_with_its_step(small_problem):
    limit = fl.max_stable_lr(small_problem, fl.SGD(0.1, 4))
    cycle = OneCycleLR(max_lr=1.01 * limit, total_steps=40, pct_start=0.5, cycle_momentum=False)
    with pytest.warns(UnstableRates) as caught:
        fl.learning_curve(small_problem, fl.SGD(1e-3 * limit, 4, schedule=cycle), 40)
    assert abs(caught[0].message.step - 19) <= 3
    fl.learning_curve(small_problem, fl.SGD(10 * limit, 4, schedule=replace(cycle, max_lr=0.9 * limit)), 40)


def test_the_core_imports_no_torch():
    """Neither at the start nor with a recipe of every kind of schedule; from_torch says what to install."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import fluctua as fl, numpy as np\n"
        "sgd = fl.SGD(0.1, 4, schedule=fl.schedules.OneCycleLR(total_steps=9, cycle_momentum=False))\n"
        "fl.learning_curve(fl.LeastSquares(np.eye(4), np.arange(4.0)), sgd, 9)\n"
        "try: fl.schedules.from_torch(lambda optimizer: None, 3)\n"
        "except fl.errors.InvalidInput as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch is not installed: pip install 'fluctua[torch]'" in done.stdout
    code = "import sys, fluctua as fl, fluctua.cli; fl.schedules.from_torch; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert callable(from_torch)
