"""What a study says of itself: its command, its options, what it runs, and its rows of the reproduction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._validate.plain import Keywords
from ..verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    import click

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """A study as the command line and the reproduction see it.

    Attributes
    ----------
    name : str
        That of its package.
    summary : str
        One sentence, for the list of studies.
    help : str
        What `fluctua study NAME --help` says.
    parameters : tuple of click.Parameter
        Its arguments and options; --seed, --level, --resolution, --out, --report and --json are everybody's.
    run : callable
        Called with the parameters by name, and with rng, level, resolution and progress (of a stage and a fraction);
        None for an option of these that was not given. It returns the verdict.
    examples : tuple of str
    rows : mapping of str to dict
        Rows of `fluctua reproduce`: what sets one apart from the others, and the keywords of `run`.
    quick : mapping of str to dict
        The same with --quick.
    """

    name: str
    summary: str
    help: str
    parameters: tuple[click.Parameter, ...]
    run: Callable[..., StatementVerdict]
    examples: tuple[str, ...] = ()
    rows: Mapping[str, Keywords] = field(default_factory=dict)
    quick: Mapping[str, Keywords] = field(default_factory=dict)
