"""What `--help` of a command shows: options in groups, and examples.

A shared decorator says of what its options are (`grouped`); an option that a command declares by itself is in the
command's own group, so that a new one needs nothing. Lines fit 60 columns. Click's own classes, and no package over
them: `fluctua --help` has to answer at once.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import click

__all__ = ["Decorator", "Helped", "HelpedGroup", "among", "command", "data_or_file", "grouped"]

Function = Callable[..., int | None]
Decorator = Callable[[Function], Function]
OUTPUT = "Output"
"""The group that comes last, before --help."""


def grouped(group: str, *options: Decorator) -> Decorator:
    """Return one decorator that gives a command all of the options, in a group of its help; groups may be inside."""

    def decorate(function: Function) -> Function:
        there = set(map(id, getattr(function, "__click_params__", [])))
        made = reduce(lambda wrapped, option: option(wrapped), reversed(options), function)
        for parameter in getattr(made, "__click_params__", []):
            if id(parameter) not in there and not hasattr(parameter, "heading"):
                parameter.heading = group
        return made

    return decorate


def command(*, group: str, examples: Sequence[str], short_help: str = "") -> Callable[[Function], click.Command]:
    """Return what makes a command, whose own options are in `group`, with examples at the end of its help."""
    return click.command(cls=Helped, short_help=short_help, heading=group, examples=examples)


class _WithExamples(click.Command):
    """A command with examples after its options."""

    def __init__(self, *given: Any, heading: str = "Options", examples: Sequence[str] = (), **more: Any) -> None:
        super().__init__(*given, **more)
        self.heading, self.examples = heading, tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples, in lines that a shell takes together where the terminal is too narrow for one."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    for line in _in_lines(example, formatter.width - formatter.current_indent):
                        formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _in_lines(example: str, width: int) -> list[str]:
    """Return a command in lines of a width, each but the last continued by a backslash."""
    if len(example) <= width:
        return [example]
    wrapper = textwrap.TextWrapper(
        width - len(" \\"), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    *lines, last = wrapper.wrap(example)
    return [*(f"{line} \\" for line in lines), last]


class Helped(_WithExamples):
    """A command whose help has its options in groups, and examples."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options group by group: the shared ones, the command's own, what comes out."""
        groups: dict[str, list[tuple[str, str]]] = {}
        options = (each for each in self.get_params(ctx) if isinstance(each, click.Option))
        for option in options:
            name = OUTPUT if "--help" in option.opts else getattr(option, "heading", self.heading)
            if (record := option.get_help_record(ctx)) is not None:
                groups.setdefault(name, []).append(record)
        for name in sorted(groups, key=lambda each: (each == OUTPUT, each == self.heading)):
            with formatter.section(name):
                formatter.write_dl(groups[name])


class HelpedGroup(_WithExamples, click.Group):
    """A group of commands with examples."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        click.Group.format_options(self, ctx, formatter)


def among(names: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes one of some names in a shell."""
    return lambda _context, _parameter, begun: [name for name in names if name.startswith(begun)]


def data_or_file(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[Any]:
    """Complete the name of a built-in data set, or that of a file."""
    from click.shell_completion import CompletionItem

    from ..data.registry import REGISTRY

    found = [CompletionItem(name) for name in REGISTRY if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]
