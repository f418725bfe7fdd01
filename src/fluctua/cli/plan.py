"""fluctua plan DATA: which learning rate, momentum and schedule, before training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import click
import numpy as np

from .._tables import text_table
from .._validate.plain import Keywords
from .._validate.values import positive_int
from ..data import Dataset
from ..errors import InvalidInput
from ..planning.batch_cost import BatchCost, batch_costs
from ..planning.candidates import Candidate, Plan
from ..planning.recipes import plan as search
from ..planning.rehearsal import FEWEST, Rehearsal, rehearse
from ..planning.rehearsal import Run as RehearsedRun
from ..problem.least_squares import LeastSquares
from ..recipe.mse_loss import mse_words
from ..recipe.schedules import PLANNED, SHAPES
from ..verification.formats import shown
from .asking import load_both, posed_words
from .heads import refuse_head
from .helped import command
from .loop_lines import loops, selection
from .options import (
    data_options,
    held_out_targets_option,
    json_option,
    loss_option,
    sampling_option,
    torch_option,
    weight_decay_option,
)
from .progress import progress_bar
from .tables import show, show_code

__all__ = ["plan"]


@dataclass(frozen=True)
class _Question:
    """About what, and which recipes."""

    dataset: Dataset
    problem: Any
    held_out: Dataset | None
    steps: tuple[int, ...]
    """Of a run, at each batch size."""
    batch_sizes: tuple[int, ...]
    recipes: dict[str, Any]
    """What the search is over."""
    check: bool
    replicas: int
    seed: int | None
    torch: str | None
    """Loss of the loop that is printed."""
    selected: str
    """The line that selects its samples."""


@dataclass(frozen=True)
class _Answer:
    """The best recipe at each batch size, and what else was asked for."""

    plans: list[Plan]
    costs: tuple[BatchCost, ...]
    rehearsal: Rehearsal | None

    @property
    def passed(self) -> bool:
        """Whether real runs, if there were any, went as predicted."""
        return self.rehearsal is None or (self.rehearsal.agrees and self.rehearsal.ordered)


@command(
    group="Search",
    examples=(
        "fluctua plan digits --budget 300 --batch-size 8",
        "fluctua plan mnist --samples 60000 --held-out test",
        "fluctua plan data.npz --loss cross-entropy --budget 300",
    ),
)
@data_options
@click.option("--budget", type=int, help="Steps of the run.")
@click.option("--samples", type=int, help="Budget in samples instead: steps times batch size.")
@click.option("--batch-size", "batch_sizes", type=int, multiple=True, help="May be repeated.  [default: 32]")
@click.option("--momentum", "momenta", type=float, multiple=True, help="May be repeated.  [default: 0 and 0.9]")
@click.option(
    "--schedule",
    "schedules",
    multiple=True,
    help=f"May be repeated: {', '.join(SHAPES)}.  [default: {', '.join(PLANNED)}]",
)
@loss_option
@weight_decay_option
@sampling_option
@click.option("--held-out", help="Minimise the expected loss on other data: train or test of DATA, or a file.")
@held_out_targets_option
@click.option("--check", is_flag=True, help="Train the winner and its neighbours for real and compare.")
@click.option("--replicas", type=int, default=64, show_default=True, help="Runs of each recipe; with --check.")
@click.option("--seed", type=int, help="Seed of the batches; with --check.  [default: fresh]")
@torch_option
@json_option("Print the plan as JSON (schema: fluctua schema plans).")
def plan(*, as_json: bool, **options: Any) -> int:
    """Find the learning rate, momentum and schedule with the least expected loss at the end of a run on DATA.

    With several batch sizes also what each costs: steps and samples to the loss that the first one ends with. Exit code
    0, or 1 where --check finds another loss or another order than predicted. With --torch the report ends with a
    training loop of the best recipe, to be pasted where `inputs` and `targets` are.
    """
    question = _ask(options)
    if not as_json:
        show(posed_words(question.dataset, question.problem))
    answer = _compute(question)
    if as_json:
        click.echo(json.dumps(_result(question, answer), indent=2, allow_nan=False))
    else:
        show("\n\n".join(_words(question, answer)))
        if question.torch is not None:
            codes = (one.best.torch_code(question.torch) for one in answer.plans)
            show_code(loops(question.selected, question.dataset, codes))
    return 0 if answer.passed else 1


def _ask(options: Keywords) -> _Question:
    budget, samples, check, replicas = (options.pop(name) for name in ("budget", "samples", "check", "replicas"))
    if (budget is None) == (samples is None):
        raise InvalidInput("give the budget of the run: either --budget STEPS or --samples SAMPLES.")
    sizes = tuple(dict.fromkeys(positive_int("--batch-size", size) for size in options.pop("batch_sizes"))) or (32,)
    if samples is not None and samples < max(sizes):
        raise InvalidInput(f"--samples {samples} is less than one batch of {max(sizes)}.")
    refuse_head(options, check=check, held_out=options["held_out"], torch=options["torch"], seed=options["seed"])
    if check:
        positive_int("--replicas", replicas, minimum=FEWEST)
    selected = selection(options)
    dataset, problem, other = load_both(options, options.pop("held_out"))
    steps = tuple((samples or 0) // size if budget is None else budget for size in sizes)
    recipes = {
        "momenta": options["momenta"] or (0.0, 0.9),
        "schedules": options["schedules"] or None,
        "weight_decay": options["weight_decay"],
        "sampling": options["sampling"],
    }
    seed, torch = options["seed"], options["torch"]
    return _Question(dataset, problem, other, steps, sizes, recipes, check, replicas, seed, torch, selected)


def _compute(question: _Question) -> _Answer:
    with progress_bar() as progress:
        plans = list(_plans(question, progress))
        costs = _costs(question, plans, partial(progress, "batch sizes"))
        rehearsal = None
        if question.check:
            watch, runs = partial(progress, "training"), question.replicas
            rehearsal = rehearse(question.problem, plans[0], replicas=runs, rng=question.seed, progress=watch)
    return _Answer(plans, costs, rehearsal)


def _plans(question: _Question, progress: Callable[[str, float], None]) -> Iterator[Plan]:
    """The best recipe at each batch size."""
    other = question.held_out
    held_out = None if other is None else (other.inputs, other.targets)
    for steps, size in zip(question.steps, question.batch_sizes, strict=True):
        watch = partial(progress, f"batches of {size}")
        yield search(question.problem, steps, batch_size=size, **question.recipes, held_out=held_out, progress=watch)


def _costs(question: _Question, plans: list[Plan], progress: Callable[[float], None]) -> tuple[BatchCost, ...]:
    """What several batch sizes cost to the training loss that the first ends with."""
    sizes, decay = question.batch_sizes, question.recipes["weight_decay"]
    if len(sizes) < 2 or not isinstance(question.problem, LeastSquares) or plans[0].objective == "held-out":
        return ()
    return batch_costs(question.problem, sizes, plans[0].best.loss, weight_decay=decay, progress=progress)


def _result(question: _Question, answer: _Answer) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "kind": "plans",
        "data": question.dataset.about,
        "plans": [one.to_dict() for one in answer.plans],
        "batch_costs": [
            {"batch_size": one.batch_size, "lr": one.lr, "steps": one.steps if np.isfinite(one.steps) else None}
            for one in answer.costs
        ],
        "rehearsal": None if answer.rehearsal is None else _trained(answer.rehearsal),
    }


def _trained(rehearsal: Rehearsal) -> dict[str, Any]:
    runs = [{**asdict(run), "sgd": run.sgd.to_dict()} for run in rehearsal.runs]
    said = {name: getattr(rehearsal, name) for name in ("replicas", "agrees", "ordered")}
    return {**said, "runs": runs}


def _words(question: _Question, answer: _Answer) -> Iterator[str]:
    """The report, a paragraph at a time."""
    for found, size in zip(answer.plans, question.batch_sizes, strict=True):
        squares = isinstance(question.problem, LeastSquares)
        yield _plan_words(found, size, question.problem.outputs if squares else 0)
    if answer.costs:
        yield _cost_table(answer.costs, answer.plans[0])
    if answer.rehearsal:
        yield _rehearsal_table(answer.rehearsal)
    if question.torch is None and isinstance(question.problem, LeastSquares):
        yield "loop      --torch ends with the best recipe as a training loop in torch, to be pasted"


def _plan_words(found: Plan, size: int, outputs: int) -> str:
    return "\n".join(
        line
        for line in (
            f"plan      {found.steps:,} steps of {size} samples; {found.objective} loss at the optimum "
            f"{found.optimum_loss:.6g}",
            found.table,
            found.words,
            f"use       {found.best.sgd.words}",
            f"torch     {mse_words(found.best.sgd, outputs)}" if outputs else "",
            _expected(found.best),
        )
        if line
    )


def _expected(best: Candidate) -> str:
    """What the training loss of one run is expected to be."""
    if best.loop is None or best.loop.expected is None or best.spread is None:
        return ""
    more = " or more" if best.uncertain_spread else ""
    return f"expected  training loss {best.loop.expected:.6g} +- {best.spread:.2g}{more} between runs at the end"


def _cost_table(costs: tuple[BatchCost, ...], found: Plan) -> str:
    told = f"cost      to training loss {found.best.loss:.6g}, about (plain SGD, with replacement, constant rate)"
    lines = [("batch size", "lr", "steps", "samples")]
    for one in costs:
        steps, samples = (f"{x:,.0f}" if np.isfinite(x) else "-" for x in (one.steps, one.samples))
        lines.append((str(one.batch_size), f"{one.lr:.3g}", steps, samples))
    return f"{told}\n{text_table(lines, ('<10', '>9', '>10', '>12'))}"


def _rehearsal_table(rehearsal: Rehearsal) -> str:
    told = f"check     {rehearsal.replicas} real runs, training loss: winner, also at other rates, and runner-up"
    lines = [("lr", "predicted", "measured", "error", "z", "recipe"), *map(_rehearsed, rehearsal.runs)]
    table = text_table(lines, ("<8", ">10", ">10", ">8", ">6", "<"))
    agreed = "as predicted" if rehearsal.agrees else "NOT as predicted"
    order = "in the predicted order" if rehearsal.ordered else "NOT in the predicted order"
    return f"{told}\n{table}\nlosses {agreed}, {order}"


def _rehearsed(run: RehearsedRun) -> tuple[str, ...]:
    """Return a line of the check, cell by cell."""
    shape = "constant" if run.sgd.schedule is None else type(run.sgd.schedule).__name__
    numbers = f"{run.predicted:.6g}", f"{run.measured:.6g}", f"{run.error:.2g}", shown(run.score, ".2f")
    return f"{run.sgd.lr:.3g}", *numbers, f"{shape}, momentum {run.sgd.momentum:g}"
