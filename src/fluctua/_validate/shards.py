"""Shards: the i-th of n parts of what is independent, for n jobs that know nothing of one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import InvalidInput
from .values import shown

__all__ = ["Shard"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Every n-th of some items, from the i-th on.

    Attributes
    ----------
    number, count : int
        i, from 1 to n, and n.
    """

    number: int
    count: int

    @classmethod
    def read(cls, name: str, given: object) -> Shard:
        """Read "i/n"; raises `InvalidInput`."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", given.strip(), re.ASCII) if isinstance(given, str) else None
        if found is None:
            raise InvalidInput(f"{name} must be i/n, the i-th of n parts, such as 2/8; got {shown(given)}.")
        number, count = map(int, found.groups())
        if count < 1 or not 1 <= number <= count:
            raise InvalidInput(
                f"{name} = {found.string} is none of the parts: i/n has i from 1 to n. Where the scheduler counts "
                f"its jobs from 0, add 1."
            )
        return cls(number, count)

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this part of the items."""
        return items[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
