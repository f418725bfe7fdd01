"""Numbers as people read them: no negative zero, and no percentage of what cannot be caught."""

from __future__ import annotations

import math

__all__ = ["caught", "shown"]

_SMALL = 1e-3  # share below which two decimals of a per cent would hide it


def shown(value: float, spec: str) -> str:
    """Return `value` formatted by `spec`; what rounds to zero has no minus sign."""
    text = format(value, spec)
    if "-" in text and not any(digit in "123456789" for digit in text.split("e")[0]) and math.isfinite(value):
        return format(abs(value), spec)
    return text


def caught(detectable: float) -> str:
    """Return the smallest relative error that runs would catch, in per cent; "nothing" where there is none."""
    if not math.isfinite(detectable):
        return "nothing"
    return f"{100 * detectable:.2g} %"
