"""Plans: the best of what is listed, by brute force; what searches leave out; and real runs."""

import re
from dataclasses import replace
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName
from fluctua.planning.rates import rounded
from fluctua.planning.recipes import Plan
from fluctua.planning.reduced import Thinned, final
from fluctua.recipe.schedules import SHAPES
from helpers.thinning import thinned

STEPS = 200


@pytest.fixture(scope="module")
def found(digits_problem):
    return fl.plan(digits_problem, STEPS, batch_size=8, momenta=[0.0, 0.8], schedules=["constant", "cosine"])


def end(problem, sgd, steps=STEPS, rtol=1e-4):
    curve = fl.learning_curve(problem, sgd, steps, rtol=rtol)
    return problem.minimum(sgd.weight_decay).loss + curve[-1]


def test_the_losses_are_those_of_the_exact_learning_curve(digits_problem, found):
    for one in found.candidates:
        assert one.exact
        assert one.loss == pytest.approx(end(digits_problem, one.sgd), rel=3e-4)


def test_the_best_comes_first_and_every_schedule_and_momentum_is_there(found):
    assert all(a.loss <= b.loss for a, b in pairwise(found.candidates))
    assert {(one.shape, one.sgd.momentum) for one in found.candidates} == {
        (shape, momentum) for shape in ("constant", "cosine") for momentum in (0.0, 0.8)
    }
    assert found.best is found.candidates[0]


@thinned(2, ("shape", ["constant", "cosine"]), ("momentum", [0.0, 0.8]))
def test_no_other_learning_rate_does_better(digits_problem, found, shape, momentum):
    """Brute force over 25 rates: within 15 % of the best rate the loss differs by less than 1 % of the excess."""
    (one,) = (each for each in found.candidates if (each.shape, each.sgd.momentum) == (shape, momentum))
    grid = np.geomspace(0.02, 0.97, 25) * found.limits[momentum]
    best = min(end(digits_problem, replace(one.sgd, lr=float(lr)), rtol=3e-2) for lr in grid)
    assert one.loss - found.optimum_loss < 1.01 * (best - found.optimum_loss)


WHOLE = [{"batch_size": 256}, {"batch_size": 60, "sampling": "without_replacement"}]  # or nearly


@thinned(3, ("options", WHOLE), ("shape", ["constant", "linear", "cosine"]))
def test_with_momentum_and_little_noise_the_global_minimum_is_found(small_problem, shape, options):
    """There the end of the curve oscillates with the learning rate, and has several minima."""
    (one,) = fl.plan(small_problem, 20, momenta=[0.9], schedules=[shape], **options).candidates
    limit = fl.max_stable_lr(small_problem, one.sgd)
    floor = small_problem.minimum().loss
    best = min(end(small_problem, replace(one.sgd, lr=float(lr)), 20) for lr in np.geomspace(0.01, 0.97, 60) * limit)
    assert one.loss - floor < 1.02 * (best - floor)


def test_rates_are_rounded_down_at_the_limit():
    assert rounded(0.1051, 0.2) == 0.11
    assert rounded(0.1051, 0.1052) == 0.1
    assert rounded(9.97, 9.98) < 9.98


def test_too_few_replicas_are_refused(digits_problem, found):
    with pytest.raises(InvalidInput, match="at least 16"):
        fl.rehearse(digits_problem, found, replicas=8)


def test_the_best_for_held_out_data_minimises_their_loss(digits):
    problem = fl.LeastSquares(digits.inputs[:300], digits.targets[:300])
    other = digits.inputs[900:], digits.targets[900:]
    for_them = fl.plan(problem, 1000, momenta=[0.0], schedules=["constant", "linear"], held_out=other)
    for_training = fl.plan(problem, 1000, momenta=[0.0], schedules=["constant", "linear"])
    assert for_them.objective == "held-out"

    def held_out(sgd):
        return fl.held_out_loss(
            fl.predict(problem, sgd, check_stability=False).after(1000, start="zero"), *other
        ).expected

    assert for_them.best.loss == pytest.approx(held_out(for_them.best.sgd), rel=1e-3)
    assert for_them.best.loss <= held_out(for_training.best.sgd) * 1.001


def test_a_thinned_problem_estimates_the_whole(digits_problem):
    from fluctua.problem.start import Start

    begin = Start.at(digits_problem.minimum(), "zero")
    thin = Thinned(digits_problem, 0.0, 900, 0.99)
    assert thin.kept < digits_problem.rank
    for sgd in (fl.SGD(0.05, 8), fl.SGD(0.1, 32, schedule=SHAPES["cosine"](STEPS)), fl.SGD(0.01, 8, momentum=0.9)):
        estimate, exact = (
            make(*given, sgd, STEPS, begin, 1e-3) for make, given in ((thin.final, ()), (final, (digits_problem,)))
        )
        whole = exact.optimum_loss + exact.excess_loss
        assert estimate.optimum_loss + estimate.excess_loss == pytest.approx(whole, rel=0.01)
        np.testing.assert_allclose(estimate.mean, exact.mean, rtol=1e-9, atol=1e-12)


def test_thinned_by_nothing_it_is_the_whole(digits_problem):
    from fluctua.problem.start import Start

    sgd, begin = fl.SGD(0.05, 8), Start.at(digits_problem.minimum(), "zero")
    thin = Thinned(digits_problem, 0.0, digits_problem.samples, 1.0)
    times = np.array([1, 10, STEPS])
    curve = digits_problem.minimum().loss + fl.learning_curve(digits_problem, sgd, STEPS, rtol=1e-6)[times]
    found = np.concatenate(list(thin.curve(sgd, STEPS, begin, 1e-6)))
    np.testing.assert_allclose(found[times], curve, rtol=1e-9)


def test_large_data_are_searched_thinned_and_settled_whole(monkeypatch, digits_problem, found):
    monkeypatch.setattr(import_module("fluctua.planning.search"), "SAMPLES", 900)
    monkeypatch.setattr(import_module("fluctua.planning.search"), "_LARGE", 0)
    thin = fl.plan(digits_problem, STEPS, batch_size=8, momenta=[0.0, 0.8], schedules=["constant", "cosine"])
    assert [one.exact for one in thin.candidates] == [True, True, False, False]
    assert "about" in thin.table
    assert thin.best.loss == pytest.approx(found.best.loss, rel=2e-3)


@pytest.mark.statistical(alpha=5e-4)
def test_real_runs_end_where_the_plan_says_and_in_its_order(digits_problem, found):
    rehearsal = fl.rehearse(digits_problem, found, replicas=64, rng=29)
    assert rehearsal.agrees
    assert rehearsal.ordered
    assert rehearsal.runs[0].sgd == found.best.sgd
    wrong = replace(rehearsal, runs=tuple(replace(run, predicted=1.02 * run.predicted) for run in rehearsal.runs))
    assert not wrong.agrees  # the mutant: losses 2 % too high
    runs = rehearsal.runs
    swapped = replace(rehearsal, runs=(replace(runs[0], predicted=1.0), *runs[1:]))
    assert not swapped.ordered


def in_epochs(problem, steps):
    return fl.plan(problem, steps, batch_size=4, momenta=[0.0], schedules=["constant"], sampling="shuffle")


@pytest.fixture(scope="module")
def shuffled(digits_problem):
    return in_epochs(digits_problem, 1000)


def is_planned_by_the_law_of_epochs(problem, found, steps):
    """The constant rate, whose loss is the law's; rates on both sides of it end higher."""
    (one,) = found.candidates
    assert (one.shape, one.sgd.sampling, one.exact) == ("constant", "shuffle", True)
    for factor, tolerance in ((1.0, 1e-9), (0.7, None), (1.4, None)):
        loss = end(problem, replace(one.sgd, lr=factor * one.sgd.lr), steps)
        assert loss == pytest.approx(one.loss, rel=tolerance) if tolerance else loss > one.loss


def test_in_shuffled_epochs_the_constant_rate_is_planned_by_their_own_law():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(24, 3)) * np.linspace(2, 0.5, 3)
    problem = fl.LeastSquares(inputs, rng.normal(size=(24, 1)) + inputs @ rng.normal(size=(3, 1)))
    is_planned_by_the_law_of_epochs(problem, in_epochs(problem, 30), 30)


@pytest.mark.slow
def test_in_shuffled_epochs_of_digits_too(digits_problem, shuffled):
    is_planned_by_the_law_of_epochs(digits_problem, shuffled, 1000)


@pytest.mark.slow
@pytest.mark.statistical(alpha=5e-4)
def test_real_shuffled_runs_end_where_the_plan_says(digits_problem, shuffled):
    """256 of them; independent batches, the mutant, would end 0.6 % higher."""
    rehearsal = fl.rehearse(digits_problem, shuffled, replicas=256, rng=29)
    assert rehearsal.agrees
    assert rehearsal.ordered
    apart = [end(digits_problem, replace(run.sgd, sampling="without_replacement"), 1000) for run in rehearsal.runs]
    runs = zip(rehearsal.runs, apart, strict=True)
    assert not replace(rehearsal, runs=tuple(replace(run, predicted=loss) for run, loss in runs)).agrees


@pytest.mark.slow
def test_shuffled_epochs_of_large_data_are_searched_thinned(monkeypatch, digits_problem, shuffled):
    monkeypatch.setattr(import_module("fluctua.planning.search"), "SAMPLES", 900)
    monkeypatch.setattr(import_module("fluctua.planning.search"), "_LARGE", 0)
    thin = in_epochs(digits_problem, 1000)
    assert thin.best.loss == pytest.approx(shuffled.best.loss, rel=2e-3)


def test_smaller_batches_take_more_steps_and_fewer_samples(digits_problem):
    costs = fl.batch_costs(digits_problem, [2, 8, 32, 128], 0.18)
    assert [one.batch_size for one in costs] == [2, 8, 32, 128]
    assert all(a.steps > b.steps and a.samples < b.samples for a, b in pairwise(costs))
    for one in costs[2:]:
        sgd = fl.SGD(one.lr, one.batch_size)
        assert end(digits_problem, sgd, round(one.steps)) == pytest.approx(0.18, rel=5e-3)
        for factor in (0.5, 1.5):
            assert end(digits_problem, replace(sgd, lr=factor * one.lr), round(one.steps)) > 0.18


def test_a_target_beyond_the_longest_run_is_not_reached(digits_problem):
    (cost,) = fl.batch_costs(digits_problem, [1], 0.156, longest=50)
    assert cost.steps == cost.samples == float("inf")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: fl.plan(p, 0), "steps must be at least 1"),
        (lambda p: fl.plan(p, 10, momenta=[]), "momenta is empty"),
        (lambda p: fl.plan(p, 10, momenta=[1.0]), "momentum must be less than 1"),
        (lambda p: fl.plan(p, 10, schedules=[]), "schedules is empty"),
        (lambda p: fl.plan(p, 10, sampling="single_shuffle"), "periodic orbit"),
        (lambda p: fl.plan(p, 10, start="optimum"), "every step makes the loss worse"),
        (lambda p: fl.plan(p, 10, batch_size=4000, sampling="without_replacement"), "larger than the 1797 samples"),
        (lambda p: fl.plan(p, 10, held_out=(np.eye(4, 3), np.ones(4))), "held-out data have 3 inputs"),
        (lambda p: fl.batch_costs(p, [8], 0.1), "not above the loss at the optimum"),
        (lambda p: fl.batch_costs(p, [8], 0.2, start="optimum"), "nothing to reach"),
        (lambda p: fl.batch_costs(p, [8], 0.6), "met before the first step"),
        (lambda p: fl.plan(p, 10, schedules="linear"), "must be a sequence"),
    ],
)
def test_bad_input_is_refused(digits_problem, call, message):
    with pytest.raises(InvalidInput, match=message):
        call(digits_problem)


def test_an_unknown_schedule_is_named(digits_problem):
    with pytest.raises(UnknownName, match="cosine"):
        fl.plan(digits_problem, 10, schedules=["cosin"])


def test_the_table_fits_a_terminal(found):
    assert isinstance(found, Plan)
    assert all(len(line) <= 80 for line in found.table.splitlines())


def test_every_candidate_writes_its_loop_and_says_how_it_ends(digits_problem, found):
    for one in found.candidates:
        code = one.torch_code()
        assert f"lr={one.sgd.lr}" in code
        assert f"predicted {one.loss:.6g} +- " in code
    assert found.to_dict()["torch_code"] == {loss: found.best.torch_code(loss) for loss in ("half", "mse")}
    end = fl.predict(digits_problem, found.best.sgd, check_stability=False).after(STEPS, start="zero", rtol=1e-2)
    assert found.best.loop.spread == pytest.approx(fl.loss_spread(end, rtol=1e-2).std, rel=0.2)


@pytest.mark.parametrize("tails", [True, False])
def test_tables_say_where_the_spread_between_runs_is_uncertain(found, tails):
    best = replace(found.best, loop=replace(found.best.loop, tails=tails))
    plan = replace(found, candidates=(best, *found.candidates[1:]))
    assert plan.to_dict()["candidates"][0]["uncertain_spread"] is tails
    assert plan.to_dict()["candidates"][0]["spread"] == found.best.loop.spread
    assert plan.columns()["uncertain_spread"][0] is tails
    assert plan.columns()["spread"][0] == best.spread
    assert (" or more between runs at the end" in import_module("fluctua.cli.plan")._expected(best)) is tails


def test_a_loop_prints_the_training_loss_whatever_the_plan_minimises(small_problem):
    half = small_problem.inputs[::2], small_problem.targets[::2]
    options = {"batch_size": 4, "momenta": [0.0], "schedules": ["linear"], "weight_decay": 0.1}
    best = fl.plan(small_problem, 30, held_out=half, **options).best
    expected = end(small_problem, best.sgd, 30)
    assert float(re.search(r"predicted ([\d.]+) ", best.torch_code())[1]) == pytest.approx(expected, rel=2e-4)
    assert best.loss != pytest.approx(expected, rel=1e-3)


def test_a_plan_from_weights_begins_its_loop_there(small_problem):
    start = np.ones((3, 12))
    code = fl.plan(small_problem, 20, batch_size=4, momenta=[0.0], schedules=["linear"], start=start).best.torch_code()
    assert "model.weight.copy_(torch.tensor(np.asarray(start)))" in code
    assert "zeros_" not in code


def test_a_thinned_plan_in_epochs_says_that_its_loss_is_about(monkeypatch):
    """And has what the estimate may be off by in its spread."""
    monkeypatch.setattr(import_module("fluctua.planning.search"), "_LARGE", 100)
    monkeypatch.setattr(import_module("fluctua.planning.settling"), "_ONE", 0.0)
    rng = np.random.default_rng(1)
    problem = fl.LeastSquares(rng.normal(size=(200, 5)), rng.normal(size=(200, 2)))
    best = fl.plan(problem, 40, batch_size=8, momenta=[0.0], schedules=["cosine"], sampling="shuffle").best
    assert not best.exact
    assert "predicted about " in best.torch_code()
    assert "between runs" not in best.torch_code()
    assert best.loop.spread > 0.1 * (best.loop.expected - problem.minimum().loss) * 0.99
