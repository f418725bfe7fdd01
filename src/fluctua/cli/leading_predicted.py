"""fluctua predict DATA --modes K: bounds from the leading modes, no simulation."""

from __future__ import annotations

import json
from typing import Any

import click
import numpy as np

from .._validate.plain import Keywords
from ..errors import InvalidInput
from ..planning.conditioned import counted
from ..storage.results import finite
from ..theory.leading import LeadingPrediction
from ..theory.leading.verbs import predict_leading as solve
from ..theory.stable_limit import StableLimit
from .asking import Asked, ask
from .large import reported_by
from .options import refuse_start
from .progress import progress_bar
from .tables import show

__all__ = ["predict_leading"]

_NOT_COVERED = ("position", "spread", "accuracy", "orders", "torch", "seed", "held_out_targets", "ema", "tail")


def predict_leading(held_out: str | None, as_json: bool, options: Keywords) -> int:
    """Print what the leading modes say of SGD on DATA, with bounds."""
    _refuse({"held_out": held_out, **{name: options.get(name) for name in _NOT_COVERED}})
    theory, steps, start = options["theory"] or "exact", options["steps"], options["start"]
    refuse_start(steps, start)
    about = ask(options, steps)
    with progress_bar() as progress:
        reported_by(about.problem, progress)
        progress("theory", 0.0)
        found = solve(about.problem, about.sgd, theory=theory)
        found = found if steps is None else found.after(steps, start=start)
        progress("covariance", 0.0)
        result = found.to_dict()
        progress("limit", 0.0)
        limit = found.limit
    if as_json:
        click.echo(json.dumps(finite(_result(about, result, limit)), indent=2, allow_nan=False))
    else:
        show(f"{about.words}\n{_report(found, limit)}")
    return 0


def _refuse(given: Keywords) -> None:
    for name, value in given.items():
        if value:
            raise InvalidInput(
                f"--{name.replace('_', '-')} needs all modes, and --modes asks for the leading ones: their bounds are "
                f"of the weights, stationary or after --steps. Leave one of the two out."
            )


def _result(about: Asked, result: dict[str, Any], limit: StableLimit) -> dict[str, Any]:
    known = {"max_stable_lr": float(limit), "max_stable_lr_bounds": [float(limit), limit.at_most]}
    return {"kind": "prediction", "data": about.dataset.about, **known, **result}


def _within(error: float) -> str:
    return f"to {error:.2%}" if np.isfinite(error) else "are estimates: no bound was found"


def _report(found: LeadingPrediction, limit: StableLimit) -> str:
    sgd, slow, hot = found.solved.sgd, found.relaxation_steps, found.temperatures
    (low, high), (least, most) = found.excess_loss_bounds, found.optimum_loss_bounds
    share = f", {found.excess_loss / most:.3%} of L(W*)" if most else ""
    return "\n".join(
        (
            "",
            f"theory        exact, {found.when}, bounded from {len(found.curvatures):,} leading modes",
            f"optimum       L(W*) = {most:.8g}, at least {least:.8g}",
            f"excess loss   {found.excess_loss:.6g}{share}, from {low:.6g} to {high:.6g}",
            f"variances     of any direction of the leading modes {_within(found.covariance_error)}",
            f"temperatures  {np.median(hot):.3g} in the median mode, from {hot.min():.3g} to {hot.max():.3g}",
            f"relaxation    {counted(slow.min())} steps in the fastest mode, {counted(np.median(slow))} in the median, "
            f"{counted(slow.max())} in the slowest of these",
            f"stability     lr is at most {sgd.lr / limit:.1%} of the largest stable one, which is from {limit:.7g} to "
            f"{limit.at_most:.7g}",
        )
    )
