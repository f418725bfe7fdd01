"""How a learning rate is sought: how near the stability limit, and to how many digits."""

from __future__ import annotations

from math import floor, log10

__all__ = ["EDGE", "rounded"]

EDGE = 0.97
"""Share of the largest stable learning rate up to which a rate is sought."""


def rounded(lr: float, most: float, digits: int = 2) -> float:
    """Return `lr` to so many digits, rounded down where rounding up would pass `most`."""
    value = float(f"{lr:.{digits}g}")
    if value <= most:
        return value
    unit = 10.0 ** (floor(log10(most)) + 1 - digits)
    return float(f"{floor(most / unit) * unit:.{digits}g}")
