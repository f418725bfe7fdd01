"""One package for each paper, imported on demand: `fluctua study NAME`, and the nouns in `fluctua.studies.NAME`.

A study is a package here that has a module `command` with a `Study` named STUDY, and a module `figures` that says how
its verdicts are shown. Nothing else lists it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from .._validate.values import choice

if TYPE_CHECKING:
    from .study import Study

__all__ = ["find", "names", "show"]


@cache
def names() -> tuple[str, ...]:
    """Return the names of the studies, in the order of the alphabet."""
    folders = (each.name for each in iter_modules(__path__) if each.ispkg)
    return tuple(name for name in folders if find_spec(f"{__name__}.{name}.command"))


def find(name: str) -> Study:
    """Return the study of a name; raises `UnknownName`."""
    found: Study = import_module(f"{__name__}.{choice('study', name, names())}.command").STUDY
    return found


def show(name: str) -> None:
    """Import how the verdicts of a study are shown; nothing happens for a study that there is not."""
    if name in names() and find_spec(f"{__name__}.{name}.figures"):
        import_module(f"{__name__}.{name}.figures")
