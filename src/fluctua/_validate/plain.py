"""Plain JSON types: what a result is written as, and what is read before a schema has been held against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Header", "Json", "JsonObject", "Keywords"]

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = dict[str, Json]
Header = Mapping[str, Any]
"""A JSON object as it is read: its values are what a schema or a dataclass says, and no type here."""
Keywords = dict[str, Any]
"""Arguments by name, on their way to a function that checks each."""
