"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import click

from .._validate.targets import KINDS
from .._validate.values import choice, positive_int
from ..data import Dataset, load
from ..data.own import existing, load_npy
from ..errors import InvalidInput
from ..planning.usual_rate import default_rate
from ..problem.least_squares import LeastSquares
from ..recipe.averages import EMA, Average, RunningAverage
from ..recipe.schedules import SHAPES, Schedule, read_schedule
from ..recipe.sgd import SAMPLINGS, SGD
from ..theory.law import LEVELS
from .progress import progress_bar

__all__ = [
    "average_of",
    "average_options",
    "data_options",
    "default_out",
    "describe",
    "load_both",
    "load_other",
    "load_problem",
    "recipe",
    "recipe_options",
    "spectrum",
    "theory_option",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
DEFAULT_BATCH_SIZE = 8


def _all(*options: Decorator) -> Decorator:
    return lambda function: reduce(lambda wrapped, option: option(wrapped), reversed(options), function)


data_options = _all(
    click.argument("data"),
    click.option("--subset", help="train or test, where the data set has both."),
    click.option("--split", help="emnist: byclass, bymerge, balanced, letters, digits or mnist."),
    click.option("--classes", help="Keep these labels only, such as 0,1."),
    click.option("--limit", type=int, help="Keep the first so many samples."),
    click.option("--targets", help="For an .npy of inputs: the .npy of its targets."),
    click.option(
        "--targets-are",
        type=click.Choice(KINDS),
        help="Of a file's y: labels, an output each, or values. "
        "[default: whole numbers and text are labels, floats values]",
    ),
    click.option("--data-dir", type=click.Path(file_okay=False), help="Where the files are (or FLUCTUA_DATA)."),
)
recipe_options = _all(
    click.option(
        "--lr",
        type=float,
        help="Learning rate.  [default: a quarter of 2/h_max or of 2/(kappa max |x|^2), the lesser, to one digit]",
    ),
    click.option("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, show_default=True, help="Samples per batch."),
    click.option("--weight-decay", type=float, default=0.0, show_default=True, help="gamma/2 |W|^2 in the loss."),
    click.option("--sampling", default=SAMPLINGS[0], show_default=True, help=f"One of {', '.join(SAMPLINGS)}."),
    click.option("--drop-last", is_flag=True, help="Drop the incomplete last batch of an epoch."),
    click.option("--momentum", type=float, default=0.0, show_default=True, help="beta, from 0 to below 1."),
    click.option("--dampening", type=float, default=0.0, show_default=True, help="Of the momentum."),
    click.option("--nesterov", is_flag=True, help="Nesterov's momentum, as torch.optim.SGD has it."),
    click.option("--schedule", help=f"Of lr over --steps: {', '.join(SHAPES)}, or an .npy of factors."),
)
average_options = _all(
    click.option("--ema", type=float, help="Decay of an exponential moving average: look at that, not at W."),
    click.option("--tail", type=int, help="Look at the mean of W over so many last steps of the run."),
)
theory_option = click.option("--theory", type=str, help=f"Level of theory: {', '.join(LEVELS)}.  [default: exact]")


PLACES = ("data", "subset", "split", "classes", "limit", "targets", "targets_are", "data_dir")
RECIPE = ("lr", "batch_size", "weight_decay", "sampling", "drop_last", "momentum", "dampening", "nesterov", "schedule")


def load_problem(options: dict[str, Any]) -> tuple[Dataset, LeastSquares]:
    """Load the named data and pose the problem; takes what `data_options` gave out of `options`."""
    dataset = _loaded({name: options.pop(name) for name in PLACES})
    return dataset, _posed(dataset)


def load_both(options: dict[str, Any], held_out: str | None) -> tuple[Dataset, LeastSquares, Dataset | None]:
    """Load the named data and pose the problem, and with `held_out` also other data, read as the first were."""
    places = {name: options.pop(name) for name in PLACES}
    dataset = _loaded(places)
    return dataset, _posed(dataset), None if held_out is None else load_other(held_out, places, dataset)


def _loaded(places: dict[str, Any]) -> Dataset:
    with progress_bar() as progress:
        progress("data", 0.0)
        return _load(places)


def _posed(dataset: Dataset) -> LeastSquares:
    return LeastSquares(dataset.inputs, dataset.targets, targets_are="values")  # read already


def _load(options: dict[str, Any], like: Dataset | None = None) -> Dataset:
    given = {name: options[name] for name in PLACES[1:]}
    given["classes"] = [_label(part) for part in given["classes"].split(",")] if given["classes"] else None
    return load(options["data"], **given, like=like)


def _label(text: str) -> int | str:
    """Return the number that `text` spells, or a class's name."""
    try:
        return int(text)
    except ValueError:
        return text


def load_other(held_out: str, places: dict[str, Any], training: Dataset) -> Dataset:
    """Load held-out data: another part of the same data set, or a file of its own, with the training's outputs."""
    if held_out.endswith(".npy"):
        raise InvalidInput(f"--held-out {held_out} holds inputs only: save them with targets, X and y, as an .npz.")
    changes = (
        {"subset": held_out} if held_out in ("train", "test") else {"data": held_out, "subset": None, "split": None}
    )
    return _load({**places, **changes, "limit": None, "targets": None}, training)


def average_of(options: dict[str, Any], steps: int | None) -> Average | None:
    """Return the average of the weights over a run of `steps`; takes what `average_options` gave out of `options`."""
    ema, tail = options.pop("ema"), options.pop("tail")
    if ema is not None and tail is not None:
        raise InvalidInput("--ema and --tail are two averages: give one.")
    if tail is None:
        return None if ema is None else EMA(ema)
    last = positive_int("--tail", tail)
    if steps is None:
        raise InvalidInput(f"--tail {last} needs --steps, the length of the run.")
    if last > steps:
        raise InvalidInput(f"--tail {last} averages over more steps than the run has: --steps is {steps}.")
    return RunningAverage(steps - last)


def _schedule(given: str | None, steps: int | None) -> Schedule | None:
    if given is None or given == "constant":
        return None
    if steps is None:
        raise InvalidInput(f"--schedule {given} needs --steps, the length of the run it is for.")
    if given.endswith(".npy"):
        return read_schedule(load_npy(existing(Path(given))))
    return SHAPES[choice("schedule", given, SHAPES)](steps)


def recipe(problem: LeastSquares, options: dict[str, Any], steps: int | None = None) -> SGD:
    """Return the recipe of a run of `steps`; takes what `recipe_options` gave out of `options`.

    Without a learning rate it has the one of `default_rate`, and `describe` says so.
    """
    given = {name: options.pop(name) for name in RECIPE}
    lr, schedule = given.pop("lr"), _schedule(given.pop("schedule"), steps)
    checked = SGD(lr=1.0 if lr is None else lr, schedule=schedule, **given)  # refuses before h_max is found
    if lr is not None:
        return checked
    found = default_rate(problem, checked, steps)
    click.get_current_context().meta[__name__] = found.words
    return replace(checked, lr=found.lr)


def describe(dataset: Dataset, problem: LeastSquares, sgd: SGD) -> str:
    """Return the data, their spectrum, and the recipe, in a line each."""
    default = click.get_current_context().meta.get(__name__)
    words = sgd.words if default is None else f"{sgd.words}\n{default}"
    return f"{spectrum(dataset, problem)}\nrecipe    {_indented(words)}"


def _indented(words: str) -> str:
    return words.replace("\n", "\n          ")


def spectrum(dataset: Dataset, problem: LeastSquares) -> str:
    """Return the data, what their targets are, and their spectrum, in a line each."""
    h = problem.curvatures
    return (
        f"data      {dataset.name}: {problem.samples:,} samples, {problem.features} inputs, {problem.outputs} outputs\n"
        f"targets   {_indented(dataset.targets_words)}\n"
        f"spectrum  {problem.rank} modes, curvature {h[0]:.4g} down to {h[-1]:.2g}, mean |x|^2 {h.sum():.4g}"
    )


def default_out(out: str | None, data: str) -> str:
    """Return --out, by default fluctua-NAME in the working directory."""
    return out or f"fluctua-{Path(data).stem}"
