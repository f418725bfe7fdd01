"""Features on the host, in their own precision: one array that is made whole where the number of samples is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .._validate.sizes import refuse_bytes
from ..errors import InvalidInput
from ..problem.rows import refuse_large

__all__ = ["Kept", "rows_of", "shape_of"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_EXACT = (torch.uint8, torch.int8, torch.int16, torch.bool)
"""Whole numbers that float32 holds exactly."""
_WORK = 2.0
"""Arrays beside the features, in the precision they are computed with: prepared inputs, their projections."""
_GROWTH = 1.5


class Kept:
    """Rows of features, which come batch by batch.

    Attributes
    ----------
    expected : int or None
        How many rows will come, where that is known.
    rows : int
        How many have come.
    """

    def __init__(self) -> None:
        self.expected: int | None = None
        self.rows, self._held = 0, torch.empty(0)

    @property
    def width(self) -> int:
        """Features of a sample, d; 0 before the first batch."""
        return int(self._held.shape[1]) if self.rows else 0

    def add(self, batch: torch.Tensor, number: int) -> None:
        """Keep the rows of a batch.

        Raises
        ------
        InvalidInput
            For another width or another precision than before, and for numbers that are not finite.
        TooLarge
            Where all rows that are expected would not fit into memory; said at the first batch.
        """
        _hold_finite(batch, number, self.rows)
        if self.rows:
            self._hold_alike(batch, number)
        if self.rows + len(batch) > len(self._held):
            self._grow(batch)
        self._held[self.rows : self.rows + len(batch)] = batch
        self.rows += len(batch)

    def _hold_alike(self, batch: torch.Tensor, number: int) -> None:
        if batch.shape[1] != self.width:
            raise InvalidInput(
                f"batch {number} has {batch.shape[1]:,} features a sample, and those before had {self.width:,}: every "
                f"sample needs as many. Where lengths differ, as of sentences or images, pool them first."
            )
        if batch.dtype != self._held.dtype:
            raise InvalidInput(
                f"batch {number} has features in {_named(batch)}, and those before were in {_named(self._held)}."
            )

    def _grow(self, batch: torch.Tensor) -> None:
        need = self.rows + len(batch)
        there = max(need, self.expected or 0) if not self.rows else max(need, int(_GROWTH * len(self._held)))
        self._refuse(there, batch)
        larger = torch.empty((there, batch.shape[1]), dtype=batch.dtype)
        larger[: self.rows] = self._held[: self.rows] if self.rows else larger[:0]
        self._held = larger

    def _refuse(self, rows: int, batch: torch.Tensor) -> None:
        """Refuse what will not fit, before it is tried."""
        width, size = int(batch.shape[1]), batch.element_size()
        refuse_large(width, 1)
        refuse_bytes(
            f"a probe of {rows:,} samples of {width:,} features in {_named(batch)}",
            float(rows) * width * (size + _WORK * max(size, 4)),
            "Give fewer samples (limit=...), a layer with fewer features, or pool or project them first.",
        )

    @property
    def whole(self) -> Any:
        """All rows, (N, d): an array of NumPy, or the tensor itself in bfloat16, which NumPy does not have."""
        kept = self._held[: self.rows]
        return kept if kept.dtype == torch.bfloat16 else kept.numpy()


def rows_of(output: Any, number: int) -> torch.Tensor:
    """Return what a model put out as rows on the host, one a sample, in its own precision.

    Raises
    ------
    InvalidInput
        Where it holds no tensor, or several; for complex numbers, and for no row at all.
    """
    tensor = _only_tensor(output, number)
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_complex() or tensor.dtype not in (*_FLOATS, *_EXACT, torch.int32, torch.int64):
        raise InvalidInput(f"the features of batch {number} are in {_named(tensor)}, and real numbers were expected.")
    if tensor.ndim == 0 or not tensor.numel():
        raise InvalidInput(
            f"the features of batch {number} have the shape {tuple(tensor.shape)}, and a row for each sample was "
            f"expected, (samples, ...)."
        )
    if tensor.dtype not in _FLOATS:
        tensor = tensor.to(torch.float32 if tensor.dtype in _EXACT else torch.float64)
    return tensor.detach().reshape(len(tensor), -1).cpu()


def shape_of(output: Any, number: int) -> tuple[int, ...]:
    """Return the shape of one sample's features, before they are flattened."""
    return tuple(_only_tensor(output, number).shape[1:])


def _only_tensor(output: Any, number: int) -> torch.Tensor:
    if isinstance(output, torch.Tensor):
        return output
    parts = dict(output) if hasattr(output, "keys") else dict(enumerate(output)) if _is_sequence(output) else None
    if parts is None or not any(isinstance(part, torch.Tensor) for part in parts.values()):
        return _as_tensor(output, number)
    tensors = {name: part for name, part in parts.items() if isinstance(part, torch.Tensor)}
    if len(tensors) > 1:
        shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in tensors.items())
        raise InvalidInput(
            f"the features of batch {number} are {type(output).__name__} of {len(tensors)} tensors: {shapes}. Give a "
            f"function that returns one of them, or name a layer, layer=..."
        )
    return next(iter(tensors.values()))


def _is_sequence(output: Any) -> bool:
    return isinstance(output, tuple | list)


def _as_tensor(output: Any, number: int) -> torch.Tensor:
    try:
        return torch.tensor(np.asarray(output)) if hasattr(output, "__array__") else torch.as_tensor(output)
    except Exception as problem:  # whatever torch says of a stranger's
        raise InvalidInput(
            f"the features of batch {number} are {type(output).__name__}, and a tensor was expected: {problem}."
        ) from problem


def _hold_finite(batch: torch.Tensor, number: int, before: int) -> None:
    finite = torch.isfinite(batch)
    if bool(finite.all()):
        return
    rows = (~finite).any(dim=1)
    row = int(rows.nonzero()[0, 0])
    value = float(batch[row][~finite[row]][0])
    half = " float16 ends at 65,504: use bfloat16 or float32." if batch.dtype == torch.float16 else ""
    raise InvalidInput(
        f"batch {number} of the loader has features that are not finite, first {value:g} of sample {before + row} "
        f"(counted from 0; {int(rows.sum())} of {len(batch)} samples of that batch): every moment would become NaN. "
        f"Look at the model's weights and at the input.{half}"
    )


def _named(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
