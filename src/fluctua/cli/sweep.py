"""fluctua sweep DATA: many recipes at once, predicted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import click

from .._validate.plain import Keywords
from ..planning.grid import Grid, usual_rates
from ..planning.sweeping import sweep as run
from ..planning.swept import Sweep
from ..storage.writing import output_directory, save_text
from .asking import Asked, ask, default_out
from .heads import refuse_head
from .helped import command
from .lists import numbers, whole_numbers
from .options import average_options, data_options, json_option, loss_option, out_option, seed_option, shared_options
from .progress import progress_bar
from .spread_out import kept_in, shard_of, shard_option, spread_out, workers_options
from .tables import saved_in, show

__all__ = ["sweep"]

CELLS = "cells"
_WHOLE = "when all shards have ended, repeat without --shard for the whole sweep"
_SIZES = (2, 8, 32, 128)
_STEPS = 1000
_HELD: dict[str, Any] = {"lr": 1.0, "batch_size": 1, "weight_decay": 0.0}
_LISTS = ("lr", "batch_size", "momentum", "weight_decay", "dampening", "nu")


@dataclass(frozen=True)
class _Question:
    """About what, which values, and what of each cell."""

    about: Asked
    values: dict[str, list[Any]]
    cells: Keywords

    @property
    def words(self) -> str:
        """The data, and how many cells there are, before any work."""
        sizes = " x ".join(f"{len(values)} {name}" for name, values in self.values.items())
        count = prod(len(values) for values in self.values.values())
        return f"{self.about.data_words}\nsweep     {count:,} cells: {sizes}"


@command(
    group="Sweep",
    examples=(
        "fluctua sweep digits --measure",
        "fluctua sweep digits --lr 0.001:0.1:12 --momentum 0,0.9",
        "fluctua sweep features.npz --loss cross-entropy --measure",
    ),
)
@data_options
@click.option("--lr", multiple=True, help="Such as 0.01,0.03 or 0.001:0.1:12.  [default: twelve, up to the limit]")
@click.option("--batch-size", multiple=True, help=f"Such as 8,32.  [default: {','.join(map(str, _SIZES))}]")
@click.option("--momentum", multiple=True, help="Such as 0,0.9.  [default: 0 in SGD]")
@click.option("--weight-decay", multiple=True, help="Such as 0,0.001.  [default: 0]")
@click.option("--dampening", multiple=True, help="Of the momentum of SGD.  [default: 0]")
@click.option("--nu", multiple=True, help="Of QHM: share of a step along its buffer.")
@loss_option
@shared_options
@average_options
@click.option("--steps", type=int, help=f"Budget of a run.  [default: {_STEPS}]")
@click.option("--samples", type=int, help="Budget in samples instead: steps times batch size.")
@click.option("--start", default="zero", show_default=True, help="zero or optimum.")
@click.option("--target", type=float, help="Also the steps until the expected training loss is there.")
@click.option("--longest", type=int, default=20_000, show_default=True, help="Steps of --target at most.")
@click.option("--measure", is_flag=True, help="Train for real, too.")
@click.option("--replicas", type=int, help="Real runs of a cell.  [default: for an error of 2 %, 16 to 256]")
@seed_option
@click.option("--threads", type=int, help="Worker threads.  [default: the cores]")
@workers_options
@shard_option
@out_option
@click.option("--resume/--fresh", default=True, show_default=True, help="Take finished cells from --out, or none.")
@json_option("Print the sweep as JSON (schema: fluctua schema sweep).")
def sweep(*, out: str | None, as_json: bool, **options: Any) -> int:
    """Predict the loss of every combination of learning rates, batch sizes and momenta on DATA, and measure it.

    Prints a table and writes sweep.json, sweep.npz, sweep.csv and the figure. Finished cells are kept in --out:
    repeated with more values, or after an interrupt, the command computes what is new. With --shard it computes its
    cells and writes no more.

    Exit code 0, or 1 where --measure finds another loss than predicted.
    """
    part = shard_of(options["shard"])
    with output_directory(default_out(out, options["data"]), alone=part is None) as directory:
        question = _ask(options)
        if not as_json:
            show(question.words)
        found = _compute(question, directory)
        if part is None:
            _save(found, directory)
    if as_json:
        click.echo(found.to_json())
    else:
        _say(found, directory)
    return 0 if found.agrees else 1


def _ask(options: Keywords) -> _Question:
    """Load the data and read the values; what is left of the options is about each cell."""
    refuse_head(options, schedule=options["schedule"])
    given = {name: _listed(name, options.pop(name)) for name in _LISTS}
    if options["steps"] is options["samples"] is None:
        options["steps"] = _STEPS
    held = {name: values[0] if values else _HELD.get(name) for name, values in given.items()}
    left = {**options, **held}
    about = ask(left, options["steps"])
    varied = {name: values for name, values in given.items() if len(values) > 1 or name in ("lr", "batch_size")}
    return _Question(about, _with_defaults(about, varied), left)


def _listed(name: str, given: Sequence[str]) -> list[Any]:
    option = f"--{name.replace('_', '-')}"
    return whole_numbers(option, given) if name == "batch_size" else numbers(option, given)


def _with_defaults(about: Asked, values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The values, with batch sizes and rates for those who gave none."""
    problem = about.problem
    sizes = values["batch_size"] or [size for size in _SIZES if size <= problem.samples] or [1]
    others = {**values, "batch_size": sizes}
    del others["lr"]
    rates = values["lr"] or usual_rates(problem, Grid.of(about.sgd, others).recipes)
    return {**others, "lr": rates}


def _compute(question: _Question, directory: Path) -> Sweep:
    about, options = question.about, {**question.cells, **question.values}
    seed, reuse = options.pop("seed"), options.pop("resume")
    dask, processes = options.pop("dask"), options.pop("processes")
    kept = kept_in(directory / CELLS, f"finished cells are kept in {directory / CELLS}; repeat the command to go on.")
    with progress_bar() as progress, kept, spread_out(dask, processes):
        return run(
            about.problem,
            about.sgd,
            average=about.average,
            rng=seed,
            checkpoint=directory / CELLS,
            reuse=reuse,
            progress=progress,
            **options,
        ).about(about.dataset.about)


def _save(found: Sweep, directory: Path) -> None:
    """Write the numbers, then the figure."""
    from ..report.figures import save_figures

    found.save(directory)
    save_text(directory / f"{Sweep.STEM}.csv", found.to_csv())
    with saved_in(directory):
        save_figures(found, directory)


def _say(found: Sweep, directory: Path) -> None:
    head = f"excess loss after {found.budget}" if found.budget else "excess loss at rest"
    optima = {cell.predicted.optimum_loss for cell in found.cells}
    above = f", above L(W*) = {min(optima):.6g}" if len(optima) == 1 else ", above each cell's own L(W*)"
    explained = "; z = (measured - predicted)/error" if found.measured else ""
    if not found.cells:
        show(f"\n{found.words}\n{directory}/: {_WHOLE}")
        return
    show(f"\n{head}{above}{explained}\n{found.table}\n")
    best = found.best.sgd.words if found.best.stable else "none: every cell is beyond the limit of stability"
    show(f"found     {found.words}\nbest      {best}")
    if found.shard is None:
        show(f"{directory}/: sweep.json, sweep.npz, sweep.csv, sweep.png, sweep.svg")
    else:
        show(f"{directory}/: {CELLS}; {_WHOLE}")
