"""Verbs that dispatch on the noun: what a verb does with another kind of problem is said where that kind is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

__all__ = ["Verb", "by_noun", "verbs_of"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
_VERBS: dict[str, Any] = {}


class Verb(Protocol[P, R_co]):
    """A public function whose first argument, `problem`, says which of several functions is called."""

    def __call__(self, problem: Any, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call what is registered for the type of the problem; what is not is refused by the function for the rest."""

    def register(self, kind: type) -> Callable[[F], F]:
        """Return a decorator that registers a function for problems of a kind."""


def by_noun(function: Callable[Concatenate[Any, P], R_co]) -> Verb[P, R_co]:
    """Return `function` as a verb: it answers for every problem of which no other function was registered."""
    known = singledispatch(function)

    @wraps(function)
    def verb(*args: Any, **keywords: Any) -> Any:
        problem = args[0] if args else keywords.get("problem")
        return known.dispatch(type(problem))(*args, **keywords)

    verb.register = known.register  # type: ignore[attr-defined]
    _VERBS[function.__name__] = known
    return cast("Verb[P, R_co]", verb)


def verbs_of(kind: type) -> list[str]:
    """Return the names of the verbs that have a function of their own for problems of a kind."""
    return sorted(name for name, known in _VERBS.items() if known.dispatch(kind) is not known.dispatch(object))
