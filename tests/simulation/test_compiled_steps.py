"""The compiled steps against the same steps in NumPy: whole rows and rows without zeros, on every kind of register."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.simulation import sparse
from fluctua.simulation.compiled import descend
from fluctua.simulation.compiled_cache import _written
from fluctua.simulation.sparse import SparseRows, without_zeros

NARROW = {
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma"},
    "neither": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
}
LETTER = fl.SGD(lr=0.02, batch_size=5, momentum=0.9, weight_decay=0.1)
PLAIN = fl.SGD(lr=0.02, batch_size=5, weight_decay=0.1)


def by_hand(state, x, residuals, batches, constant, sgd, average, kicks):
    """Step by step in float64, as `descend` says."""
    s, x, steps = state.astype(float), x.astype(float), np.arange(len(batches))
    shares = np.zeros(len(steps)) if average is None else average.weights(steps)
    motion, push = sgd.step.along(sgd.rates(steps), 0)
    for t, replica in np.ndindex(batches.shape[:2]):
        i, kept = batches[t, replica], s[: len(push[t]), replica]
        errors = kept[0] @ x[i].T + residuals[i].T
        g = errors @ x[i] / len(i) + sgd.weight_decay * kept[0] + constant
        kept[:] = np.tensordot(motion[t], kept, 1) + np.multiply.outer(push[t], g)
        if kicks is not None:
            kept += kicks[1][t][:, None, None] * kicks[0][replica, t]
        s[-1, replica] += shares[t] * (s[0, replica] - s[-1, replica])
    return s


def case(outputs, features, batch_size, dtype, sgd=PLAIN, slots=1, share=1.0):
    rng = np.random.default_rng(outputs + features)
    x = (rng.standard_normal((12, features)) * (rng.random((12, features)) < share)).astype(dtype)
    state = rng.standard_normal((slots, 2, outputs, features)).astype(dtype)
    residuals = rng.standard_normal((12, outputs)).astype(dtype)
    constant = rng.standard_normal((outputs, features)).astype(dtype)
    return state, x, residuals, rng.integers(12, size=(3, 2, batch_size)), constant, sgd


def without(x, outputs, monkeypatch):
    """Rows without zeros, however many numbers are none."""
    monkeypatch.setattr(sparse, "_even", lambda *_: 1.0)
    return without_zeros(x, outputs)


def hold(given, rows, average=None, kicks=None):
    state, x, residuals, batches, constant, sgd = given
    expected = by_hand(*given, average, kicks)
    descend(state, rows, residuals, batches, constant, sgd, average, 0, kicks)
    scale = np.finfo(x.dtype).eps * np.abs(expected).max()
    assert np.abs(state - expected).max() < 100 * scale  # of sums of at most 8 x 100 numbers, in any order


SHAPES = [(1, 1, 1), (3, 17, 4), (5, 64, 5), (8, 16, 3), (10, 61, 8), (17, 15, 2), (100, 33, 6)]


@pytest.mark.any_seed
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_by_hand(shape, dtype, monkeypatch):
    hold(given := case(*shape, dtype), given[1])
    given = case(*shape, dtype, share=0.2)
    rows = without(given[1], shape[0], monkeypatch)
    assert isinstance(rows, SparseRows)
    hold(given, rows)


@pytest.mark.any_seed
@pytest.mark.parametrize("zeros", [False, True])
def test_momentum_average_and_kicks_reach_rows_without_zeros_too(zeros, monkeypatch):
    rng = np.random.default_rng(0)
    average = fl.EMA(0.9).in_steps(LETTER, 12)
    given = case(10, 20, 5, np.float64, LETTER, slots=3, share=0.2)
    rows = without(given[1], 10, monkeypatch) if zeros else given[1]
    hold(given, rows, average, (rng.standard_normal((2, 3, 10, 20)), rng.standard_normal((3, 2))))


def test_zeros_are_left_out_where_that_is_less_work():
    x = np.ones((300, 40), np.float32)
    assert without_zeros(x, 10) is x
    x[:, 6:] = 0  # 15 %
    rows = without_zeros(x, 10)
    assert isinstance(rows, SparseRows)
    assert rows.words.dtype == np.uint16
    assert rows.begins.tolist() == list(range(0, 1801, 6))
    x[:, :12] = 1  # 30 %
    assert without_zeros(x, 1) is x  # one output leaves three quarters of a vector idle
    assert without_zeros(x, 10) is x
    assert isinstance(without_zeros(x, 47), SparseRows)
    assert isinstance(without_zeros(x.astype(float), 10), SparseRows)


@pytest.mark.any_seed
@pytest.mark.parametrize("narrow", [2**16, 1])
def test_rows_hold_numbers_then_columns(narrow, monkeypatch):
    """Rows of any length, none and all of it too: each is one run of memory, and no number is written over."""
    monkeypatch.setattr(sparse, "_NARROW", narrow)
    given = case(10, 20, 5, np.float32, share=0.2)
    x = given[1]
    x[[0, 11]], x[[1, 3]] = 1.5, 0
    x[-2, -1], x[4, 0] = 0, 2
    rows = without(x, 10, monkeypatch)
    ratio = 4 // rows.words.itemsize
    assert ratio == 1 + (narrow > 1)
    for row, begin, end in zip(x, rows.begins[:-1] * (1 + ratio), rows.begins[1:] * (1 + ratio), strict=True):
        (columns,) = row.nonzero()
        split = begin + ratio * len(columns)
        np.testing.assert_array_equal(rows.words[begin:split].view(np.float32), row[columns])
        np.testing.assert_array_equal(rows.words[split:end], columns)
    hold(given, rows)


@pytest.mark.any_seed
def test_answers_that_do_not_lie_in_order_are_taken_as_they_are():
    state, x, residuals, *others = case(4, 6, 3, np.float32)
    other = state.copy()
    descend(other, x, np.asfortranarray(residuals), *others, None, 0)
    descend(state, x, residuals, *others, None, 0)
    np.testing.assert_array_equal(other, state)


def test_no_copy_without_zeros_is_made_where_memory_is_short(monkeypatch):
    x = np.zeros((300, 40), np.float32)
    x[:, 0] = 1
    monkeypatch.setattr(sparse, "available_bytes", lambda: 1000.0)
    assert without_zeros(x, 10) is x


@pytest.mark.any_seed
def test_weights_that_do_not_lie_in_order_are_taken_as_they_are():
    state, *others = case(4, 6, 3, np.float64)
    turned = np.asfortranarray(state)
    descend(turned, *others[:4], PLAIN, None, 0)
    descend(state, *others[:4], PLAIN, None, 0)
    np.testing.assert_array_equal(turned, state)


def test_code_is_compiled_anew_where_the_widths_of_its_vectors_are_written_anew(monkeypatch):
    """The widths are constants of the compiled code, and stand beside the rows that are laid out by them."""
    before, read = _written(descend), Path.read_bytes
    changed = Path(sparse.__file__)
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path == changed))
    assert _written(descend) != before


@pytest.mark.slow
@pytest.mark.parametrize("kind", NARROW)
def test_narrower_registers_make_the_same_steps(kind, tmp_path):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "by_hand and 32",
    ]
    given = {**os.environ, **NARROW[kind], "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
