"""What a checkpoint must hold: the sums that the first chunks of a run leave, and nothing else."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._arrays import AnyArray, Arrays
from .._validate.plain import Header, Keywords
from ..errors import ResultError
from ..storage.layout import hold_arrays
from ..storage.results import load_arrays
from ..storage.stored import reading

if TYPE_CHECKING:
    from .tally import Tally

__all__ = ["arrays_of_run", "checkpoint_identity", "chunk_count", "chunk_sizes", "damaged", "hold_tally"]

_CHUNKS = 8  # at least, where there are as many replicas: the spread between chunks is the matrices' error bar
_MOST = 64  # replicas of a chunk
_RTOL = 1e-9  # of sums over records and replicas, taken in another order
_TALLY = {
    "recorded": "i n",
    "opened": "i",
    "watched": "i m",
    "chunks": "i",
    "replica_variances": "f R r",
    "replica_losses": "f R m",
    "mean_sum": "f m c r",
    "covariance_sum": "f r r",
    "covariance_squares": "f",
    "change_sum": "f r r",
}


def chunk_count(replicas: int) -> int:
    """Chunks: at least `_CHUNKS` where there are replicas, so often is a checkpoint written.

    It is asked before so many replicas are known to fit into memory, where their sizes would be a list of any length.
    """
    return max(-(-replicas // _MOST), min(_CHUNKS, replicas))


def chunk_sizes(replicas: int) -> list[int]:
    """Replicas of each chunk."""
    count = chunk_count(replicas)
    return [replicas // count + (i < replicas % count) for i in range(count)]


def hold_tally(arrays: Arrays, begun: Tally, replicas: int, outputs: int, rank: int) -> None:
    """Raise `ValueError` unless these are the sums over the first chunks of a run of so many replicas."""
    balance = "f" if arrays.get("balance_squares", np.zeros(1)).ndim == 0 else "f r r"
    layout, lengths = {**_TALLY, "balance_squares": balance}, {"n": len(begun.recorded), "c": outputs, "r": rank}
    hold_arrays(arrays, layout, lengths, only=True)
    for name in ("recorded", "opened", "watched"):
        if not np.array_equal(arrays[name], getattr(begun, name)):
            raise ValueError(f"its {name} steps are not those of the run")
    sizes, chunks = chunk_sizes(replicas), int(arrays["chunks"])
    if not 1 <= chunks <= len(sizes) or lengths["R"] != sum(sizes[:chunks]):
        raise ValueError(f"it counts {chunks} chunks and {lengths['R']} replicas, the run has chunks of {sizes[:8]}")
    _hold_sums(arrays)


def _hold_sums(arrays: Arrays) -> None:
    """Hold what is said twice against one another; where a run diverged nothing is left to compare."""
    for name in ("replica_variances", "covariance_squares", "balance_squares"):
        if np.any(arrays[name] < 0):
            raise ValueError(f"its array {name} has a negative value")
    if not np.isfinite(arrays["replica_variances"]).all() or not np.isfinite(arrays["replica_losses"]).all():
        return
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"its array {name} has a value that is not finite, and no replica diverged")
    sums = arrays["replica_variances"].sum(axis=0)
    if not np.allclose(arrays["covariance_sum"].diagonal(), sums, rtol=_RTOL, atol=_RTOL * sums.max()):
        raise ValueError("its covariance_sum is not the sum of its replica_variances")
    if arrays["covariance_squares"] < _least(arrays["covariance_sum"], len(arrays["replica_variances"])):
        raise ValueError("its covariance_squares is less than the square of the mean")


def _least(total: AnyArray, replicas: int) -> float:
    return float(np.vdot(total, total)) / replicas * (1 - _RTOL)


def arrays_of_run(path: Path, identity: Header) -> dict[str, AnyArray]:
    """Return the arrays of a checkpoint of the run `identity`; raises `ResultError` if it belongs to another."""
    header, arrays = load_arrays(path)
    kept, asked = checkpoint_identity(header, path), json.loads(json.dumps(identity))
    if kept != asked:
        changed = [key for key in {**asked, **kept} if kept.get(key) != asked.get(key)]
        raise ResultError(
            f"{path} holds the beginning of another run (different: {', '.join(changed)}). Repeat the command that "
            f"was interrupted, or delete the file to start anew."
        )
    return dict(arrays)


def checkpoint_identity(header: Header, path: Path) -> Keywords:
    """Return the identity of the run that a checkpoint belongs to; raises `ResultError` if it is not one."""
    if "identity" not in header or "kind" in header:
        raise ResultError(f"{path} is not a checkpoint of a simulation. Give another path, or delete the file.")
    with reading(partial(damaged, path)):
        return dict(header["identity"])


def damaged(path: Path, reason: str) -> ResultError:
    """Return what is raised of a file that is no checkpoint of any run."""
    return ResultError(f"{path} does not hold what an interrupted run leaves: {reason}. Delete it to start anew.")
