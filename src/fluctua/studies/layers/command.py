"""fluctua study layers: the command line of the study."""

from __future__ import annotations

from typing import Any

import click

from ...verification.conclusion import StatementVerdict
from ..study import Study

__all__ = ["STUDY"]

_SHARE = 0.08  # of 2/h_max of the net, where no learning rate is given


def run(  # noqa: PLR0913  (the options of a command)
    *,
    data: str = "digits",
    modes: int | None = 20,
    hidden: int = 10,
    split: str = "balanced",
    lr: float | None = None,
    batch_size: int = 8,
    steps: int = 1500,
    replicas: int = 1024,
    **common: Any,
) -> StatementVerdict:
    """Load the data, start the net on its manifold, and verify."""
    from ..._validate.values import positive_int
    from ...data import load
    from ...errors import InvalidInput
    from ...problem.least_squares import LeastSquares
    from ...recipe.sgd import SGD
    from . import TwoLayer, verify_net

    loaded = load(data)
    problem = LeastSquares(loaded.inputs, loaded.targets)
    if modes is not None:
        kept = positive_int("modes", modes)
        if kept > problem.rank:
            raise InvalidInput(f"modes = {kept} is more than the {problem.rank} that the inputs of {data} have.")
        if kept < problem.rank:
            problem = LeastSquares(loaded.inputs @ problem.modes[:, :kept], loaded.targets)
    net = TwoLayer(problem, hidden, split)  # type: ignore[arg-type]
    rate = float(f"{_SHARE * net.edge:.1g}") if lr is None else lr
    few = "" if modes is None else f" --modes {modes}"
    words = f"layers {data}{few} --hidden {hidden} --split {split} --lr {rate:g} --batch-size {batch_size}"
    verdict = verify_net(
        net,
        SGD(lr=rate, batch_size=batch_size),
        steps=steps,
        replicas=replicas,
        name=loaded.name,
        asked={"command": f"{words} --steps {steps} --replicas {replicas}"},
        **common,
    )
    return verdict.about(loaded.about)


_OPTIONS = (
    click.Argument(["data"], default="digits"),
    click.Option(["--modes"], type=int, default=20, show_default=True, help="Steepest modes of the inputs that are kept."),
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
)

STUDY = Study(
    "layers",
    "Is 'flat directions fluctuate less' a law or a transient?",
    "Run a linear net of two layers about the manifold on which its product is the optimum, and hold five theories of "
    "its fluctuation against the runs: in which layer, and in which directions, does it fluctuate, and do flat "
    "directions fluctuate less for good, or only until they have relaxed?\n\nDATA is a data set of `fluctua data list`, "
    "or a file.",
    _OPTIONS,
    run,
    (
        "fluctua study layers digits --modes 20 --hidden 10 --lr 0.02 --batch-size 8",
        "fluctua study layers digits --split noise --replicas 512",
    ),
    rows={"digits, 20 modes": {"modes": 20, "lr": 0.02}},
    quick={"digits, 20 modes": {"modes": 20, "lr": 0.02, "steps": 300, "replicas": 512}},
)
