"""How much of a device's memory runs take: what is beyond it is refused, and how many chunks run side by side."""

from __future__ import annotations

from dataclasses import dataclass

from ..._arrays import DType
from ..._half import HalfArray
from ..._validate.devices import Device
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from ..records import Window
from ..runs import Asked
from ..steppers import slots
from .draws import HELD
from .steps import KICKS, STEPS

__all__ = ["Room"]

_WIDE = 8.0  # bytes of a float64 or an index
_COPIES = 4  # of a block of indices or normal numbers, while they are made


@dataclass(frozen=True)
class Room:
    """Bytes of the device's memory.

    Attributes
    ----------
    common : float
        Whatever the number of replicas: the samples, the modes, blocks of what is drawn.
    replica : float
        Of each: its weights, twice, the batches of a row of steps, its order of an epoch.
    chunk : float
        Of the records of each chunk, beside what a look takes for its replicas.
    """

    common: float
    replica: float
    chunk: float

    @classmethod
    def of(cls, problem: LeastSquares, sgd: Recipe, window: Window, dtype: DType, asked: Asked, whole: bool) -> Room:
        """Return what the runs of `simulate` take."""
        c, d, r, n = problem.outputs, problem.features, problem.rank, problem.samples
        item, looks = float(dtype.itemsize), float(len(window.watched))
        stored = 2.0 if isinstance(problem.inputs, HalfArray) else item
        heat = c * d * sgd.tempered
        drawn = _COPIES * _WIDE * (HELD + min(KICKS, asked.replicas * heat * STEPS))
        kept = slots(sgd, asked.average) + 1.0
        batches = 0.0 if whole else _WIDE * STEPS * sgd.batch_size
        order = 4.0 * n if sgd.epochs else 0.0
        return cls(
            common=n * (stored * d + item * c) + item * d * r + drawn,
            replica=2 * kept * item * c * d + batches + order + _WIDE * (_COPIES * heat + r + looks + 3 * c * r),
            chunk=_WIDE * (3.0 * r**2 + looks * c * r),
        )

    def side_by_side(self, sizes: list[int], left: float) -> list[int]:
        """Return how many chunks, of so many replicas, run side by side in bytes that are left, company by company."""
        companies: list[int] = []
        used = 0.0
        for size in sizes:
            needed = self.chunk + size * self.replica
            if not companies or used + needed > left:
                companies.append(0)
                used = 0.0
            companies[-1] += 1
            used += needed
        return companies

    def refuse(self, device: Device, replicas: int) -> None:
        """Refuse runs of which not even one chunk fits."""
        device.refuse_bytes(
            f"a run of {replicas} replicas",
            self.common + self.chunk + replicas * self.replica,
            "Use fewer samples, outputs or records, inputs of 16 bits, or leave device out.",
        )
