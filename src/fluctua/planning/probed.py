"""A linear probe on features, before it is trained: floor, limit, plan and loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._half import stored_as
from .._results import ByValue, Tables, Tabular, clipped
from .._tables import Columns
from .._validate.plain import JsonObject
from ..data import Dataset, Preparation
from ..data.prepared import preparation_code, preparation_words
from ..problem.least_squares import LeastSquares
from ..problem.softmax.heads import Softmax
from ..recipe.sgd import SGD
from ..storage.results import finite
from ..theory.probe import ExpectedAccuracy
from ..theory.stable_limit import StableLimit
from .candidates import Candidate, Plan
from .conditioned import Conditioning
from .probe_nouns import limit_words, outputs_words, recipe_words
from .wanted import Wanted

__all__ = ["Probe", "Streamed"]

_GIVEN = '''\
import numpy as np


def as_array(values):
    """NumPy's, of a tensor too: it has no bfloat16."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() and values.element_size() < 4 else values
    return np.asarray(values)


# given, as arrays or tensors: inputs, the features with a sample in each row, and targets
inputs, targets = as_array(inputs), as_array(targets)
inputs = inputs.reshape(len(inputs), -1)

'''


@dataclass(frozen=True)
class Streamed:
    """How features came.

    Attributes
    ----------
    seconds : float
        That reading them took.
    shape : tuple of int
        Of one sample's features, before they were flattened.
    notes : tuple of str
        What is to be said of the loader and of the features.
    """

    seconds: float
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Probe(ByValue, Tabular):
    """A linear probe before it is trained; made by `probe`.

    Attributes
    ----------
    data : Dataset
        The features as they came, and their labels.
    streamed : Streamed
        How they came: `seconds`, the `shape` of a sample's features, and `notes` about the loader.
    wanted : Wanted
        What was asked.
    preparation : Preparation
        What was done to the features; `.unprepared` turns trained weights into those of the features as they came.
    problem : LeastSquares or Softmax
        The prepared features and the outputs: what `verify`, `predict`, `sweep` and all others take.
    steps : int
        Budget.
    plan : Plan
        Learning rates, momenta and schedules, best first.
    floor : float
        Noise floor: expected excess loss in the stationary state of the winner's learning rate, held. NaN where there
        is none.
    limit : StableLimit
        Largest stable learning rate with the winner's momentum; in shuffled epochs as `Plan.limits` has it, whose
        `.method` says of what.
    advice : Conditioning or None
        What centring or standardising would do; None for a problem that has none.
    accuracy : ExpectedAccuracy or None
        On the training data at the end of the winner's run, and with cross-entropy in the stationary state of its rate;
        None for values.
    held_out : ExpectedAccuracy or None
        On held-out data, where some were given.
    record : dict
        What was done to the features, as `Dataset.preparation` has it.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.planning.probes import probe_on
    >>> from fluctua.planning.wanted import Wanted
    >>> wanted = Wanted(budget=50, momenta=[0.0], schedules=["constant"], sampling="with_replacement")
    >>> found = probe_on(fl.load("digits", classes=[0, 1]), wanted)
    >>> found.best.shape, found.features, found.problem.features
    ('constant', 64, 65)
    """

    data: Dataset
    streamed: Streamed
    wanted: Wanted
    preparation: Preparation
    problem: LeastSquares | Softmax
    steps: int
    plan: Plan
    floor: float
    limit: StableLimit
    advice: Conditioning | None
    accuracy: ExpectedAccuracy | None
    held_out: ExpectedAccuracy | None
    record: JsonObject

    def _tables(self) -> Tables:
        return {"numbers": lambda: self._numbers, "candidates": lambda: self.plan.columns("candidates")}

    @property
    def _numbers(self) -> Columns:
        told = self._told
        return {"quantity": list(told), "value": list(told.values())}

    @property
    def _told(self) -> dict[str, Any]:
        """The numbers that a probe is asked for."""
        return {
            "samples": self.samples,
            "features": self.features,
            "dtype": self.dtype,
            "batch_size": self.sgd.batch_size,
            "optimum_loss": self.plan.optimum_loss,
            "noise_floor": self.floor,
            "max_stable_lr": float(self.limit),
            "lr": self.sgd.lr,
            "momentum": self.sgd.momentum,
            "schedule": self.best.shape,
            "steps": self.steps,
            "expected_loss": self.expected_loss,
            "loss_spread": self.loss_spread,
            "uncertain_spread": self.best.uncertain_spread,
            "expected_accuracy": None if self.accuracy is None else self.accuracy.expected,
        }

    def __repr__(self) -> str:
        sizes = f"{self.samples:,} samples, {self.features:,} features, {self.dtype}"
        return clipped(
            f"Probe({self.wanted.loss} of {sizes}: loss {self.expected_loss:.5g} after {self.steps:,} steps)"
        )

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return len(self.data.inputs)

    @property
    def features(self) -> int:
        """Number of features as they came, d."""
        return int(self.data.inputs.shape[1])

    @property
    def dtype(self) -> str:
        """Type of the features as they lie in memory: float16, bfloat16, float32 or float64."""
        return stored_as(self.data.inputs)

    @property
    def inputs(self) -> Any:
        """Features as they came, (N, d): what the loop of `torch_code` expects under this name."""
        return self.data.inputs

    @property
    def targets(self) -> Any:
        """Labels as they came, (N,), or targets, (N, c): what the loop of `torch_code` expects under this name."""
        return self.data.targets if self.data.labels is None else self.data.labels

    @property
    def best(self) -> Candidate:
        """The recipe to train with, at its best learning rate."""
        return self.plan.best

    @property
    def sgd(self) -> SGD:
        """The best recipe."""
        return self.best.sgd

    @property
    def expected_loss(self) -> float:
        """Expected training loss at the end of the best recipe's run, from weights of zero."""
        return self.best.loss

    @property
    def loss_spread(self) -> float:
        """Standard deviation of that loss between runs, about."""
        return float("nan") if self.best.spread is None else self.best.spread

    def torch_code(self, loss: str | None = None, dtype: str = "float32") -> str:
        """Return the best recipe as a training loop in torch, which can be pasted and runs as it is.

        Parameters
        ----------
        loss : "mse", "half" or "cross_entropy", optional
            By default that of the probe, `nn.MSELoss` or `nn.CrossEntropyLoss`; "half" is half the squared error, as of
            `Candidate.torch_code`.
        dtype : "float32" or "float64"
            Of the weights and of the data in the loop.

        Returns
        -------
        str
            Lines of Python, which expect `inputs` and `targets`, the probe's own or the same as tensors, and leave the
            trained `torch.nn.Linear` as `model`. They prepare the features first where that was asked for.

        Raises
        ------
        UnknownName
            For another loss or dtype.
        InvalidInput, TooLarge
            As of `Candidate.torch_code`.

        Notes
        -----
        Cost: none beside the text.
        """
        before = preparation_code(self.record, self.data.labels is not None)
        return _GIVEN + before + self.best.torch_code(self.wanted.loss if loss is None else loss, dtype)

    @property
    def words(self) -> str:
        """Everything in a page of text."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        seconds = f", streamed in {self.streamed.seconds:.1f} s" if self.streamed.seconds else ""
        yield f"features  {self.data.name}: {self.samples:,} samples, {self.features:,} features, {self.dtype}{seconds}"
        yield from (f"note      {note}" for note in self.streamed.notes)
        yield f"prepared  {preparation_words(self.record) or 'not at all'}"
        yield f"targets   {outputs_words(self.problem, self.data).splitlines()[0]}"
        if self.advice is not None and self.advice.words:
            yield "advice    " + self.advice.words.replace("\n", "\n" + 10 * " ")
        yield f"optimum   L(W*) = {self.plan.optimum_loss:.6g}"
        yield f"limit     {limit_words(self.problem, self.limit)}"
        yield f"floor     excess loss {self.floor:.4g} in the stationary state at lr {self.sgd.lr:g}, held"
        yield f"plan      {self.steps:,} steps of {self.sgd.batch_size} samples"
        yield self.plan.table
        if self.plan.words:
            yield self.plan.words
        yield f"use       {self.sgd.words}"
        yield f"torch     {recipe_words(self.problem, self.sgd)}"
        more = " or more" if self.best.uncertain_spread else ""
        yield f"expected  loss {self.expected_loss:.6g} +- {self.loss_spread:.2g}{more} between runs at the end"
        for where, found in (("training data", self.accuracy), ("held-out data", self.held_out)):
            if found is not None:
                yield f"accuracy  {found.optimum:.2%} at W*, {found.expected:.2%} expected ({where})"

    def to_dict(self) -> JsonObject:
        """Return everything as plain JSON types (schema: `fluctua schema probe`)."""
        found: JsonObject = {
            "kind": "probe",
            "loss": self.wanted.loss,
            "data": {**self.data.about, **({"preparation": dict(self.record)} if self.record else {})},
            "samples": self.samples,
            "features": self.features,
            "dtype": self.dtype,
            "seconds": self.streamed.seconds,
            "notes": list(self.streamed.notes),
            "advice": None if self.advice is None else self.advice.to_dict(),
            "noise_floor": self.floor,
            "max_stable_lr": float(self.limit),
            "expected_loss": self.expected_loss,
            "loss_spread": self.loss_spread,
            "uncertain_spread": self.best.uncertain_spread,
            "expected_accuracy": _accuracy(self.accuracy),
            "held_out_accuracy": _accuracy(self.held_out),
            "plan": self.plan.to_dict(),
            "torch_code": self.torch_code(),
        }
        told: JsonObject = finite(found)
        return told

    def to_json(self) -> str:
        """Return `to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def _accuracy(found: ExpectedAccuracy | None) -> JsonObject | None:
    return None if found is None else {"optimum": found.optimum, "expected": found.expected}
