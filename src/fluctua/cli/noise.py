"""fluctua noise DATA: the gradient noise itself."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..storage.writing import output_directory, save_text
from ..verification.formats import shown
from ..verification.noise import GradientNoise, gradient_noise
from .options import data_options, default_out, describe, load_problem, recipe, recipe_options
from .place import Place
from .progress import progress_bar
from .tables import show

__all__ = ["noise"]


@click.command(short_help="Measure the gradient noise against theory.")
@data_options
@recipe_options
@click.option("--steps", type=int, default=1000, show_default=True, help="Steps of each run.")
@click.option("--replicas", type=int, default=32, show_default=True, help="Independent runs.")
@click.option("--level", type=float, default=0.01, show_default=True, help="Family-wise false-alarm probability.")
@click.option("--seed", type=int, help="Of the batches.  [default: fresh, recorded in the result]")
@click.option("--out", type=Place(), help="Directory of the results.  [default: fluctua-DATA]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON (schema: fluctua schema noise).")
def noise(
    *, steps: int, replicas: int, level: float, seed: int | None, out: str | None, as_json: bool, **options: Any
) -> int:
    """Measure the gradient noise of SGD on DATA: the evidence that SGD is a Langevin process, and where it is not."""
    with output_directory(default_out(out, options["data"])) as directory:
        dataset, problem = load_problem(options)
        sgd = recipe(problem, options)
        with progress_bar() as progress:
            progress("noise", 0.0)
            found = gradient_noise(
                problem, sgd, steps=steps, replicas=replicas, rng=seed, level=level, progress=partial(progress, "noise")
            )
        text = json.dumps({**found.to_dict(), "data": dataset.about}, indent=2)
        save_text(directory / "noise.json", text + "\n")
        _draw(found, directory, dataset.name)
    files = f"{directory}/: noise.json, noise.png, noise.svg"
    report = "\n".join((describe(dataset, problem, sgd), "", found.words, _kurtosis(found), files))
    if as_json:
        click.echo(text)
    else:
        show(report)
    return 0 if found.passed else 1


def _kurtosis(found: GradientNoise) -> str:
    head = "\nbatch size  excess kurtosis, steepest modes   predicted"
    rows = zip(found.batch_sizes, found.steep_kurtoses, found.steep_errors, found.steep_predicted, strict=True)
    return "\n".join(
        [head, *(f"{b:>10}  {shown(k, '>16.4f')} +- {e:<12.4f} {shown(p, '>10.4f')}" for b, k, e, p in rows)]
    )


def _draw(found: GradientNoise, directory: Path, name: str) -> None:
    from ..report.figures import save_noise_figure

    save_noise_figure(found, directory, name)
