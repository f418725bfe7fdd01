"""A directory of files, each found by what it belongs to: work that is done is not done again.

What is small is JSON, what is arrays is an .npz, sealed: its header holds the hash of what stands beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from .._arrays import AnyArray
from .._validate.plain import Header, JsonObject, Keywords
from ..errors import ResultError
from .paths import kind_of, printable, refuse_irregular
from .results import load_arrays, save_arrays
from .stored import reading
from .writing import output_directory, remove, save_text

__all__ = ["Shelf", "cleared", "digest", "emptied", "shelf_in"]

_LARGEST = 2**20  # bytes of a file that is ours
_OURS = re.compile(r"[0-9a-f]{32}\.(json|npz)")


def digest(key: Header) -> str:
    """Return the name that a key stands under: 32 letters of the SHA-256 of its JSON."""
    return sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Shelf:
    """Contents by key, a file each; without a directory nothing is kept.

    Attributes
    ----------
    directory : Path or None
    read : bool
        Whether what is there is used; otherwise it is only written.
    """

    directory: Path | None
    read: bool = True

    def get(self, key: Header) -> Keywords | None:
        """Return what is kept under a key; None if nothing is.

        Raises
        ------
        ResultError
            If the file is damaged, or belongs to another key.
        """
        if self.directory is None or not self.read:
            return None
        place = self.place(key)
        refuse_irregular(place, ResultError)
        if kind_of(place, ResultError) == "nothing":
            return None
        with reading(partial(damaged, place)):
            if place.stat().st_size > _LARGEST:
                raise ValueError("it is longer than any that was written")
            found = json.loads(place.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or found.pop("key", None) != key:
                raise ValueError("it does not say what it belongs to")
        return found

    def put(self, key: Header, content: JsonObject) -> None:
        """Keep `content` under a key, whole or not at all; raises `OutputError`."""
        if self.directory is not None:
            save_text(self.place(key), json.dumps({"key": key, **content}, indent=1) + "\n")

    def has_arrays(self, key: Header) -> bool:
        """Whether arrays are kept under a key; raises `ResultError` if what is there is no file."""
        if self.directory is None or not self.read:
            return False
        place = self.place(key, "npz")
        refuse_irregular(place, ResultError)
        return kind_of(place, ResultError) == "file"

    def arrays(self, key: Header) -> tuple[AnyArray, ...]:
        """Return the arrays that are kept under a key; raises `ResultError` if they are not what was kept."""
        place = self.place(key, "npz")
        header, arrays = load_arrays(place)
        with reading(partial(damaged, place)):
            if header["key"] != json.loads(json.dumps(key)):
                raise ValueError("it does not say what it belongs to")
            found = tuple(arrays[str(number)] for number in range(len(arrays)))
            if header["seal"] != _seal(found):
                raise ValueError("its arrays are not those that were kept")
        return found

    def put_arrays(self, key: Header, arrays: Sequence[AnyArray]) -> None:
        """Keep arrays under a key, whole or not at all; raises `OutputError`."""
        if self.directory is not None:
            named = {str(number): np.ascontiguousarray(each) for number, each in enumerate(arrays)}
            save_arrays(self.place(key, "npz"), {"key": key, "seal": _seal(arrays)}, named)

    def place(self, key: Header, ending: str = "json") -> Path:
        """Return the file of a key."""
        assert self.directory is not None
        return self.directory / f"{digest(key)}.{ending}"


def _seal(arrays: Sequence[AnyArray]) -> str:
    """Tell arrays apart."""
    found = sha256()
    for each in arrays:
        found.update(f"{each.dtype}{each.shape}".encode() + np.ascontiguousarray(each).tobytes())
    return found.hexdigest()


def emptied(directory: Path) -> None:
    """Remove the files of a shelf; raises `OutputError`."""
    for each in list(directory.iterdir()):
        if _OURS.fullmatch(each.name):
            remove(each)


def cleared(directory: Path) -> None:
    """Remove the files of a shelf, and its directory if nothing else is in it; raises `OutputError`."""
    emptied(directory)
    with suppress(OSError):  # something else is there
        directory.rmdir()


def damaged(place: Path, reason: str) -> ResultError:
    """Return what is raised of a file that holds nothing of ours."""
    return ResultError(f"{printable(place)} does not hold a finished cell: {reason}. Delete it and run again.")


@contextmanager
def shelf_in(directory: Path | None, read: bool = True, alone: bool = True) -> Iterator[Shelf]:
    """Give the shelf in a directory, made if it is missing, to one run alone or to shards; None keeps nothing.

    Raises
    ------
    OutputError
        If it cannot be written, or another run holds it.
    """
    if directory is None:
        yield Shelf(None)
        return
    with output_directory(directory, alone=alone) as place:
        yield Shelf(place, read)
