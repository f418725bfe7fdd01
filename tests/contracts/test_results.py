"""What a user holds: a line in a terminal, a table in a notebook, a frame, a file, equal by value."""

from __future__ import annotations

import copy
import csv
import dataclasses
import inspect
import io
import math
import pickle

import numpy as np
import pytest

import fluctua as fl
from fluctua._results import Brief, ByValue, Tabular, same

KINETIC = (fl.SGHMC, fl.BAOA, fl.BAOAB, fl.ABOBA, fl.OBABO)
HOSTILE = "<script>alert('1')</script>\n" + "a long name " * 30


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """One of every public class, by its name."""
    data = fl.load("digits", classes=[3, 8], limit=100)
    problem, sgd = fl.LeastSquares(data.inputs[:, 18:24], data.targets), fl.SGD(lr=0.02, batch_size=8)
    head, decayed = fl.Softmax(data.inputs[:, 18:24], data.labels), dataclasses.replace(sgd, weight_decay=0.1)
    shuffled = dataclasses.replace(sgd, sampling="shuffle")
    prediction = fl.predict(problem, sgd)
    plan = fl.plan(problem, 20, batch_size=8, momenta=[0.0], schedules=["constant", "cosine"])
    run = {"steps": 60, "replicas": 32, "rng": 1}
    objects = [
        data,
        problem,
        problem.minimum(),
        sgd,
        fl.QHM(lr=0.02, batch_size=8, momentum=0.9, nu=0.7),
        fl.SGLD(lr=0.02, batch_size=8, temperature=0.01),
        fl.ULA(lr=0.02, temperature=0.01),
        *(kind(lr=0.02, friction=1.0, batch_size=None, temperature=0.01) for kind in KINETIC),
        fl.lr_for_inflation(problem, fl.ULA(lr=0.02, temperature=0.01, weight_decay=0.1)),
        fl.WeightedSampling(np.arange(1.0, 101.0)),
        fl.EMA(0.99),
        fl.RunningAverage(10),
        fl.schedules.ArrayLR(np.linspace(1, 0.1, 300)),
        fl.schedules.SequentialLR([fl.schedules.LinearLR(total_iters=10), fl.schedules.CosineAnnealingLR(50)], [10]),
        prediction,
        prediction.entropy_production_in(5),
        fl.semi_analytic(problem, shuffled, orders=32, rng=1),
        fl.max_stable_lr(problem, sgd),
        fl.held_out_loss(prediction, problem.inputs, problem.targets),
        fl.loss_spread(prediction),
        plan,
        plan.best,
        fl.batch_costs(problem, [1, 16], target=0.24),
        fl.rehearse(problem, plan, replicas=16, rng=1),
        fl.simulate(problem, sgd, **run),
        fl.simulate(problem, sgd, **run, checkpoint=tmp_path_factory.mktemp("groups") / "groups", shard="2/3"),
        fl.simulate(head, decayed, **run, control="quadratic"),
        fl.verify(problem, sgd, **run).about(data.about),
        fl.verify_dynamic(problem, sgd, modes=3, **run),
        fl.gradient_noise(problem, sgd, **run),
        fl.Preparation(bias=True, standardize=True).fit(data),
        fl.expected_accuracy(prediction),
        fl.learned_share(problem, sgd, data.inputs[:, 10], [3, 9], replicas=32, rng=1),
        (conditioning := fl.conditioning(problem, sgd)),
        conditioning.standardised,
        (sweep := fl.sweep(problem, sgd, lr=[0.01, 0.02, 9.0], batch_size=[4, 8], target=0.3, measure=True, **run)),
        sweep.cells[1],
        head,
        (leading := fl.LeadingModes(data.inputs[:, 18:24], data.targets, 4)),
        fl.predict(leading, sgd),
        fl.predict(leading, sgd).after(3, start="zero"),
        fl.Logistic(data.inputs[:, 18:24], data.labels),
        fl.predict(head, decayed),
    ]
    found = {type(one).__name__: one for one in objects}
    found["BatchCost"] = found["BatchCosts"][0]
    return found


SCHEDULES = [name for name in fl.schedules.__all__ if inspect.isclass(getattr(fl.schedules, name))]
CLASSES = {
    name for name in fl.__all__ if inspect.isclass(kind := getattr(fl, name)) and not issubclass(kind, BaseException)
}
NAMES = sorted(CLASSES | {"Minimum", "ArrayLR", "SequentialLR"})
ROWS = sorted(name for name in CLASSES if issubclass(getattr(fl, name), Tabular))


def table_names(result):
    return list(result._tables())


@pytest.mark.any_seed
def test_one_of_every_public_class_is_tested(held):
    assert set(held) == set(NAMES)


def test_every_schedule_is_shown_in_the_same_way():
    assert len(SCHEDULES) > 12
    assert all(issubclass(getattr(fl.schedules, name), Brief) for name in SCHEDULES)


@pytest.mark.any_seed
@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_short_line_that_begins_with_its_class(held, name):
    text = repr(held[name])
    assert text.startswith(f"{name}(")
    assert text.endswith(")")
    assert len(text) <= 120
    assert "\n" not in text
    assert "array(" not in text


@pytest.mark.any_seed
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_a_small_table(held, name):
    page = held[name]._repr_html_()
    assert page.startswith("<table>")
    assert name in page
    assert page.count("<tr>") <= 25
    assert len(page) < 10_000


@pytest.mark.any_seed
@pytest.mark.parametrize("name", NAMES)
def test_it_equals_itself_and_its_copies_and_nothing_else(held, name):
    one = held[name]
    for again in (one, copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == one
        assert hash(again) == hash(one)
    for other in (None, "text", object(), [], {}):
        assert one != other
    assert one not in [None, "text"]


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ROWS)
def test_a_number_more_makes_it_another(held, name):
    one = held[name]
    if name == "BatchCosts":
        assert one != type(one)(one[:1])
        return
    assert all(dataclasses.replace(one, **{field: value}) != one for field, value in changed(one))


def changed(one):
    """Fields with their last number changed: what is equal by value notices each."""
    for field in dataclasses.fields(one):
        value = getattr(one, field.name)
        if field.compare and isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            other = value.copy()
            other.flat[-1] += 1.0
            yield field.name, other
        elif field.compare and isinstance(value, float):
            yield field.name, value + 1


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ROWS)
def test_csv_holds_every_table_to_all_digits(held, name, tmp_path):
    result = held[name]
    for table in table_names(result):
        columns = result.columns(table)
        head, *rows = csv.reader(io.StringIO(result.to_csv(table=table)))
        assert head == list(columns)
        for place, values in enumerate(columns.values()):
            assert [same_cell(row[place], value) for row, value in zip(rows, values, strict=True)].count(False) == 0
        assert result.to_csv(tmp_path / "table.csv", table) is None
        assert (tmp_path / "table.csv").read_text(encoding="utf-8") == result.to_csv(table=table)
    assert result.to_csv() == result.to_csv(table=table_names(result)[0])


def same_cell(text, value):
    if isinstance(value, float | np.floating):
        return float(text) == value or (math.isnan(value) and math.isnan(float(text)))
    return text == str(value)


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ROWS)
def test_a_frame_has_the_columns(held, name):
    pytest.importorskip("pandas")
    result = held[name]
    for table in table_names(result):
        frame = result.to_dataframe(table)
        assert list(frame.columns) == list(result.columns(table))
        assert all(same(list(frame[column]), list(values)) for column, values in result.columns(table).items())


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ROWS)
def test_labelled_arrays_have_the_rows_as_their_coordinate(held, name):
    pytest.importorskip("xarray")
    result = held[name]
    for table in [None, *table_names(result)]:
        row, *others = columns = result.columns(table)
        arrays = result.to_xarray(table)
        assert list(arrays.coords) == [row]
        assert all(arrays[column].dims == (row,) for column in others)
        assert arrays.sizes[row] == len(next(iter(columns.values())))
    assert result._grids().keys() <= set(result.to_xarray().data_vars)
    assert all(isinstance(value, str | int | float) for value in arrays.attrs.values())  # what a file of theirs holds


@pytest.mark.any_seed
def test_matrices_come_along_as_labelled_arrays(held):
    pytest.importorskip("xarray")
    for name in ("Prediction", "Measurement"):
        arrays = held[name].to_xarray()
        np.testing.assert_array_equal(arrays.mode_covariance, held[name].mode_covariance)
        np.testing.assert_allclose(np.diag(arrays.mode_covariance), arrays.variance, rtol=1e-12)
    assert arrays.replica_losses.dims == ("replica", "step")


@pytest.mark.any_seed
@pytest.mark.parametrize("call", ["columns", "to_dataframe", "to_xarray"])
def test_a_table_that_there_is_not_is_refused_by_name(held, call):
    with pytest.raises(fl.errors.UnknownName, match="Did you mean 'ladder'"):
        getattr(held["Verdict"], call)("laddder")


@pytest.mark.any_seed
def test_what_cannot_be_written_is_refused(held, tmp_path):
    with pytest.raises(fl.errors.OutputError, match="no/such"):
        held["Plan"].to_csv(tmp_path / "no/such/place.csv")
    with pytest.raises(fl.errors.InvalidInput, match="path"):
        held["Plan"].to_csv(3)
    assert not list(tmp_path.iterdir())


@pytest.mark.any_seed
def test_hostile_names_are_text_and_do_not_lengthen_the_line(held):
    data = dataclasses.replace(held["Dataset"], name=HOSTILE, class_names=(HOSTILE, HOSTILE))
    for one in (data, held["Verdict"].about({"name": HOSTILE}), held["DynamicVerdict"].about({"name": HOSTILE})):
        assert "<script" not in one._repr_html_()
        assert "&lt;script&gt;" in one._repr_html_()
        assert len(repr(one)) <= 120
        assert "\n" not in repr(one)


def test_a_recipe_is_shown_as_the_call_that_makes_it():
    sgd = fl.SGD(lr=0.05, batch_size=8, momentum=0.9, schedule=fl.schedules.CosineAnnealingLR(T_max=300))
    assert repr(sgd) == "SGD(lr=0.05, batch_size=8, momentum=0.9, schedule=CosineAnnealingLR(T_max=300))"
    assert eval(repr(sgd), {**vars(fl), **vars(fl.schedules)}) == sgd


def test_a_limit_is_printed_as_the_number_that_it_is():
    problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    limit = fl.max_stable_lr(problem, fl.SGD(lr=0.01, batch_size=1))
    assert (str(limit), f"{limit:.4f}") == (str(float(limit)), "0.1538")
    assert limit == float(limit)


@pytest.mark.any_seed
def test_costs_of_batches_are_the_tuple_they_were(held):
    costs = held["BatchCosts"]
    assert isinstance(costs, tuple)
    assert costs == tuple(costs)
    assert [cost.batch_size for cost in costs] == [1, 16]


def test_values_are_compared_to_the_last_element():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Held(ByValue):
        values: object
        left_out: object = dataclasses.field(default=None, compare=False)

    nan = {"a": [np.array([1.0, np.nan]), float("nan")], "b": (None, "x")}
    assert Held(nan) == Held(copy.deepcopy(nan))
    assert Held(1.0, left_out=print) == Held(1.0, left_out=repr)
    for one, other in [
        (np.array([1.0]), np.array([2.0])),
        (np.array([1.0]), np.array([1])),
        (np.array([1.0]), np.array([[1.0]])),
        ({"a": 1}, {"b": 1}),
        ([1], [1, 2]),
        ([1], (1,)),
        (None, np.array([1.0])),
    ]:
        assert Held(one) != Held(other)
