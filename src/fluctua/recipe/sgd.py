"""The recipe: what `torch.optim.SGD` and its `DataLoader` were told, frozen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, Ints
from .._results import Brief
from .._validate.arguments import stands_for
from .._validate.plain import JsonObject
from .._validate.values import flag, positive_int, real_number, shown, step_numbers
from ..errors import InvalidInput
from .other_optimisers import refuse_optimiser
from .sampling import EPOCHS, SAMPLINGS, P, Sampler, Sampling, WeightedSampling, read_sampling, sampler_of
from .schedules import LARGEST, Schedule, read_schedule
from .step import Step, plain, with_momentum

__all__ = ["EPOCHS", "SAMPLINGS", "SGD", "Recipe", "Sampling"]


class Recipe(Brief, ABC):
    """What every recipe shares, whatever its step: learning rate, batches, weight decay, schedule.

    A recipe is a frozen dataclass with at least the fields below, which says what it is called (`OPTIMISER`), what one
    step does with a gradient (`step`) and what its memory is in words (`inertia`). Kernels, limits, simulations and
    verdicts follow from that.
    """

    OPTIMISER: ClassVar[str]
    tempered: ClassVar[bool] = False  # whether it is a sampler, with a temperature
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    lr: float
    batch_size: int
    weight_decay: float
    sampling: Sampling | WeightedSampling
    schedule: Schedule | None
    drop_last: bool

    def _hold_common(self) -> None:
        """Check and set the fields that every recipe has."""
        if isinstance(self.lr, list | tuple | dict):
            raise InvalidInput(
                f"lr must be a finite number, got {shown(self.lr)}: a learning rate for each parameter group is not "
                f"covered."
            )
        object.__setattr__(self, "lr", real_number("lr", self.lr, above=0.0, below=LARGEST))
        self._hold_batch()
        object.__setattr__(
            self, "weight_decay", real_number("weight_decay", self.weight_decay, minimum=0.0, below=LARGEST)
        )
        object.__setattr__(self, "sampling", read_sampling(self.sampling))
        if self.schedule is not None:
            object.__setattr__(self, "schedule", read_schedule(self.schedule))
        object.__setattr__(self, "drop_last", flag("drop_last", self.drop_last))
        if self.drop_last and not self.epochs:
            raise InvalidInput(
                f"drop_last needs epochs, and sampling = {self.sampling!r} draws independent batches, all of the same "
                f"size: no epoch ends and nothing is left over. Use sampling='shuffle', or leave drop_last out."
            )

    def _hold_batch(self) -> None:
        """Check and set the batch size."""
        object.__setattr__(self, "batch_size", positive_int("batch_size", self.batch_size))

    @property
    @abstractmethod
    def step(self) -> Step:
        """What one step does with a gradient: s' = B s + e g."""

    @property
    @abstractmethod
    def inertia(self) -> str:
        """The optimiser's memory in words; empty without one."""

    def rates(self, steps: ArrayLike) -> Array:
        """Return the learning rate eta_t at the given steps.

        Parameters
        ----------
        steps : array_like of int
            Counted from 0.

        Returns
        -------
        ndarray
            One rate per step, in the shape of `steps`.

        Raises
        ------
        InvalidInput
            For steps that are not whole numbers from 0 up, and beyond the end of an array of factors.
        """
        if self.schedule is None:
            return np.broadcast_to(self.lr, step_numbers("steps", steps).shape)
        return self.schedule.rates(self.lr, steps)

    @property
    def sampler(self) -> Sampler:
        """How batches are drawn."""
        return sampler_of(self.sampling)

    def seen(self, problem: P) -> P:
        """Return the problem whose loss these batches descend: another one only for a `WeightedSampling`.

        Parameters
        ----------
        problem : LeastSquares
            The data.

        Returns
        -------
        LeastSquares
            The same object for samples that are drawn alike.

        Raises
        ------
        InvalidInput
            For weights that are not as many as the samples, and for a problem that is already seen by another sampling.
        """
        return self.sampler.seen(problem)

    def sampling_factor(self, samples: int) -> float:
        """Return kappa, the covariance of a batch mean in units of the per-sample one (F5).

        1/b with replacement, (N - b)/(b (N - 1)) without and for each full batch of a shuffled epoch; 0 for a full
        batch without replacement, which is deterministic gradient descent.

        Parameters
        ----------
        samples : int
            Size of the data set, N.

        Returns
        -------
        float
            The factor kappa, without a unit.

        Raises
        ------
        InvalidInput
            If a batch without replacement is larger than the data set.
        """
        return self.sampler.kappa(samples, self.batch_size)

    @property
    def epochs(self) -> bool:
        """Whether batches come in epochs, each a pass over all samples, instead of independently."""
        return self.sampler.remembers

    def batch_sizes(self, samples: int) -> Ints:
        """Return the sizes of the batches of one epoch, in their order.

        Parameters
        ----------
        samples : int
            Size of the data set, N.

        Returns
        -------
        ndarray of int64, (n,)
            As many as an epoch has steps.

        Raises
        ------
        InvalidInput
            If the sampling has no epochs, or a batch is larger than the data set.
        """
        return self.sampler.batch_sizes(samples, self.batch_size, self.drop_last)

    def refuse_epochs(self, reason: str) -> None:
        """Raise `InvalidInput` if batches come in epochs; for what holds for independent ones only.

        Parameters
        ----------
        reason : str
            Beginning of the text, which says what needs independent batches.

        Raises
        ------
        InvalidInput
            If they do.
        """
        if self.epochs:
            raise InvalidInput(
                f"{reason}, and the batches of sampling = {self.sampling!r} depend on each other: within an epoch no "
                f"sample comes twice. Use sampling='without_replacement', independent batches of the same size."
            )

    @property
    def words(self) -> str:
        """The recipe in words, in one line."""
        dropped = " (incomplete last batch dropped)" if self.drop_last else ""
        decay = f"weight decay {self.weight_decay:g}" if self.weight_decay else ""
        schedule = "" if self.schedule is None else self.schedule.words
        batches = self.sampler.words(self.batch_size) + dropped
        return ", ".join(filter(None, [f"lr {self.lr:g}", batches, decay, self.inertia, schedule]))

    def to_dict(self) -> JsonObject:
        """Return the recipe as plain JSON types, keyed by the constructor's names; `read_recipe` reads it."""
        fields = {each.name: getattr(self, each.name) for each in dataclass_fields(self)}
        described = {name: value.to_dict() for name, value in fields.items() if hasattr(value, "to_dict")}
        return {**fields, **described}


@dataclass(frozen=True, repr=False)
class SGD(Recipe):
    r"""Stochastic gradient descent as `torch.optim.SGD` does it, one batch per step.

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
        The coefficient gamma >= 0, with `torch.optim.SGD`'s meaning: it adds ``gamma/2 |W|^2`` to the loss.
    sampling : str or fluctua.WeightedSampling
        Independent batches: "with_replacement"; "without_replacement", where the samples inside *one* batch are
        distinct; `WeightedSampling`, with replacement, where some samples are drawn more often than others. Epochs,
        each a pass over all samples cut into batches: "shuffle", in a fresh random order each time,
        `DataLoader(shuffle=True)`; "single_shuffle", in one random order drawn at the start of a run; "sequential", in
        the order of the data, `DataLoader(shuffle=False)`.
    momentum : float
        What the buffer keeps in a step: beta, 0 <= beta < 1.
    dampening : float
        What the buffer leaves out of g, 0 <= dampening < 1; without momentum it has no effect.
    nesterov : bool
        Needs momentum, and no dampening.
    schedule : fluctua.schedules.Schedule or sequence of float, optional
        What becomes of `lr` in time; a sequence holds the factor of every step.
    drop_last : bool
        What `DataLoader` does with the N - floor(N/b) b samples left over at the end of an epoch: by default they are
        a smaller batch, whose gradient is the mean over them; with True that step is left out, and where the order
        stays the same they are never seen.

    Raises
    ------
    InvalidInput
        For a value out of range, or `drop_last` without epochs; `UnknownName` for an unknown sampling.

    Examples
    --------
    >>> import fluctua as fl
    >>> sgd = fl.SGD(lr=0.05, batch_size=8)
    >>> sgd.sampling_factor(samples=1797)
    0.125
    >>> fl.SGD(lr=0.05, batch_size=8, sampling="shuffle").batch_sizes(samples=27).tolist()
    [8, 8, 8, 3]
    """

    OPTIMISER: ClassVar[str] = "SGD"

    lr: float
    batch_size: int
    weight_decay: float = 0.0
    sampling: Sampling | WeightedSampling = "with_replacement"
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    schedule: Schedule | None = None
    drop_last: bool = False

    def __post_init__(self) -> None:
        self._hold_common()
        object.__setattr__(self, "momentum", real_number("momentum", self.momentum, minimum=0.0, below=1.0))
        object.__setattr__(self, "dampening", real_number("dampening", self.dampening, minimum=0.0, below=1.0))
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))
        if self.nesterov and (not self.momentum or self.dampening):
            raise InvalidInput(
                f"nesterov needs momentum > 0 and dampening 0, as in torch.optim.SGD; got momentum = {self.momentum:g} "
                f"and dampening = {self.dampening:g}."
            )

    @property
    def step(self) -> Step:
        """What one step does with a gradient: s' = B s + e g."""
        if not self.momentum:
            return plain()
        return with_momentum(self.momentum, self.dampening, self.nesterov)

    @property
    def inertia(self) -> str:
        """Momentum in words; empty without."""
        kind = " (Nesterov)" if self.nesterov else f" (dampening {self.dampening:g})" if self.dampening else ""
        return f"momentum {self.momentum:g}{kind}" if self.momentum else ""


stands_for("sgd", Recipe, "a recipe, fluctua.SGD(lr, batch_size)", refuse_optimiser)
