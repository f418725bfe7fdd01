"""What long work takes, said before it is begun."""

from __future__ import annotations

from math import ceil
from time import perf_counter

import click
import numpy as np

from .._validate.sizes import gib
from ..problem.least_squares import LeastSquares
from ..theory.needs import needs_of, refuse_dense

__all__ = ["tell_long_work"]

_LONG = 2e12  # operations, some 20 seconds of a core
_WIDE = 1024  # inputs, below which modes are few as they are
_FEW = 90  # seconds, and minutes
_TRIED = 1024  # rows of a product that tells the rate here


def tell_long_work(problem: object, components: int) -> None:
    """Say on stderr what all modes of many inputs take, before work; refuse what does not fit into memory."""
    if not isinstance(problem, LeastSquares):
        return
    refuse_dense(problem, components, limit=True)
    needs = needs_of(problem, components, limit=True)
    if needs.flops < _LONG or problem.features < _WIDE:
        return
    click.echo(
        f"all {min(problem.samples, problem.features):,} modes of {problem.samples:,} samples take about "
        f"{_told(needs.flops / _rate())} and {gib(needs.size)} beside the data, as estimated; --modes 256 gives bounds "
        f"in a fraction of both.",
        err=True,
    )


def _rate() -> float:
    """Operations a second in a product of float32 matrices, here and now."""
    matrix, times = np.ones((_TRIED, _TRIED), np.float32), []
    for _ in range(3):
        began = perf_counter()
        matrix @ matrix
        times.append(perf_counter() - began)
    return 2.0 * _TRIED**3 / min(times)


def _told(seconds: float) -> str:
    if seconds < _FEW:
        return f"{ceil(seconds)} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < _FEW else f"{minutes / 60:.1f} hours"
