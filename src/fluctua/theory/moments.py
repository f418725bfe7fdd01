"""What a law says of V in the modes, at one time or averaged over some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .._arrays import Array
from .estimated_error import EstimatedError

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments:
    """First and second moments of V in the modes.

    Attributes
    ----------
    covariance : ndarray, (r, r)
        U^T S U, the square of the mean included.
    mean : ndarray, (c, r), or None
        E V, where shuffled epochs displace it; None where it is zero or follows from the start.
    mean_left : ndarray, (c, r), or None
        E V times what weight decay has left of a start outside the modes, where both move.
    error : callable or None
        () -> one standard error of the excess loss, where epochs were sampled; 0 where all were listed, None elsewhere.
    estimated_error : EstimatedError or None
        Of independent batches at finite time: what was reached, and what it took.
    """

    covariance: Array
    mean: Array | None = None
    mean_left: Array | None = None
    error: Callable[[], float | None] | None = field(default=None, compare=False)
    estimated_error: EstimatedError | None = None
