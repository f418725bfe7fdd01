"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import click

from .._validate.targets import KINDS
from ..recipe.reading import OPTIMISERS
from ..recipe.schedules import SHAPES
from ..recipe.sgd import SAMPLINGS
from ..theory.ladder import RUNGS
from .place import Place

__all__ = [
    "average_options",
    "data_dir_option",
    "data_options",
    "json_option",
    "level_option",
    "out_option",
    "recipe_options",
    "resolution_option",
    "sampling_option",
    "seed_option",
    "theory_option",
    "weight_decay_option",
]

Command = Callable[..., int | None]
Decorator = Callable[[Command], Command]
DEFAULT_BATCH_SIZE = 8


def _all(*options: Decorator) -> Decorator:
    """One decorator that gives a command all of the options."""
    return lambda function: reduce(lambda wrapped, option: option(wrapped), reversed(options), function)


data_dir_option = click.option(
    "--data-dir", type=click.Path(file_okay=False), help="Where the files are (or FLUCTUA_DATA)."
)
weight_decay_option = click.option(
    "--weight-decay", type=float, default=0.0, show_default=True, help="gamma/2 |W|^2 in the loss."
)
sampling_option = click.option(
    "--sampling",
    default=SAMPLINGS[0],
    show_default=True,
    help=f"One of {', '.join(SAMPLINGS)}. Weights, of samples drawn or in the loss, are given in Python alone.",
)
level_option = click.option(
    "--level", type=float, default=0.01, show_default=True, help="Family-wise false-alarm probability."
)
resolution_option = click.option(
    "--resolution", type=float, default=0.05, show_default=True, help="Error that the run must reject."
)
seed_option = click.option("--seed", type=int, help="Seed of the batches.  [default: fresh, recorded in the result]")
out_option = click.option("--out", type=Place(), help="Directory of the results.  [default: fluctua-DATA]")
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
    data_dir_option,
)
recipe_options = _all(
    click.option(
        "--lr",
        type=float,
        help="Learning rate.  [default: a quarter of 2/h_max or of 2/(kappa max |x|^2), the lesser, to one digit]",
    ),
    click.option("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, show_default=True, help="Samples per batch."),
    weight_decay_option,
    sampling_option,
    click.option("--drop-last", is_flag=True, help="Drop the incomplete last batch of an epoch."),
    click.option("--optimizer", default="SGD", show_default=True, help=f"One of {', '.join(OPTIMISERS)}."),
    click.option("--momentum", type=float, help="beta, from 0 to below 1.  [default: 0 in SGD]"),
    click.option("--dampening", type=float, help="Dampening of the momentum of SGD.  [default: 0]"),
    click.option("--nesterov", is_flag=True, default=None, help="Nesterov's momentum, as torch.optim.SGD has it."),
    click.option("--nu", type=float, help="Share of a step of QHM that is along its buffer, from 0 to 1."),
    click.option("--schedule", help=f"Of lr over --steps: {', '.join(SHAPES)}, or an .npy of factors."),
)
average_options = _all(
    click.option("--ema", type=float, help="Decay of an exponential moving average, looked at instead of W."),
    click.option("--tail", type=int, help="Look at the mean of W over so many last steps of the run."),
    click.option("--average-every", help="Update it after every so many steps, or epoch.  [default: 1]"),
)
theory_option = click.option("--theory", type=str, help=f"Rung of the ladder: {', '.join(RUNGS)}.  [default: exact]")


def json_option(words: str) -> Decorator:
    """Return --json, which prints what `words` say instead of a report."""
    return click.option("--json", "as_json", is_flag=True, help=words)
