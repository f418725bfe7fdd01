"""How a linear probe is found: features posed as a problem, and the verbs asked about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..data import Dataset, Preparation
from ..errors import InvalidInput, NotConverged, UnstableSGD
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import SGD
from ..theory.answers import Prediction, predict
from ..theory.probe import ExpectedAccuracy, expected_accuracy
from ..theory.stability import independent_batches
from .candidates import Candidate
from .conditioned import Conditioning, conditioning
from .posed import least_squares_of
from .probed import Probe, Streamed
from .recipes import plan
from .wanted import Wanted

__all__ = ["probe_on"]


def probe_on(
    data: Dataset,
    wanted: Wanted,
    streamed: Streamed | None = None,
    held_out: Dataset | None = None,
    progress: Callable[[float], None] | None = None,
) -> Probe:
    """Return what is predicted of a linear probe on features.

    Raises
    ------
    InvalidInput
        For a batch larger than the data, and for features and labels that no problem can be made of.
    """
    prepared, preparation = wanted.prepared(data)
    problem = least_squares_of(prepared)
    other = None if held_out is None else _as_prepared(preparation, held_out)
    steps = wanted.steps(problem.samples)
    found = plan(
        problem,
        steps,
        batch_size=wanted.batch_size,
        momenta=wanted.momenta,
        schedules=wanted.schedules,
        weight_decay=wanted.weight_decay,
        sampling=wanted.sampling,
        progress=progress,
    )
    best, came = found.best, Streamed(0.0, data.inputs.shape[1:]) if streamed is None else streamed
    return Probe(
        data,
        came,
        wanted,
        preparation,
        problem,
        steps,
        found,
        _floor(problem, best),
        found.limits[best.sgd.momentum],
        _advice(problem, best.sgd),
        _accuracy(prepared, best.end),
        dict(prepared.preparation),
        None if other is None else _accuracy(other, best.end, held_out=True),
    )


def _floor(problem: LeastSquares, best: Candidate) -> float:
    """The noise floor at the rate, held; of independent batches where the law of epochs costs too much or fails."""
    held = replace(best.sgd, schedule=None)
    if best.exact or not held.epochs:
        try:
            return float(predict(problem, held).excess_loss)
        except (NotConverged, UnstableSGD):
            pass
    try:
        return float(predict(problem, independent_batches(held)).excess_loss)
    except UnstableSGD:
        return float("nan")


def _advice(problem: LeastSquares, sgd: SGD) -> Conditioning | None:
    try:
        return conditioning(problem, replace(sgd, schedule=None))
    except InvalidInput:  # of unequal samples
        return None


def _as_prepared(preparation: Preparation, data: Dataset) -> Dataset:
    """Held-out data as the training data were prepared."""
    return preparation.transform(data) if preparation.bias or preparation.center else data


def _accuracy(data: Dataset, end: Prediction | None, *, held_out: bool = False) -> ExpectedAccuracy | None:
    """The accuracy at the end; None for values."""
    if data.labels is None or data.targets.shape[1] < 2 or end is None:
        return None
    return expected_accuracy(end, data.inputs, data.targets) if held_out else expected_accuracy(end)
