"""fluctua verify DATA --dynamic: correlation against response."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from .._validate.plain import Keywords
from .._validate.values import shown
from ..errors import InvalidInput
from ..simulation.kept import GROUPS
from ..simulation.parts import Part
from ..storage.checkpoint import Checkpoint
from ..storage.writing import output_directory
from ..verification.formats import shown as number_text
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.in_time.verify import verify_dynamic
from .asking import Asked, ask, default_out, refuse_lost_split
from .progress import progress_bar
from .report import found_in
from .spread_out import kept_in, say_part, shard_of, spread_out
from .stale import REPORT, clear_for, drawn_in
from .tables import saved_in, show

__all__ = ["LAGS", "run_dynamic"]

_STEPS = 1000
_OF_THE_OTHER = ("theory", "ema", "tail", "average_every", "records", "start", "dynamics", "force", "device")
LAGS = "1,2,4,... up to 32"


def run_dynamic(options: Keywords) -> int:
    """Verify the theorem in time; `options` are those of `fluctua verify`."""
    began = time.monotonic()
    _refuse_others(options)
    out, as_json, paged = (options.pop(name) for name in ("out", "as_json", "report"))
    options["steps"] = _STEPS if options["steps"] is None else options["steps"]
    options["lags"] = _lags(options["lags"])
    if options["resume"]:
        refuse_lost_split(options)
    part = shard_of(options["shard"])
    with output_directory(default_out(out, options["data"]), alone=part is None) as directory:
        asked = ask(options, options["steps"])
        if not as_json:
            show(asked.words)
        place = Checkpoint(directory / f"{GROUPS}-in-time", options.pop("resume"))
        verdict = _compute(asked, place, **options)
        if isinstance(verdict, Part):
            say_part(verdict, place.path, as_json)
            return 0
        _save(verdict, directory, paged)
        place.remove()
    if as_json:
        click.echo(verdict.to_json())
    else:
        show(_report(verdict, directory, time.monotonic() - began))
    return 0 if verdict.passed else 1


def _compute(
    asked: Asked, place: Checkpoint, *, seed: int | None, dask: str | None, processes: int | None, **options: Any
) -> DynamicVerdict | Part:
    again = f"finished replicas are kept in {place.path}; repeat with --resume, or the shard as it was, to go on."
    with progress_bar() as progress, kept_in(place.path, again), spread_out(dask, processes):
        found: DynamicVerdict | Part = verify_dynamic(
            asked.problem, asked.sgd, rng=seed, checkpoint=place, progress=progress, **options
        )
    return found if isinstance(found, Part) else found.about(asked.about)


def _save(verdict: DynamicVerdict, directory: Path, paged: bool) -> None:
    """Write the verdict, draw its figures, and write the page of all that the directory holds, at equal times too."""
    from ..report import save_report
    from ..report.figures import save_figures

    clear_for(verdict, directory)
    verdict.save(directory)
    with saved_in(directory), progress_bar() as progress:
        progress("figures", 0.0)
        save_figures(verdict, directory, progress=partial(progress, "figures"))
        if paged:
            progress("page", 0.0)
            save_report(found_in(directory), directory / REPORT)


def _refuse_others(options: Keywords) -> None:
    """Refuse what only the equal-time verdict knows."""
    for name in _OF_THE_OTHER:
        if options.pop(name):
            raise InvalidInput(
                f"--{name} is of the equal-time verdict, not of --dynamic: correlations and responses are measured "
                f"from W*, for the weights themselves, in SGD's own runs, against the exact theory. Leave one out."
            )


def _lags(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        return [int(part) for part in given.split(",")]
    except ValueError:
        raise InvalidInput(f"--lags {shown(given)} must be numbers of steps between commas, such as 1,2,8.") from None


def _report(verdict: DynamicVerdict, directory: Path, seconds: float) -> str:
    run, found = verdict.run, verdict.circulation
    steps = f"{run.steps} steps x {run.replicas} replicas from W*, seen from step {run.opened} on"
    files = ", ".join(name for name in (REPORT, "dynamic.json", "dynamic.npz") if (directory / name).exists())
    figures = drawn_in(directory)
    return "\n".join(
        (
            f"run       {steps},\n          {run.modes} modes, lags up to {run.lags[-1]}, seed {run.entropy}",
            "",
            verdict.table,
            "",
            f"current   {found.resolved} of {found.elements} pairs of modes above 3 error bars, correlation with "
            f"theory {number_text(found.correlation, '.4f')};",
            f"          measured over predicted {number_text(found.ratio, '.4f')} +- {found.ratio_error:.4f}",
            "",
            *([verdict.entropy_table, ""] if verdict.entropy else []),
            *([verdict.relations_table, ""] if verdict.relations else []),
            f"{verdict.outcome.upper()}  {verdict.words}",
            f"{directory}/: {files}, and {figures} as .png and .svg  ({seconds:.0f} s)",
        )
    )
