"""The usual schedules by short names, stretched over a run."""

from __future__ import annotations

from collections.abc import Callable

from .base import Schedule
from .combined import SequentialLR
from .cycles import OneCycleLR
from .decays import ExponentialLR
from .shapes import CosineAnnealingLR, InverseTimeLR, LinearLR, StepLR

__all__ = ["PLANNED", "SHAPES"]


def _warmed(steps: int) -> Schedule:
    warm = max(steps // 20, 1)
    return SequentialLR([LinearLR(0.1, 1.0, warm), CosineAnnealingLR(max(steps - warm, 1))], [warm])


SHAPES: dict[str, Callable[[int], Schedule | None]] = {
    "constant": lambda _steps: None,
    "linear": lambda steps: LinearLR(1.0, 0.0, steps),
    "cosine": CosineAnnealingLR,
    "step": lambda steps: StepLR(-(-steps // 3)),
    "inverse": lambda steps: InverseTimeLR(steps / 10),
    "exponential": lambda steps: ExponentialLR(0.01 ** (1 / steps)),
    "onecycle": lambda steps: OneCycleLR(total_steps=steps, cycle_momentum=False),
    "warmup-cosine": _warmed,
}
"""Usual schedules, stretched over a run of so many steps: down to zero, by tenths at each third, or as 1/t; down to a
hundredth; one cycle whose peak is lr; a twentieth of the run up from lr/10, and down to zero."""

PLANNED = ("constant", "linear", "cosine", "step", "inverse")
"""The names that `plan` tries if none are given."""
