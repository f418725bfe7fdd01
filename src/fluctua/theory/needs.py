"""What a prediction in all modes takes, estimated before it is begun; what is beyond the machine is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._half import HalfArray
from .._validate.sizes import refuse_bytes
from ..problem.device_products import DeviceProducts
from ..problem.least_squares import LeastSquares
from .radius import vectors_held
from .spanned import many

if TYPE_CHECKING:
    from .law import Law

__all__ = ["Needs", "needs_of", "refuse_dense", "refuse_in_time", "size_in_time"]

_SPECTRUM, _SOLVED, _A_ROUND = 3.2, 8.5, 0.55  # matrices (r, r) of float64: of the modes; of a balance; of a round
_A_VECTOR, _LIMIT = 1.07, 6.6  # the same of what the largest stable learning rate is found by: of each vector; beside
_ROUNDS, _LIMIT_ROUNDS = (5, 10), 8  # of the balance, without momentum and with it; of the limit
_MARCHED, _MOVING, _SWEPT = (4.6, 12.3), (7.7, 15.4), 14.0  # the same of a march, and for each pair of components
_BLOCK, _BANDS = 2.0**26, 6e6  # bytes of a block of samples in float64; of the rows that a march has in cache
_MADE, _DECOMPOSED, _PASS = 7.5, 30.0, 3.5  # flops over N d^2, d^3 and N r^2, as if all were at the rate of a product


class Needs(NamedTuple):
    """Estimates.

    Attributes
    ----------
    size : float
        Bytes beside the inputs at most.
    flops : float
        Operations, counted as what one product of float32 matrices does in the time of all.
    """

    size: float
    flops: float


def needs_of(problem: LeastSquares, components: int = 1, *, limit: bool = False) -> Needs:
    """Return what the stationary state takes in all modes: curvatures, projections, C, and the balance.

    Parameters
    ----------
    problem : LeastSquares
        What is known of it already is not counted again.
    components : int
        Of the optimiser's kernel; more than one is momentum.
    limit : bool
        Whether the largest stable learning rate is sought, too.
    """
    n, d, known = float(problem.samples), float(problem.features), vars(problem)
    r, inside = min(n, d), isinstance(problem.inputs, np.ndarray | HalfArray)
    fresh, projected = "spectrum" not in known, "projections" not in known and inside
    rounds = _ROUNDS[components > 1]
    matrices = max(_SOLVED + _A_ROUND * rounds * (components > 1), (_LIMIT + _A_VECTOR * vectors_held(int(r))) * limit)
    kept = 8 * d * r * fresh + n * r * problem.inputs.dtype.itemsize * projected
    size = max(8 * _SPECTRUM * d**2 * fresh, kept + 8 * matrices * r**2) + _BLOCK
    flops = (
        _MADE * n * d**2 * (fresh or projected)
        + _DECOMPOSED * d**3 * fresh
        + _PASS * (rounds + _LIMIT_ROUNDS * limit) * n * r**2
    )
    return Needs(size, flops * problem.inputs.dtype.itemsize / 4)


def refuse_dense(problem: LeastSquares, components: int = 1, *, limit: bool = False) -> None:
    """Raise `TooLarge` where a prediction in all modes does not fit into memory."""
    if isinstance(problem.products, DeviceProducts):
        return
    refuse_bytes(
        f"a prediction in all modes of {problem.features:,} inputs and {problem.samples:,} samples",
        needs_of(problem, components, limit=limit).size,
        "Bounds from leading modes need a fraction of it: fluctua.LeadingModes(inputs, targets, modes=256), or --modes "
        "256 of fluctua predict.",
    )


def size_in_time(law: Law) -> float:
    """Return the bytes that S after some steps of independent batches takes, beside what the stationary state has."""
    components, moving = _parts(law), law.sgd.schedule is not None
    fixed, each = _MOVING if moving else _MARCHED
    matrices = _SWEPT if many(law.problem) else fixed + each * components**2
    return 8 * matrices * float(law.problem.rank) ** 2 + _BANDS


def refuse_in_time(law: Law) -> None:
    """Raise `TooLarge` where that does not fit into memory."""
    if not law.sgd.epochs:
        refuse_bytes(
            f"a finite time of {law.problem.rank:,} modes, followed in {_parts(law)} parts each,",
            size_in_time(law),
            "Use fewer inputs, such as their leading components, or no momentum.",
        )


def _parts(law: Law) -> int:
    """Components of a mode: the optimiser's, and an average's."""
    return law.sgd.step.slots + (law.average is not None)
