"""First passages and plans where a run ends early, at once, or at zero loss."""

from itertools import pairwise

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, NotConverged
from fluctua.planning.rates import minimised
from helpers.enumeration import Enumeration


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    return fl.LeastSquares(x, x @ [1.0, -2.0] + 0.2 * rng.normal(size=6))


def share(problem, part):
    """The loss that is this part of the way from the start at zero to the optimum."""
    floor, begin = problem.minimum().loss, 0.5 * float(np.mean(problem.targets**2))
    return begin - part * (begin - floor)


def test_costs_come_in_the_order_asked_for_duplicates_included(small):
    sizes = [1, 4, 16, 4, 1]
    costs = fl.batch_costs(small, sizes, share(small, 0.9), longest=300)
    assert [cost.batch_size for cost in costs] == sizes
    assert costs[1] == costs[3]
    assert costs[0] == costs[4]
    alone = {size: fl.batch_costs(small, [size], share(small, 0.9), longest=300)[0] for size in (1, 4, 16)}
    for cost in costs:
        assert cost.steps == pytest.approx(alone[cost.batch_size].steps, rel=0.05)  # the rate is sought elsewhere


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_the_steps_are_those_of_all_batches_listed(small, part):
    """The curve of that rate by enumeration; between two steps the loss is a straight line."""
    target = share(small, part)
    (cost,) = fl.batch_costs(small, [2], target, longest=400)
    truth = Enumeration(small.inputs, small.targets, cost.lr, 2)
    floor = small.minimum().loss
    losses = [floor + truth.excess_loss(moment) for moment in truth.moments(np.zeros((1, 2)), int(cost.steps) + 1)]
    assert all(loss > target for loss in losses[:-1])
    expected = len(losses) - 1 - (target - losses[-1]) / (losses[-2] - losses[-1])
    assert cost.steps == pytest.approx(max(1.0, expected), rel=1e-2)  # its curve is good to 3 %


def test_a_passage_in_the_first_step_takes_one(small):
    (cost,) = fl.batch_costs(small, [64], share(small, 0.01), longest=100)
    assert cost.steps == 1.0
    assert cost.samples == 64


@pytest.mark.parametrize("targets", ["interpolated", "zero"])
def test_a_run_that_converges_to_zero_loss_is_followed_to_its_target_only(targets, monkeypatch):
    """At the default of 100,000 steps: the march ends with the passage, some steps after the start."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    y = x @ [1.0, -2.0] if targets == "interpolated" else np.zeros(6)
    problem, passes = fl.LeastSquares(x, y), []
    scatter = fl.LeastSquares.scatter
    monkeypatch.setattr(
        fl.LeastSquares, "scatter", lambda self, *args, **given: passes.append(1) or scatter(self, *args, **given)
    )
    start = "zero" if targets == "interpolated" else [[1.0, 2.0]]
    begin = 0.5 * float(np.mean(np.square(y if targets == "interpolated" else x @ [1.0, 2.0])))
    costs = fl.batch_costs(problem, [1, 2], 0.1 * begin, start=start)
    assert all(1 < cost.steps < 60 for cost in costs)
    assert costs[1].steps < costs[0].steps
    assert len(passes) < 20_000


@pytest.mark.parametrize("start", ["zero", "weights"])
def test_a_plan_from_the_optimum_is_refused(small, start):
    problem = fl.LeastSquares(small.inputs, np.zeros(6)) if start == "zero" else small
    begin = "zero" if start == "zero" else small.minimum().weights
    with pytest.raises(InvalidInput, match=r"the start is the optimum.*no learning rate is better than 0"):
        fl.plan(problem, 20, batch_size=2, start=begin)


def test_a_plan_for_zero_targets_from_elsewhere_is_a_plan(small):
    problem = fl.LeastSquares(small.inputs, np.zeros(6))
    found = fl.plan(problem, 20, batch_size=2, momenta=[0.0], schedules=["constant"], start=[[1.0, -1.0]])
    grid = [
        fl.learning_curve(problem, fl.SGD(lr, 2), 20, start=[[1.0, -1.0]])[-1]
        for lr in found.limits[0.0] * np.linspace(0.05, 0.97, 40)
    ]
    assert found.best.loss < 1.5 * min(grid)


def test_losses_that_underflow_make_no_warning():
    """One sample's size of everything: lr = 1/h ends at zero in one step."""
    problem = fl.LeastSquares([[1.0], [-1.0], [1.0]], [1.0, -1.0, 1.0])
    found = fl.plan(problem, 30, batch_size=1, momenta=[0.0], schedules=["constant"])
    assert found.best.loss < 1e-12
    assert all(a.loss <= b.loss for a, b in pairwise(found.candidates))


def test_a_minimiser_that_gives_up_says_so(monkeypatch):
    assert minimised(lambda x: (x - 1) ** 2, 0.0, 3.0, 1e-6)[0] == pytest.approx(1, abs=1e-5)
    import scipy.optimize

    real = scipy.optimize.minimize_scalar
    monkeypatch.setattr(
        scipy.optimize,
        "minimize_scalar",
        lambda *args, options, **given: real(*args, options=options | {"maxiter": 3}, **given),
    )
    with pytest.raises(NotConverged, match="the best learning rate was not found"):
        minimised(lambda x: (x - 1) ** 2, 0.0, 3.0, 1e-6)
