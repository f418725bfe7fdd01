"""What every run in shuffled epochs answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..._arrays import Array

__all__ = ["FollowedRun"]

State = tuple[Array, Array]


class FollowedRun(ABC):
    """A run in shuffled epochs, followed from its start."""

    @abstractmethod
    def average(self, steps: Sequence[int], observable: Array | None = None) -> tuple[Array, Array]:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them."""

    @abstractmethod
    def means(self, steps: Sequence[int]) -> Array:
        """E V averaged over `steps`, (c, r)."""

    def at_each(self, steps: Sequence[int]) -> dict[int, State]:
        """S and E V at each of `steps`, (r, r) and (c, r)."""
        return {t: (self.average([t])[0], self.means([t])) for t in sorted(set(steps))}
