"""fluctua verify DATA: simulate, compare, conclude."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..errors import InvalidInput
from ..report import save_report
from ..report.explorer.ranges import with_survey
from ..report.figures import save_figures
from ..report.words import balance_words, measured_words, run_words
from ..simulation.steppers import DYNAMICS
from ..storage.checkpoint import Checkpoint, kept_until_done
from ..storage.paths import kind_of
from ..storage.writing import output_directory
from ..verification.equal_time import verify as run
from ..verification.verdict import Verdict
from .dynamic import LAGS, run_dynamic
from .options import (
    average_of,
    average_options,
    data_options,
    default_out,
    describe,
    load_problem,
    recipe,
    recipe_options,
    theory_option,
)
from .place import Place
from .progress import progress_bar
from .tables import saved_in, show, show_ladder

__all__ = ["verify"]

CHECKPOINT, REPORT = "checkpoint.npz", "report.html"


@click.command(short_help="Hold the prediction against real training runs.")
@data_options
@recipe_options
@theory_option
@average_options
@click.option("--steps", type=int, help="Steps of each run.  [default: 2000; with --dynamic 1000]")
@click.option("--replicas", type=int, help="Independent runs.  [default: about 20 seconds' worth, 32 to 512]")
@click.option("--records", type=int, help="Steps measured, evenly spaced.  [default: 32; 16 from 2,000 modes on]")
@click.option("--start", help="optimum or zero.  [default: optimum]")
@click.option("--dynamics", help=f"One of {', '.join(d for d in DYNAMICS if d != 'gd')}.  [default: sgd]")
@click.option("--dynamic", is_flag=True, help="Instead the theorem in time: correlation against response.")
@click.option("--modes", type=int, help="With --dynamic: so many of the steepest modes.  [default: 20]")
@click.option("--lags", help=f"With --dynamic: steps between two looks.  [default: {LAGS}]")
@click.option("--level", type=float, default=0.01, show_default=True, help="Family-wise false-alarm probability.")
@click.option("--resolution", type=float, default=0.05, show_default=True, help="Error that the run must reject.")
@click.option("--seed", type=int, help="Of the batches.  [default: fresh, recorded in the result]")
@click.option("--threads", type=int, help="Worker threads.  [default: the cores]")
@click.option("--out", type=Place(), help="Directory of the results.  [default: fluctua-DATA]")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in --out.")
@click.option("--report/--no-report", default=True, help="Also write the page report.html, with its explorer.")
@click.option("--force", is_flag=True, help="Simulate even beyond the stability limit.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON (schema: fluctua schema verdict).")
@click.option("--entropy/--no-entropy", default=None, help="With --dynamic: entropy production.  [default: if quick]")
def verify(*, dynamic: bool, modes: int | None, lags: str | None, entropy: bool | None, **options: Any) -> int:
    """Hold the predicted fluctuation of SGD on DATA against real training runs.

    Prints the ladder of theories against the measurement and a verdict in two parts, consistent and sharp; writes
    report.html, result.json, result.npz and figures. With --dynamic the theorem in time is held against them: the
    response to a push is a correlation of the unpushed weights; dynamic.json, dynamic.npz and their figures (schema:
    dynamic). Exit code 0 if passed, 1 if not, 2 for bad input.
    """
    if dynamic:
        return run_dynamic({**options, "modes": modes, "lags": lags, "entropy": entropy})
    if any(each is not None for each in (modes, lags, entropy)):
        raise InvalidInput(
            "--modes, --lags and --entropy are of --dynamic: the equal-time verdict looks at all modes "
            "at one time. Leave them out, or add --dynamic."
        )
    defaults: dict[str, Any] = {"steps": 2000, "start": "optimum", "dynamics": "sgd"}
    return _verify(**{**options, **{name: value for name, value in defaults.items() if options[name] is None}})


def _verify(
    *, seed: int | None, out: str | None, resume: bool, report: bool, force: bool, as_json: bool, **options: Any
) -> int:
    """Equal times."""
    began = time.monotonic()
    with output_directory(default_out(out, options["data"])) as directory:
        dataset, problem = load_problem(options)
        sgd = recipe(problem, options, options["steps"])
        average = average_of(options, options["steps"])
        if not as_json:
            show(describe(dataset, problem, sgd))
        place = _checkpoint(directory, resume)
        with progress_bar() as progress, _kept(place), kept_until_done(place.path):
            verdict = run(
                problem,
                sgd,
                rng=seed,
                average=average,
                checkpoint=place,
                check_stability=not force,
                progress=progress,
                **options,
            )
            verdict = verdict.about(dataset.about)
            verdict.save(directory)
        with saved_in(directory):
            if report:
                with progress_bar() as progress:
                    verdict = with_survey(verdict, problem, partial(progress, "explorer"))
                verdict.save(directory)
            save_figures(verdict, directory)
            if report:
                save_report(verdict, directory / REPORT)
    if as_json:
        click.echo(verdict.to_json())
    else:
        _report(verdict, directory, time.monotonic() - began)
    return 0 if verdict.passed else 1


def _checkpoint(directory: Path, resume: bool) -> Checkpoint:
    """Return the checkpoint; without --resume what an earlier run left there is dropped when this one's runs begin."""
    place = Checkpoint(directory / CHECKPOINT, resume)
    if resume and not place.begun:
        click.echo(f"nothing to resume in {directory}: starting anew.", err=True)
    return place


@contextmanager
def _kept(place: Checkpoint) -> Iterator[None]:
    """Tell how to go on when a run is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if kind_of(place.path) == "file":
            click.echo(f"finished replicas are kept in {place.path}; repeat with --resume to go on.", err=True)
        raise


def _report(verdict: Verdict, directory: Path, seconds: float) -> None:
    figures = ", ".join(sorted(path.stem for path in directory.glob("*.png")))
    page = "report.html, " if (directory / REPORT).exists() else ""
    sampling = verdict.tested.comparison.frobenius_sampling
    show(f"run       {run_words(verdict)}\nmeasured  {measured_words(verdict)}\n")
    show_ladder(verdict)
    click.echo(
        f"\nFrobenius error that sampling alone would give: {sampling:.3g}\n"
        f"F0, dissipation against fluctuation: {balance_words(verdict)}\n"
    )
    show(f"{'PASSED' if verdict.passed else 'FAILED'}  {verdict.words}")
    show(f"{directory}/: {page}result.json, result.npz, and {figures} as .png and .svg  ({seconds:.0f} s)")
