"""When a run is looked at, and what is kept of each look: the records of a chunk of replicas, streamed into sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import Ints
from .._validate.sizes import refuse_bytes
from .._validate.values import positive_int
from ..errors import InvalidInput
from .arithmetic import Arithmetic
from .tally import Chunk

__all__ = ["Book", "Window", "quadratic_losses"]

_MANY_MODES = 2000  # from which a record, quadratic in the modes, costs more than the steps between two of them
_BYTES = 64.0  # of a record's place in the lists of steps
_LOOKS = 24  # log-spaced, at the loss only


@dataclass(frozen=True)
class Window:
    """Evenly spaced records, the last one at the final step.

    The window over which F0 is averaged opens one gap before the first record, and not at the start where that can be:
    a fast mode's rise from the start is steeper than a line between two looks. From W* the average is then low by at
    most 3 % over the number of records, in modes that relax within about one gap.

    Parameters
    ----------
    steps, records : int
    epoch : int
        Steps of an epoch, if batches come in epochs of several.
    burn_in : int
        Steps before the window opens, at least.
    """

    steps: int
    records: int
    epoch: int = 1
    burn_in: int = 0

    @classmethod
    def of(cls, steps: int, records: int | None, modes: int, epoch: int = 1, burn_in: int = 0) -> Window:
        """Return the window of a run of `steps`, with the default number of records if none is asked for."""
        count = positive_int("steps", steps)
        default = min(32 if modes < _MANY_MODES else 16, count)
        looks = default if records is None else positive_int("records", records)
        if looks > count:
            raise InvalidInput(f"records = {looks} is more than the {count} steps of the run; at most every step.")
        refuse_bytes(f"records = {looks}", _BYTES * looks, "Use fewer records.")
        if burn_in + looks > count:
            raise InvalidInput(
                f"burn_in = {burn_in} leaves {max(count - burn_in, 0)} of the {count} steps, and {looks} are recorded."
            )
        return cls(count, looks, epoch, burn_in)

    @cached_property
    def gap(self) -> int:
        """Steps between two records.

        In epochs the fluctuation depends on the position in the epoch. Records whose gap has a large divisor in common
        with the epoch would see a few positions only, so the gap shrinks until they are spread over all of them.
        """
        widest = max(1, (self.steps - self.burn_in) // (self.records + (self.burn_in == 0)))
        enough = max(1, 2 * self.epoch // self.records)  # twice an even spread: some gap below any reaches that
        gaps = range(widest, 0, -1)
        return next((gap for gap in gaps if self._unseen(gap) <= enough), None) or min(gaps, key=self._unseen)

    def _unseen(self, gap: int) -> int:
        """Longest way, around the epoch, from one recorded position to the next."""
        positions = np.unique((self.steps - gap * np.arange(self.records)) % self.epoch)
        return int(np.diff(positions, append=positions[0] + self.epoch).max())

    @property
    def opened(self) -> int:
        """Step at which the window opens, one gap before the first record."""
        return self.steps - self.gap * self.records

    @property
    def recorded(self) -> Ints:
        """The recorded steps."""
        return self.opened + self.gap * np.arange(1, self.records + 1, dtype=np.int64)

    @property
    def watched(self) -> Ints:
        """Steps whose loss is kept: the recorded ones, the opening, and log-spaced ones to show the rise."""
        early = np.geomspace(1, self.steps, _LOOKS).astype(np.int64)
        return np.unique(np.concatenate([[0, self.opened], early, self.recorded]))


class Book:
    """The records of one chunk of replicas, in the arrays of `arithmetic`."""

    def __init__(
        self, outputs: int, rank: int, window: Window, replicas: int, arithmetic: Arithmetic | None = None
    ) -> None:
        self.window, self.replicas, self.looks = window, replicas, 0
        self.arithmetic = arithmetic or Arithmetic()
        self.recorded = set(window.recorded.tolist())
        watched, zeros = len(window.watched), self.arithmetic.zeros
        self.losses = zeros(replicas, watched)
        self.means = zeros(watched, outputs, rank)
        self.variances = zeros(replicas, rank)
        self.covariance = zeros(rank, rank)
        self.opening: Any = 0.0
        self.ending = zeros(rank, rank)

    def look(self, step: int, state: Any, losses: Any) -> None:
        """Keep losses and means; at a recorded step add to the time averages, at the opening keep S.

        `state` is V in the modes, (R, c, r); `losses` are L(W) - L(W*), (R,).
        """
        self.means[self.looks] = state.mean(0)
        self.losses[:, self.looks] = losses
        self.looks += 1
        flat = state.reshape(-1, state.shape[-1])
        if step == self.window.opened and flat.any():  # at W* there is nothing to keep
            self.opening = flat.T @ flat
        if step in self.recorded:
            self.variances += self.arithmetic.contracted("rcp,rcp->rp", state, state)
            self.arithmetic.add_square(flat, self.covariance)
        if step == self.window.steps:
            self.arithmetic.product(flat.T, flat, out=self.ending)

    def close(self) -> Chunk:
        """Return the chunk's averages over its replicas."""
        self.covariance = self.arithmetic.mirrored(self.covariance)
        self.covariance /= self.window.records * self.replicas
        self.ending -= self.opening
        self.ending /= self.replicas
        found = self.variances / self.window.records, self.losses, self.means, self.covariance, self.ending
        return Chunk(*map(self.arithmetic.kept, found))


def quadratic_losses(state: Any, curvatures: Any, arithmetic: Arithmetic) -> Any:
    """Return 1/2 sum h_p |V_p|^2 of each replica, (R,), of V in the modes, (R, c, r)."""
    squares = arithmetic.contracted("rcp,rcp->rp", state, state)
    return 0.5 * arithmetic.contracted("rp,p->r", squares, curvatures)
