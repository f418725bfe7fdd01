"""fluctua verify DATA: simulate, compare, conclude."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..dynamics import DYNAMICS
from ..plot import save_figures
from ..report import save_report
from ..results import output_directory
from ..survey import surveyed
from ..verdict import Verdict
from ..verify import verify as run
from ..words import balance_words, measured_words, run_words
from .options import (
    average_of,
    average_options,
    data_options,
    default_out,
    describe,
    load_problem,
    progress_bar,
    recipe,
    recipe_options,
    theory_option,
)
from .tables import show, show_ladder

__all__ = ["verify"]

CHECKPOINT, REPORT = "checkpoint.npz", "report.html"


@click.command(short_help="Hold the prediction against real training runs.")
@data_options
@recipe_options
@theory_option
@average_options
@click.option("--steps", type=int, default=2000, show_default=True, help="Steps of each run.")
@click.option("--replicas", type=int, help="Independent runs.  [default: about 20 seconds' worth, 32 to 512]")
@click.option("--records", type=int, help="Steps measured, evenly spaced.  [default: 32; 16 from 2,000 modes on]")
@click.option("--start", default="optimum", show_default=True, help="optimum or zero.")
@click.option(
    "--dynamics", default="sgd", show_default=True, help=f"One of {', '.join(d for d in DYNAMICS if d != 'gd')}."
)
@click.option("--level", type=float, default=0.01, show_default=True, help="Family-wise false-alarm probability.")
@click.option("--resolution", type=float, default=0.05, show_default=True, help="Error that the run must reject.")
@click.option("--seed", type=int, help="Of the batches.  [default: fresh, recorded in the result]")
@click.option("--threads", type=int, help="Worker threads.  [default: the cores]")
@click.option("--out", type=click.Path(), help="Directory of the results.  [default: fluctua-DATA]")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in --out.")
@click.option("--report/--no-report", default=True, help="Also write the page report.html, with its explorer.")
@click.option("--force", is_flag=True, help="Simulate even beyond the stability limit.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON (schema: fluctua schema verdict).")
def verify(
    *, seed: int | None, out: str | None, resume: bool, report: bool, force: bool, as_json: bool, **options: Any
) -> int:
    """Hold the predicted fluctuation of SGD on DATA against real training runs.

    Prints the ladder of theories against the measurement and a verdict in two parts, consistent and sharp; writes
    report.html, result.json, result.npz and figures. Exit code 0 if passed, 1 if not, 2 for bad input.
    """
    began = time.monotonic()
    with output_directory(default_out(out, options["data"])) as directory:
        dataset, problem = load_problem(options)
        sgd = recipe(problem, options, options["steps"])
        average = average_of(options, options["steps"])
        if not as_json:
            show(describe(dataset, problem, sgd))
        checkpoint = _checkpoint(directory, resume)
        with progress_bar() as progress, _kept(checkpoint):
            verdict = run(problem, sgd, rng=seed, average=average, checkpoint=checkpoint, check_stability=not force,
                          progress=progress, **options)  # fmt: skip
            verdict = verdict.about(dataset.about)
            if report:
                progress("explorer", 0.0)
                verdict = surveyed(verdict, problem)
        verdict.save(directory)
        save_figures(verdict, directory)
        if report:
            save_report(verdict, directory / REPORT)
    if as_json:
        click.echo(verdict.to_json())
    else:
        _report(verdict, directory, time.monotonic() - began)
    return 0 if verdict.passed else 1


def _checkpoint(directory: Path, resume: bool) -> Path:
    """Return the checkpoint's place; without --resume what an earlier run left there is dropped."""
    place = directory / CHECKPOINT
    if resume and not place.exists():
        click.echo(f"nothing to resume in {directory}: starting anew.", err=True)
    if not resume:
        place.unlink(missing_ok=True)
    return place


@contextmanager
def _kept(checkpoint: Path) -> Iterator[None]:
    """Tell how to go on when a run is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint.exists():
            click.echo(f"finished replicas are kept in {checkpoint}; repeat with --resume to go on.", err=True)
        raise


def _report(verdict: Verdict, directory: Path, seconds: float) -> None:
    figures = ", ".join(sorted(path.stem for path in directory.glob("*.png")))
    page = "report.html, " if (directory / REPORT).exists() else ""
    sampling = verdict.tested.comparison.frobenius_sampling
    show(f"run       {run_words(verdict)}\nmeasured  {measured_words(verdict)}\n")
    show_ladder(verdict)
    click.echo(f"\nFrobenius error that sampling alone would give: {sampling:.3g}\n"
               f"F0, dissipation against fluctuation: {balance_words(verdict)}\n")  # fmt: skip
    show(f"{'PASSED' if verdict.passed else 'FAILED'}  {verdict.words}")
    show(f"{directory}/: {page}result.json, result.npz, and {figures} as .png and .svg  ({seconds:.0f} s)")
