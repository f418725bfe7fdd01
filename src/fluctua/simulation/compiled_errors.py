"""The error of a sample, compiled: what its gradient is that of, times its input.

Of the squared error V x + r; of a cross-entropy the probabilities less the targets; and of the quadratic twin of that,
which shares its optimum and its curvature there, A V x + r.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import overload

from .._arrays import AnyArray, Floating, Real
from .compiled_cache import OPTIONS, compiled
from .compiled_vectors import read_ahead
from .memory_lines import LINE

__all__ = ["AHEAD", "Answers", "answer", "answer_ahead"]

AHEAD = 4  # samples: what is read of one is asked for so many before

Answers = AnyArray | tuple[AnyArray, AnyArray, AnyArray, bool]
"""What the errors of the samples follow from: of squares, or of a cross-entropy."""


def answer(e: Real, s: int, i: int, answers: Any, scale: Floating) -> None:
    """Turn e_ks, V x_i in column s, into scale times the error of sample i; chosen by the type of the answers."""
    raise NotImplementedError


@overload(answer, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _answered(e: Any, s: Any, i: Any, answers: Any, scale: Any) -> Any:
    del e, s, i, scale
    return _of_probabilities if isinstance(answers, numba.types.BaseTuple) else _of_residuals


def answer_ahead(i: int, answers: Any) -> None:
    """Ask for the memory that `answer` reads for sample i, far from that of the samples before."""
    raise NotImplementedError


@overload(answer_ahead, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _asked_for(i: Any, answers: Any) -> Any:
    del i
    kinds: Any = answers if isinstance(answers, numba.types.BaseTuple) else [answers]
    if any(isinstance(each, numba.types.Array) and each.layout != "C" for each in kinds):
        return _nothing_ahead
    return _row_ahead if len(kinds) == 1 else _rows_ahead


def _nothing_ahead(i: int, answers: Any) -> None:
    """Rows that do not lie in order are read when it is their turn."""


def _row_ahead(i: int, answers: Real) -> None:
    numbers = answers.shape[1]
    for k in range(0, numbers, LINE // answers.itemsize):
        read_ahead(answers, i * numbers + k)
    read_ahead(answers, i * numbers + numbers - 1)


def _rows_ahead(i: int, answers: Any) -> None:
    of_optimum, other, factors, _ = answers
    answer_ahead(i, of_optimum)
    answer_ahead(i, other)
    read_ahead(factors, i)


def _of_residuals(e: Real, s: int, i: int, answers: Real, scale: Floating) -> None:
    """The squared error: V x + r."""
    for k in range(len(e)):
        e[k, s] = scale * (e[k, s] + answers[i, k])


def _of_probabilities(e: Real, s: int, i: int, answers: Any, scale: Floating) -> None:
    """The cross-entropy: (logits, targets, factors, True); its quadratic twin: (p, r, factors, False)."""
    of_optimum, other, factors, curved = answers
    if curved:
        _softmax_error(e, s, of_optimum[i], other[i], scale * factors[i])
    else:
        _linear_error(e, s, of_optimum[i], other[i], scale * factors[i])


@compiled
def _softmax_error(e: Real, s: int, logits: Real, targets: Real, scale: Floating) -> None:
    """P - y at the logits z + u; of one output p is of the second class, and the first has the logit 0."""
    outputs = len(e)
    top = e[0, s] + logits[0]
    for k in range(1, outputs):
        top = max(top, e[k, s] + logits[k])
    top = max(top, 0 * top) if outputs == 1 else top
    total = np.exp(-top) if outputs == 1 else 0 * top
    for k in range(outputs):
        e[k, s] = np.exp(e[k, s] + logits[k] - top)
        total += e[k, s]
    for k in range(outputs):
        e[k, s] = scale * (e[k, s] / total - targets[k])


@compiled
def _linear_error(e: Real, s: int, chances: Real, residuals: Real, scale: Floating) -> None:
    """A u + r, A = diag(p) - p p^T."""
    mean = 0 * e[0, s]
    for k in range(len(e)):
        mean += chances[k] * e[k, s]
    for k in range(len(e)):
        e[k, s] = scale * (chances[k] * (e[k, s] - mean) + residuals[k])
