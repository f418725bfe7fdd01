"""fluctua plan DATA: which learning rate, momentum and schedule, before training."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Any

import click
import numpy as np

from .._validate.values import positive_int
from ..errors import InvalidInput
from ..planning.batch_cost import BatchCost, batch_costs
from ..planning.recipes import Plan
from ..planning.recipes import plan as search
from ..planning.rehearsal import FEWEST, Rehearsal, rehearse
from ..problem.least_squares import LeastSquares
from ..recipe.mse_loss import mse_words
from ..recipe.schedules import SHAPES
from ..recipe.sgd import SAMPLINGS
from ..verification.formats import shown
from .options import data_options, load_both, spectrum
from .progress import progress_bar
from .tables import show

__all__ = ["plan"]


@click.command(short_help="Learning rate, momentum and schedule for a budget.")
@data_options
@click.option("--budget", type=int, help="Steps of the run.")
@click.option("--samples", type=int, help="Budget in samples instead: steps times batch size.")
@click.option("--batch-size", "batch_sizes", type=int, multiple=True, help="May be repeated.  [default: 32]")
@click.option("--momentum", "momenta", type=float, multiple=True, help="May be repeated.  [default: 0 and 0.9]")
@click.option(
    "--schedule",
    "schedules",
    multiple=True,
    help=f"May be repeated.  [default: {', '.join(SHAPES)}; in shuffled epochs constant, the only one covered there]",
)
@click.option("--weight-decay", type=float, default=0.0, show_default=True, help="gamma/2 |W|^2 in the loss.")
@click.option("--sampling", default=SAMPLINGS[0], show_default=True, help=f"One of {', '.join(SAMPLINGS)}.")
@click.option("--held-out", help="Minimise the expected loss on other data: train or test of DATA, or a file.")
@click.option("--check", is_flag=True, help="Train the winner and its neighbours for real and compare.")
@click.option("--replicas", type=int, default=64, show_default=True, help="Of each recipe; with --check.")
@click.option("--seed", type=int, help="Of the batches; with --check.  [default: fresh]")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON (schema: fluctua schema plans).")
def plan(
    *,
    budget: int | None,
    samples: int | None,
    batch_sizes: tuple[int, ...],
    momenta: tuple[float, ...],
    schedules: tuple[str, ...],
    weight_decay: float,
    sampling: Any,
    held_out: str | None,
    check: bool,
    replicas: int,
    seed: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Find the learning rate, momentum and schedule with the least expected loss at the end of a run on DATA.

    With several batch sizes also what each costs: steps and samples to the loss that the first one ends with. Exit code
    0, or 1 where --check finds another loss or another order than predicted.
    """
    if (budget is None) == (samples is None):
        raise InvalidInput("give the budget of the run: either --budget STEPS or --samples SAMPLES.")
    sizes = tuple(dict.fromkeys(positive_int("--batch-size", size) for size in batch_sizes)) or (32,)
    if samples is not None and samples < max(sizes):
        raise InvalidInput(f"--samples {samples} is less than one batch of {max(sizes)}.")
    if check:
        positive_int("--replicas", replicas, minimum=FEWEST)
    dataset, problem, other = load_both(options, held_out)
    if not as_json:
        show(spectrum(dataset, problem))
    asked = {
        "momenta": momenta or (0.0, 0.9),
        "schedules": schedules or None,
        "weight_decay": weight_decay,
        "sampling": sampling,
        "held_out": None if other is None else (other.inputs, other.targets),
    }
    with progress_bar() as progress:
        plans = [
            search(
                problem,
                (samples or 0) // size if budget is None else budget,
                batch_size=size,
                **asked,
                progress=partial(progress, f"batches of {size}"),
            )
            for size in sizes
        ]
        costs = _costs(problem, plans, sizes, weight_decay, partial(progress, "batch sizes"))
        rehearsal = None
        if check:
            rehearsal = rehearse(problem, plans[0], replicas=replicas, rng=seed, progress=partial(progress, "training"))
    if as_json:
        click.echo(json.dumps(_result(dataset.about, plans, costs, rehearsal), indent=2, allow_nan=False))
    else:
        parts = [_words(one, size, problem.outputs) for one, size in zip(plans, sizes, strict=True)]
        parts += [_cost_table(costs, plans[0])] if costs else []
        parts += [_rehearsal_table(rehearsal)] if rehearsal else []
        show("\n\n".join(parts))
    return 0 if rehearsal is None or (rehearsal.agrees and rehearsal.ordered) else 1


def _costs(
    problem: LeastSquares, plans: list[Plan], sizes: tuple[int, ...], weight_decay: float, progress: Any
) -> tuple[BatchCost, ...]:
    """What several batch sizes cost to the training loss that the first ends with."""
    if len(sizes) < 2 or plans[0].objective == "held-out":
        return ()
    return batch_costs(problem, sizes, plans[0].best.loss, weight_decay=weight_decay, progress=progress)


def _result(
    data: dict[str, Any], plans: list[Plan], costs: tuple[BatchCost, ...], rehearsal: Rehearsal | None
) -> dict[str, Any]:
    listed = [
        {"batch_size": one.batch_size, "lr": one.lr, "steps": one.steps if np.isfinite(one.steps) else None}
        for one in costs
    ]
    trained: dict[str, Any] | None = None
    if rehearsal is not None:
        runs = [{**asdict(run), "sgd": run.sgd.to_dict()} for run in rehearsal.runs]
        trained = {
            "replicas": rehearsal.replicas,
            "agrees": rehearsal.agrees,
            "ordered": rehearsal.ordered,
            "runs": runs,
        }
    return {
        "kind": "plans",
        "data": data,
        "plans": [one.to_dict() for one in plans],
        "batch_costs": listed,
        "rehearsal": trained,
    }


def _words(found: Plan, size: int, outputs: int) -> str:
    return "\n".join(
        (
            f"plan      {found.steps:,} steps of {size} samples; {found.objective} loss at the optimum "
            f"{found.optimum_loss:.6g}",
            found.table,
            f"use       {found.best.sgd.words}",
            f"torch     {mse_words(found.best.sgd, outputs)}",
        )
    )


def _cost_table(costs: tuple[BatchCost, ...], found: Plan) -> str:
    lines = [
        f"cost      to training loss {found.best.loss:.6g}, about (plain SGD, with replacement, constant rate)",
        f"{'batch size':<10} {'lr':>9} {'steps':>10} {'samples':>12}",
    ]
    for one in costs:
        steps, samples = (f"{x:,.0f}" if np.isfinite(x) else "-" for x in (one.steps, one.samples))
        lines.append(f"{one.batch_size:<10} {one.lr:>9.3g} {steps:>10} {samples:>12}")
    return "\n".join(lines)


def _rehearsal_table(rehearsal: Rehearsal) -> str:
    lines = [
        f"check     {rehearsal.replicas} real runs, training loss: winner, also at other rates, and runner-up",
        f"{'lr':<8} {'predicted':>10} {'measured':>10} {'error':>8} {'z':>6}  recipe",
    ]
    lines += [
        f"{run.sgd.lr:<8.3g} {run.predicted:>10.6g} {run.measured:>10.6g} {run.error:>8.2g} "
        f"{shown(run.score, '>6.2f')}  "
        f"{'constant' if run.sgd.schedule is None else type(run.sgd.schedule).__name__}, momentum {run.sgd.momentum:g}"
        for run in rehearsal.runs
    ]
    agreed = "as predicted" if rehearsal.agrees else "NOT as predicted"
    order = "in the predicted order" if rehearsal.ordered else "NOT in the predicted order"
    return "\n".join([*lines, f"losses {agreed}, {order}"])
