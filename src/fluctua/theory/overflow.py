"""Runs that diverge end beyond all floats: their moments are infinite, which is a finding and no warning."""

from __future__ import annotations

import numpy as np

from .._arrays import Array

__all__ = ["overflowing", "overflown"]


def overflowing() -> np.errstate:
    """Return a context in which squares may overflow, as beyond the stability limit."""
    return np.errstate(over="ignore", invalid="ignore")


def overflown(values: Array) -> Array:
    """Return moments in which what came of two infinities is one."""
    return np.where(np.isnan(values), np.inf, values)
