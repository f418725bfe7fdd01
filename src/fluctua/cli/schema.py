"""fluctua schema NAME: the JSON Schema of what --json prints."""

from __future__ import annotations

import click

from .._validate.values import choice
from ..storage.layout import schema_text
from .helped import among, command

__all__ = ["schema"]

SCHEMAS = (
    *("verdict", "dynamic", "prediction", "noise", "plans", "probe", "sweep", "study", "sampler"),
    *("reproduction", "part", "files"),
)


@command(group="Output", examples=("fluctua schema verdict", "fluctua schema prediction > prediction.json"))
@click.argument("name", shell_complete=among(SCHEMAS), metavar="NAME")
def schema(name: str) -> int:
    """Print the JSON Schema of a result."""
    click.echo(schema_text(choice("schema", name, SCHEMAS)), nl=False)
    return 0


schema.help = f"Print the JSON Schema of a result: of what --json prints. NAME is one of {', '.join(SCHEMAS)}."
