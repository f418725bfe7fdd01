"""Columns of a frame that are no features: what looks like an index, by its name."""

from __future__ import annotations

import re
import warnings

from ..errors import IndexColumn

__all__ = ["is_index", "mind_index"]

_CAMEL = re.compile(r"[a-z](Id|ID|Index|Idx)$")
_INDEX = re.compile(r"^$|^unnamed: \d+|^__index|^level_\d+$|(^|[^a-z])(id|idx|index|uuid|rownames?|row)$")


def is_index(name: str) -> bool:
    """Whether a column is called as an index is."""
    return bool(_INDEX.search(name.lower()) or _CAMEL.search(name))


def mind_index(name: str, value: object, stacklevel: int) -> None:
    """Warn of the columns of a frame that are called as an index is; an array has no names, and nothing is said."""
    if not hasattr(value, "columns") or not hasattr(value, "to_numpy"):
        return
    found = tuple(str(column) for column in value.columns if isinstance(column, str) and is_index(column))
    if found:
        warnings.warn(IndexColumn(name, found), stacklevel=stacklevel + 1)
