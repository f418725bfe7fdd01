"""Modules that are numba, loaded where they are needed: numba takes half a second, and its settings may be wrong."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

from ..errors import InvalidInput

__all__ = ["compiled_module"]


def compiled_module(name: str) -> Any:
    """Return a module of this room whose functions are compiled.

    Raises
    ------
    InvalidInput
        If numba refuses the settings that it finds.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a setting that it does not understand, and leaves
            return import_module(f"{__package__}.{name}")
    except ValueError as error:
        raise _refused_settings(str(error)) from error


def _refused_settings(reason: str) -> InvalidInput:
    given = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    return InvalidInput(
        f"numba, which compiles the steps of the runs, does not start with the settings it finds here: "
        f"{reason} Correct or remove them: {', '.join(given) or 'none in the environment'}, or a file "
        f".numba_config.yaml in the working directory."
    )
