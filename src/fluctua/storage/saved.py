"""A verdict as files: its JSON, and the same with the figures' arrays in one .npz."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeVar

from .._arrays import AnyArray, Arrays
from .._validate.plain import Header, JsonObject, Keywords
from .._validate.values import as_path, choice, instance, positive_int
from ..errors import ResultError, UnknownName, UnknownRow
from .layout import hold_header
from .paths import kind_of
from .results import load_arrays, provenance, save_arrays
from .stored import reading
from .writing import save_text, writable_directory

__all__ = ["Saved", "named", "with_nan"]


class Saved(ABC):
    """What every verdict, a frozen dataclass with `arrays` and `data`, does with files."""

    KIND: ClassVar[str]
    """What the files' headers call it."""
    STEM: ClassVar[str]
    """Name of its files, without the ending."""
    NOUN: ClassVar[str]
    MADE_BY: ClassVar[str]

    arrays: Arrays

    @property
    @abstractmethod
    def table(self) -> str:
        """What is compared, as plain text."""

    def about(self, data: Header) -> Self:
        """Return the verdict with a description of its data attached.

        Parameters
        ----------
        data : mapping
            Name and hashes, such as `Dataset.about`.

        Returns
        -------
        Self
            A copy.

        Raises
        ------
        InvalidInput
            If `data` is no mapping.
        """
        return replace(self, data=dict(instance("data", data, Mapping, "a dict of its name and hashes")))  # type: ignore[type-var]  # (every subclass is a dataclass)

    @abstractmethod
    def to_dict(self) -> JsonObject:
        """Return everything but the figures' arrays as plain JSON types."""

    def to_json(self, indent: int | None = 2) -> str:
        """Return `to_dict` as JSON text.

        Parameters
        ----------
        indent : int, optional
            Spaces per level, at most 100; None writes one line.

        Returns
        -------
        str
            A value that is not finite becomes null.

        Raises
        ------
        InvalidInput
            For an indent out of range.
        """
        spaces = None if indent is None else positive_int("indent", indent, minimum=0, maximum=100)
        return json.dumps(self.to_dict(), indent=spaces, allow_nan=False)

    def save(self, directory: Path | str) -> None:
        """Write the .json and the .npz (the same, with the figures' arrays) into a directory.

        Parameters
        ----------
        directory : path
            It is made if it is missing. Each file is written whole or not at all.

        Raises
        ------
        InvalidInput
            If `directory` is no path.
        OutputError
            If the files cannot be written there.
        """
        place = writable_directory(as_path("directory", directory))
        save_arrays(place / f"{self.STEM}.npz", self.to_dict(), self.arrays)
        save_text(place / f"{self.STEM}.json", self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a result directory, or the .npz in it.

        Parameters
        ----------
        path : path
            What `save` was given, or the .npz that it wrote.

        Returns
        -------
        Self
            The verdict that was saved.

        Raises
        ------
        ResultError
            If it is missing, damaged, or of another version: the header is held against the published schema, the
            arrays against what the header promises, and what is derived from both against what the header says.
        InvalidInput
            If `path` is no path.
        """
        header, arrays, place = cls.opened(path)
        with reading(partial(_foreign, place, header), ours=True):
            header = cls._updated(header)
            hold_header(header, cls.KIND)
            cls._hold(header, arrays)
            found = cls._read(header, arrays)
            found.table  # noqa: B018  (what is printed: it must be possible)
            said = {**found.to_dict(), "words": header["words"], "format": header["format"]}
            if changed := [name for name in {**said, **header} if said.get(name) != header.get(name)]:
                raise ValueError(f"{', '.join(changed)}: not what follows from the rest")
        return found

    @classmethod
    @abstractmethod
    def _updated(cls, header: Header) -> Keywords:
        """Return the header as this version writes it."""

    @staticmethod
    @abstractmethod
    def _hold(header: Header, arrays: Arrays) -> None:
        """Raise an error where the arrays are not those that the header promises."""

    @classmethod
    @abstractmethod
    def _read(cls, header: Header, arrays: Arrays) -> Self:
        """Make the verdict of a header that the schema allows."""

    @classmethod
    def opened(cls, path: Path | str) -> tuple[Keywords, dict[str, AnyArray], Path]:
        """Return header and arrays of a result directory or its .npz, and that file.

        Parameters
        ----------
        path : path
            As for `load`.

        Returns
        -------
        header : dict
            What the JSON holds.
        arrays : dict of str to ndarray
            The figures' arrays.
        place : Path
            The .npz.

        Raises
        ------
        ResultError
            If it is missing, cannot be read, or holds another kind of result.
        InvalidInput
            If `path` is no path.
        """
        given = as_path("path", path)
        place = given / f"{cls.STEM}.npz" if kind_of(given, ResultError) == "directory" else given.with_suffix(".npz")
        header, arrays = load_arrays(place)
        if header.get("kind") != cls.KIND:
            raise ResultError(f"{place} holds no {cls.NOUN}. Give a directory written by `{cls.MADE_BY}`.")
        return header, arrays, place


def _foreign(place: Path, header: Header, reason: str) -> ResultError:
    made, own = header.get("provenance"), provenance().get("fluctua")
    by = made.get("fluctua") if isinstance(made, Mapping) else None
    who = f"It was written by fluctua {by!s:.40}, this is {own}" if by != own else "It is damaged or was changed"
    return ResultError(f"{place} does not hold what a result must: {reason}. {who}. Delete it and run again.")


class Named(Protocol):
    """A row with its name."""

    @property
    def name(self) -> str:
        """What it is called."""


Row = TypeVar("Row", bound=Named)


def named(rows: Iterable[Row], name: str) -> Row:
    """Return the row of that name; raises `UnknownRow`."""
    found = {row.name: row for row in rows}
    try:
        return found[choice("row", name, found)]
    except UnknownName as error:
        raise UnknownRow("row", error.name, error.known, error.suggestion) from None


def with_nan(values: Header, keep: tuple[str, ...] = ()) -> Keywords:
    """Return the values with NaN for null, as JSON has it, but for those to `keep`."""
    return {key: float("nan") if value is None and key not in keep else value for key, value in values.items()}
