"""fluctua schema NAME: the JSON Schema of what --json prints."""

from __future__ import annotations

from importlib.resources import files

import click

from .._validate import choice

__all__ = ["schema"]

SCHEMAS = ("verdict", "dynamic", "prediction", "noise", "plans", "reproduction", "files")


@click.command(short_help="Print the JSON Schema of a result.")
@click.argument("name", metavar="|".join(SCHEMAS))
def schema(name: str) -> int:
    """Print the JSON Schema of a result."""
    file = files("fluctua") / "schemas" / f"{choice('schema', name, SCHEMAS)}.json"
    click.echo(file.read_text(encoding="utf-8"), nl=False)
    return 0
