"""fluctua study layers: the command line of the study."""

from __future__ import annotations

from typing import Any

import click

from ...verification.conclusion import StatementVerdict
from ..reading import READING
from ..study import Study

__all__ = ["STUDY"]


def run(**options: Any) -> StatementVerdict:
    """Load the data, start the net on its manifold, and verify."""
    from .on_data import verify_on_data  # noqa: PLC0415  (nothing heavy is imported for a list of studies)

    return verify_on_data(**options)


_OPTIONS = (
    click.Argument(["data"], default="digits"),
    click.Option(
        ["--modes"], type=int, help="Steepest modes of the inputs that are kept.  [default: 20, or all where fewer]"
    ),
    click.Option(["--hidden"], type=int, default=10, show_default=True, help="Units of the hidden layer."),
    click.Option(
        ["--split"],
        type=click.Choice(["balanced", "noise"]),
        default="balanced",
        show_default=True,
        help="How W* is shared between the layers at the start.",
    ),
    click.Option(["--lr"], type=float, help="Learning rate.  [default: 8 % of 2/h_max of the net]"),
    click.Option(["--batch-size"], type=int, default=8, show_default=True, help="Samples per batch."),
    click.Option(["--steps"], type=int, default=1500, show_default=True, help="Steps of each run."),
    click.Option(["--replicas"], type=int, default=1024, show_default=True, help="Independent runs."),
    *READING,
)

STUDY = Study(
    "layers",
    "Is 'flat directions fluctuate less' a law or a transient?",
    "Run a linear net of two layers about the manifold on which its product is the optimum, and hold five theories of "
    "its fluctuation against the runs: in which layer, and in which directions, does it fluctuate, and do flat "
    "directions fluctuate less for good, or only until they have relaxed?\n\nDATA is a data set of "
    "`fluctua data list`, or a file.",
    _OPTIONS,
    run,
    (
        "fluctua study layers digits --modes 20 --hidden 10 --lr 0.02 --batch-size 8",
        "fluctua study layers digits --split noise --replicas 512",
    ),
    rows={"digits, 20 modes": {"modes": 20, "lr": 0.02}},
    quick={"digits, 20 modes": {"modes": 20, "lr": 0.02, "steps": 300, "replicas": 512}},
)
