"""What a shard of a run returns, and the verbs that return it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from .._results import Brief, ByValue
from .._validate.plain import JsonObject
from .._validate.shards import Shard

__all__ = ["Part", "in_parts", "part_of"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False, repr=False)
class Part(Brief, ByValue):
    """Which groups of replicas one of the jobs that share a run has made and kept; made by `simulate`, given a shard.

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

    Examples
    --------
    >>> import tempfile, fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> shared = {"steps": 20, "replicas": 8, "rng": 1, "checkpoint": tempfile.mkdtemp()}
    >>> fl.simulate(problem, fl.SGD(lr=0.01, batch_size=1), **shared, shard="2/3")
    Part(shard='2/3', groups=(1, 4, 7), of=8, replicas=3)
    """

    shard: str
    groups: tuple[int, ...]
    of: int
    replicas: int

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


def part_of(shard: Shard, sizes: Sequence[int]) -> Part:
    """Return what a shard has of groups of these sizes."""
    mine = tuple(shard.of(range(len(sizes))))
    return Part(str(shard), mine, len(sizes), sum(sizes[number] for number in mine))


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
