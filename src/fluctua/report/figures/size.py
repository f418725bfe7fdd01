"""The size of a figure, as a journal states it: 3.4in, 8.6cm, 86mm, 246pt, 3.4x2.5in."""

from __future__ import annotations

import re
from typing import Any

from ..._validate.values import real_number, shown
from ...errors import InvalidInput

__all__ = ["figure_size"]

_INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
_GIVEN = re.compile(r"\s*([0-9.]+)\s*(?:[x*\xd7]\s*([0-9.]+)\s*)?(in|cm|mm|pt)\s*")
_LEAST, _MOST = 1.0, 40.0  # inches


def figure_size(given: Any) -> tuple[float | None, float | None]:
    """Return width and height in inches; the height is None where only the width is given, both without any.

    `given` is text, a width in inches, or a pair of them.
    """
    if given is None:
        return None, None
    if isinstance(given, str):
        return _read(given)
    width, height = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, None)
    return _held(width, given), None if height is None else _held(height, given)


def _read(given: str) -> tuple[float, float | None]:
    found = _GIVEN.fullmatch(given)
    try:
        if found is None:
            raise ValueError
        sides = [float(side) * _INCHES[found[3]] for side in found.groups()[:2] if side is not None]
    except ValueError:
        raise InvalidInput(
            f"a figure's size must be a width, or width x height, with its unit (in, cm, mm or pt), such as 3.4in, "
            f"8.6cm or 3.4x2.5in; got {shown(given)}."
        ) from None
    return _held(sides[0], given), _held(sides[1], given) if len(sides) > 1 else None


def _held(side: Any, given: Any) -> float:
    inches = real_number("a figure's size", side)
    if not _LEAST <= inches <= _MOST:
        raise InvalidInput(f"a figure's sides must be from {_LEAST:g} to {_MOST:g} inches, got {shown(given)}.")
    return inches
