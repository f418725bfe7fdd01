"""fluctua study NAME ...: a paper's claim, predicted, run, verified and drawn."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..errors import ResultError
from ..report.figures import pictures
from ..simulation.kept import GROUPS, keeping
from ..storage.checkpoint import Checkpoint
from ..storage.writing import output_directory, remove
from ..studies import find, names
from ..studies import show as show_figures
from ..studies.study import Study
from ..verification.conclusion import StatementVerdict
from .helped import OUTPUT, HelpedGroup, command, grouped
from .options import json_option, level_option, seed_option
from .place import Place
from .progress import progress_bar
from .spread_out import kept_in, spread_out, workers_options
from .stale import REPORT, clear_figures, drawn_in
from .tables import saved_in, show

__all__ = ["save_statements", "say_statements", "study"]

_STRICTNESS = "level", "resolution"


class _Studies(HelpedGroup):
    """Studies, each imported when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(names())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        return _command_of(find(name))


@click.group(cls=_Studies, examples=tuple(example for name in names() for example in find(name).examples[:2]))
def study() -> None:
    """Run a study: what a paper claims, predicted, run and verified, with a verdict and a page.

    Exit code 0 if passed, 1 if failed or inconclusive, 2 for bad input.
    """


def _command_of(one: Study) -> click.Command:
    """Return a study's command: its own options, and those that all studies have."""

    @command(short_help=one.summary, group="Study", examples=one.examples)
    @level_option
    @click.option("--resolution", type=float, help="Error that the run must reject.  [default: the study's]")
    @seed_option
    @workers_options
    @grouped(
        OUTPUT,
        click.option("--out", type=Place(), help=f"Directory of the results.  [default: fluctua-study-{one.name}]"),
        click.option("--report/--no-report", default=True, help="Also write the page report.html."),
    )
    @json_option("Print the verdict as JSON (schema: fluctua schema study).")
    def made(**options: Any) -> int:
        return _run(one, **options)

    made.name, made.help, made.params = one.name, one.help, [*one.parameters, *made.params]
    return made


def _run(one: Study, *, out: str | None, report: bool, as_json: bool, **options: Any) -> int:
    """Run the study, write what it found, and say so."""
    began = time.monotonic()
    with output_directory(out or f"fluctua-study-{one.name}") as directory:
        place = Checkpoint(directory / f"{GROUPS}-of-study")
        verdict = _compute(one, place, **options)
        save_statements(verdict, directory, report)
        place.remove()
    if as_json:
        click.echo(verdict.to_json())
    else:
        say_statements(verdict, directory, time.monotonic() - began)
    return 0 if verdict.passed else 1


def _compute(
    one: Study, place: Checkpoint, *, seed: int | None, dask: str | None, processes: int | None, **options: Any
) -> StatementVerdict:
    """Run the study; groups of replicas that are finished are kept until it is saved."""
    asked = {name: value for name, value in options.items() if value is not None or name not in _STRICTNESS}
    told = kept_in(place.path, f"finished replicas are kept in {place.path}; repeat the command to go on.")
    with progress_bar() as progress, told, spread_out(dask, processes), keeping(place, always=True) as keep:
        assert keep is not None
        return one.run(**asked, rng=keep.seed({"study": one.name, **asked}, seed), progress=progress)


def save_statements(verdict: StatementVerdict, directory: Path, paged: bool) -> None:
    """Write the verdict, draw its figures, and write the page."""
    from ..report import save_report
    from ..report.figures import save_figures

    for each in (*_before(directory), verdict):
        show_figures(each.study)
        clear_figures(directory, pictures(each))
    remove(directory / REPORT)
    verdict.save(directory)
    with saved_in(directory), progress_bar() as progress:
        save_figures(verdict, directory, progress=partial(progress, "figures"))
        if paged:
            progress("page", 0.0)
            save_report(verdict, directory / REPORT)


def _before(directory: Path) -> list[StatementVerdict]:
    """What an earlier study left there, perhaps of another name: its figures must not stay beside the new ones."""
    try:
        return [StatementVerdict.load(directory)]
    except ResultError:
        return []


def say_statements(verdict: StatementVerdict, directory: Path, seconds: float) -> None:
    """Print what a verdict says, and what was written."""
    width = max((len(name) for name in verdict.facts), default=0)
    for name, words in verdict.facts.items():
        show(f"{name[0].lower() + name[1:]:<{width}}  {words}")
    show(f"\n{verdict.table}\n\n{verdict.outcome.upper()}  {verdict.words}")
    figures = drawn_in(directory, pictures(verdict))
    page = f"{REPORT}, " if (directory / REPORT).exists() else ""
    show(f"{directory}/: {page}study.json, study.npz, and {figures} as .png and .svg  ({seconds:.0f} s)")
