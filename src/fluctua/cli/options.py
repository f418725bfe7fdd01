"""Options that several commands share."""

from __future__ import annotations

import click

from .._validate.targets import KINDS
from ..errors import InvalidInput
from ..recipe.reading import OPTIMISERS
from ..recipe.schedules import SHAPES
from ..recipe.sgd import SAMPLINGS
from ..recipe.torch_loop.losses import LOSSES
from ..theory.ladder import RUNGS
from ..theory.local.ladder import LOCAL_RUNGS
from .helped import OUTPUT, Decorator, among, data_or_file, grouped
from .place import Place
from .size import TestSize

__all__ = [
    "LOSS_NAMES",
    "average_options",
    "data_dir_option",
    "data_options",
    "device_option",
    "held_out_targets_option",
    "json_option",
    "level_option",
    "loss_option",
    "modes_option",
    "out_option",
    "recipe_options",
    "refuse_start",
    "resolution_option",
    "sampling_option",
    "seed_option",
    "shared_options",
    "theory_option",
    "torch_option",
    "weight_decay_option",
]

DEFAULT_BATCH_SIZE = 8

data_dir_option = grouped(
    "Data", click.option("--data-dir", type=click.Path(file_okay=False), help="Where the files are (or FLUCTUA_DATA).")
)
weight_decay_option = grouped(
    "Recipe",
    click.option("--weight-decay", type=float, default=0.0, show_default=True, help="gamma/2 |W|^2 in the loss."),
)
sampling_option = grouped(
    "Recipe",
    click.option(
        "--sampling",
        shell_complete=among(SAMPLINGS),
        default=SAMPLINGS[0],
        show_default=True,
        help=f"One of {', '.join(SAMPLINGS)}. Weights, of samples drawn or in the loss, are given in Python alone.",
    ),
)
level_option = click.option(
    "--level", type=float, default=0.01, show_default=True, help="Family-wise false-alarm probability."
)
resolution_option = click.option(
    "--resolution", type=float, default=0.05, show_default=True, help="Error that the run must reject."
)
seed_option = click.option("--seed", type=int, help="Seed of the batches.  [default: fresh, recorded in the result]")
out_option = grouped(
    OUTPUT, click.option("--out", type=Place(), help="Directory of the results.  [default: fluctua-DATA]")
)
device_option = click.option(
    "--device",
    help="cuda, cuda:1 or cpu of torch's for Gram matrix, K and runs.  [default: none: NumPy, compiled runs]",
)
data_options = grouped(
    "Data",
    click.argument("data", shell_complete=data_or_file),
    click.option("--subset", help="train or test, where the data set has both."),
    click.option("--split", help="emnist: byclass, bymerge, balanced, letters, digits or mnist."),
    click.option("--classes", help="Keep these labels only, such as 0,1."),
    click.option("--limit", type=int, help="Keep the first so many samples."),
    click.option("--targets", help="For a file of inputs: the file of their targets, of any format."),
    click.option("--inputs-key", help="The array or columns of the inputs, as in 'f*'.  [default: X, inputs, ...]"),
    click.option("--targets-key", help="The array or column of the targets.  [default: y, label, ...]"),
    click.option(
        "--targets-are",
        type=click.Choice(KINDS),
        help="Of a file's y: labels, an output each, or values. "
        "[default: whole numbers and text are labels, floats values]",
    ),
    data_dir_option,
    grouped(
        "Preparation",
        click.option("--bias", is_flag=True, help="Add a column of ones, after centring; weight decay acts on it too."),
        click.option("--center", is_flag=True, help="Subtract the mean of each input in the training data."),
        click.option("--standardize", is_flag=True, help="Center, and divide by the standard deviation."),
        click.option(
            "--test-size",
            type=TestSize(),
            help="Hold out this share of the samples, or so many, drawn by --seed and by label, and look at them too.",
        ),
    ),
)
shared_options = grouped(
    "Recipe",
    sampling_option,
    click.option("--drop-last", is_flag=True, help="Drop the incomplete last batch of an epoch."),
    click.option(
        "--optimizer",
        shell_complete=among(tuple(OPTIMISERS)),
        default="SGD",
        show_default=True,
        help=f"One of {', '.join(OPTIMISERS)}.",
    ),
    click.option("--nesterov", is_flag=True, default=None, help="Nesterov's momentum, as torch.optim.SGD has it."),
    click.option(
        "--schedule",
        shell_complete=among(tuple(SHAPES)),
        help=f"Of lr over --steps: {', '.join(SHAPES)}, or an .npy of factors.",
    ),
)
"""Of a recipe, what a sweep does not vary."""
held_out_targets_option = grouped(
    "Data", click.option("--held-out-targets", help="For a file of inputs in --held-out: the file of their targets.")
)
recipe_options = grouped(
    "Recipe",
    click.option(
        "--lr",
        type=float,
        help="Learning rate.  [default: a quarter of 2/h_max or of 2/(kappa max |x|^2), the lesser, to one digit]",
    ),
    click.option("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, show_default=True, help="Samples per batch."),
    weight_decay_option,
    click.option("--momentum", type=float, help="beta, from 0 to below 1.  [default: 0 in SGD]"),
    click.option("--dampening", type=float, help="Dampening of the momentum of SGD.  [default: 0]"),
    click.option("--nu", type=float, help="Share of a step of QHM that is along its buffer, from 0 to 1."),
    shared_options,
)
LOSS_NAMES = ("squared-error", "cross-entropy")
loss_option = grouped(
    "Recipe",
    click.option(
        "--loss",
        shell_complete=among(LOSS_NAMES),
        default=LOSS_NAMES[0],
        show_default=True,
        help=f"{' or '.join(LOSS_NAMES)}, that of a softmax head: DATA with labels.",
    ),
)
modes_option = grouped(
    "Data",
    click.option(
        "--modes",
        type=int,
        help="Of thousands of inputs: so many leading modes, and bounds of what the others may do; such as 256.",
    ),
)
average_options = grouped(
    "Average of the weights",
    click.option("--ema", type=float, help="Decay of an exponential moving average, looked at instead of W."),
    click.option("--tail", type=int, help="Look at the mean of W over so many last steps of the run."),
    click.option("--average-every", help="Update it after every so many steps, or epoch.  [default: 1]"),
)
theory_option = click.option(
    "--theory",
    shell_complete=among(RUNGS),
    help=f"Rung of the ladder: {', '.join(RUNGS)}.  [default: exact]  "
    f"Of cross-entropy {', '.join(LOCAL_RUNGS)}.  [default: anharmonic]",
)


def _loss(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return the loss of a loop in torch; what comes after --torch and is none is most likely DATA."""
    if value is not None and value not in LOSSES:
        raise click.BadParameter(f"{value!r} is no loss. Give {' or '.join(LOSSES)}, or --torch alone, after DATA.")
    return value


torch_option = grouped(
    OUTPUT,
    click.option(
        "--torch",
        is_flag=False,
        flag_value=next(iter(LOSSES)),
        callback=_loss,
        metavar=f"[{'|'.join(LOSSES)}]",
        help="End with the training loop in torch, of half the squared error (half, the default) or of nn.MSELoss "
        "(mse).",
    ),
)


def json_option(words: str) -> Decorator:
    """Return --json, which prints what `words` say instead of a report."""
    return grouped(OUTPUT, click.option("--json", "as_json", is_flag=True, help=words))


def refuse_start(steps: int | None, start: str) -> None:
    """Refuse a start without --steps."""
    if steps is None and start != "optimum":
        raise InvalidInput(f"--start {start} needs --steps: the stationary state has forgotten where it began.")
