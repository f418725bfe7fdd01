"""How batches are drawn: what their mean fluctuates by, what an epoch consists of, and what a batch remembers.

A recipe names its sampling by a string; this module knows what each of them does. A new sampling is a class here, with
its batches drawn in `simulation/batches.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .._validate.values import choice
from ..errors import InvalidInput

__all__ = ["EPOCHS", "SAMPLINGS", "Sampler", "Sampling", "sampler_of"]

Sampling = Literal["with_replacement", "without_replacement", "shuffle", "single_shuffle", "sequential"]


@dataclass(frozen=True)
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

    @property
    def remembers(self) -> bool:
        """Whether a batch depends on those before it: they come in epochs, each a pass over all samples."""
        return False

    @property
    def distinct(self) -> bool:
        """Whether the samples of one batch are distinct."""
        return False

    def words(self, size: int) -> str:
        """Return the sampling in words."""
        return self.phrase.format(size)

    def kappa(self, samples: int, size: int) -> float:
        """Return the covariance of a batch mean in units of the per-sample one, 1/b (theory.md section 1)."""
        del samples
        return 1.0 / size

    def batch_sizes(self, samples: int, size: int, drop_last: bool) -> NDArray[np.int64]:
        """Return the sizes of the batches of one epoch, (n,); refused where there are none."""
        del samples, drop_last
        raise InvalidInput(
            f"sampling = {self.name!r} draws independent batches, which have no epochs: each is of "
            f"batch_size = {size}. Samplings with epochs: {', '.join(EPOCHS)}."
        )


@dataclass(frozen=True)
class Distinct(Sampler):
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

    def batch_sizes(self, samples: int, size: int, drop_last: bool) -> NDArray[np.int64]:
        """Return the sizes of the batches of one epoch, (n,), the smaller last one included unless it is dropped."""
        _refuse_larger(samples, size)
        full, left = divmod(samples, size)
        return np.array([size] * full + [left] * (left > 0 and not drop_last), np.int64)


_KINDS: dict[Sampling, Sampler] = {
    "with_replacement": Sampler("with_replacement", "batches of {} with replacement"),
    "without_replacement": Distinct("without_replacement", "batches of {} without replacement"),
    "shuffle": Epochs("shuffle", "shuffled epochs of batches of {}", np.inf),
    "single_shuffle": Epochs("single_shuffle", "epochs of batches of {} in one shuffled order", 1),
    "sequential": Epochs("sequential", "epochs of batches of {} in data order", 0),
}
SAMPLINGS: tuple[Sampling, ...] = tuple(_KINDS)
EPOCHS: tuple[Sampling, ...] = tuple(name for name, kind in _KINDS.items() if kind.remembers)
"""The samplings that pass over all samples before one comes again."""


def sampler_of(sampling: Sampling) -> Sampler:
    """Return what the sampling of this name does; raises `UnknownName` for another."""
    choice("sampling", sampling, SAMPLINGS)
    return _KINDS[sampling]


def _refuse_larger(samples: int, size: int) -> None:
    if size > samples:
        raise InvalidInput(
            f"batch_size = {size} is larger than the {samples} samples, and without replacement a "
            f"batch holds distinct samples. Use batch_size <= {samples}, or sampling='with_replacement'."
        )
