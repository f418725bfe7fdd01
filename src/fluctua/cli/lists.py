"""Options that take several values: numbers with commas between, repeated, or evenly spaced in their logarithm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._validate.values import positive_int, real_number, shown
from ..errors import InvalidInput

__all__ = ["numbers", "whole_numbers"]

_MOST = 1000
_DIGITS = 4


def numbers(name: str, given: Sequence[str]) -> list[float]:
    """Return what an option was given: 0.01,0.1 or 0.001:0.1:12, from the first to the last in so many equal ratios."""
    return [value for text in given for part in text.split(",") for value in _numbers(name, part)]


def whole_numbers(name: str, given: Sequence[str]) -> list[int]:
    """Return what an option was given, such as 8,32."""
    return [_whole(name, part) for text in given for part in text.split(",")]


def _numbers(name: str, part: str) -> list[float]:
    if ":" not in part:
        return [_real(name, part)]
    ends = part.split(":")
    if len(ends) != 3:
        raise InvalidInput(f"{name} takes numbers or FIRST:LAST:COUNT, got {shown(part)}.")
    first, last = (real_number(name, _real(name, end), above=0.0) for end in ends[:2])
    count = positive_int(f"the count of {name}", _whole(name, ends[2]), minimum=2, maximum=_MOST)
    return [float(f"{value:.{_DIGITS}g}") for value in np.geomspace(first, last, count).tolist()]


def _real(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(
            f"{name} takes numbers with commas between, or FIRST:LAST:COUNT; got {shown(text)}."
        ) from None


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"{name} takes whole numbers with commas between, got {shown(text)}.") from None
