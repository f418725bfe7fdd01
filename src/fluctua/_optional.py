"""Packages that one feature alone needs: imported where used, and named with the line of pip where missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .errors import MissingPackage

__all__ = ["needed"]


def needed(package: str, purpose: str, *, install: str | None = None) -> ModuleType:
    """Import `package` for `purpose` ("reading a .parquet file"); raises `MissingPackage` where it is not installed.

    `install` is what pip knows it as, where that is another name than the import's.
    """
    try:
        return import_module(package)
    except ImportError as problem:
        raise MissingPackage(package, purpose, install or package.partition(".")[0]) from problem
