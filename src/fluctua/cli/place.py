"""The type of options and arguments that name files and directories."""

from __future__ import annotations

import os
from typing import Any

import click

from ..storage.paths import expanded

__all__ = ["Place"]


class Place(click.Path):
    """A path whose leading ~ or ~user is replaced, as a shell does it, but not in --out=~/results."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path as text; raises `InvalidInput` for a user that there is not."""
        given = os.fsdecode(super().convert(value, param, ctx))
        return str(expanded(given)) if given.startswith("~") else given
