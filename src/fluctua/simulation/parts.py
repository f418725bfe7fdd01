"""What a shard of a run returns, and the verbs that return it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from .._results import Brief, ByValue
from .._validate.plain import JsonObject
from .._validate.shards import Shard

__all__ = ["Part", "in_parts"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False, repr=False)
class Part(Brief, ByValue):
    """What one of the jobs that share a run has made: its groups of replicas, which are kept.

    Attributes
    ----------
    shard : str
        "i/n".
    groups : tuple of int
        Numbers of its groups, from 0.
    of : int
        Groups of the whole run.
    replicas : int
        In its groups.
    """

    shard: str
    groups: tuple[int, ...]
    of: int
    replicas: int

    @classmethod
    def made(cls, part: Shard, sizes: list[int]) -> Part:
        """Return the part of groups of these sizes."""
        mine = tuple(part.of(range(len(sizes))))
        return cls(str(part), mine, len(sizes), sum(sizes[number] for number in mine))

    @property
    def words(self) -> str:
        """In a sentence."""
        if not self.groups:
            return f"nothing to do, there are {self.of} groups of replicas"
        return f"{len(self.groups)} of {self.of} groups of replicas, {self.replicas} replicas, are there"

    def to_dict(self) -> JsonObject:
        """Return the same as plain JSON types.

        Returns
        -------
        dict
        """
        told: JsonObject = {"kind": "part", "shard": self.shard, "groups": list(self.groups)}
        return {**told, "of": self.of, "replicas": self.replicas, "words": self.words}


class InParts(Protocol[P, R_co]):
    """A verb that returns its result, or, of a shard, the part that is made."""

    @overload
    def __call__(self, problem: Any, sgd: Any, *, shard: str, **options: Any) -> Part: ...

    @overload
    def __call__(self, problem: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def register(self, kind: type) -> Callable[[F], F]:
        """Return a decorator that registers a function for problems of a kind."""


def in_parts(verb: Callable[Concatenate[Any, P], R | Part]) -> InParts[P, R]:
    """Return the verb: it says to a type checker that a `Part` comes of a shard alone."""
    return cast("InParts[P, R]", verb)
