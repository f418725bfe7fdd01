"""fluctua predict DATA --loss cross-entropy: the local theory of a softmax head, no simulation."""

from __future__ import annotations

import json
from typing import Any

import click
import numpy as np

from .._validate.plain import Keywords
from ..planning.conditioned import counted
from ..storage.results import finite
from ..theory.local.heads import predict_head as solve
from ..theory.local.prediction import LocalPrediction
from .asking import Asked, ask
from .heads import refuse_head
from .progress import progress_bar
from .tables import show

__all__ = ["predict_head"]

_NOT_COVERED = (
    "position",
    "modes",
    "spread",
    "accuracy",
    "orders",
    "torch",
    "device",
    "seed",
    "held_out_targets",
    "schedule",
    "ema",
    "tail",
)


def predict_head(held_out: str | None, as_json: bool, options: Keywords) -> int:
    """Print what the local theory says of a softmax head on DATA."""
    refuse_head(options, held_out=held_out, **{name: options.get(name) for name in _NOT_COVERED})
    theory, steps, start = (options[name] for name in ("theory", "steps", "start"))
    about = ask(options, steps)
    with progress_bar() as progress:
        progress("theory", 0.0)
        found = solve(about.problem, about.sgd, theory=theory)
        limit = found.limit
        if steps is not None:
            progress("steps", 0.0)
            found = found.after(steps, start=start)
    if as_json:
        click.echo(json.dumps(finite(_result(about, found, float(limit))), indent=2, allow_nan=False))
    else:
        show(f"{about.words}\n{_report(found, float(limit))}")
    return 0


def _result(about: Asked, found: LocalPrediction, limit: float) -> dict[str, Any]:
    return {
        "kind": "prediction",
        "loss": "softmax",
        "data": about.dataset.about,
        "max_stable_lr": limit,
        **found.to_dict(),
    }


def _report(found: LocalPrediction, limit: float) -> str:
    sgd, slow, hot = found.balance.sgd, found.relaxation_steps, found.temperatures
    error = f" +- {found.excess_loss_error:.2g}" if found.excess_loss_error else ""
    return "\n".join(
        (
            "",
            f"theory        {found.theory}, {found.when}",
            f"optimum       L(W*) = {found.optimum_loss:.8g}, accuracy {found.balance.minimum.accuracy:.2%}",
            f"excess loss   {found.excess_loss:.6g}{error}, {found.excess_loss / found.optimum_loss:.3%} of L(W*)"
            f"{_own_error(found.stated_error)}",
            f"anharmonicity u = {found.anharmonicity:.2%}: the weights are {_PLACE[found.bowl]}",
            f"temperatures  {np.median(hot):.3g} in the median mode, from {hot.min():.3g} to {hot.max():.3g}",
            f"relaxation    {counted(slow.min())} steps in the fastest mode, {counted(np.median(slow))} in the median, "
            f"{counted(slow.max())} in the slowest",
            f"stability     lr is {sgd.lr / limit:.1%} of the crossover {limit:.7g}, above which the weights live "
            f"outside the bowl; nothing diverges there",
        )
    )


def _own_error(stated: float) -> str:
    """What the theory says that its excess loss may be off by; nothing of a rung that states no error of its own."""
    if not stated:
        return ""
    if not np.isfinite(stated):
        return "; the theory's own error is not known"
    share = f"{stated:.2g} of that" if stated < 1 else f"{stated:.2g} times that: here it does not tell the floor"
    return f"; the theory's own error is up to {share}"


_PLACE = {
    "inside": "inside the quadratic bowl",
    "edge": "at the edge of the quadratic bowl, and the floor is an estimate",
    "outside": "outside the quadratic bowl",
}
