"""The recipe: what `torch.optim.SGD` and its `DataLoader` were told, frozen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validate import choice, positive_int, real_number
from .errors import InvalidInput
from .schedules import Schedule, read_schedule

__all__ = ["SAMPLINGS", "SGD", "Sampling"]

Sampling = Literal["with_replacement", "without_replacement"]
SAMPLINGS: tuple[Sampling, ...] = ("with_replacement", "without_replacement")


@dataclass(frozen=True)
class SGD:
    r"""Stochastic gradient descent as `torch.optim.SGD` does it, one independent batch per step.

    One step is ``W' = W - lr g`` with ``g = grad_b(W) + weight_decay W``, ``grad_b`` the mean gradient over a batch.
    With momentum ``buf' = momentum buf + (1 - dampening) g`` (``buf' = g`` in the first step) and ``W' = W - lr buf'``,
    or, with Nesterov, ``W' = W - lr (g + momentum buf')``.

    Parameters
    ----------
    lr : float
        Learning rate eta > 0, per step.
    batch_size : int
        Samples per batch, b >= 1.
    weight_decay : float
        gamma >= 0, with `torch.optim.SGD`'s meaning: it adds ``gamma/2 |W|^2`` to the loss.
    sampling : {"with_replacement", "without_replacement"}
        How *one* batch is drawn; batches of different steps are independent in both. Without replacement the
        samples inside a batch are distinct.
    momentum : float
        beta, 0 <= beta < 1.
    dampening : float
        0 <= dampening < 1; without momentum it has no effect.
    nesterov : bool
        Needs momentum, and no dampening.
    schedule : fluctua.schedules.Schedule or sequence of float, optional
        What becomes of `lr` in time; a sequence holds the factor of every step.

    Raises
    ------
    InvalidInput
        For a value out of range; `UnknownName` for an unknown sampling.

    Examples
    --------
    >>> import fluctua as fl
    >>> sgd = fl.SGD(lr=0.05, batch_size=8)
    >>> sgd.sampling_factor(samples=1797)
    0.125
    """

    lr: float
    batch_size: int
    weight_decay: float = 0.0
    sampling: Sampling = "with_replacement"
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", real_number("lr", self.lr, above=0.0))
        object.__setattr__(self, "batch_size", positive_int("batch_size", self.batch_size))
        object.__setattr__(self, "weight_decay", real_number("weight_decay", self.weight_decay, minimum=0.0))
        choice("sampling", self.sampling, SAMPLINGS)
        object.__setattr__(self, "momentum", real_number("momentum", self.momentum, minimum=0.0, below=1.0))
        object.__setattr__(self, "dampening", real_number("dampening", self.dampening, minimum=0.0, below=1.0))
        object.__setattr__(self, "nesterov", bool(self.nesterov))
        if self.schedule is not None:
            object.__setattr__(self, "schedule", read_schedule(self.schedule))
        if self.nesterov and (not self.momentum or self.dampening):
            raise InvalidInput(
                f"nesterov needs momentum > 0 and dampening 0, as in torch.optim.SGD; got momentum = {self.momentum:g} "
                f"and dampening = {self.dampening:g}."
            )

    def rates(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return eta_t at the given steps, counted from 0."""
        if self.schedule is None:
            return np.broadcast_to(self.lr, np.shape(steps))
        return self.schedule.rates(self.lr, steps)

    def sampling_factor(self, samples: int) -> float:
        """Return kappa, the covariance of a batch mean in units of the per-sample one (theory.md section 1).

        1/b with replacement, (N - b)/(b (N - 1)) without; 0 for a full batch without replacement, which is
        deterministic gradient descent.

        Raises
        ------
        InvalidInput
            If a batch without replacement is larger than the data set.
        """
        if self.sampling == "with_replacement":
            return 1.0 / self.batch_size
        if self.batch_size > samples:
            raise InvalidInput(
                f"batch_size = {self.batch_size} is larger than the {samples} samples, and without replacement a "
                f"batch holds distinct samples. Use batch_size <= {samples}, or sampling='with_replacement'."
            )
        return (samples - self.batch_size) / (self.batch_size * (samples - 1))

    @property
    def words(self) -> str:
        """The recipe in words, in one line."""
        parts = [f"lr {self.lr:g}", f"batches of {self.batch_size} {self.sampling.replace('_', ' ')}"]
        if self.weight_decay:
            parts.append(f"weight decay {self.weight_decay:g}")
        if self.momentum:
            kind = " (Nesterov)" if self.nesterov else f" (dampening {self.dampening:g})" if self.dampening else ""
            parts.append(f"momentum {self.momentum:g}{kind}")
        if self.schedule is not None:
            parts.append(self.schedule.words)
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON types, keyed by the constructor's names."""
        return {**asdict(self), "schedule": None if self.schedule is None else self.schedule.to_dict()}
