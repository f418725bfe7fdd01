"""fluctua probe FEATURES: floor, limit, plan and loop of a linear probe, before training."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from .._validate.plain import Keywords
from ..data import Dataset
from ..errors import InvalidInput
from ..planning.probed import Probe
from ..planning.probes import probe_on, reading_targets
from ..planning.wanted import PROBE_LOSSES, Wanted
from ..recipe.schedules import PLANNED, SHAPES
from ..recipe.sgd import SAMPLINGS
from .asking import SWITCHES, load_both
from .helped import OUTPUT, among, command, grouped
from .options import data_options, held_out_targets_option, json_option, weight_decay_option
from .progress import progress_bar
from .tables import show, show_code

__all__ = ["probe"]

_LOSSES = tuple(name.replace("_", "-") for name in PROBE_LOSSES)


class _Loss(click.Choice[str]):
    """The name of a loss, which the API spells with an underscore."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it is listed."""
        return super().convert(str(value).replace("_", "-"), param, ctx)


@command(
    group="Probe",
    examples=(
        "fluctua probe features.pt --budget 3000 --torch",
        "fluctua probe x.npy --labels y.csv --center --epochs 20",
    ),
)
@data_options
@click.option("--labels", help="The file of the labels, where FEATURES holds features alone; as --targets.")
@click.option("--loss", type=_Loss(_LOSSES), default=_LOSSES[0], show_default=True, help="Of the probe.")
@click.option("--budget", type=int, help="Steps of the run.")
@click.option("--epochs", type=int, help="Budget in epochs instead.  [default: 10]")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Of the probe's training.")
@click.option("--momentum", "momenta", type=float, multiple=True, help="May be repeated.  [default: 0 and 0.9]")
@click.option(
    "--schedule",
    "schedules",
    multiple=True,
    shell_complete=among(tuple(SHAPES)),
    help=f"May be repeated: {', '.join(SHAPES)}.  [default: {', '.join(PLANNED)}]",
)
@click.option(
    "--sampling",
    shell_complete=among(SAMPLINGS),
    default="shuffle",
    show_default=True,
    help=f"One of {', '.join(SAMPLINGS[:3])}.",
)
@weight_decay_option
@click.option("--no-bias", is_flag=True, help="Leave out the column of ones that a probe has otherwise.")
@click.option("--held-out", help="Also the expected accuracy on other data: train or test of FEATURES, or a file.")
@held_out_targets_option
@click.option("--seed", type=int, help="Seed of the split; with --test-size.  [default: fresh]")
@grouped(OUTPUT, click.option("--torch", "as_code", is_flag=True, help="End with the training loop in torch."))
@json_option("Print the probe as JSON (schema: fluctua schema probe).")
def probe(*, as_json: bool, as_code: bool, **options: Any) -> int:
    """Predict the training of a linear probe on FEATURES: noise floor, largest stable learning rate, plan and loop.

    FEATURES is a file of features and labels as a frozen model made them, such as torch.save({"X": features, "y":
    labels}, "features.pt"). A probe has a bias, a column of ones, unless --no-bias leaves it out.
    """
    found = _compute(options)
    if as_json:
        click.echo(found.to_json())
    else:
        show(found.words)
        show_code([found.torch_code()] if as_code else [])
    return 0


def _compute(options: Keywords) -> Probe:
    asked = _wanted(options)
    with reading_targets(asked.loss):
        data, held_out = _loaded(options)
    with progress_bar() as progress:
        return probe_on(data, asked, held_out=held_out, progress=partial(progress, "plan"))


def _wanted(options: Keywords) -> Wanted:
    no_bias, switches = options.pop("no_bias"), {name: options[name] for name in SWITCHES}
    if no_bias and switches["bias"]:
        raise InvalidInput("--bias and --no-bias contradict each other: give one of them.")
    names = ("budget", "epochs", "batch_size", "weight_decay", "sampling")
    return Wanted(
        loss=options.pop("loss").replace("-", "_"),
        momenta=options.pop("momenta") or (0.0, 0.9),
        schedules=options.pop("schedules") or None,
        **{name: options.pop(name) for name in names},
        **{**switches, "bias": not no_bias},
    )


def _loaded(options: Keywords) -> tuple[Dataset, Dataset | None]:
    """The features as they are in the file, and held-out ones."""
    labels = options.pop("labels")
    if labels is not None and options["targets"] is not None:
        raise InvalidInput(
            f"--labels {labels} and --targets {options['targets']} are the same option: give one of them."
        )
    options["targets"] = labels or options["targets"]
    data, _, held_out = load_both({**options, **dict.fromkeys(SWITCHES, False)}, options["held_out"])
    return data, held_out
