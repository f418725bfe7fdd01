"""The ladder of local theories, from the trace of the noise alone up to the whole of a Gaussian law."""

from __future__ import annotations

from typing import Literal

__all__ = ["EXPANDED", "FEEDING", "LOCAL_RUNGS", "Bowl", "LocalRung"]

LocalRung = Literal["langevin", "discrete", "multiplicative", "anharmonic", "closure"]
LOCAL_RUNGS: tuple[LocalRung, ...] = ("langevin", "discrete", "multiplicative", "anharmonic", "closure")
FEEDING: tuple[LocalRung, ...] = ("multiplicative", "anharmonic", "closure")
"""The rungs on which the noise feels the fluctuation: above the stability limit they have no stationary state."""
EXPANDED: tuple[LocalRung, ...] = ("anharmonic", "closure")
"""The rungs that know of more than the quadratic."""
Bowl = Literal["inside", "edge", "outside"]
