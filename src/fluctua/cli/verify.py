"""fluctua verify DATA: simulate, compare, conclude."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import click

from .._validate.plain import Keywords
from .._validate.shards import Shard
from ..errors import InvalidInput
from ..report import save_report
from ..report.explorer.ranges import with_survey
from ..report.figures import save_figures
from ..report.words import balance_words, local_facts, measured_words, run_words
from ..simulation.kept import GROUPS, is_kept
from ..simulation.parts import Part
from ..simulation.steppers import DYNAMICS
from ..storage.checkpoint import Checkpoint
from ..storage.writing import output_directory
from ..verification.equal_time import verify as run
from ..verification.verdict import Verdict
from .asking import Asked, ask, default_out, refuse_lost_split
from .dynamic import LAGS, run_dynamic
from .heads import refuse_head
from .helped import command
from .options import (
    average_options,
    data_options,
    device_option,
    json_option,
    level_option,
    loss_option,
    out_option,
    recipe_options,
    resolution_option,
    seed_option,
    theory_option,
)
from .progress import progress_bar
from .report import found_in
from .spread_out import kept_in, say_part, shard_of, shard_option, spread_out, workers_options
from .stale import REPORT, clear_for, drawn_in
from .tables import saved_in, show, show_ladder
from .tempered import sampler_options

__all__ = ["verify"]

CHECKPOINT = "checkpoint.npz"


@command(
    group="Run",
    examples=(
        "fluctua verify digits",
        "fluctua verify digits --lr 0.05 --momentum 0.9 --seed 1",
        "fluctua verify features.npz --sampling shuffle",
        "fluctua verify digits --dynamic",
        "fluctua verify features.npz --loss cross-entropy",
        "fluctua verify x.npz --method ula --lr .1 --temperature 1",
        "fluctua verify features.npz --seed 1 --shard 2/8 --out shared",
    ),
)
@data_options
@recipe_options
@sampler_options
@loss_option
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
@level_option
@resolution_option
@seed_option
@workers_options
@shard_option
@click.option("--threads", type=int, help="Worker threads.  [default: the cores]")
@device_option
@out_option
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in --out.")
@click.option("--report/--no-report", default=True, help="Also write the page report.html, with its explorer.")
@click.option("--force", is_flag=True, help="Simulate even beyond the stability limit.")
@json_option("Print the verdict as JSON (schema: fluctua schema verdict, of a shard part).")
@click.option("--entropy/--no-entropy", default=None, help="With --dynamic: entropy production.  [default: if quick]")
def verify(*, dynamic: bool, modes: int | None, lags: str | None, entropy: bool | None, **options: Any) -> int:
    """Test the predicted fluctuation of SGD on DATA by real training runs.

    Prints the measurement beside the ladder of theories, and a verdict in two parts, consistent and sharp. Writes
    report.html, result.json, result.npz and figures.

    With --dynamic the command tests the theorem in time: the response to a push is a correlation of the unpushed
    weights. Writes dynamic.json, dynamic.npz and their figures (schema: dynamic).

    With --shard the command makes its groups of replicas and keeps them in --out; repeated without it, it finds them.

    Exit code 0 if passed, 1 if failed or inconclusive (consistent, and too short to be sharp), 2 for bad input.
    """
    if dynamic:
        refuse_head(options, "--dynamic")
        return run_dynamic({**options, "modes": modes, "lags": lags, "entropy": entropy})
    if any(each is not None for each in (modes, lags, entropy)):
        raise InvalidInput(
            "--modes, --lags and --entropy are of --dynamic: the equal-time verdict looks at all modes "
            "at one time. Leave them out, or add --dynamic."
        )
    defaults: Keywords = {"steps": 2000, "start": "optimum", "dynamics": "sgd"}
    return _verify(**{**options, **{name: value for name, value in defaults.items() if options[name] is None}})


def _verify(*, out: str | None, report: bool, as_json: bool, resume: bool, **options: Any) -> int:
    """Equal times."""
    began = time.monotonic()
    if resume:
        refuse_lost_split(options)
    part = shard_of(options["shard"])
    with output_directory(default_out(out, options["data"]), alone=part is None) as directory:
        asked = ask(options, options["steps"])
        if not as_json:
            show(asked.words)
        found = _compute(asked, _checkpoint(directory, resume, part), **options)
        if isinstance(found, Part):
            say_part(found, directory / GROUPS, as_json)
            return 0
        _save(asked, found, directory, report)
    if as_json:
        click.echo(found.to_json())
    else:
        _say(found, directory, time.monotonic() - began)
    return 0 if found.passed else 1


def _compute(
    asked: Asked,
    place: Checkpoint,
    *,
    seed: int | None,
    force: bool,
    dask: str | None,
    processes: int | None,
    **options: Any,
) -> Verdict | Part:
    """Simulate and compare; the verdict is saved before the checkpoint goes. Of a shard no more than its runs."""
    with progress_bar() as progress, _told(place), spread_out(dask, processes):
        found: Verdict | Part = run(
            asked.problem,
            asked.sgd,
            rng=seed,
            average=asked.average,
            checkpoint=place,
            check_stability=not force,
            progress=progress,
            **options,
        )
        if isinstance(found, Part):
            return found
        verdict = found.about(asked.about)
        clear_for(verdict, place.path.parent)
        verdict.save(place.path.parent)
        for each in (place, Checkpoint(place.path.with_name(CHECKPOINT))):
            each.remove()
    return verdict


def _told(place: Checkpoint) -> AbstractContextManager[None]:
    """Tell how to go on with what is kept."""
    again = "repeat with --resume" if place.path.name == CHECKPOINT else "repeat the command"
    return kept_in(place.path, f"finished replicas are kept in {place.path}; {again} to go on.")


def _save(asked: Asked, verdict: Verdict, directory: Path, report: bool) -> None:
    """Draw the figures, and write the page with its explorer."""
    with saved_in(directory):
        if report:
            with progress_bar() as progress:
                verdict = with_survey(verdict, asked.problem, partial(progress, "explorer"))
            verdict.save(directory)
        with progress_bar() as progress:
            progress("figures", 0.0)
            save_figures(verdict, directory, progress=partial(progress, "figures"))
            if report:
                progress("page", 0.0)
                save_report([verdict, *found_in(directory)[1:]], directory / REPORT)


def _checkpoint(directory: Path, resume: bool, part: Shard | None) -> Checkpoint:
    """Return the checkpoint; without --resume what an earlier run left there is dropped when this one's runs begin.

    What shards have made is taken in any case.
    """
    groups = directory / GROUPS
    if part is not None or is_kept(groups):
        return Checkpoint(groups, resume)
    place = Checkpoint(directory / CHECKPOINT, resume)
    if resume and not place.begun:
        click.echo(f"nothing to resume in {directory}: starting anew.", err=True)
    return place


def _say(verdict: Verdict, directory: Path, seconds: float) -> None:
    figures = drawn_in(directory)
    page = "report.html, " if (directory / REPORT).exists() else ""
    sampling = verdict.tested.comparison.frobenius_sampling
    show(f"run       {run_words(verdict)}\nmeasured  {measured_words(verdict)}\n")
    show_ladder(verdict)
    show(f"\nFrobenius error that sampling alone would give: {sampling:.3g}")
    if verdict.loss == "squares":
        show(f"balance   F0, {balance_words(verdict)}\n")
    else:
        show("\n".join(f"{name.lower():<9} {words}" for name, words in local_facts(verdict)) + "\n")
    show(f"{verdict.outcome.upper()}  {verdict.words}")
    show(f"{directory}/: {page}result.json, result.npz, and {figures} as .png and .svg  ({seconds:.0f} s)")
