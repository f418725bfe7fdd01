"""What the scripts are asked for: counts and amounts that can be measured, and files; argparse refuses others."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path


def positive(text: str, least: int = 1) -> int:
    """Return a whole number that is large enough; 1e8 is one."""
    value = _number(text)
    if not (math.isfinite(value) and value == int(value) and value >= least):
        raise argparse.ArgumentTypeError(f"must be a whole number, {least:,} or more, got {text!r}")
    return int(text) if text.strip().isdecimal() else int(value)


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads a count of so many or more."""
    return lambda text: positive(text, least)


def amount(text: str) -> float:
    """Return a number above zero."""
    value = _number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def there(text: str) -> str:
    """Return the path of a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return text


def to_write(text: str) -> Path:
    """Return the path of a file in a directory that is there: a run of an hour has to find it."""
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file in a directory that is there, got {text!r}")
    return path


def asking(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the script's own account of itself."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
