"""Moments of chunked arrays, summed where the chunks are: d^2 numbers leave a chunk, and not its samples."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from .._optional import needed
from ..errors import InvalidInput
from ..problem.streaming import StreamingMoments, read_chunk
from ..simulation.executors import elsewhere

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

__all__ = ["by_whom", "chunked", "moments"]


def moments(inputs: DaskArray, targets: DaskArray, weights: ArrayLike | None = None) -> StreamingMoments:
    """Return the sums over the samples of Dask arrays: those that W* follows from, or at W* those of the noise.

    Each chunk of rows is summed by a worker that has it or reads it. The sums are merged in the order of the chunks,
    whoever made them, so that the result is that of `StreamingMoments.add` chunk by chunk to the last bit.

    Parameters
    ----------
    inputs : dask.array, (N, d)
        Chunked by rows; columns are brought together.
    targets : dask.array, (N, c) or (N,)
        Brought to the same chunks of rows.
    weights : array_like, (c, d), optional
        W that the residuals W x - y are of; see `StreamingMoments`.

    Returns
    -------
    StreamingMoments
        The sums, with the number of samples and chunks.

    Raises
    ------
    InvalidInput
        For what is no Dask array, for shapes that do not fit, for chunks of unknown length, and for NaN, whose chunk
        and row are named.
    MissingPackage
        Without dask.

    Notes
    -----
    In the body of `fl.cluster(client)` the client's workers do it; elsewhere Dask's own default does. Cost: 2 N d^2
    flops; d^2 + c d + c^2 numbers a chunk cross the network, and two such on a worker at a time beside a chunk.

    Examples
    --------
    With Dask installed::

        import dask.array as da
        from fluctua.distributed import moments

        moments(da.ones((100, 3), chunks=(25, 3)), da.ones(100, chunks=25))  # 100 samples in 4 chunks
    """
    dask = needed("dask", "moments of chunked arrays", install="'fluctua[dask]'")
    x, y = chunked(inputs, targets)
    empty = StreamingMoments(x.shape[1], y.shape[1], weights)
    held, total = dask.delayed(empty.weights), None
    pieces = zip(x.to_delayed().ravel(), y.to_delayed().ravel(), strict=True)
    for number, (some, their) in enumerate(pieces):
        part = dask.delayed(_summed, pure=False)(number, some, their, (empty.features, empty.outputs), held)
        total = part if total is None else dask.delayed(_merged, pure=False)(total, part)
    assert total is not None  # no Dask array is without a chunk
    found: StreamingMoments = total.compute(**by_whom())
    return found


def by_whom() -> dict[str, Any]:
    """Who computes: the client that was handed in, or Dask's own default."""
    client = getattr(elsewhere(), "client", None)
    return {} if client is None else {"scheduler": client}


def chunked(inputs: Any, targets: Any) -> tuple[Any, Any]:
    """Return both in the same chunks of rows, all columns together; refuses what cannot be."""
    array = needed("dask.array", "moments of chunked arrays", install="'fluctua[dask]'")
    for name, each in (("inputs", inputs), ("targets", targets)):
        if not isinstance(each, array.Array):
            raise InvalidInput(
                f"{name} must be a dask.array, got {type(each).__name__}: chunks on workers are what is summed here. "
                f"Of arrays in memory or files, LeastSquares and LeastSquares.from_batches take the moments."
            )
    y = targets[:, None] if targets.ndim == 1 else targets
    if any(map(math.isnan, inputs.chunks[0] + y.chunks[0])):
        raise InvalidInput(
            "the chunks of rows have lengths that Dask does not know (NaN), as after a filter: call "
            ".compute_chunk_sizes() on both arrays first."
        )
    if inputs.ndim != 2 or y.ndim != 2 or inputs.shape[0] != y.shape[0]:
        raise InvalidInput(
            f"inputs have the shape {inputs.shape} and targets {targets.shape}; expected are (N, d) and (N, c) or (N,) "
            f"with the same N: row i of both belongs to one sample."
        )
    return inputs.rechunk({1: -1}), y.rechunk({0: inputs.chunks[0], 1: -1})


def _summed(number: int, inputs: Any, targets: Any, sizes: tuple[int, int], weights: Any) -> StreamingMoments:
    """Return the sums of one chunk; an error names it as the so many-th."""
    return StreamingMoments(*sizes, weights).add(*read_chunk(number, inputs, targets, sizes))


def _merged(total: StreamingMoments, part: StreamingMoments) -> StreamingMoments:
    """Add to a copy: Dask may ask for either again."""
    return deepcopy(total).merge(part)
