"""The device of torch's that products and runs are made on, refused at the door where it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from .._arrays import AnyArray, DType
from .._half import HalfArray, Rows
from .._optional import needed
from ..errors import InvalidInput, TooLarge
from .process_wide import WhileAsked
from .sizes import available_bytes, gib, refuse_work
from .values import shown

__all__ = ["Device", "device_of", "refuse_device"]

_INSTALL = "'fluctua[torch]'"
_SENT = 2**23  # numbers at once
_EXPECTED = "'cpu', 'cuda' or 'cuda:1', one of torch's devices, or None for no torch at all"
_CACHE = {"cpu": 2.0**21, "cuda": 2.0**25}
"""Bytes that stay near the cores, where the device does not tell."""
_RATES = {"cuda": 1e12}
"""Operations a second, about, where they are not those of this machine's cores."""
_SHARE = 0.8  # of what is free: what an estimate may take, beside what a library keeps for itself


@dataclass(frozen=True)
class Device:
    """A device that is there and has float64.

    Attributes
    ----------
    kind : {"cpu", "cuda"}
    hardware : str
        What it is called: two of the same name give the same numbers.
    handle : torch.device
    """

    kind: str
    hardware: str
    handle: Any = field(compare=False)

    @property
    def torch(self) -> Any:
        """The module."""
        return needed("torch", "a device", install=_INSTALL)

    def sent(self, values: AnyArray, dtype: DType | None = None) -> Any:
        """Return a copy of an array on the device, of a type if it is said; rows go in blocks of some MB."""
        torch, kind = self.torch, np.dtype(dtype or values.dtype).name
        out = torch.empty(values.shape, dtype=getattr(torch, kind), device=self.handle)
        few = max(1, _SENT * len(values) // max(values.size, 1))
        for rows in (slice(first, first + few) for first in range(0, len(values), few)):
            out[rows].copy_(torch.from_numpy(np.array(values[rows])))
        return out

    def sent_rows(self, rows: Rows) -> tuple[Any, Any]:
        """Return rows of inputs, those of 16 bits in 16 bits, and what each is multiplied by, (N, 1), or None."""
        if not isinstance(rows, HalfArray):
            return self.sent(rows), None
        factors = None if rows.factors is None else self.sent(rows.factors[:, None])
        return self.sent(rows.contiguous.view(np.int16)).view(getattr(self.torch, rows.stored)), factors

    def __str__(self) -> str:
        return self.hardware if self.kind == "cpu" else f"{self.kind}, {self.hardware}"

    @property
    def free(self) -> float:
        """Bytes of its memory that may still be taken."""
        if self.kind == "cpu":
            return available_bytes()
        cuda = self.torch.cuda
        kept = cuda.memory_reserved(self.handle) - cuda.memory_allocated(self.handle)  # by torch, for what comes next
        return float(cuda.mem_get_info(self.handle)[0] + kept)

    @property
    def room(self) -> float:
        """Bytes of it that runs may take."""
        return _SHARE * self.free

    @property
    def cache(self) -> float:
        """Bytes that its products find again without going to its memory."""
        if self.kind == "cpu":
            return _CACHE["cpu"]
        told = getattr(self.torch.cuda.get_device_properties(self.handle), "L2_cache_size", 0)
        return float(told or _CACHE["cuda"])

    def refuse_bytes(self, what: str, needed: float, remedy: str) -> None:
        """Raise `TooLarge` if `what` needs more bytes of the device's memory than may be taken."""
        there = self.room
        if needed > there:
            raise TooLarge(
                f"{what} would take about {gib(needed)} of the memory of device {self}, and {gib(there)} of it may be "
                f"taken. {remedy}",
                needed,
                there,
            )

    def refuse_work(self, what: str, flops: float, remedy: str) -> None:
        """Raise `TooLarge` if `what` would take longer than 30 days."""
        refuse_work(what, flops, remedy, _RATES.get(self.kind), f"device {self}")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have float32 products in float32, never in fewer bits, and memory that ran out said as `TooLarge`."""
        place = nullcontext() if self.kind == "cpu" else self.torch.cuda.device(self.handle)
        out_of_memory = getattr(self.torch, "OutOfMemoryError", self.torch.cuda.OutOfMemoryError)  # torch below 2.5
        try:
            with self.torch.inference_mode(), _whole_products(), place:
                yield
        except out_of_memory as problem:
            raise TooLarge(
                f"the memory of device {self} ran out: {str(problem).splitlines()[0]} Use fewer replicas, records or "
                f"samples, or free what other programs hold there.",
                float("nan"),
                self.free,
            ) from problem


@contextmanager
def _set_whole() -> Iterator[None]:
    """Have no product in fewer bits. Since torch 2.9 that is set in two ways, of which one may not be answered."""
    torch = import_module("torch")
    backends = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
    newer = [each for each in backends if hasattr(each, "fp32_precision")]
    kept = [each.fp32_precision for each in newer]
    try:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
    except RuntimeError:
        before = None
        for each in newer:
            each.fp32_precision = "ieee"
    try:
        yield
    finally:
        if before is not None:
            torch.set_float32_matmul_precision(before)
        for each, former in zip(newer, kept, strict=True):
            if each.fp32_precision != former:
                each.fp32_precision = former


_whole_products = WhileAsked(_set_whole)


def device_of(value: object) -> Device:
    """Return the device that a name, or a `torch.device`, stands for.

    Raises
    ------
    InvalidInput
        For what is no device's name, one that is not there, and one that cannot compute in float64.
    MissingPackage
        Where torch is not installed.
    """
    if not isinstance(value, str) and type(value).__module__.partition(".")[0] != "torch":
        raise InvalidInput(f"device must be {_EXPECTED}, got {shown(value)}.")
    torch = needed("torch", f"device={str(value)!r}", install=_INSTALL)
    try:
        handle = torch.device(value)
    except (RuntimeError, TypeError, ValueError) as problem:
        raise InvalidInput(f"device must be {_EXPECTED}, got {shown(value)}.") from problem
    if handle.type == "cpu":
        return Device("cpu", "cpu", torch.device("cpu"))
    _refuse_kind(handle)
    return _on_cuda(handle, torch)


def _refuse_kind(handle: Any) -> None:
    if handle.type == "mps":
        raise InvalidInput(
            "device='mps' has no float64, in which moments are summed and matrices diagonalised: float32 would show "
            "its own rounding. Use device='cpu', or leave device out: the compiled loop is made for a CPU."
        )
    if handle.type != "cuda":
        raise InvalidInput(f"device must be {_EXPECTED}, got '{handle}': nothing is known to run right there.")


def _on_cuda(handle: Any, torch: Any) -> Device:
    """A GPU of torch's, of AMD's too, which torch calls so."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        built = "was built without CUDA" if torch.version.cuda is None and not torch.version.hip else "sees no GPU"
        raise InvalidInput(
            f"device='{handle}' is not there: torch {torch.__version__} {built}, as torch.cuda.is_available() says. "
            f"Use device='cpu', or leave device out."
        )
    index = torch.cuda.current_device() if handle.index is None else handle.index
    if index >= count:
        raise InvalidInput(f"device='{handle}' is not there: the last of {count} is 'cuda:{count - 1}'.")
    return Device("cuda", torch.cuda.get_device_name(index), torch.device("cuda", index))


def refuse_device(device: object, what: str) -> None:
    """Refuse a device for what is made without one; `what` is the subject of the sentence, in the plural."""
    if device is not None:
        raise InvalidInput(f"device={shown(device)}: {what} are made without a device. Leave it out.")
