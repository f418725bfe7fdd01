"""Work that others do: --dask, --processes and --shard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from .._validate.shards import Shard
from ..errors import InvalidInput, WorkersLost
from ..simulation.parts import Part
from ..storage.paths import kind_of
from .helped import grouped
from .tables import show

__all__ = ["kept_in", "say_part", "shard_of", "shard_option", "spread_out", "workers_options"]

_GROUP = "Many machines"
workers_options = grouped(
    _GROUP,
    click.option(
        "--dask", metavar="ADDRESS", help="Let the workers of a Dask scheduler do it, as tcp://10.0.0.1:8786."
    ),
    click.option(
        "--processes", type=click.IntRange(min=1), help="Let so many processes of this machine do it, a core each."
    ),
)
shard_option = grouped(
    _GROUP, click.option("--shard", metavar="I/N", help="Only the I-th of N parts, in jobs that share --out.")
)


@contextmanager
def spread_out(dask: str | None, processes: int | None) -> Iterator[None]:
    """Hand in the executor that is asked for.

    Raises
    ------
    InvalidInput
        If both are, or nothing answers.
    """
    if dask is not None and processes is not None:
        raise InvalidInput("--dask and --processes are two ways to do the same work: give one of them.")
    workers = processes if dask is None else dask
    if workers is None:
        yield
        return
    from ..distributed import cluster

    with cluster(workers):
        yield


def shard_of(given: str | None) -> Shard | None:
    """Read --shard."""
    return None if given is None else Shard.read("--shard", given)


def say_part(part: Part, place: Path, as_json: bool) -> None:
    """Say what a shard has made, and what comes next."""
    if as_json:
        click.echo(json.dumps(part.to_dict(), indent=2))
    else:
        show(f"\nshard     {part.shard}: {part.words}")
        show(f"{place}/: when all shards have ended, repeat without --shard for the verdict")


@contextmanager
def kept_in(place: Path, words: str) -> Iterator[None]:
    """Tell how to go on when work is interrupted or its workers are lost, if anything is kept at a place.

    `words` say what is kept, and how to go on.
    """
    try:
        yield
    except (KeyboardInterrupt, WorkersLost):
        if kind_of(place) == "file" or (kind_of(place) == "directory" and any(place.iterdir())):
            click.echo(words, err=True)
        raise
