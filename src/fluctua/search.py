"""How a learning rate is sought: how near the stability limit, and to how many digits."""

from __future__ import annotations

__all__ = ["EDGE", "rounded"]

EDGE = 0.97
"""Share of the largest stable learning rate up to which a rate is sought."""


def rounded(lr: float, most: float) -> float:
    """Return `lr` to two digits, rounded down where rounding up would pass `most`."""
    value = float(f"{lr:.2g}")
    while value > most:
        value = float(f"{0.97 * value:.2g}")
    return value
