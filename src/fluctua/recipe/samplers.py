"""How batches are drawn: what their mean fluctuates by, what an epoch consists of, and what a batch remembers.

A recipe names its sampling by a string; this module knows what each of them does. A new sampling is a class here, with
its batches drawn in `simulation/batches.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from .._arrays import Array, Ints
from ..errors import InvalidInput

__all__ = ["EPOCHS", "FULL", "KINDS", "SAMPLINGS", "Distinct", "Epochs", "P", "Sampler", "Sampling"]


Sampling = Literal["with_replacement", "without_replacement", "shuffle", "single_shuffle", "sequential"]


class Drawable(Protocol):
    """What a sampling needs of a problem."""

    sample_weight: Array | None
    drawn_by: Any

    @property
    def population(self) -> int:
        """N."""

    def drawn(self, by: Any, importance: Array, factors: Array | None) -> Any:
        """Return the problem as the batches see it."""


P = TypeVar("P", bound=Drawable)


class Sampler:
    """Batches drawn one by one, every sample as likely as any other at each draw; the base of the samplings.

    Attributes
    ----------
    name : str
        As `SGD(sampling=...)` has it.
    phrase : str
        In words, with a place for the batch size.
    """

    name: str
    phrase: str

    def probabilities(self, samples: int) -> Array | None:
        """Return the chance of each sample at each draw; None where they are all alike.

        Parameters
        ----------
        samples : int
            Size of the data set, N.

        Returns
        -------
        ndarray, (N,), or None
            They sum to 1.
        """
        del samples
        return None

    def seen(self, problem: P) -> P:
        """Return the problem whose loss these batches descend; that of a sampling without weights is the same.

        Parameters
        ----------
        problem : LeastSquares
            The data.

        Returns
        -------
        LeastSquares
            Its samples counted rho_i times in second moments.

        Raises
        ------
        InvalidInput
            For weights that are not as many as the samples, for a sample that the loss has and that is never drawn, and
            for a problem that is already seen by another sampling.
        """
        if problem.drawn_by is not None:
            raise InvalidInput(
                f"this problem is as {problem.drawn_by!r} draws it, and sampling = {self.name!r} draws its samples "
                f"alike. Use the problem that it was made from."
            )
        return problem

    @property
    def remembers(self) -> bool:
        """Whether a batch depends on those before it: they come in epochs, each a pass over all samples."""
        return False

    @property
    def distinct(self) -> bool:
        """Whether the samples of one batch are distinct."""
        return False

    def words(self, size: int) -> str:
        """Return the sampling in words.

        Parameters
        ----------
        size : int
            Samples per batch, b.

        Returns
        -------
        str
            In one line.
        """
        return self.phrase.format(size)

    def kappa(self, samples: int, size: int) -> float:
        """Return the covariance of a batch mean in units of the per-sample one, 1/b (F5).

        Parameters
        ----------
        samples : int
            Size of the data set, N.
        size : int
            Samples per batch, b.

        Returns
        -------
        float
            The factor kappa, without a unit.

        Raises
        ------
        InvalidInput
            Where a batch without replacement is larger than the data set.
        """
        del samples
        return 1.0 / size

    def batch_sizes(self, samples: int, size: int, drop_last: bool) -> Ints:
        """Return the sizes of the batches of one epoch.

        Parameters
        ----------
        samples : int
            Size of the data set, N.
        size : int
            Samples per batch, b.
        drop_last : bool
            Whether a smaller last batch is left out.

        Returns
        -------
        ndarray of int64, (n,)
            As many as an epoch has steps.

        Raises
        ------
        InvalidInput
            Where batches do not come in epochs, and for one that is larger than the data set.
        """
        del samples, drop_last
        raise InvalidInput(
            f"sampling = {self.name!r} draws independent batches, which have no epochs: each is of "
            f"batch_size = {size}. Samplings with epochs: {', '.join(EPOCHS)}."
        )


@dataclass(frozen=True)
class Named(Sampler):
    """A sampling that its name says all of."""

    name: str
    phrase: str


@dataclass(frozen=True)
class Full(Named):
    """Every sample in every step: no noise."""

    @property
    def distinct(self) -> bool:
        """Whether the samples of one batch are distinct."""
        return True

    def seen(self, problem: P) -> P:
        """Return the same problem: all samples are seen as they are, whatever would draw them."""
        return problem

    def kappa(self, samples: int, size: int) -> float:
        """Return 0."""
        del samples, size
        return 0.0


@dataclass(frozen=True)
class Distinct(Named):
    """Independent batches of distinct samples, every subset equally likely."""

    @property
    def distinct(self) -> bool:
        """Whether the samples of one batch are distinct."""
        return True

    def kappa(self, samples: int, size: int) -> float:
        """Return (N - b)/(b (N - 1)), 0 for a full batch."""
        _refuse_larger(samples, size)
        return (samples - size) / (size * (samples - 1))


@dataclass(frozen=True)
class Epochs(Distinct):
    """Passes over all samples, cut into batches.

    Attributes
    ----------
    shuffles : float
        How many epochs begin with a fresh random order: the others keep the last one, or the data's.
    """

    shuffles: float

    @property
    def remembers(self) -> bool:
        """Whether a batch depends on those before it."""
        return True

    def batch_sizes(self, samples: int, size: int, drop_last: bool) -> Ints:
        """Return the sizes of the batches of one epoch, (n,), the smaller last one included unless it is dropped."""
        _refuse_larger(samples, size)
        full, left = divmod(samples, size)
        return np.array([size] * full + [left] * (left > 0 and not drop_last), np.int64)


KINDS: dict[Sampling, Sampler] = {
    "with_replacement": Named("with_replacement", "batches of {} with replacement"),
    "without_replacement": Distinct("without_replacement", "batches of {} without replacement"),
    "shuffle": Epochs("shuffle", "shuffled epochs of batches of {}", np.inf),
    "single_shuffle": Epochs("single_shuffle", "epochs of batches of {} in one shuffled order", 1),
    "sequential": Epochs("sequential", "epochs of batches of {} in data order", 0),
}
FULL = Full("full_batch", "full batch")
"""What a sampler without a batch size does."""
SAMPLINGS: tuple[Sampling, ...] = tuple(KINDS)
EPOCHS: tuple[Sampling, ...] = tuple(name for name, kind in KINDS.items() if kind.remembers)
"""The samplings that pass over all samples before one comes again."""


def _refuse_larger(samples: int, size: int) -> None:
    if size > samples:
        raise InvalidInput(
            f"batch_size = {size} is larger than the {samples} samples, and without replacement a "
            f"batch holds distinct samples. Use batch_size <= {samples}, or sampling='with_replacement'."
        )
