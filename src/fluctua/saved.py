"""A verdict as files: its JSON, and the same with the figures' arrays in one .npz."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from .errors import ResultError
from .paths import kind_of
from .results import load_arrays, save_arrays
from .writing import save_text

__all__ = ["Saved", "with_nan"]


class Saved(ABC):
    """What every verdict, a frozen dataclass with `arrays` and `data`, does with files."""

    KIND: ClassVar[str]
    """What the files' headers call it."""
    STEM: ClassVar[str]
    """Name of its files, without the ending."""
    NOUN: ClassVar[str]
    MADE_BY: ClassVar[str]

    arrays: Mapping[str, NDArray[Any]]

    def about(self, data: Mapping[str, Any]) -> Self:
        """Return the verdict with a description of its data (name, sha256) attached."""
        return replace(self, data=dict(data))  # type: ignore[type-var]  # (every subclass is a dataclass)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return everything but the figures' arrays as plain JSON types."""

    def to_json(self, indent: int | None = 2) -> str:
        """Return `to_dict` as JSON text; a value that is not finite becomes null."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def save(self, directory: Path | str) -> None:
        """Write the .json and the .npz (the same, with the figures' arrays) into `directory`."""
        save_arrays(Path(directory) / f"{self.STEM}.npz", self.to_dict(), self.arrays)
        save_text(Path(directory) / f"{self.STEM}.json", self.to_json() + "\n")

    @classmethod
    def opened(cls, path: Path | str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return header and arrays of a result directory or its .npz; raises `ResultError`."""
        folder = kind_of(path, ResultError) == "directory"
        place = Path(path) / f"{cls.STEM}.npz" if folder else Path(path).with_suffix(".npz")
        header, arrays = load_arrays(place)
        if header.get("kind") != cls.KIND:
            raise ResultError(f"{place} holds no {cls.NOUN}. Give a directory written by `{cls.MADE_BY}`.")
        return header, arrays


def with_nan(values: Mapping[str, Any], keep: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the values with NaN for null, as JSON has it, but for those to `keep`."""
    return {key: float("nan") if value is None and key not in keep else value for key, value in values.items()}
