"""What a preparation has learned from training data, and what it makes of others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from .._arrays import AnyArray, Array, DType
from .._validate.plain import JsonObject, Keywords
from .._validate.sizes import refuse_bytes
from .._validate.targets import Label, TargetsAre
from .._validate.values import as_array, real_array
from ..errors import InvalidInput
from .columns import Columns, row_blocks
from .dataset import Dataset
from .outputs import Outputs
from .transformers import Text, Transformer, floats, state_of, text_of

__all__ = ["Asked", "Fitted", "learn", "refuse_prepared"]


class Asked(NamedTuple):
    """What is to be done."""

    bias: bool
    center: bool
    standardize: bool
    classes: tuple[Label, ...] | None
    pipeline: Any
    targets_are: TargetsAre

    @property
    def given(self) -> Keywords:
        """What is not as usual, by name."""
        told = {**self._asdict(), "pipeline": None if self.pipeline is None else Text(text_of(self.pipeline))}
        return {name: value for name, value in told.items() if value is not None and value is not False}

    @property
    def state(self) -> Keywords:
        """The same as values that are compared."""
        return {**self._asdict(), "pipeline": state_of(self.pipeline)}


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was learned.

    Attributes
    ----------
    asked : Asked
    width : int
        Columns of the inputs after the pipeline.
    dtype : dtype
        Of the training inputs once prepared.
    columns : Columns or None
        Where the inputs are centred.
    outputs : Outputs or None
        Where targets were given.
    transformer : Transformer or None
    """

    asked: Asked
    width: int
    dtype: DType
    columns: Columns | None
    outputs: Outputs | None
    transformer: Transformer | None

    @property
    def state(self) -> Keywords:
        """What was learned, as values that are compared."""
        transformer = None if self.transformer is None else state_of(self.transformer.fitted)
        return {"columns": self.columns, "outputs": self.outputs, "width": self.width, "transformer": transformer}

    def rows(self, inputs: Any) -> AnyArray:
        """Return other inputs prepared."""
        return self.applied(
            floats("inputs", inputs) if self.transformer is None else self.transformer.transform(inputs)
        )

    def applied(self, rows: AnyArray) -> AnyArray:
        """Return what comes after the pipeline; the array itself where that is nothing."""
        if rows.shape[1] != self.width:
            raise InvalidInput(
                f"the inputs have {rows.shape[1]:,} columns, and the preparation was fitted on {self.width:,}: both "
                f"must be the same features in the same order."
            )
        if self.columns is None and not self.asked.bias:
            return rows
        shape = len(rows), self.width + self.asked.bias
        refuse_bytes(
            f"the prepared inputs, {shape[0]:,} x {shape[1]:,},",
            float(rows.itemsize * shape[0] * shape[1]),
            "Use fewer.",
        )
        out = np.ones(shape, rows.dtype)
        with np.errstate(over="ignore"):  # what leaves the range is infinite, and named below
            for block in row_blocks(rows):
                out[block, : self.width] = self._moved(rows[block])
        return real_array("the prepared inputs", out, ndim=2, shape="(samples, features)")

    def _moved(self, block: AnyArray) -> AnyArray:
        if self.columns is None:
            return block
        centred = self.columns.centred(block)
        return centred / self.columns.deviation if self.asked.standardize else centred

    def dataset(self, dataset: Dataset, rows: AnyArray) -> Dataset:
        """Return data with the prepared `rows`, with the training's outputs, and with a record of what was done."""
        coded = dataset if self.outputs is None else self.outputs.of_other(dataset)
        targets = coded.targets if coded.labels is None else coded.targets.astype(rows.dtype, copy=False)
        return replace(coded, inputs=rows, targets=targets, preparation={**dataset.preparation, **self.record})

    def unprepared(self, weights: Any, bias: Any) -> tuple[Array, Array]:
        """Return weights and bias of the inputs before preparation."""
        own = self.asked.bias and bias is None
        given = _numbers("weights", weights)
        if given.ndim < 2 or given.shape[-1] != self.width + own:
            raise InvalidInput(
                f"weights must have the shape (outputs, {self.width + own}), a column for each prepared input, got "
                f"{given.shape}."
            )
        apart = given[..., -1] if own else np.zeros(given.shape[:-1]) if bias is None else _numbers("bias", bias)
        if apart.shape != given.shape[:-1]:
            raise InvalidInput(f"bias must have the shape {given.shape[:-1]}, an entry an output, got {apart.shape}.")
        return self._undone(given[..., : self.width], apart)

    def _undone(self, weights: Array, bias: Array) -> tuple[Array, Array]:
        columns = self.columns
        if columns is None:
            return weights.copy(), bias.copy()
        raw = weights / columns.deviation if self.asked.standardize else weights.copy()
        return raw, np.asarray(bias - raw @ columns.origin - raw @ columns.rest)

    @property
    def record(self) -> JsonObject:
        """What was done, as plain JSON types: it goes with the data into every result."""
        asked, columns = self.asked, self.columns
        said: JsonObject = {name: getattr(asked, name) for name in ("bias", "center", "standardize")}
        said |= {"pipeline": None if asked.pipeline is None else text_of(asked.pipeline), "features": self.width}
        if columns is not None:
            learned = columns.origin, columns.rest, columns.deviation
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in learned))
            said |= {"constant": int(columns.constant.sum()), "sha256": digest.hexdigest()}
        return said


def learn(asked: Asked, inputs: Any, targets: Any) -> tuple[Fitted, AnyArray]:
    """Learn from training data; return also the inputs as they come out of the pipeline."""
    if isinstance(inputs, Dataset):
        _refuse_twice(inputs, targets)
    given = inputs.inputs if isinstance(inputs, Dataset) else inputs
    transformer = None if asked.pipeline is None else Transformer(asked.pipeline)
    rows = floats("inputs", given) if transformer is None else transformer.fit(given, _taught(inputs, targets))
    outputs = _outputs(asked, inputs, targets, rows)
    columns = Columns.of(rows) if asked.center else None
    if columns is not None and columns.constant.all():
        raise InvalidInput(
            f"all {rows.shape[1]:,} columns of the inputs are constant: centred they are 0, and nothing can be learned "
            f"from them. Check how the features were made."
        )
    return Fitted(asked, rows.shape[1], rows.dtype, columns, outputs, transformer), rows


def _outputs(asked: Asked, inputs: Any, targets: Any, rows: AnyArray) -> Outputs | None:
    if isinstance(inputs, Dataset):
        return Outputs.of_dataset(inputs, asked.classes)
    if targets is None:
        if asked.classes is not None:
            raise InvalidInput("classes are those of the training targets: give these too, fit(inputs, targets).")
        return None
    array = as_array("targets", targets)
    if array.shape[:1] != rows.shape[:1]:
        raise InvalidInput(
            f"inputs hold {len(rows):,} samples and targets have the shape {array.shape}: each needs its target."
        )
    return Outputs.of(array, rows.dtype, asked.classes, asked.targets_are)


def _taught(inputs: Any, targets: Any) -> AnyArray | None:
    """What a pipeline that learns from targets is given: labels where there are any."""
    if isinstance(inputs, Dataset):
        return inputs.targets if inputs.labels is None else inputs.labels
    return None if targets is None else as_array("targets", targets)


def _refuse_twice(dataset: Dataset, targets: Any) -> None:
    if targets is not None:
        raise InvalidInput(f"{dataset.name} is a Dataset and has its own targets: leave targets out.")
    refuse_prepared(dataset.name, dataset.preparation)


def refuse_prepared(name: str, preparation: Mapping[str, Any]) -> None:
    """Refuse to prepare data twice: their record tells of one preparation."""
    if "bias" in preparation:
        raise InvalidInput(
            f"{name} is prepared already. Prepare the data that it was made from, with all steps in one Preparation."
        )


def _numbers(name: str, value: Any) -> Array:
    array = as_array(name, value)
    if array.dtype.kind not in "fiu":
        raise InvalidInput(f"{name} must hold real numbers, got dtype {array.dtype}.")
    with np.errstate(over="ignore"):  # what leaves the range is infinite, and refused
        numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InvalidInput(f"{name} holds numbers that are not finite: has the training diverged? Lower its rate.")
    return numbers
