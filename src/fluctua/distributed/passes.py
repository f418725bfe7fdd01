"""Passes over the chunks of Dask arrays, made where the chunks are: what K is applied by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import AnyArray, Array, DType
from .._optional import needed
from ..problem.chunks import ChunkedRows
from ..problem.products import Products, add_scattered
from ..problem.projected import ProjectedRows
from ..problem.samples import Samples
from .moments_of import by_whom, chunked

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

__all__ = ["batches"]


def batches(inputs: DaskArray, targets: DaskArray) -> ArrayChunks:
    """Return the chunks of Dask arrays for `LeastSquares.from_batches`; the passes for K are made by the workers.

    Parameters
    ----------
    inputs : dask.array, (N, d)
        Chunked by rows; columns are brought together.
    targets : dask.array, (N, c) or (N,)
        Brought to the same chunks of rows.

    Returns
    -------
    ArrayChunks
        It can be iterated again and again.

    Raises
    ------
    InvalidInput
        For what is no Dask array, for shapes that do not fit, and for chunks of unknown length.
    MissingPackage
        Without dask.

    Notes
    -----
    Two passes, for W*, the modes and the noise, bring the chunks to this process one by one. In the body of
    `fl.cluster(client)` every application of K is made by the client's workers, where the projections are too many to
    be kept, 256 MiB; the blocks and the order of their sums are those of this process, and so are the bits. Cost of
    one: 2 N r (r + d) flops there, and r^2 numbers for a block of 2^22/r samples or so.

    Examples
    --------
    With Dask installed::

        import dask.array as da
        from fluctua.distributed import batches

        x, y = da.from_zarr("inputs.zarr"), da.from_zarr("targets.zarr")
        with fl.cluster(client):
            prediction = fl.predict(fl.LeastSquares.from_batches(batches(x, y)), sgd)
    """
    return ArrayChunks(*chunked(inputs, targets), one=targets.ndim == 1)


class ArrayChunks:
    """Pairs of chunks of two Dask arrays, computed one by one.

    Parameters
    ----------
    inputs, targets : dask.array
        In the same chunks of rows.
    one : bool
        Whether targets are one number to a sample.
    """

    def __init__(self, inputs: Any, targets: Any, *, one: bool) -> None:
        self.inputs, self.targets, self.one = inputs, targets, one
        self.products = _OfChunks(self.inputs)

    def __len__(self) -> int:
        return int(self.inputs.numblocks[0])

    def __iter__(self) -> Iterator[tuple[AnyArray, AnyArray]]:
        dask = needed("dask", "chunked arrays", install="'fluctua[dask]'")
        for number in range(len(self)):
            pair = self.inputs.blocks[number], self.targets.blocks[number]
            x, y = dask.compute(*pair, **by_whom())
            yield x, y[:, 0] if self.one else y


class _OfChunks(Products):
    """Products over the rows of a Dask array: K's where they are, the others here."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs

    def scattered(self, samples: Samples, weights: Array | None, form: Array | None) -> Array:
        """Sum of rho_i q_i z_i z_i^T, as `Products` has it, block by block in the same order."""
        rows, z = samples.inputs, samples.projections
        if not by_whom() or not isinstance(rows, ChunkedRows) or rows.factors is not None:
            return super().scattered(samples, weights, form)
        if not isinstance(z, ProjectedRows) or z.inputs is not rows:
            return super().scattered(samples, weights, form)
        dask = needed("dask", "chunked arrays", install="'fluctua[dask]'")
        modes, held = dask.delayed(z.modes), None if form is None else dask.delayed(form)
        total: Any = np.zeros((samples.rank, samples.rank))
        for block in samples.blocks(samples.rank):
            own = [None if each is None else each[block] for each in (weights, samples.importance)]
            part = dask.delayed(_block, pure=False)(self.inputs[block], rows.dtype, modes, held, own)
            total = dask.delayed(np.add, pure=False)(total, part)
        found: Array = total.compute(**by_whom())
        return found


def _block(inputs: AnyArray, dtype: DType, modes: Array, form: Array | None, own: list[Array | None]) -> Array:
    """What one block of samples adds."""
    z = ProjectedRows(np.asarray(inputs).astype(dtype, copy=False), modes)[:]
    out = np.zeros((modes.shape[1],) * 2)
    add_scattered(out, z, own[0], form, own[1])
    return out
