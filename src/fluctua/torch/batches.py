"""A batch of any loader as inputs and targets: pairs, dictionaries, or features alone beside their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .._arrays import AnyArray
from .._validate.values import as_array, shown
from ..data.readers.rule import INPUT_NAMES, TARGET_NAMES
from ..errors import InvalidInput

__all__ = ["Key", "Keys", "array_of", "entry_of_inputs"]

Key = str | int | None


@dataclass(frozen=True)
class Keys:
    """Which entries of a batch are the inputs and the targets, where the caller says so.

    Attributes
    ----------
    inputs, targets : str, int or None
        A key of a dictionary, or a place in a tuple.
    """

    inputs: Key = None
    targets: Key = None

    def parted(self, batch: Any, number: int) -> tuple[Any, Any]:
        """Return inputs and targets of a batch; the inputs of a dictionary are the dictionary without its targets.

        Raises
        ------
        InvalidInput
            For a batch without labels, and one in which they cannot be told.
        """
        if isinstance(batch, Mapping):
            return self._of_dictionary(batch, number)
        if isinstance(batch, tuple | list):
            return self._of_sequence(batch, number)
        raise InvalidInput(
            f"batch {number} of the loader is {_kind(batch)}, and a probe needs labels beside the inputs: the loader "
            f"must yield (inputs, labels), or a dictionary with labels."
        )

    def _of_dictionary(self, batch: Mapping[Any, Any], number: int) -> tuple[Any, Any]:
        target = _entry_named(batch, TARGET_NAMES) if self.targets is None else self.targets
        if target is None or target not in batch:
            which = "targets_key=..." if target is None else f"and not targets_key = {target!r}"
            raise InvalidInput(
                f"batch {number} of the loader holds {_names(batch)}, and a probe needs labels, such as labels, label "
                f"or y. Say which entry they are, {which}."
            )
        if self.inputs is None:
            return {name: value for name, value in batch.items() if name != target}, batch[target]
        if self.inputs not in batch:
            raise InvalidInput(
                f"batch {number} of the loader holds {_names(batch)}: inputs_key = {self.inputs!r} is not among them."
            )
        return batch[self.inputs], batch[target]

    def _of_sequence(self, batch: tuple[Any, ...] | list[Any], number: int) -> tuple[Any, Any]:
        if self.targets is None and self.inputs is None and len(batch) != 2:
            parts = f"{len(batch)} parts" if len(batch) != 1 else "one part"
            raise InvalidInput(
                f"batch {number} of the loader has {parts}, and (inputs, labels) was expected: a probe needs labels. "
                f"Of longer batches say which parts they are, inputs_key=0, targets_key=1."
            )
        places = (0 if self.inputs is None else self.inputs), (1 if self.targets is None else self.targets)
        for name, place in zip(("inputs_key", "targets_key"), places, strict=True):
            if isinstance(place, bool) or not isinstance(place, int) or not -len(batch) <= place < len(batch):
                raise InvalidInput(
                    f"batch {number} of the loader is a sequence of {len(batch)}, and {name} = {place!r} is no place "
                    f"in it: give a number from 0 to {len(batch) - 1}."
                )
        return batch[places[0]], batch[places[1]]  # type: ignore[index]


def _entry_named(batch: Mapping[Any, Any], known: tuple[str, ...]) -> Any:
    """Return the one key that is among the known names, whatever its capitals; None where none or several are."""
    names = {name.lower() for name in known}
    found = [key for key in batch if isinstance(key, str) and key.lower() in names]
    return found[0] if len(found) == 1 else None


def array_of(value: Any, number: int) -> AnyArray:
    """Return the targets of a batch as an array, one row a sample."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        value = plain.float() if plain.dtype in (torch.bfloat16, torch.float16) else plain
    array = np.asarray(as_array(f"the labels of batch {number}", value))
    if array.ndim == 0:
        raise InvalidInput(
            f"the label of batch {number} is the single {shown(array.item())}: these are samples and no batches. Give "
            f"torch.utils.data.DataLoader(dataset, batch_size=...)."
        )
    return array


def entry_of_inputs(batch: Any, number: int) -> Any:
    """Return the features of a batch that needs no model: of a dictionary its one entry, or the one of a known name."""
    if not isinstance(batch, Mapping):
        return batch
    if len(batch) == 1:
        return next(iter(batch.values()))
    if (found := _entry_named(batch, INPUT_NAMES)) is None:
        raise InvalidInput(
            f"batch {number} of the loader holds {_names(batch)} beside the labels, and no model: say which are the "
            f"features, inputs_key=..."
        )
    return batch[found]


def _names(batch: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, batch)) or "nothing"


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    return shown(value) if shape is None else f"one array of shape {tuple(shape)}"
