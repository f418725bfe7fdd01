"""What is asked of a linear probe: its loss, its budget, how its features are prepared and how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._validate.values import choice, flag, positive_int, real_number
from ..data import Dataset, Preparation
from ..errors import InvalidInput
from ..recipe.sampling import Sampling

__all__ = ["PROBE_LOSSES", "Wanted"]

PROBE_LOSSES = ("mse", "cross_entropy")
_EPOCHS = 10  # where no budget is given


@dataclass(frozen=True)
class Wanted:
    """What is asked of a probe; the names are those of `fluctua.torch.probe`.

    Attributes
    ----------
    loss : "mse" or "cross_entropy"
    budget : int or None
        Steps of a run.
    epochs : int or None
        The budget in epochs instead.
    batch_size : int
    weight_decay : float
    sampling : str
    momenta : sequence of float
    schedules : sequence of str or None
    bias, center, standardize : bool
        As of `Preparation`.
    """

    loss: str = "mse"
    budget: int | None = None
    epochs: int | None = None
    batch_size: int = 32
    weight_decay: float = 0.0
    sampling: Sampling = "shuffle"
    momenta: Sequence[float] = (0.0, 0.9)
    schedules: Sequence[str] | None = None
    bias: bool = True
    center: bool = False
    standardize: bool = False

    def __post_init__(self) -> None:
        choice("loss", self.loss, PROBE_LOSSES)
        if self.budget is not None and self.epochs is not None:
            raise InvalidInput(
                f"the budget is given twice, {self.budget!r} steps and {self.epochs!r} epochs: give budget=... or "
                f"epochs=..."
            )
        for name, value in (("budget", self.budget), ("epochs", self.epochs)):
            if value is not None:
                positive_int(name, value)
        positive_int("batch_size", self.batch_size)
        real_number("weight_decay", self.weight_decay, minimum=0.0)
        for name in ("bias", "center", "standardize"):
            flag(name, getattr(self, name))

    def steps(self, samples: int) -> int:
        """Return the budget in steps, on so many samples."""
        if self.budget is not None:
            return self.budget
        epoch = max(1, -(-samples // self.batch_size))
        return epoch * (_EPOCHS if self.epochs is None else self.epochs)

    def prepared(self, data: Dataset) -> tuple[Dataset, Preparation]:
        """Return the data prepared as asked, and the preparation."""
        preparation = Preparation(bias=self.bias, center=self.center, standardize=self.standardize)
        if self.bias or self.center or self.standardize:
            return preparation.fit_transform(data), preparation
        return data, preparation.fit(data)
