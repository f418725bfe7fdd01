"""Sweeps: every cell as the law and as enumeration have it, as real runs do it, kept when it is finished."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, OutputError, ResultError, TooLarge, UnknownName
from fluctua.planning.grid import usual_rates
from fluctua.storage.locking import only_run_in
from helpers.enumeration import Enumeration, tiny

work = import_module("fluctua.planning.sweep_work")
SGD = fl.SGD(lr=0.05, batch_size=8)


def swept(problem, sgd=SGD, **options):
    return fl.sweep(problem, sgd, **{"lr": [0.02, 0.05], "steps": 60, **options})


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_every_cell_is_what_the_list_of_all_batches_gives(momentum, weight_decay):
    inputs, targets = tiny("one loud sample")
    problem = fl.LeastSquares(inputs, targets)
    sgd = fl.SGD(1.0, 1, momentum=momentum, weight_decay=weight_decay)
    limit = float(fl.max_stable_lr(problem, dataclasses.replace(sgd, batch_size=1)))
    sweep = fl.sweep(problem, sgd, lr=[0.1 * limit, 0.4 * limit], batch_size=[1, 2], steps=9)
    assert [tuple(cell.values.values()) for cell in sweep.cells] == [
        (b, share * limit) for b in (1, 2) for share in (0.1, 0.4)
    ]
    for cell in sweep.cells:
        given = {name: getattr(cell.sgd, name) for name in ("lr", "batch_size", "momentum", "weight_decay")}
        truth = Enumeration(inputs, targets, **given)
        *_, end = truth.moments(np.zeros_like(truth.optimum), 9)
        assert cell.excess_loss == pytest.approx(truth.excess_loss(end), rel=1e-4)
        assert cell.floor == pytest.approx(truth.excess_loss(truth.stationary()), rel=1e-6)
        at_limit = dataclasses.replace(truth, lr=float(cell.limit))
        assert at_limit.growth() == pytest.approx(1.0, abs=1e-6)


def test_steps_to_a_target_are_where_the_exact_curve_passes_it(digits_problem):
    target = 0.19
    sweep = swept(digits_problem, lr=[0.01, 0.05, 0.12, 0.3], steps=None, target=target, longest=2000)
    for cell in sweep.cells[:2]:
        curve = digits_problem.minimum().loss + fl.learning_curve(digits_problem, cell.sgd, 2000, rtol=1e-5)
        first = int(np.argmax(curve <= target))
        share = (curve[first - 1] - target) / (curve[first - 1] - curve[first])
        assert cell.steps_to_target == pytest.approx(first - 1 + share, abs=0.2)
    assert [cell.steps_to_target for cell in sweep.cells[2:]] == [np.inf, np.inf]
    assert sweep.table.count("never") == 2


def test_a_target_in_shuffled_epochs_is_where_their_curve_passes_it(small_problem):
    shuffled = fl.SGD(0.02, 4, sampling="shuffle")
    target = 1.3 * small_problem.minimum().loss
    (cell,) = fl.sweep(small_problem, shuffled, lr=[0.02], target=target, longest=3000).cells
    curve = small_problem.minimum().loss + fl.learning_curve(small_problem, shuffled, 3000)
    assert cell.steps_to_target == pytest.approx(int(np.argmax(curve <= target)), abs=1)


def test_beyond_the_limit_a_cell_is_unstable_and_not_an_error(small_problem):
    sweep = swept(small_problem, lr=[0.02, 5.0])
    stable, beyond = sweep.cells
    assert (stable.stable, beyond.stable) == (True, False)
    assert (beyond.floor, beyond.excess_loss, beyond.measured) == (np.inf, np.inf, None)
    assert beyond.share > 1 > stable.share
    assert "unstable" in sweep.table
    assert sweep.best is stable


def test_a_schedule_has_an_end_and_no_floor(small_problem):
    cosine = fl.SGD(0.02, 4, schedule=fl.schedules.CosineAnnealingLR(60))
    sweep = fl.sweep(small_problem, cosine, lr=[0.02, 0.05], steps=60)
    for cell in sweep.cells:
        assert cell.floor is None
        curve = fl.learning_curve(small_problem, cell.sgd, 60)
        assert cell.excess_loss == pytest.approx(curve[-1], rel=1e-4)
    with pytest.raises(InvalidInput, match="no stationary state"):
        fl.sweep(small_problem, cosine, lr=[0.02])


@pytest.mark.parametrize(
    ("sgd", "options"),
    [
        (fl.QHM(0.02, 4, 0.9, 0.7), {"nu": [0.5, 0.9]}),
        (SGD, {"sampling": ["with_replacement", "without_replacement"]}),
        (SGD, {"weight_decay": [0.0, 0.1], "average": fl.EMA(0.9)}),
        (SGD, {"momentum": (0.0, 0.5), "start": np.ones((3, 12))}),
        (SGD, {"schedule": [None, fl.schedules.CosineAnnealingLR(60)]}),
        (fl.SGD(0.02, 4, sampling=fl.WeightedSampling(np.linspace(1, 2, 60))), {}),
    ],
)
def test_any_parameter_is_varied_and_a_sweep_is_read_as_it_was_saved(small_problem, sgd, options, tmp_path):
    sweep = swept(small_problem, sgd, **options)
    for cell in sweep.cells:
        average = options.get("average")
        found = fl.predict(small_problem, cell.sgd, average=average, check_stability=False)
        end = found.after(60, start=options.get("start", "zero"))
        assert cell.excess_loss == pytest.approx(end.excess_loss, rel=1e-4)
    sweep.save(tmp_path)
    again = fl.Sweep.load(tmp_path)
    assert again == sweep
    assert hash(again) == hash(sweep)
    assert again.cells[0].sgd == sweep.cells[0].sgd
    assert sweep != again.about({"name": "x", "sha256": "0" * 64})
    assert (sweep == 3) is False


def test_columns_have_every_cell(small_problem):
    pytest.importorskip("pandas")
    sweep = swept(small_problem, batch_size=[2, 8])
    frame = sweep.to_dataframe()
    assert frame.excess_loss.tolist() == [cell.excess_loss for cell in sweep.cells]
    names, *lines = (line.split(",") for line in sweep.to_csv().splitlines())
    assert [line[names.index("lr")] for line in lines] == ["0.02", "0.05"] * 2
    assert [float(line[names.index("floor")]) for line in lines] == [cell.floor for cell in sweep.cells]
    assert sweep._repr_html_().count("<tr>") == 5
    assert repr(sweep) == "Sweep(2 batch_size x 2 lr, predicted, 60 steps from zero)"


@pytest.mark.any_seed
def test_samples_are_a_budget_in_steps_of_each_batch_size(small_problem):
    sweep = swept(small_problem, steps=None, samples=100, batch_size=[3, 10], measure=True, replicas=4, rng=1)
    assert [cell.steps for cell in sweep.cells] == [33, 33, 10, 10]
    cell = sweep.cells[-1]
    assert cell.excess_loss == pytest.approx(fl.learning_curve(small_problem, cell.sgd, 10)[-1], rel=1e-4)


@pytest.fixture(scope="module")
def digits_sweep(digits_problem):
    rates, sizes = [0.01, 0.03, 0.06, 0.1], [2, 8, 32]
    return fl.sweep(digits_problem, SGD, lr=rates, batch_size=sizes, momentum=[0, 0.5], steps=400, measure=True, rng=7)


@pytest.mark.statistical(alpha=1e-4, miss=1e-6)
def test_real_runs_are_as_predicted_and_two_per_cent_off_is_rejected(digits_sweep):
    """The mutants of two per cent are ten standard errors off in the cells that are still on their way."""
    assert digits_sweep.agrees
    assert len(digits_sweep.scores) >= 20
    for factor in (0.98, 1.02):
        assert not scaled(digits_sweep, factor).agrees


@pytest.mark.statistical(alpha=1e-4, miss=1e-4)
def test_the_mean_score_of_noisy_cells_tells_two_per_cent(digits_sweep):
    """Cells whose loss is mostly noise: their scores' sum over the root of their number, 3.9 at level 1e-4."""

    def far(sweep):
        scores = [cell.score for cell in sweep.cells if cell.stable and cell.share <= 0.7]
        return abs(np.sum(scores)) / np.sqrt(len(scores))

    assert far(digits_sweep) < 3.9
    assert min(far(scaled(digits_sweep, factor)) for factor in (0.98, 1.02)) > 3.9


def scaled(sweep, factor):
    """The same measurement beside a theory that is wrong by a factor."""

    def wrong(cell):
        excess = cell.excess_loss * factor
        return dataclasses.replace(cell, predicted=dataclasses.replace(cell.predicted, excess_loss=excess))

    return dataclasses.replace(sweep, cells=tuple(map(wrong, sweep.cells)))


@pytest.mark.statistical(alpha=1e-6)
def test_the_default_number_of_replicas_gives_errors_of_a_few_per_cent(digits_sweep):
    """Where 256 are enough: 2 % is asked for, and the spread of so many runs is known to some ten per cent."""
    for cell in digits_sweep.cells:
        if cell.measured and cell.measured.replicas < 256:
            assert cell.measured.error < 0.05 * cell.measured.excess_loss
    assert {cell.measured.replicas for cell in digits_sweep.cells if cell.stable} >= {16, 256}


@pytest.mark.any_seed
def test_a_cell_is_the_same_in_every_sweep_that_has_it(small_problem):
    options = {"measure": True, "rng": 3, "replicas": 4}
    few = swept(small_problem, **options)
    many = swept(small_problem, lr=[0.01, 0.02, 0.05], batch_size=[4, 8], **options)
    assert few.cells[0].measured == many.cells[4].measured
    assert few.cells[1].measured == many.cells[5].measured
    assert len({cell.measured for cell in many.cells}) == 6


def counted(monkeypatch, until=None):
    """Count real runs, and press Ctrl-C in place of one of them."""
    calls, simulate = [], work.simulate

    def call(*arguments, **options):
        if len(calls) == until:
            raise KeyboardInterrupt
        calls.append(options["rng"])
        return simulate(*arguments, **options)

    monkeypatch.setattr(work, "simulate", call)
    return calls


@pytest.mark.any_seed
@pytest.mark.parametrize("rng", [3, None])
def test_an_interrupted_sweep_loses_nothing_that_was_finished(small_problem, tmp_path, monkeypatch, rng):
    options = {"measure": True, "replicas": 4, "rng": rng, "batch_size": [2, 4], "checkpoint": tmp_path / "cells"}
    with monkeypatch.context() as patch:
        counted(patch, until=2)
        with pytest.raises(KeyboardInterrupt):
            swept(small_problem, **options)
    files = sorted((tmp_path / "cells").iterdir())
    assert len(files) == 4 + 2 + 1  # predictions, finished runs, the seed
    assert all(json.loads(path.read_text()) for path in files)
    calls = counted(monkeypatch)
    monkeypatch.setattr("fluctua.planning.forecast.final", None)  # nothing is predicted again
    whole = swept(small_problem, **options)
    assert len(calls) == 2
    again = swept(small_problem, **options)
    assert len(calls) == 2
    assert again == whole
    if rng is not None:
        monkeypatch.undo()
        assert swept(small_problem, **{**options, "checkpoint": None}) == whole


@pytest.mark.any_seed
def test_cells_are_taken_only_where_everything_is_the_same(small_problem, digits_problem, tmp_path, monkeypatch):
    options = {"measure": True, "replicas": 4, "rng": 3, "checkpoint": tmp_path}
    calls = counted(monkeypatch)
    swept(small_problem, **options)
    for changed, more in (
        ({"replicas": 5}, 2),
        ({"rng": 4}, 2),
        ({"steps": 61}, 2),
        ({"lr": [0.02, 0.06]}, 1),
        ({}, 0),
        ({"start": "optimum"}, 2),
        ({"reuse": False}, 2),
    ):
        before = len(calls)
        swept(small_problem, **{**options, **changed})
        assert len(calls) - before == more, changed
    before = len(calls)
    swept(digits_problem, **options)
    assert len(calls) - before == 2


@pytest.mark.any_seed
def test_the_order_of_what_is_kept_does_not_matter_and_a_prediction_is_measured_later(small_problem, tmp_path):
    swept(small_problem, checkpoint=tmp_path)
    later = swept(small_problem, checkpoint=tmp_path, measure=True, replicas=4, rng=1)
    assert later == swept(small_problem, measure=True, replicas=4, rng=1)


def test_a_damaged_cell_is_named(small_problem, tmp_path):
    swept(small_problem, checkpoint=tmp_path)
    first, second = sorted(tmp_path.iterdir())  # predictions
    whole = first.read_text()
    contents = json.loads(whole)
    for spoiled in (
        whole[:-40],
        "[]",
        second.read_text(),
        json.dumps({**contents, "predicted": {**contents["predicted"], "floor": "x"}}),
        json.dumps({**contents, "predicted": {**contents["predicted"], "share": -1.0}}),
        json.dumps({"key": contents["key"]}),
        200_000 * "[",
    ):
        first.write_text(spoiled)
        with pytest.raises(ResultError, match=rf"{first.name} does not hold a finished cell: .*Delete it"):
            swept(small_problem, checkpoint=tmp_path)
    first.unlink()
    swept(small_problem, checkpoint=tmp_path)
    assert first.read_text() == whole


def test_a_directory_is_for_one_sweep_at_a_time(small_problem, tmp_path):
    with only_run_in(tmp_path), pytest.raises(OutputError, match="is in use"):
        swept(small_problem, checkpoint=tmp_path)


def test_progress_goes_from_nothing_to_all(small_problem):
    told = []
    swept(small_problem, progress=lambda stage, fraction: told.append((stage, fraction)))
    assert {stage for stage, _ in told} == {"theory"}
    assert sorted({fraction for _, fraction in told}) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": None}, "a sweep varies something"),
        ({"lr": []}, "lr is empty"),
        ({"lr": 0.1}, "lr must be a sequence of values, got 0.1"),
        ({"lr": [0.1, 0.1]}, "lr has a value twice"),
        ({"batch_size": [2, np.int64(2)]}, "batch_size has a value twice"),
        ({"lr": [0.0]}, "lr must be greater than 0"),
        ({"batch_size": [0]}, "batch_size must be at least 1"),
        ({"momentum": [1.0]}, "momentum must be less than 1"),
        ({"steps": None, "measure": True}, "measure=True needs steps or samples"),
        ({"samples": 100}, "two budgets of one run"),
        ({"steps": None, "samples": 3}, "samples = 3 is less than one batch of 8"),
        ({"target": 0.0}, "not above the loss at the optimum"),
        ({"target": 1e9}, "met before the first step"),
        ({"sampling": ["sequential"]}, "repeats one order"),
        ({"sampling": ["shuffle"], "batch_size": [61]}, "larger than the 60 samples"),
        ({"schedule": [[1.0, 0.5]]}, "2"),
        ({"measure": True, "replicas": 1}, "replicas must be at least 2"),
        ({"lr": np.geomspace(1e-3, 1e-2, 200), "batch_size": range(1, 60)}, "11,800 cells, and a sweep has at most"),
    ],
)
def test_bad_values_are_refused_before_any_work(small_problem, monkeypatch, options, words):
    monkeypatch.setattr("fluctua.planning.sweep_work.Work.predicted", None)
    with pytest.raises(InvalidInput, match=words):
        swept(small_problem, **options)


def test_names_that_no_recipe_has_and_runs_of_years_are_refused(small_problem, monkeypatch):
    monkeypatch.setattr("fluctua.planning.sweep_work.Work.predicted", None)
    with pytest.raises(UnknownName, match=r"unknown parameter of the recipe .moment.\. Did you mean 'momentum'"):
        swept(small_problem, moment=[0.9])
    with pytest.raises(TooLarge, match=r"cells of 256 replicas would take about|steps = .* would take about"):
        swept(small_problem, steps=2**40, measure=True)


def test_the_usual_rates_reach_a_little_beyond_the_limit(digits_problem):
    recipes = [fl.SGD(1.0, size) for size in (2, 32)]
    limits = [float(fl.max_stable_lr(digits_problem, recipe)) for recipe in recipes]
    rates = usual_rates(digits_problem, recipes)
    assert len(rates) == 12
    assert rates[-2] < min(limits) < max(limits) < rates[-1]
