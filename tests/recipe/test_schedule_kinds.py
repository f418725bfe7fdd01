"""Every kind of schedule, F14: descriptions, words, ends, steps far away, peaks, and that none of them needs torch."""

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnstableRates
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
)
from helpers.enumeration import Enumeration, away_from, error, followed, tiny

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
STEPS = 6
MOVED = {  # within so few steps
    "ConstantLR": ConstantLR(0.5, 3),
    "PerEpoch": PerEpoch(StepLR(1, 0.5), 3),
    "SequentialLR": SequentialLR([LinearLR(0.1, 1.0, 3), PerEpoch([1.0, 0.5], 2)], [3]),
    "StepLR": StepLR(2, 0.5),
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
    assert len(found) == 7
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


@pytest.mark.parametrize("name", KINDS)
def test_the_law_follows_every_kind_as_every_batch_listed_does(name):
    inputs, targets = tiny("general")
    truth = Enumeration(inputs, targets, 0.2, 2, momentum=0.8)
    schedule = MOVED.get(name, KINDS[name])
    factors = schedule.rates(0.2, np.arange(STEPS)) / 0.2
    assert len(set(factors)) > 1
    *_, moment = followed(truth, factors, np.ones(STEPS))
    sgd = fl.SGD(0.2, 2, momentum=0.8, schedule=schedule)
    now = fl.predict(fl.LeastSquares(inputs, targets), sgd, check_stability=False).after(
        STEPS, start=away_from(truth), rtol=1e-15
    )
    size = truth.optimum.size
    blocks = moment[:size, :size].reshape(*truth.optimum.shape, *truth.optimum.shape)
    assert error(now.covariance, np.einsum("kikj->ij", blocks)) < 1
    assert error(now.mean, moment[:size, -1].reshape(truth.optimum.shape)) < 1


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
