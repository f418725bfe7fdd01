"""fluctua predict DATA: no simulation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import click

from .._validate.plain import Keywords
from ..errors import InvalidInput
from ..planning.conditioned import Conditioning, conditioning
from ..planning.loops import torch_code
from ..recipe.mse_loss import mse_words
from ..storage.results import finite
from ..theory.answers import Prediction
from ..theory.answers import predict as solve
from ..theory.held_out import HeldOutLoss, held_out_loss
from ..theory.spread import LossSpread, loss_spread
from ..theory.stability import independent_batches, max_stable_lr
from ..verification.formats import shown
from ..verification.one_epoch import SemiAnalytic, semi_analytic
from .accuracies import Accuracies, accuracies, refuse_unlabelled
from .asking import Asked, ask
from .head_predicted import predict_head
from .helped import command
from .large import modes_asked
from .leading_predicted import predict_leading
from .loop_lines import loops, selection
from .options import (
    LOSS_NAMES,
    average_options,
    data_options,
    device_option,
    held_out_targets_option,
    json_option,
    loss_option,
    modes_option,
    recipe_options,
    refuse_start,
    theory_option,
    torch_option,
)
from .predicted_numbers import numbers
from .progress import progress_bar
from .tables import show, show_code

__all__ = ["predict"]

_RTOL = 1e-4  # of every mode's variance at finite time


@dataclass(frozen=True)
class _Question:
    """About what, and what of it."""

    about: Asked
    theory: Any
    steps: int | None
    start: str
    position: int | None
    spread: bool
    accuracy: bool
    orders: int | None
    seed: int | None
    torch: str | None
    """Loss of the loop that is printed."""
    selected: str
    """The line that selects its samples."""


@dataclass(frozen=True)
class _Answer:
    """The prediction, and what else was asked for."""

    prediction: Prediction
    limit: float
    independent: bool
    """Whether the limit is that of independent batches."""
    spread: LossSpread | None
    measured: SemiAnalytic | None
    held_out: HeldOutLoss | None
    conditioning: Conditioning
    code: str | None
    accuracies: Accuracies | None


@command(
    group="Question",
    examples=(
        "fluctua predict digits --lr 0.05 --batch-size 8",
        "fluctua predict mnist --steps 2000 --held-out test",
        "fluctua predict features.npz --loss cross-entropy",
    ),
)
@data_options
@recipe_options
@loss_option
@modes_option
@theory_option
@average_options
@click.option("--steps", type=int, help="Predict after so many steps instead of the stationary state.")
@click.option("--start", default="optimum", show_default=True, help="optimum or zero; with --steps.")
@click.option("--position", type=int, help="Stationary state so many steps into an epoch; with --sampling shuffle.")
@click.option("--held-out", help="Also the expected loss on other data: train or test of DATA, or a file.")
@held_out_targets_option
@click.option(
    "--spread", is_flag=True, help="Also the standard deviation of the loss between runs; c(c + 1)/2 times the work."
)
@click.option(
    "--accuracy",
    is_flag=True,
    help="The expected accuracy from every pair of outputs, instead of noise shared out; as much work as --spread.",
)
@click.option(
    "--orders",
    type=int,
    help="Also the semi-analytic solution, from so many measured orders; for small data with --sampling shuffle.",
)
@click.option("--seed", type=int, help="Seed of the measured epochs.  [default: fresh]")
@device_option
@torch_option
@json_option("Every mode's numbers too (schema: fluctua schema prediction).")
def predict(*, held_out: str | None, as_json: bool, **options: Any) -> int:
    """Predict the noise floor, mode by mode, and the largest stable learning rate of SGD on DATA."""
    if options["loss"] != LOSS_NAMES[0]:
        return predict_head(held_out, as_json, options)
    if (modes := modes_asked(options)) is not None:
        return predict_leading(held_out, as_json, {**options, "leading_modes": modes})
    question = _ask(held_out, options)
    answer = _compute(question)
    if as_json:
        click.echo(json.dumps(finite(_result(question.about, answer)), indent=2, allow_nan=False))
    else:
        show("\n".join(_words(question.about, answer)))
        show_code([] if answer.code is None else [answer.code])
    return 0


def _ask(held_out: str | None, options: Keywords) -> _Question:
    refuse_start(options["steps"], options["start"])
    if options["torch"] is not None and options["start"] != "zero":
        raise InvalidInput("--torch is a run from weights of zero: give it with --steps and --start zero.")
    selected = selection(options)
    about = ask(options, options["steps"], held_out, warned=True)
    del options["device"]  # the problem knows it
    question = _Question(about, **options, selected=selected)
    if question.accuracy:
        refuse_unlabelled(about.dataset)
    if question.position is not None:
        _check_position(question, question.position)
    if question.orders is not None and (question.position is not None or about.average is not None):
        other = "--position" if question.position is not None else "an average of the weights"
        raise InvalidInput(
            f"--orders {question.orders} is of the weights, averaged over the epoch or after --steps. Give it without "
            f"{other}."
        )
    return question


def _check_position(question: _Question, position: int) -> None:
    """Refuse a position that no stationary state has."""
    steps, sgd = question.steps, question.about.sgd
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
    epoch = len(sgd.batch_sizes(question.about.problem.samples))
    if not 0 <= position < epoch:
        raise InvalidInput(
            f"--position must be from 0, the start of an epoch, to {epoch - 1}, its last step; got {position}."
        )


def _compute(question: _Question) -> _Answer:
    problem, sgd, other = question.about.problem, question.about.sgd, question.about.held_out
    with progress_bar() as progress:
        progress("theory", 0.0)
        measured = None
        if question.orders is not None:
            watch = partial(progress, "epochs")
            measured = semi_analytic(
                problem,
                sgd,
                steps=question.steps,
                start=question.start,
                orders=question.orders,
                rng=question.seed,
                progress=watch,
            )
        prediction = _predicted(question)
        progress("limit", 0.0)
        # of many epochs it takes many solutions: fl.max_stable_lr has it; independent batches have nearly the same
        independent = sgd.epochs and prediction.law.measured is None
        limit = max_stable_lr(problem, independent_batches(sgd) if independent else sgd)
        progress("outputs", 0.0)
        spread = loss_spread(prediction) if question.spread else None
        progress("held out", 0.0)
        held_out = None if other is None else held_out_loss(prediction, other.inputs, other.targets)
        progress("accuracy", 0.0)
        scored = accuracies(prediction, question.about.dataset, other, pairs=question.accuracy)
        progress("advice", 0.0)
        advice, code = conditioning(problem, sgd), _code(question, prediction)
    return _Answer(prediction, limit, independent, spread, measured, held_out, advice, code, scored)


def _code(question: _Question, prediction: Prediction) -> str | None:
    """The loop in torch, if it was asked for."""
    about, steps, loss = question.about, question.steps, question.torch
    if loss is None or steps is None:
        return None
    code = torch_code(about.problem, about.sgd, steps, average=about.average, prediction=prediction, loss=loss)
    return loops(question.selected, about.dataset, [code])[0]


def _predicted(question: _Question) -> Prediction:
    """The stationary state, or what the weights are after some steps or at one position of an epoch."""
    about = question.about
    steady = about.sgd.schedule is None  # else the stationary state at lr is beside the point
    theory: Any = question.theory or "exact"
    found = solve(about.problem, about.sgd, theory=theory, average=about.average, check_stability=steady)
    if question.steps is not None:
        found = found.after(question.steps, start=question.start, rtol=_RTOL)
    return found if question.position is None else found.at(question.position)


def _result(about: Asked, answer: _Answer) -> dict[str, Any]:
    """Everything, for JSON."""
    name = "independent_" * answer.independent + "max_stable_lr"
    result = {"kind": "prediction", "data": about.dataset.about, name: answer.limit, **answer.prediction.to_dict()}
    result["conditioning"] = answer.conditioning.to_dict()
    if answer.spread is not None:
        result["spread"] = {**asdict(answer.spread), "closure": "gaussian"}
    if answer.code is not None:
        result["torch_code"] = answer.code
    if answer.accuracies is not None:
        result["expected_accuracy"] = answer.accuracies.to_dict()
    if answer.measured is not None:
        result["semi_analytic"] = answer.measured.to_dict()
    if answer.held_out is not None and about.held_out is not None:
        loss = answer.held_out
        result["held_out"] = {"data": about.held_out.about, **asdict(loss), "expected": loss.expected}
    return result


def _words(about: Asked, answer: _Answer) -> Iterator[str]:
    """The report, a part at a time."""
    yield about.words
    yield f"torch     {mse_words(about.sgd, about.problem.outputs)}"
    yield numbers(answer.prediction, answer.limit, answer.independent)
    if advice := answer.conditioning.words:
        yield "advice        " + advice.replace("\n", "\n" + 14 * " ")
    if (spread := answer.spread) is not None:
        yield f"spread        loss between runs: +-{spread.std:.3g}{' or more' * spread.uncertain} (Gaussian closure)"
    if (measured := answer.measured) is not None:
        yield (
            f"measured      excess loss {measured.excess_loss:.6g} +- {measured.excess_loss_error:.2g}, "
            f"semi-analytic, from {measured.orders:,} orders of {'one' if measured.steps is None else 'each'} epoch"
        )
    if (loss := answer.held_out) is not None and about.held_out is not None:
        words = f"{loss.optimum:.6g} at W*, {shown(loss.excess, '+.6g')} in expectation"
        yield f"held out      {about.held_out.name}: {words}"
    if answer.accuracies is not None:
        yield from answer.accuracies.words
