"""fluctua sampler DATA: how wrong a sampler's posterior is, mode by mode, and whether draws are what they should be."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from .._tables import text_table
from .._validate.plain import JsonObject, Keywords
from ..errors import InvalidInput
from ..planning.conditioned import counted
from ..recipe.langevin import Langevin
from ..storage.results import finite
from ..storage.writing import output_directory
from ..theory.answers import Prediction
from ..theory.answers import predict as solve
from ..theory.inflated import lr_for_inflation
from ..theory.inflation_step import StepForInflation
from ..theory.ladder import rungs_of
from ..theory.stability import max_stable_lr
from ..verification.conclusion import StatementVerdict
from .asking import INERTIA, Asked, ask
from .helped import OUTPUT, command, grouped
from .options import DEFAULT_BATCH_SIZE, data_options, json_option, level_option, sampling_option, weight_decay_option
from .place import Place
from .progress import progress_bar
from .study import save_statements, say_statements
from .tables import show
from .tempered import METHODS, sampler_options

__all__ = ["sampler"]

_LINES = 12  # modes that the terminal shows
_ANY = 1e-3  # of a friction time: a step that samplers take, where the one that is asked for is still to be found


@dataclass(frozen=True)
class _Answer:
    """What is known of the sampler, and what of its draws."""

    prediction: Prediction
    limit: float
    rungs: dict[str, float]
    step: StepForInflation | None
    verdict: StatementVerdict | None


@command(
    group="Question",
    examples=(
        "fluctua sampler x.npz --method ula --lr .1 --temperature 1",
        "fluctua sampler x.npz --method sgld --lr 1 --temperature 1",
    ),
)
@data_options
@sampler_options
@grouped(
    "Sampler",
    click.option("--lr", type=float, help="The step.  [default: with --inflation the one that it asks for]"),
    click.option("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, show_default=True, help="Samples per batch."),
    weight_decay_option,
    sampling_option,
)
@click.option("--inflation", type=float, help="Also the largest step at which no variance is off by this factor.")
@click.option("--draws", help="Draws of any library to test, .npy or .npz: (chains, steps, inputs).")
@click.option("--every", type=int, help="With --draws: steps from one draw to the next.  [default: 1]")
@click.option("--start", help="With --draws: optimum, zero or stationary.  [default: not known]")
@level_option
@click.option("--resolution", type=float, help="With --draws: error to reject.  [default: 0.03]")
@grouped(
    OUTPUT,
    click.option(
        "--out", type=Place(), help="With --draws: directory of the results.  [default: fluctua-sampler-DATA]"
    ),
    click.option("--report/--no-report", default=True, help="With --draws: also write the page report.html."),
)
@click.option("--seed", type=int, help="Of the split of --test-size.  [default: fresh]")
@json_option("Print everything as JSON (schema: fluctua schema sampler).")
def sampler(*, as_json: bool, inflation: float | None, out: str | None, report: bool, **options: Any) -> int:
    """Predict how wrong the posterior of a sampler is on DATA, mode by mode: Bayesian linear regression.

    The target is exp(-L/T): with --noise-variance s2 the posterior of the weights. With --draws the draws of any
    library are held against the law: study.json, study.npz, the figure and the page are written.

    Exit code 0, and with --draws 0 if they passed, 1 if they failed or are too few to tell; 2 for bad input.
    """
    began, draws = time.monotonic(), {name: options.pop(name) for name in ("draws", "every", "start", "resolution")}
    _refuse_without_draws(draws, out)
    draws["level"] = options.pop("level")
    named = Path(options["data"]).stem
    asked, open_step = _asked(options, inflation), options["lr"] is None
    with progress_bar() as progress:
        progress("theory", 0.0)
        asked, answer = _answered(asked, inflation, open_step)
    if draws["draws"] is None:
        _say(asked, answer, as_json)
        return 0
    with output_directory(out or f"fluctua-sampler-{named}") as directory:
        verdict = _tested(answer.prediction, draws).about(asked.about)
        save_statements(verdict, directory, report)
        _say(asked, replace(answer, verdict=verdict), as_json)
        if not as_json:
            click.echo()
            say_statements(verdict, directory, time.monotonic() - began)
    return 0 if verdict.passed else 1


def _refuse_without_draws(draws: Keywords, out: str | None) -> None:
    given = [name for name, value in {**draws, "out": out}.items() if value is not None]
    if draws["draws"] is None and given:
        raise InvalidInput(f"--{given[0]} says how draws are tested: add --draws, their file.")


def _asked(options: Keywords, inflation: float | None) -> Asked:
    """The data and the sampler; the step may still have to be found."""
    if options["method"] is None:
        raise InvalidInput(f"which sampler? Give --method, one of {', '.join(METHODS)}.")
    if options["lr"] is None and inflation is not None:
        options = {**options, "lr": _ANY / (options["friction"] or 1.0)}
    return ask({**options, **dict.fromkeys(INERTIA), "optimizer": "SGD", "drop_last": False, "schedule": None})


def _answered(asked: Asked, inflation: float | None, open_step: bool) -> tuple[Asked, _Answer]:
    problem, sgd = asked.problem, asked.sgd
    assert isinstance(sgd, Langevin)  # what --method names
    step = None if inflation is None else lr_for_inflation(problem, sgd, inflation)
    if step is not None and open_step:
        sgd = replace(sgd, lr=float(step))
    prediction = solve(problem, sgd)
    rungs: dict[str, float] = {
        name: solve(problem, sgd, theory=name, check_stability=False).excess_loss for name in rungs_of(sgd)
    }
    limit = float(max_stable_lr(problem, sgd))
    return replace(asked, sgd=sgd), _Answer(prediction, limit, rungs, step, None)


def _tested(law: Prediction, draws: Keywords) -> StatementVerdict:
    from ..studies.draws import verify_draws

    given = {name: value for name, value in draws.items() if name != "draws" and value is not None}
    return verify_draws(law, str(draws["draws"]), **given)


def _say(asked: Asked, answer: _Answer, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(finite(_result(asked, answer)), indent=2, allow_nan=False))
    else:
        show("\n".join(_words(asked, answer)))


def _result(asked: Asked, answer: _Answer) -> JsonObject:
    """Everything, for JSON."""
    law, step = answer.prediction, answer.step
    return {
        "kind": "sampler",
        "data": asked.dataset.about,
        "recipe": asked.sgd.to_dict(),
        "temperature": asked.sgd.step.temperature,
        "excess_loss": law.excess_loss,
        "rungs": answer.rungs,
        "max_stable_lr": answer.limit,
        **{
            name: getattr(law, name).tolist()
            for name in ("curvatures", "target", "mode_variances", "inflation", "temperatures", "relaxation_steps")
        },
        "lr_for_inflation": None if step is None else {"lr": float(step), **vars(step)},
        "verdict": None if answer.verdict is None else answer.verdict.to_dict(),
    }


def _words(asked: Asked, answer: _Answer) -> Iterator[str]:
    """The report, a part at a time."""
    law, slow = answer.prediction, answer.prediction.relaxation_steps
    yield asked.words
    yield ""
    yield f"target      exp(-L/T), T = {asked.sgd.step.temperature:.6g}: excess loss {answer.rungs['target']:.6g}"
    yield "excess loss " + ", ".join(f"{name} {value:.6g}" for name, value in answer.rungs.items() if name != "target")
    yield (
        f"stability   lr is {asked.sgd.lr / answer.limit:.1%} of the largest stable one, {answer.limit:.7g}; the "
        f"slowest mode relaxes in {counted(slow.max())} steps"
    )
    if (step := answer.step) is not None:
        off = f"{step.inflation:.4g} times the target's variance in mode {step.mode}"
        yield f"inflation   lr {step:.7g}: {off}, the worst; limited by {step.limit}"
    yield f"\n{_modes(law)}"


def _modes(law: Prediction) -> str:
    """Return modes from the steepest to the flattest, a line each."""
    slow = law.relaxation_steps
    places = np.unique(np.linspace(0, len(slow) - 1, min(_LINES, len(slow))).round().astype(int))
    lines: list[tuple[str, ...]] = [("mode", "curvature", "inflation", "temperature", "relaxation")]
    for p in places.tolist():
        numbers = (f"{each[p]:.5g}" for each in (law.curvatures, law.inflation, law.temperatures))
        lines.append((str(p + 1), *numbers, counted(slow[p])))
    return text_table(lines, (">6", ">11", ">11", ">13", ">12"))
