"""The door: each check accepts what it should, and refuses the rest with the value and the place."""

import numpy as np
import pytest

import fluctua as fl
from fluctua._validate.values import as_array, choice, positive_int, real_array, real_number, step_list
from fluctua.errors import FluctuaError, InvalidInput, UnknownName, UnstableSGD


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_whole_numbers_of_any_kind_become_int(value):
    assert positive_int("n", value) == 3
    assert type(positive_int("n", value)) is int


@pytest.mark.parametrize("value", [3.0, "3", None, True, np.bool_(True), [3], np.array(3)])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InvalidInput, match="n must be a whole number of at least 1, got"):
        positive_int("n", value)


def test_a_whole_number_below_the_minimum_is_refused_with_both_numbers():
    with pytest.raises(InvalidInput, match=r"n must be at least 2, got 1\."):
        positive_int("n", 1, minimum=2)
    assert positive_int("n", 0, minimum=0) == 0


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float16(0.5)])
def test_real_numbers_of_any_kind_become_float(value):
    assert real_number("x", value) == 0.5
    assert type(real_number("x", value)) is float
    assert real_number("x", 2) == 2.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, "1", None, False, 1j, [1.0]])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(InvalidInput, match="x must be a finite number, got"):
        real_number("x", value)


def test_bounds_are_strict_or_not_as_asked():
    assert real_number("x", 0, minimum=0.0) == 0.0
    with pytest.raises(InvalidInput, match=r"x must be greater than 0, got 0\."):
        real_number("x", 0, above=0.0)
    with pytest.raises(InvalidInput, match=r"x must be at least 0, got -1\."):
        real_number("x", -1, minimum=0.0)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("exakt", "exact"), ("EXACT", "exact"), ("langevine", "langevin"), ("qqq", None), (7, None)],
)
def test_an_unknown_name_comes_with_the_nearest_one(name, suggestion):
    with pytest.raises(UnknownName) as caught:
        choice("theory", name, ("exact", "langevin"))
    assert caught.value.suggestion == suggestion
    assert ("Did you mean" in str(caught.value)) == (suggestion is not None)
    assert "Known: exact, langevin." in str(caught.value)


def test_a_known_name_is_returned():
    assert choice("theory", "exact", iter(("exact", "langevin"))) == "exact"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_kept_as_they_are(dtype):
    array = np.ones((3, 2), dtype)
    assert real_array("x", array, ndim=2, shape="(a, b)") is array


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.bool_, np.float16, np.longdouble, ">f4"])
def test_every_other_real_type_becomes_float64(dtype):
    array = real_array("x", np.array([[1, 0], [1, 1]]).astype(dtype), ndim=2, shape="(a, b)")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((2, 2), complex), "x must hold real numbers, got dtype complex128"),
        ([["a", "b"]], "x must hold real numbers, got dtype <U1"),
        ([[None, 1]], "x must hold real numbers, got dtype object"),
        (None, "x must hold real numbers, got dtype object"),
        (np.ones(3), r"x must have shape \(a, b\), got \(3,\)"),
        (np.ones((1, 2, 3)), r"x must have shape \(a, b\), got \(1, 2, 3\)"),
        (5.0, r"x must have shape \(a, b\), got \(\)"),
        (np.ones((0, 3)), r"x is empty: its shape is \(0, 3\)"),
        (np.ones((3, 0)), r"x is empty: its shape is \(3, 0\)"),
        ([[1, 2], [3]], "x cannot be read as one array"),
        ([[1, np.nan]], r"x holds nan at index \(0, 1\)"),
        ([[1, 2], [-np.inf, 0]], r"x holds -inf at index \(1, 0\)"),
    ],
    ids=str,
)
def test_an_array_that_cannot_be_used_is_refused_with_the_reason(value, message):
    with pytest.raises(InvalidInput, match=message):
        real_array("x", value, ndim=2, shape="(a, b)")


def test_the_first_bad_entry_is_found_far_down_a_long_array():
    array = np.zeros((10_000, 3), np.float32)
    array[9_000, 2] = array[9_500, 0] = np.nan
    with pytest.raises(InvalidInput, match=r"x holds nan at index \(9000, 2\)"):
        real_array("x", array, ndim=2, shape="(a, b)")


def test_an_array_is_read_from_anything_array_like():
    np.testing.assert_array_equal(as_array("x", ((1, 2), [3, 4])), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("value", "steps"),
    [(5, [5]), (0, [0]), ([3, 1, 2, 1], [3, 1, 2, 1]), (range(2), [0, 1]), (np.array([4, 4], np.uint8), [4, 4])],
    ids=str,
)
def test_steps_are_counts_in_the_order_given(value, steps):
    found = step_list("steps", value)
    assert found.dtype == np.int64
    assert found.tolist() == steps


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "steps counts steps from 0, got -1"),
        ([5, -2], "steps counts steps from 0, got -2"),
        (1.5, "steps must be a whole number or a sequence of them, got 1.5"),
        (2.0, "steps must be a whole number or a sequence of them, got 2.0"),
        ("9", "steps must be a whole number or a sequence of them, got '9'"),
        (True, "steps must be a whole number or a sequence of them, got True"),
        (None, "steps must be a whole number or a sequence of them, got None"),
        ([], r"steps must be a whole number or a sequence of them, got \[\]"),
        ([[1, 2]], r"steps must be a whole number or a sequence of them, got \[\[1, 2\]\]"),
        ([[1, 2], [3]], "steps cannot be read as one array"),
    ],
    ids=str,
)
def test_what_counts_no_steps_is_refused(value, message):
    with pytest.raises(InvalidInput, match=message):
        step_list("steps", value)


def test_every_refusal_is_a_value_error_and_one_of_ours():
    for error in (InvalidInput("x"), UnknownName("theory", "x", ("y",), None), UnstableSGD(2.0, 1.0)):
        assert isinstance(error, ValueError)
        assert isinstance(error, FluctuaError)


@pytest.mark.parametrize("steps", [2**53 + 1, 10**19])
def test_steps_beyond_counting_are_refused(digits_problem, steps):
    prediction = fl.predict(digits_problem, fl.SGD(0.05, 8))
    with pytest.raises(InvalidInput, match=r"at most 2\^53|whole number"):
        prediction.after(steps)
    with pytest.raises(InvalidInput, match=r"at most 2\^53"):
        fl.learning_curve(digits_problem, fl.SGD(0.05, 8), steps)


@pytest.mark.parametrize(("scale", "dtype"), [(1e80, float), (1e-80, float), (1e12, np.float32), (1e-12, np.float32)])
@pytest.mark.parametrize("which", ["inputs", "targets"])
def test_numbers_whose_fourth_powers_leave_the_floats_are_refused(scale, dtype, which):
    arrays = {name: np.random.default_rng(0).normal(size=(9, 2)).astype(dtype) for name in ("inputs", "targets")}
    arrays[which] = (arrays[which] * scale).astype(dtype)
    with pytest.raises(InvalidInput, match=f"{which} have a largest magnitude"):
        fl.LeastSquares(**arrays)


def test_all_zero_targets_are_a_problem_like_any_other():
    inputs = np.random.default_rng(0).normal(size=(9, 2))
    assert fl.LeastSquares(inputs, np.zeros((9, 1))).minimum().loss == 0
