"""How a linear probe is found: features posed as a problem, and the verbs asked about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..data import Dataset
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
    data: Dataset, wanted: Wanted, streamed: Streamed | None = None, progress: Callable[[float], None] | None = None
) -> Probe:
    """Return what is predicted of a linear probe on features.

    Raises
    ------
    InvalidInput
        For a batch larger than the data, and for features and labels that no problem can be made of.
    """
    prepared, preparation = wanted.prepared(data)
    problem = least_squares_of(prepared)
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


def _accuracy(data: Dataset, end: Prediction | None) -> ExpectedAccuracy | None:
    if data.labels is None or data.targets.shape[1] < 2 or end is None:
        return None
    return expected_accuracy(end)
