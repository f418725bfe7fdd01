"""fluctua predict DATA: no simulation."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Any

import click
import numpy as np

from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..recipe.mse_loss import mse_words
from ..recipe.sgd import SGD
from ..storage.results import finite
from ..theory.answers import Prediction
from ..theory.answers import predict as solve
from ..theory.held_out import held_out_loss
from ..theory.spread import loss_spread
from ..theory.stability import apart, max_stable_lr
from ..verification.formats import shown
from ..verification.one_epoch import semi_analytic
from .options import (
    average_of,
    average_options,
    data_options,
    describe,
    load_both,
    recipe,
    recipe_options,
    theory_option,
)
from .progress import progress_bar
from .tables import show

__all__ = ["predict"]

_RTOL = 1e-4  # of every mode's variance at finite time


@click.command(short_help="Noise floor, relaxation and stability, without a run.")
@data_options
@recipe_options
@theory_option
@average_options
@click.option("--steps", type=int, help="Predict after so many steps instead of the stationary state.")
@click.option("--start", default="optimum", show_default=True, help="optimum or zero; with --steps.")
@click.option("--position", type=int, help="Stationary state so many steps into an epoch; with --sampling shuffle.")
@click.option("--held-out", help="Also the expected loss on other data: train or test of DATA, or a file.")
@click.option("--spread", is_flag=True, help="Also how far runs differ in their loss; c(c + 1)/2 times the work.")
@click.option(
    "--orders",
    type=int,
    help="Also the semi-analytic level, from so many measured epochs; for small data with --sampling shuffle.",
)
@click.option("--seed", type=int, help="Of the measured epochs.  [default: fresh]")
@click.option("--json", "as_json", is_flag=True, help="Every mode's numbers too (schema: fluctua schema prediction).")
def predict(
    *,
    theory: Any,
    steps: int | None,
    start: str,
    position: int | None,
    held_out: str | None,
    spread: bool,
    orders: int | None,
    seed: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Predict the noise floor, mode by mode, and the largest stable learning rate of SGD on DATA."""
    if steps is None and start != "optimum":
        raise InvalidInput(f"--start {start} needs --steps: the stationary state has forgotten where it began.")
    dataset, problem, other = load_both(options, held_out)
    sgd, average = recipe(problem, options, steps), average_of(options, steps)
    if position is not None:
        _check_position(position, steps, problem, sgd)
    if orders is not None and (steps is not None or position is not None):
        raise InvalidInput(
            f"--orders {orders} is of the stationary state, averaged over the epoch. Give it without "
            f"--steps and --position."
        )
    scheduled = sgd.schedule is not None  # then the stationary state at lr is beside the point
    with progress_bar() as progress:
        progress("theory", 0.0)
        measured = (
            None
            if orders is None
            else semi_analytic(problem, sgd, orders=orders, rng=seed, progress=partial(progress, "epochs"))
        )
        prediction = solve(problem, sgd, theory=theory or "exact", average=average, check_stability=not scheduled)
        if steps is not None:
            prediction = prediction.after(steps, start=start, rtol=_RTOL)
        if position is not None:
            prediction = prediction.at(position)
        progress("limit", 0.0)
        # of many epochs it takes many solutions: fl.max_stable_lr has it; independent batches have nearly the same
        independent = sgd.epochs and prediction.law.measured is None
        limit = max_stable_lr(problem, apart(sgd) if independent else sgd)
        progress("outputs", 0.0)
        found = loss_spread(prediction) if spread else None
    name = "independent_max_stable_lr" if independent else "max_stable_lr"
    result = {"kind": "prediction", "data": dataset.about, name: limit, **prediction.to_dict()}
    report = (
        f"{describe(dataset, problem, sgd)}\ntorch     {mse_words(sgd, problem.outputs)}\n"
        f"{_report(prediction, limit, independent)}"
    )
    if found is not None:
        result["spread"] = {**asdict(found), "closure": "gaussian"}
        report += f"\nspread        loss between runs: +-{found.std:.3g} (Gaussian closure)"
    if measured is not None:
        result["semi_analytic"] = measured.to_dict()
        report += (
            f"\nmeasured      excess loss {measured.excess_loss:.6g} +- {measured.excess_loss_error:.2g}, "
            f"semi-analytic, from {measured.orders:,} orders of one epoch"
        )
    if other is not None:
        loss = held_out_loss(prediction, other.inputs, other.targets)
        result["held_out"] = {"data": other.about, **asdict(loss), "expected": loss.expected}
        report += f"\nheld out      {other.name}: {loss.optimum:.6g} at W*, {shown(loss.excess, '+.6g')} in expectation"
    if as_json:
        click.echo(json.dumps(finite(result), indent=2, allow_nan=False))
    else:
        show(report)
    return 0


def _check_position(position: int, steps: int | None, problem: LeastSquares, sgd: SGD) -> None:
    """Refuse a position that no stationary state has."""
    if steps is not None:
        raise InvalidInput(
            f"--position {position} is of the stationary state, and --steps {steps} asks for a step of "
            f"a run, which has its position already. Give one of them."
        )
    if sgd.sampling != "shuffle":
        raise InvalidInput(
            f"--position {position} is a place in an epoch, and sampling = {sgd.sampling!r} has no "
            f"stationary one that depends on it. Use --sampling shuffle."
        )
    epoch = len(sgd.batch_sizes(problem.samples))
    if not 0 <= position < epoch:
        raise InvalidInput(
            f"--position must be from 0, the start of an epoch, to {epoch - 1}, its last step; got {position}."
        )


def _report(prediction: Prediction, limit: float, independent: bool) -> str:
    sgd, slow, hot = prediction.law.sgd, prediction.relaxation_steps, prediction.temperatures
    average = prediction.law.average
    what = "" if average is None else f", {average.words}"
    share = f", {prediction.excess_loss / prediction.optimum_loss:.3%} of L(W*)" if prediction.optimum_loss else ""
    return "\n".join(
        (
            "",
            f"theory        {prediction.theory}, {prediction.when}{what}",
            f"optimum       L(W*) = {prediction.optimum_loss:.8g}",
            f"excess loss   {prediction.excess_loss:.6g}{share}",
            f"temperatures  {np.median(hot):.3g} in the median mode, from {hot.min():.3g} to {hot.max():.3g}",
            f"relaxation    {_count(slow.min())} steps in the fastest mode, {_count(np.median(slow))} in the median, "
            f"{_count(slow.max())} in the slowest",
            f"stability     lr is {sgd.lr / limit:.1%} of the largest stable one"
            f"{' for independent batches' if independent else ''}, {limit:.7g}",
        )
    )


def _count(steps: float) -> str:
    return f"{steps:.1f}" if steps < 100 else f"{steps:,.0f}" if steps < 1e6 else f"{steps:.1e}"
