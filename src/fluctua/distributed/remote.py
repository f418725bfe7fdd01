"""What a worker does with a piece of work: checks that it is the same fluctua, works, and sends warnings along."""

from __future__ import annotations

import platform
import threading
import warnings
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors.carried import Carried
from ..simulation.workers import cores
from ..storage.results import provenance

__all__ = ["Answer", "alone", "among", "code", "told"]

Answer = tuple[Any, list[Warning]]
_ONE = threading.Lock()


@cache
def code() -> dict[str, str]:
    """Return the versions that the numbers depend on, and a hash of fluctua's own files."""
    house = Path(__file__).parents[1]
    found = sha256()
    for path in sorted(house.rglob("*.py")):
        found.update(path.relative_to(house).as_posix().encode() + b"\0" + path.read_bytes())
    return {
        "Python": platform.python_version(),
        **provenance(),
        "numba": version("numba"),
        "fluctua's files": found.hexdigest()[:10],
    }


def alone(work: Callable[..., Any], threads: int, shared: Any, item: Any) -> Answer:
    """Do a piece of work that has the process to itself, with its threads, and say what it warned of."""
    with _ONE, cores(threads), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result = work(shared, item, _silent)
    return result, [said for each in heard if isinstance(said := each.message, Carried) and isinstance(said, Warning)]


def among(work: Callable[..., Any], threads: int, shared: Any, item: Any) -> Answer:
    """Do a piece of work on one core, beside others."""
    del threads
    return work(shared, item, _silent), []


def told(answer: Answer) -> Any:
    """Return the result, and warn here of what the worker warned of."""
    result, heard = answer
    for each in heard:
        warnings.warn(each, stacklevel=2)
    return result


def _silent(fraction: float) -> None:
    """Say nothing: the caller hears of whole pieces."""
