"""Compiled code kept between processes, as numba keeps it, and compiled anew where what was kept is damaged.

Kept is machine code: a byte of it that has changed ends the process, or changes numbers. So every file carries the hash
of its content, and one that does not fit is as if it were not there.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from .._validate.plain import Keywords

__all__ = ["OPTIONS", "KeptCode", "compiled"]

OPTIONS: Keywords = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz"},
}  # sums may be taken in any order; NaN and infinity stay what they are

_HASH = sha256().digest_size


class _Files(IndexDataCacheFile):
    """The files of one function: an index of what was compiled for which types, and a file of each."""

    def _load_index(self) -> dict[Any, str]:
        """Return the index; an empty one if it is not what was written."""
        parent: Any = super()
        try:
            with Path(self._index_path).open("rb") as file:
                pickle.load(file)  # numba's version
                _refuse_damaged(file.read())
            return dict(parent._load_index())
        except Exception:
            return {}

    def _load_data(self, name: str) -> Any:
        """Return what is kept in a file; raises OSError, as though there were none, if it is not what was written."""
        parent: Any = super()
        _refuse_damaged(Path(parent._data_path(name)).read_bytes())
        return parent._load_data(name)  # pickle stops at its own end, before the hash

    def _dump(self, obj: Any) -> bytes:
        parent: Any = super()
        pickled: bytes = parent._dump(obj)
        return pickled + sha256(pickled).digest()


def _refuse_damaged(content: bytes) -> None:
    if sha256(content[:-_HASH]).digest() != content[-_HASH:]:
        raise OSError("damaged")


def _written(function: Any) -> str:
    """The hash of what is written in the function's module, in this room's compiled ones, and in what those read."""
    room = Path(__file__).parent
    read = (room / name for name in ("memory_lines.py", "sparse.py"))
    sources = {Path(function.__code__.co_filename), *room.glob("compiled*.py"), *read}
    return sha256(b"".join(source.read_bytes() for source in sorted(sources))).hexdigest()


class KeptCode(FunctionCache):
    """The cache of one function, whose files may be damaged, unreadable, or impossible to write."""

    def __init__(self, function: Any) -> None:
        parent: Any = super()
        parent.__init__(function)
        kept, files = self._cache_file, cast(Any, _Files)
        self._cache_file = files(kept._cache_path, kept._index_name.removesuffix(".nbi"), _written(function))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for a signature; None where there is none that can be used."""
        parent: Any = super()
        try:
            return parent.load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for a signature, if the disk lets it."""
        parent: Any = super()
        with suppress(OSError):
            parent.save_overload(sig, data)


def compiled(function: Any) -> Any:
    """Compile a function for the types that it is called with, and keep the code."""
    dispatcher: Any = numba.njit(**OPTIONS)(function)
    with suppress(RuntimeError, OSError):  # nowhere to keep the compiled code: compile it in every process
        dispatcher._cache = KeptCode(function)
    return dispatcher
