"""Data of which the inputs alone are needed: a file without targets is as good."""

from __future__ import annotations

from . import load
from .dataset import Dataset
from .own import is_own, own_dataset
from .readers.rule import Keys
from .selection import Selection

__all__ = ["load_inputs"]


def load_inputs(
    name: str, *, targets: str | None, inputs_key: str | None, targets_key: str | None, data_dir: str | None
) -> Dataset:
    """Return data as `load` does; a user's file without targets has no labels, and targets (N, 0).

    Raises
    ------
    InvalidInput
        As of `load`, and for a table in which neither a label nor the inputs are named.
    """
    if not is_own(name):
        return load(name, targets=targets, inputs_key=inputs_key, targets_key=targets_key, data_dir=data_dir)
    return own_dataset(name, targets, Selection(optional=True), Keys(inputs_key, targets_key), None)
