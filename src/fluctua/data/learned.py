"""What a preparation has learned: its means, deviations and labels, under scikit-learn's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._arrays import Array
from .._results import Brief, ByValue
from .._validate.plain import Keywords
from .._validate.targets import Label, TargetsAre
from ..errors import InvalidInput
from .fitted import Asked, Fitted

__all__ = ["Learned"]


class Learned(ByValue, Brief):
    """What was asked of a preparation, and what it has learned; nothing before `fit`."""

    bias: bool
    center: bool
    standardize: bool
    classes: Sequence[Label] | None
    pipeline: Any
    targets_are: TargetsAre
    _fitted: Fitted | None

    @property
    def _asked(self) -> Asked:
        return Asked(*(getattr(self, name) for name in Asked._fields))

    @property
    def _known(self) -> Fitted:
        if self._fitted is None:
            raise InvalidInput(f"{self!r} has learned nothing yet: call .fit(inputs, targets) on training data first.")
        return self._fitted

    @property
    def mean_(self) -> Array | None:
        """Means of the training inputs, (d,); None where they are not subtracted."""
        return None if (columns := self._known.columns) is None else columns.mean

    @property
    def scale_(self) -> Array | None:
        """Standard deviations of the training inputs, 1 for constant columns, (d,); None where nothing is divided."""
        columns = self._known.columns
        return columns.deviation if columns is not None and self.standardize else None

    @property
    def classes_(self) -> tuple[Label, ...] | None:
        """The label of each output; None for values, and where `fit` was given no targets."""
        outputs = self._known.outputs
        return None if outputs is None else outputs.classes

    @property
    def n_features_in_(self) -> int:
        """Columns of the training inputs, after the pipeline."""
        return self._known.width

    def _shown(self) -> Keywords:
        return self._asked.given

    def _compared(self) -> Keywords:
        return {"asked": self._asked.state, "fitted": None if self._fitted is None else self._fitted.state}
