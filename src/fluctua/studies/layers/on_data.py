"""The study on a data set: its steepest modes, a net on their manifold, and the verdict."""

from __future__ import annotations

from shlex import quote
from typing import Any

from ..._validate.values import positive_int
from ...data import load
from ...data.dataset import Dataset
from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import SGD
from ...verification.conclusion import StatementVerdict
from ..reading import reading_words
from .net import Split, TwoLayer
from .trial import verify_net

__all__ = ["steepest", "verify_on_data"]

_KEPT = 20  # modes, where no number is given
_SHARE = 0.08  # of 2/h_max of the net, where no learning rate is given


def steepest(data: Dataset, modes: int | None) -> LeastSquares:
    """Return least squares on the projections of the inputs on their steepest modes; None keeps 20, or all."""
    problem = LeastSquares(data.inputs, data.targets)
    kept = min(_KEPT, problem.rank) if modes is None else positive_int("modes", modes)
    if kept > problem.rank:
        raise InvalidInput(f"modes = {kept} is more than the {problem.rank} that the inputs of {data.name} have.")
    if kept == problem.rank:
        return problem
    return LeastSquares(data.inputs @ problem.modes[:, :kept], data.targets)


def verify_on_data(
    *,
    data: str = "digits",
    modes: int | None = None,
    hidden: int = 10,
    split: Split = "balanced",
    lr: float | None = None,
    batch_size: int = 8,
    steps: int = 1500,
    replicas: int = 1024,
    targets: str | None = None,
    inputs_key: str | None = None,
    targets_key: str | None = None,
    data_dir: str | None = None,
    **common: Any,
) -> StatementVerdict:
    """Load the data, start the net on its manifold, and verify."""
    loaded = load(data, targets=targets, inputs_key=inputs_key, targets_key=targets_key, data_dir=data_dir)
    problem = steepest(loaded, modes)
    net = TwoLayer(problem, hidden, split)
    rate = float(f"{_SHARE * net.edge:.1g}") if lr is None else lr
    keys = reading_words(targets, inputs_key, targets_key)
    few = "" if modes is None else f" --modes {modes}"
    words = f"layers {quote(data)}{keys}{few} --hidden {hidden} --split {split} --lr {rate:g} --batch-size {batch_size}"
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
