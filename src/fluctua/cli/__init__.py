"""The command line: the API's verbs with the API's names.

Exit codes: 0 passed, 1 the verdict failed, 2 bad input or an output that takes nothing, 3 a fault of fluctua's own,
128 + n ended by signal n: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. A reader that has gone (`| head -1`) changes none.
"""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Callable

import click

from ..errors import (
    AmbiguousTargets,
    BelowRounding,
    FluctuaError,
    IndexColumn,
    LooseBounds,
    UncertainFloor,
    UncertainLimit,
    UncertainSpread,
    UnknownFloor,
    UnstableRates,
)
from ..simulation.interrupts import exit_code, raised
from .helped import HelpedGroup
from .narrow import fitted
from .streams import streams

__all__ = ["main"]

_COMMANDS = {
    "verify": "Test the prediction by real training runs.",
    "predict": "Noise floor, relaxation and stability, without a run.",
    "plan": "Learning rate, momentum and schedule for a budget.",
    "probe": "A linear probe on features: floor, limit, plan, loop.",
    "sweep": "Many learning rates and batch sizes, predicted and measured.",
    "noise": "Measure the gradient noise against theory.",
    "sampler": "How wrong a sampler's posterior is, and a test of draws.",
    "plot": "Redraw the figures of a result.",
    "report": "Write the page of one or more results.",
    "study": "Run the study of a paper: predicted, run, verified.",
    "reproduce": "Test the source paper's claim on all its data sets.",
    "data": "List and fetch the built-in data sets.",
    "schema": "Print the JSON Schema of a result.",
}
"""What each command does, in a line; it is in the module of its name, imported when it is called."""
_SAID = (
    AmbiguousTargets,
    BelowRounding,
    IndexColumn,
    LooseBounds,
    UncertainFloor,
    UncertainLimit,
    UncertainSpread,
    UnknownFloor,
    UnstableRates,
)
"""Warnings that are shown each time."""
_NO_MEMORY = ("failed to map segment", "annot allocate memory", "can't start new thread")

_COMPLETION = (
    "Tab completes names and options with this in ~/.bashrc",
    "(zsh_source, fish_source: the same for these shells):",
    'eval "$(_FLUCTUA_COMPLETE=bash_source fluctua)"',
)


class _Verbs(HelpedGroup):
    """Commands, each imported when called, so that --help and --version answer at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        from importlib import import_module

        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f".{name}", __name__), name)
        command.short_help = _COMMANDS[name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what each command does, without an import."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and how the shell completes what is typed."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Completion"):
            for line in _COMPLETION:
                formatter.write(f"  {line}\n")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"no command {args[0]!r}.{hint} Commands: {', '.join(_COMMANDS)}.")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"fluctua {_version()}")
        ctx.exit()


def _print_citation(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from .citation import bibtex

        click.echo(bibtex(_version()))
        ctx.exit()


def _version() -> str:
    from importlib.metadata import version

    return version("fluctua")


@click.group(
    cls=_Verbs,
    examples=("fluctua verify digits", "fluctua predict mnist --lr 0.01 --batch-size 32"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
@click.option(
    "--cite",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_citation,
    help="Print what to cite, as BibTeX.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def _group(ctx: click.Context, debug: bool) -> None:
    """Predict, before training, how far SGD will fluctuate on your data, and test the prediction.

    DATA is digits, mnist, emnist, cifar10, or a file: features.npz with arrays X and y (or Y).
    """
    ctx.obj = {"debug": debug}


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    _complain(f"fluctua: warning: {message}")


def _complain(text: str) -> None:
    click.echo(fitted(text, sys.stderr), err=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the console script `fluctua`."""
    given = sys.argv[1:] if arguments is None else arguments
    with streams(), raised(), warnings.catch_warnings():
        for kind in _SAID:
            warnings.simplefilter("default", kind)
        warnings.showwarning = _show_warning
        code = _ended(_called, given, "--debug" in given)
        code = max(code, _ended(lambda _: sys.stdout.flush() or 0, given, False))
    sys.exit(code)


def _called(arguments: list[str]) -> int:
    if any("\0" in argument for argument in arguments):
        raise click.UsageError("an argument holds a null character, which no name of a file and no option can.")
    try:
        code = _group.main(arguments, prog_name="fluctua", standalone_mode=False)
    except click.Abort as abort:  # what click makes of an interrupt, and of EOFError
        raise abort.__cause__ or abort.__context__ or abort from None  # click before 8.2 names no cause
    return code if isinstance(code, int) else 0


def _ended(call: Callable[[list[str]], int], arguments: list[str], debug: bool) -> int:
    """Call, and say in one paragraph how it went wrong if it does; return the exit code."""
    try:
        return call(arguments)
    except KeyboardInterrupt as interrupt:
        click.echo("fluctua: interrupted.", err=True)
        return exit_code(interrupt)
    except click.ClickException as error:
        error.show()
        return 2
    except Exception as error:
        if debug:
            raise
        if not isinstance(error, FluctuaError) and (lack := _lack_of_memory(error)):
            _complain(
                f"fluctua: what was asked for does not fit into memory ({lack}). Give fewer samples, outputs, "
                f"replicas or steps, or more memory."
            )
            return 2
        if isinstance(error, FluctuaError):
            _complain(f"fluctua: {error}")
            return 2
        _complain(
            f"fluctua: {type(error).__name__}: {error}. This should not happen: it is a fault of fluctua's, not "
            f"of your input. `fluctua --debug ...` shows where it arose."
        )
        return 3


def _lack_of_memory(error: BaseException | None) -> str:
    """Return the reason if an error, or one that it came from, says that there was no memory; otherwise nothing.

    Besides MemoryError: the loader of shared libraries, the system, and threads say it in words of their own.
    """
    while error is not None:
        words = str(error)
        if isinstance(error, MemoryError):
            return words or "no more was to be had"
        if (isinstance(error, OSError) and error.errno == errno.ENOMEM) or any(each in words for each in _NO_MEMORY):
            return words
        error = error.__cause__ or error.__context__
    return ""
