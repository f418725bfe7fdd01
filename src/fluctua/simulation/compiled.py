"""Minibatch descent, compiled: a sample is read where it lies and used twice while it is in the cache.

In NumPy a step is a gather into a buffer and two products that each pack it again, and its threads meet at Python's
lock: twice the time on MNIST at b 32 (benchmarks/simulate_vs_torch.py).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import overload

from .._arrays import AnyArray, Array, Floating, Ints, Real
from .._half import HalfArray, Rows
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .compiled_cache import OPTIONS, compiled
from .compiled_errors import Answers, answer
from .compiled_kicks import kick_of, kicked
from .thermal import Kicks

__all__ = ["descend"]

_TILE = 4  # samples handled at once: 12 sums in the first product, as many as the registers hold


@compiled
def _dots(v: Real, x: Real, i: Ints, e: Real) -> None:
    """e_ks = v_k . x_i(s) for one tile of samples."""
    x0, x1, x2, x3 = x[i[0]], x[i[1]], x[i[2]], x[i[3]]
    outputs, features = v.shape
    for k in range(0, outputs - outputs % 3, 3):
        v0, v1, v2 = v[k], v[k + 1], v[k + 2]
        s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = s20 = s21 = s22 = s23 = v.dtype.type(0)
        for j in range(features):
            s00 += v0[j] * x0[j]
            s01 += v0[j] * x1[j]
            s02 += v0[j] * x2[j]
            s03 += v0[j] * x3[j]
            s10 += v1[j] * x0[j]
            s11 += v1[j] * x1[j]
            s12 += v1[j] * x2[j]
            s13 += v1[j] * x3[j]
            s20 += v2[j] * x0[j]
            s21 += v2[j] * x1[j]
            s22 += v2[j] * x2[j]
            s23 += v2[j] * x3[j]
        e[k, 0], e[k, 1], e[k, 2], e[k, 3] = s00, s01, s02, s03
        e[k + 1, 0], e[k + 1, 1], e[k + 1, 2], e[k + 1, 3] = s10, s11, s12, s13
        e[k + 2, 0], e[k + 2, 1], e[k + 2, 2], e[k + 2, 3] = s20, s21, s22, s23
    for k in range(outputs - outputs % 3, outputs):
        v0 = v[k]
        s00 = s01 = s02 = s03 = v.dtype.type(0)
        for j in range(features):
            s00 += v0[j] * x0[j]
            s01 += v0[j] * x1[j]
            s02 += v0[j] * x2[j]
            s03 += v0[j] * x3[j]
        e[k, 0], e[k, 1], e[k, 2], e[k, 3] = s00, s01, s02, s03


@compiled
def _add_products(e: Real, x: Real, i: Ints, g: Real) -> None:
    """g_k += sum_s e_ks x_i(s) for one tile of samples."""
    x0, x1, x2, x3 = x[i[0]], x[i[1]], x[i[2]], x[i[3]]
    for k in range(len(g)):
        e0, e1, e2, e3, row = e[k, 0], e[k, 1], e[k, 2], e[k, 3], g[k]
        for j in range(len(row)):
            row[j] += e0 * x0[j] + e1 * x1[j] + e2 * x2[j] + e3 * x3[j]


def _read(x: Any, tile: Ints, kept: Real) -> tuple[Real, Ints]:
    """Return an array, and which of its rows are those samples; chosen by the type of x where it is compiled."""
    raise NotImplementedError


@overload(_read, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _reader(x: Any, tile: Any, kept: Any) -> Any:
    del tile, kept
    return _widened if isinstance(x, numba.types.BaseTuple) else _as_they_lie


def _as_they_lie(x: Real, tile: Ints, kept: Real) -> tuple[Real, Ints]:  # noqa: ARG001
    return x, tile


def _widened(x: Any, tile: Ints, kept: Real) -> tuple[Real, Ints]:
    """Numbers of 16 bits are widened in the order of the tile: (bits, what each means, factors of the rows)."""
    bits, table, factors = x
    for s in range(_TILE):
        row, factor = bits[tile[s]], factors[tile[s]]
        for j in range(kept.shape[1]):
            kept[s, j] = table[row[j]] * factor
    return kept, np.arange(_TILE)


@compiled
def _gradient(v: Real, x: Any, answers: Any, batch: Ints, scale: Floating, g: Real) -> None:
    """Set g to scale times the sum over the batch of e_i x_i^T, e_i the error of sample i, such as V x_i + r_i."""
    outputs, size = len(v), len(batch)
    e, tile = np.empty((outputs, _TILE), v.dtype), np.empty(_TILE, np.int64)
    kept = np.empty((_TILE, v.shape[1]), v.dtype)
    g[:] = 0
    for begin in range(0, size, _TILE):
        for s in range(_TILE):  # the last tile may be short: its last sample again, with weight zero
            tile[s] = batch[min(begin + s, size - 1)]
        rows, places = _read(x, tile, kept)
        _dots(v, rows, places, e)
        for s in range(_TILE):
            if begin + s < size:
                answer(e, s, tile[s], answers, scale)
            else:
                e[:, s] = 0
        _add_products(e, rows, places, g)


@compiled
def _move(
    weights: Real,
    memory: Real,
    average: Real,
    g: Real,
    constant: Real,
    weight_decay: Floating,
    motion: Real,
    push: Real,
    share: float,
    kicks: Any,
) -> None:
    """One replica's step s' = B s + e g + f xi on s = V, or (V, memory), and its average if `share` > 0."""
    remembers = len(push) > 1
    for k in range(g.shape[0]):
        for j in range(g.shape[1]):
            v, u = weights[k, j], memory[k, j]
            gradient = g[k, j] + weight_decay * v + constant[k, j]
            if remembers:
                weights[k, j] = kicked(motion[0, 0] * v + motion[0, 1] * u + push[0] * gradient, kicks, 0, k, j)
                memory[k, j] = kicked(motion[1, 0] * v + motion[1, 1] * u + push[1] * gradient, kicks, 1, k, j)
            else:
                weights[k, j] = kicked(motion[0, 0] * v + push[0] * gradient, kicks, 0, k, j)
            if share > 0:
                average[k, j] += share * (weights[k, j] - average[k, j])


@compiled
def _descend(
    v: Real,
    u: Real,
    w: Real,
    x: Any,
    answers: Any,
    batches: Ints,
    constant: Real,
    weight_decay: Floating,
    motion: Real,
    push: Real,
    shares: Array,
    kicks: Any,
) -> None:
    g = np.empty_like(constant)
    scale = v.dtype.type(1 / batches.shape[2])
    for step in range(len(batches)):
        for replica in range(len(v)):
            _gradient(v[replica], x, answers, batches[step, replica], scale, g)
            kick, share = kick_of(kicks, step, replica), shares[step]
            _move(v[replica], u[replica], w[replica], g, constant, weight_decay, motion[step], push[step], share, kick)


def descend(
    state: AnyArray,
    x: Rows,
    answers: Answers,
    batches: Ints,
    constant: AnyArray,
    sgd: Recipe,
    average: Average | None,
    begin: int,
    kicks: Kicks = None,
) -> None:
    """Advance every replica by one step of `sgd` per batch, in place.

    The gradient g is (1/b) sum over the batch of e_i x_i^T + gamma V + constant, e_i = V x_i + r_i for squared errors;
    the step is the recipe's, s' = B s + e g on s = (V, u), and what thermal noise adds.

    Parameters
    ----------
    state : ndarray, (1 to 3, R, c, d)
        V; with momentum u; with an average that.
    x : ndarray, (N, d)
        C-contiguous; it, `answers` and `constant` of the dtype of `state`. Or of 16 bits, of any order.
    answers : ndarray, (N, c), or tuple
        Residuals at W*. Of a cross-entropy (logits at W*, targets, factors of the samples, True), and of its quadratic
        twin (probabilities, residuals, factors, False), (N, c) but for the factors, (N,).
    batches : ndarray, (steps, R, b)
        Rows of `x`, not checked against N. b may be smaller than the recipe's: the mean is over these.
    constant : ndarray, (c, d)
        What weight decay adds to every gradient at W*.
    sgd : SGD
        The recipe.
    average : EMA, RunningAverage or None
        What is kept beside the weights.
    begin : int
        Number of the first of these steps, counted from 0.
    kicks : tuple of ndarray, or None
        Thermal noise: standard normal numbers, (R, steps, c, d), and their factors, (steps, slots).

    Notes
    -----
    4 b c d flops a replica and step; b rows of `x` are read from memory once. Compiled at the first call for each
    dtype, in about two seconds, and kept where the package or the user's cache can be written. Holds no lock of
    Python's, so threads do not wait for one another.
    """
    number, steps = state.dtype.type, np.arange(begin, begin + len(batches))
    shares = np.zeros(len(steps)) if average is None else average.weights(steps)
    motion, push = (each.astype(number) for each in sgd.step.along(sgd.rates(steps), begin))
    _descend(
        state[0],
        state[sgd.step.slots - 1],
        state[-1],
        _readable(x),
        _readable_answers(answers),
        batches,
        constant,
        number(sgd.weight_decay),
        motion,
        push,
        shares.astype(number),
        kicks,
    )


def _readable(x: Rows) -> Any:
    """What `_read` takes: the array, or bits, their meaning and a factor for each row."""
    if not isinstance(x, HalfArray):
        return _locked(x)
    factors = np.ones(len(x)) if x.factors is None else x.factors
    return _locked(x.contiguous), _locked(x.table), _locked(factors)


def _readable_answers(answers: Answers) -> Any:
    if not isinstance(answers, tuple):
        return _locked(answers)
    *arrays, curved = answers
    return *map(_locked, arrays), curved


def _locked(array: AnyArray) -> AnyArray:
    """The array, not to be written to: one type, one compilation."""
    view = array.view()
    view.flags.writeable = False
    return view
