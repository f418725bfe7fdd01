"""fluctua data list | fetch | path."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..data import available, data_home, fetch
from .helped import Helped, HelpedGroup, data_or_file
from .options import data_dir_option, json_option
from .tables import show

__all__ = ["data"]


@click.group(cls=HelpedGroup, examples=("fluctua data list", "fluctua data fetch mnist --data-dir ~/data"))
def data() -> None:
    """List, fetch and find the built-in data sets."""


@data.command(
    "list",
    cls=Helped,
    heading="Data",
    short_help="What data sets there are, and which are here.",
    examples=("fluctua data list", "fluctua data list --data-dir ~/data --json"),
)
@data_dir_option
@json_option("As JSON.")
def list_(data_dir: str | None, as_json: bool) -> int:
    """List the built-in data sets and what of them is here."""
    entries = available(data_dir)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2, default=list))
        return 0
    for entry in entries:
        here = ", ".join(entry.present) or "not here"
        show(f"{entry.name:<8}  {entry.description}\n{'':<8}  {entry.size}\n{'':<8}  here: {here}")
    return 0


@data.command(
    "fetch",
    cls=Helped,
    short_help="Fetch a data set from its publisher.",
    heading="Data",
    examples=("fluctua data fetch mnist", "fluctua data fetch emnist --data-dir ~/data"),
)
@click.argument("name", shell_complete=data_or_file)
@data_dir_option
def fetch_(name: str, data_dir: str | None) -> int:
    """Fetch NAME from its publisher, checked against its known hash."""
    click.echo(fetch(name, data_dir=data_dir))
    return 0


@data.command(cls=Helped, heading="Data", examples=("fluctua data path", "fluctua data path --data-dir ~/data"))
@data_dir_option
def path(data_dir: str | None) -> int:
    """Print the directory in use."""
    click.echo(data_home(data_dir))
    return 0
