"""Edges from a file of any format that the house reads: one array of two columns, or a table's two columns."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..._validate.values import as_path
from ...data.own import existing
from ...data.readers import READERS, SUFFIXES, ending, opened
from ...data.readers.held import Held
from ...data.readers.text import text_table
from ...errors import CorruptData, InvalidInput
from ...storage.stored import reading

__all__ = ["read_edges"]

_NAMES = "edges", "edge_index"


def read_edges(given: Any) -> Any:
    """Return the numbers in a file of edges, (M, 2)."""
    path = existing(as_path("edges", given), SUFFIXES)
    with reading(partial(_spoiled, path)), _opened(path) as held:
        return np.asarray(held.pair(_columns(held), [], None).inputs)


def _opened(path: Path) -> AbstractContextManager[Held]:
    """What is in a file; a table of text may begin with the edge 0, 1, which is no header here."""
    return text_table(path, counting=True) if READERS.get(ending(path)) is text_table else opened(path, None)


def _columns(held: Held) -> list[str]:
    """The array, or the two columns, that hold the edges."""
    if held.table and len(held.entries) == 2:
        return list(held.entries)
    named = [name for name in held.entries if name.lower() in _NAMES]
    found = named if len(named) == 1 else list(held.entries)
    if held.table or len(found) != 1:
        raise InvalidInput(
            f"{held.name} must hold the edges: a table of two columns, the vertices at both ends, or one array of "
            f"shape (edges, 2), which is called {' or '.join(_NAMES)} where there are others. It holds {held.words}."
        )
    return found


def _spoiled(path: Path, reason: str) -> CorruptData:
    return CorruptData(path, f"its edges cannot be read ({reason})", "Save it again.")
