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
from .compiled_errors import AHEAD, Answers
from .compiled_kicks import kick_of, kicked
from .compiled_sparse import of_sparse_rows
from .compiled_tiles import of_rows
from .memory_lines import in_lines, lies_in_lines
from .sparse import SparseRows
from .thermal import Kicks

__all__ = ["descend"]


def _gradient(v: Real, x: Any, answers: Any, order: Ints, size: int, scale: Floating, g: Real) -> None:
    """Add to g scale times the sum over a batch; chosen by the type of x where it is compiled."""
    raise NotImplementedError


@overload(_gradient, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _of_batch(v: Any, x: Any, answers: Any, order: Any, size: Any, scale: Any, g: Any) -> Any:
    del v, answers, order, size, scale, g
    return of_sparse_rows.py_func if isinstance(x, numba.types.NamedTuple) else of_rows.py_func


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
    if len(push) > 1:
        _move_both(weights, memory, g, constant, weight_decay, motion, push, kicks)
    else:
        _move_weights(weights, g, constant, weight_decay, motion[0, 0], push[0], kicks)
    if share > 0:
        for k in range(g.shape[0]):
            for j in range(g.shape[1]):
                average[k, j] += share * (weights[k, j] - average[k, j])


@compiled
def _move_weights(
    weights: Real, g: Real, constant: Real, weight_decay: Floating, motion: Floating, push: Floating, kicks: Any
) -> None:
    added, none = len(constant) > 0, g.dtype.type(0)
    for k in range(g.shape[0]):
        for j in range(g.shape[1]):
            v = weights[k, j]
            gradient, g[k, j] = g[k, j] + weight_decay * v, constant[k, j] if added else none
            weights[k, j] = kicked(motion * v + push * gradient, kicks, 0, k, j)


@compiled
def _move_both(
    weights: Real, memory: Real, g: Real, constant: Real, weight_decay: Floating, motion: Real, push: Real, kicks: Any
) -> None:
    of_v, of_u, by = motion[0, 0], motion[0, 1], push[0]
    of_v_later, of_u_later, by_later = motion[1, 0], motion[1, 1], push[1]
    added, none = len(constant) > 0, g.dtype.type(0)
    for k in range(g.shape[0]):
        for j in range(g.shape[1]):
            v, u = weights[k, j], memory[k, j]
            gradient, g[k, j] = g[k, j] + weight_decay * v, constant[k, j] if added else none
            weights[k, j] = kicked(of_v * v + of_u * u + by * gradient, kicks, 0, k, j)
            memory[k, j] = kicked(of_v_later * v + of_u_later * u + by_later * gradient, kicks, 1, k, j)


@compiled
def _descend(
    v: Real,
    u: Real,
    w: Real,
    x: Any,
    answers: Any,
    orders: Ints,
    size: int,
    g: Real,
    constant: Real,
    weight_decay: Floating,
    motion: Real,
    push: Real,
    shares: Array,
    kicks: Any,
) -> None:
    scale = v.dtype.type(1 / size)
    for replica in range(len(v)):
        for step in range(len(shares)):
            _gradient(v[replica], x, answers, orders[replica, step * size :], size, scale, g)
            kick, share = kick_of(kicks, step, replica), shares[step]
            _move(v[replica], u[replica], w[replica], g, constant, weight_decay, motion[step], push[step], share, kick)


def descend(
    state: AnyArray,
    x: Rows | SparseRows,
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
    laid, added = _laid(x, state), _laid(x, constant)
    _descend(
        laid[0],
        laid[sgd.step.slots - 1],
        laid[-1],
        _readable(x),
        _readable_answers(answers),
        _orders(batches),
        batches.shape[2],
        _in_lines(added),
        added if constant.any() else added[:0],
        number(sgd.weight_decay),
        motion,
        push,
        shares.astype(number),
        kicks if kicks is None else (_laid(x, kicks[0]), kicks[1]),
    )
    if laid is not state:
        state[...] = x.unlaid(laid) if isinstance(x, SparseRows) else laid


def _orders(batches: Ints) -> Ints:
    """The samples of each replica, batch after batch, and what is read ahead at the end, which nobody needs."""
    steps, replicas, size = batches.shape
    orders = np.zeros((replicas, steps * size + 2 * AHEAD), np.int64)
    orders[:, : steps * size] = batches.swapaxes(0, 1).reshape(replicas, -1)
    return orders


def _laid(x: Rows | SparseRows, weights: AnyArray) -> AnyArray:
    """Weights, (..., c, d), as the steps on such rows take them."""
    if isinstance(x, SparseRows):
        return x.laid(weights)
    whole = weights[0].flags.c_contiguous and lies_in_lines(weights)
    return weights if whole else _in_lines(weights)


def _in_lines(weights: AnyArray) -> AnyArray:
    """Return a copy that begins with a line of memory."""
    copy = in_lines(weights.shape, weights.dtype)
    copy[...] = weights
    return copy


def _readable(x: Rows | SparseRows) -> Any:
    """What `_gradient` takes: the array, or bits, their meaning and a factor for each row."""
    if isinstance(x, SparseRows):
        return x
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
