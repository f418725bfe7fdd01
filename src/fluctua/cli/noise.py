"""fluctua noise DATA: the gradient noise itself."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..storage.writing import output_directory, save_text
from ..verification.formats import shown
from ..verification.noise import gradient_noise
from ..verification.noise_found import GradientNoise
from .asking import Asked, ask, default_out
from .helped import command
from .options import data_options, json_option, level_option, out_option, recipe_options, resolution_option, seed_option
from .progress import progress_bar
from .stale import clear_for
from .tables import show

__all__ = ["noise"]


@command(group="Run", examples=("fluctua noise digits", "fluctua noise features.npz --lr 0.01 --batch-size 32"))
@data_options
@recipe_options
@click.option("--steps", type=int, default=1000, show_default=True, help="Steps of each run.")
@click.option("--replicas", type=int, default=32, show_default=True, help="Independent runs.")
@level_option
@resolution_option
@seed_option
@out_option
@json_option("Print the result as JSON (schema: fluctua schema noise).")
def noise(*, out: str | None, as_json: bool, **options: Any) -> int:
    """Measure the gradient noise of SGD on DATA against theory: its mean, covariance, memory and kurtosis.

    They say where SGD is a Langevin process, and where SGD is not.

    Exit code 0 if passed, 1 if failed or inconclusive (consistent, and too short to be sharp), 2 for bad input.
    """
    with output_directory(default_out(out, options["data"])) as directory:
        asked = ask(options, options["steps"])
        found = _compute(asked, **options)
        text = _save(found, directory)
    if as_json:
        click.echo(text)
    else:
        _say(asked, found, directory)
    return 0 if found.passed else 1


def _compute(asked: Asked, *, seed: int | None, **options: Any) -> GradientNoise:
    with progress_bar() as progress:
        progress("noise", 0.0)
        watch = partial(progress, "noise")
        found = gradient_noise(asked.problem, asked.sgd, rng=seed, progress=watch, **options)
    return found.about(asked.dataset.about)


def _save(found: GradientNoise, directory: Path) -> str:
    """Write the numbers and the figure; return the numbers."""
    from ..report.figures import save_figures

    text = json.dumps(found.to_dict(), indent=2)
    clear_for(found, directory)
    save_text(directory / "noise.json", text + "\n")
    with progress_bar() as progress:
        progress("figures", 0.0)
        save_figures(found, directory)
    return text


def _say(asked: Asked, found: GradientNoise, directory: Path) -> None:
    files = f"{directory}/: noise.json, noise.png, noise.svg"
    show("\n".join((asked.words, "", found.words, _kurtosis(found), "", found.outcome.upper(), files)))


def _kurtosis(found: GradientNoise) -> str:
    head = "\nbatch size  excess kurtosis, steepest modes   predicted"
    rows = zip(found.batch_sizes, found.steep_kurtoses, found.steep_errors, found.steep_predicted, strict=True)
    return "\n".join(
        [head, *(f"{b:>10}  {shown(k, '>16.4f')} +- {e:<12.4f} {shown(p, '>10.4f')}" for b, k, e, p in rows)]
    )
