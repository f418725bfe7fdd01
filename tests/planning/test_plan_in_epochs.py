"""Plans in shuffled epochs: an estimate ranks all schedules and momenta, and the law settles the best."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import NotConverged
from fluctua.planning.reduced import EpochEstimate, final
from fluctua.problem.start import Start
from fluctua.recipe.schedules import PLANNED, SHAPES

STEPS, BATCH = 20, 16


@pytest.fixture(scope="module")
def problem():
    """124 samples in 3 modes: 8 steps an epoch, the last of 12 samples."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(124, 3)) * np.linspace(2, 0.5, 3)
    return fl.LeastSquares(inputs, rng.normal(size=(124, 1)) + inputs @ rng.normal(size=(3, 1)))


@pytest.fixture(scope="module")
def found(problem):
    return fl.plan(problem, STEPS, batch_size=BATCH, sampling="shuffle")


def end(problem, sgd, steps=STEPS):
    """The expected loss by the law."""
    prediction = final(problem, sgd, steps, Start.at(problem.minimum(), "zero"), 1e-2)
    return prediction.optimum_loss + prediction.excess_loss


def test_every_usual_schedule_and_momentum_is_tried_or_named(found):
    tried = [(one.shape, one.sgd.momentum) for one in found.candidates]
    skipped = [(one.shape, one.momentum) for one in found.skipped]
    assert sorted(tried + skipped) == sorted((shape, momentum) for shape in PLANNED for momentum in (0.0, 0.9))
    assert {shape for shape, momentum in tried if not momentum} == set(PLANNED)
    assert all("name the schedule" in one.reason for one in found.skipped)
    assert all(one.sgd.sampling == "shuffle" for one in found.candidates)
    assert not found.best.at_edge
    assert ("edge" in found.words) == any(one.at_edge for one in found.candidates)


def test_named_schedules_are_tried_with_every_momentum(problem):
    shapes = ["constant", "cosine", "onecycle"]
    plan = fl.plan(problem, STEPS, batch_size=BATCH, momenta=[0.0, 0.5], schedules=shapes)
    assert {(one.shape, one.sgd.momentum) for one in plan.candidates} == {
        (shape, momentum) for shape in shapes for momentum in (0.0, 0.5)
    }
    assert plan.skipped == ()
    assert "skipped" not in plan.words


def test_the_loss_of_the_winner_is_that_of_the_law(problem, found):
    settled = [one for one in found.candidates if one.exact]
    assert found.best is settled[0]
    assert len(settled) >= 2
    for one in settled:
        prediction = fl.predict(problem, one.sgd, check_stability=False).after(STEPS, start="zero")
        assert one.loss == pytest.approx(prediction.optimum_loss + prediction.excess_loss, rel=1e-6)


@pytest.mark.parametrize(("shape", "momentum"), [("constant", 0.0), ("linear", 0.0), ("cosine", 0.9)])
def test_no_rate_beats_the_winner_by_the_law(problem, found, shape, momentum):
    """Four rates of each, up to 0.65 of the limit: none is lower by more than 1 % of the excess loss."""
    base = fl.SGD(1.0, BATCH, momentum=momentum, sampling="shuffle", schedule=SHAPES[shape](STEPS))
    rates = np.geomspace(0.15, 0.65, 4) * found.limits[momentum]
    least = min(end(problem, replace(base, lr=float(lr))) for lr in rates)
    assert found.best.loss - found.optimum_loss < 1.01 * (least - found.optimum_loss)


@pytest.mark.parametrize("shape", ["constant", "onecycle"])
def test_the_estimate_is_near_the_law_where_independent_batches_are_not(problem, shape):
    """At 0.3 of the limit it is off by less than a third of what independent batches are, and by less than 10 %."""
    sgd = fl.SGD(1.0, BATCH, sampling="shuffle", schedule=SHAPES[shape](STEPS))
    independent = replace(sgd, sampling="without_replacement")
    lr, begin = 0.3 * fl.max_stable_lr(problem, independent), Start.at(problem.minimum(), "zero")
    law = end(problem, replace(sgd, lr=lr)) - problem.minimum().loss
    estimate = EpochEstimate(problem, 0.0, 1e-3).final(replace(sgd, lr=lr), STEPS, begin, 1e-2).excess_loss
    apart = final(problem, replace(independent, lr=lr), STEPS, begin, 1e-3).excess_loss
    assert abs(estimate / law - 1) < min(0.1, abs(apart / law - 1) / 3)


def test_where_the_estimate_misleads_the_law_still_finds_the_rate(monkeypatch, problem, found):
    """An estimate that adds a loss in proportion to the rate puts the best rate too low; the plan does not move."""
    search = import_module("fluctua.planning.search").Search
    true, best = search._estimated, found.best

    class Tilted:
        def __init__(self, prediction, lr):
            self.optimum_loss, self.excess_loss = (
                prediction.optimum_loss,
                prediction.excess_loss * (1 + 2 * lr / best.sgd.lr),
            )

    monkeypatch.setattr(search, "_estimated", lambda self, sgd: Tilted(true(self, sgd), sgd.lr))
    plan = fl.plan(
        problem, STEPS, batch_size=BATCH, momenta=[best.sgd.momentum], schedules=[best.shape], sampling="shuffle"
    )
    assert plan.best.loss - plan.optimum_loss < 1.01 * (best.loss - plan.optimum_loss)


def test_a_rate_at_the_edge_of_the_search_is_said_and_the_limit_is_that_of_epochs(problem):
    """After three steps noise is not what limits the rate."""
    plan = fl.plan(problem, 3, batch_size=31, momenta=[0.0], schedules=["linear"], sampling="shuffle")
    assert [one.shape for one in plan.candidates if one.at_edge] == ["linear"]
    assert "linear with momentum 0: at the edge of the search" in plan.words.replace("\n          ", " ")
    assert [one["at_edge"] for one in plan.to_dict()["candidates"]] == [True]
    limit = fl.max_stable_lr(problem, plan.best.sgd)
    assert (plan.limits[0.0], plan.limits[0.0].method) == (limit, limit.method)
    assert plan.best.sgd.lr <= 0.9 * limit


def test_what_never_converges_is_skipped_with_the_reason(monkeypatch, problem):
    search = import_module("fluctua.planning.search").Search
    true = search._estimated

    def fails(self, sgd):
        if sgd.schedule is not None:
            raise NotConverged("the state", 1, 1.0, 0.1)
        return true(self, sgd)

    monkeypatch.setattr(search, "_estimated", fails)
    asked = {"batch_size": BATCH, "momenta": [0.0], "sampling": "shuffle"}
    plan = fl.plan(problem, STEPS, schedules=["constant", "cosine"], **asked)
    assert [one.shape for one in plan.candidates] == ["constant"]
    assert [(one.shape, one.momentum) for one in plan.skipped] == [("cosine", 0.0)]
    assert "skipped   cosine with momentum 0: no finite loss was found" in plan.words
    with pytest.raises(NotConverged, match="at any learning rate"):
        fl.plan(problem, STEPS, schedules=["cosine"], **asked)


def test_where_the_law_does_not_converge_the_next_one_is_taken(monkeypatch, problem):
    """The estimate has a loss for every schedule, and the law none for one."""
    law = import_module("fluctua.planning.search").final

    def fails(whole, sgd, *given):
        if isinstance(sgd.schedule, fl.schedules.LinearLR):
            raise NotConverged("what an epoch adds", 1, 1.0, 0.1)
        return law(whole, sgd, *given)

    monkeypatch.setattr(import_module("fluctua.planning.search"), "final", fails)
    shapes = ["linear", "cosine"]
    plan = fl.plan(problem, STEPS, batch_size=BATCH, momenta=[0.0], schedules=shapes, sampling="shuffle")
    assert plan.best.shape == "cosine"
    assert [one.shape for one in plan.skipped] == ["linear"]


def test_where_the_law_costs_more_than_minutes_the_estimate_stands(monkeypatch, problem, found):
    monkeypatch.setattr(import_module("fluctua.planning.settling"), "_ONE", 0.0)
    plan = fl.plan(problem, STEPS, batch_size=BATCH, momenta=[0.0], schedules=["linear"], sampling="shuffle")
    assert not plan.best.exact
    assert "about" in plan.table
    one = next(one for one in found.candidates if (one.shape, one.sgd.momentum) == ("linear", 0.0))
    assert plan.best.loss == pytest.approx(one.loss, rel=0.02)
