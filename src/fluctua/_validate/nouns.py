"""Verbs that dispatch on the noun: what a verb does with another kind of problem is said where that kind is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch, wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from ..errors import InvalidInput

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
        chosen = known.dispatch(type(problem))
        if chosen is function:
            _refuse_another(function, problem, args, keywords)
        elif not args:  # by name, which the function of another noun may call otherwise
            args = (keywords.pop("problem"),)
        if chosen is not function:
            _refuse_uncovered(function, chosen, problem, keywords)
        return chosen(*args, **keywords)

    verb.register = known.register  # type: ignore[attr-defined]
    _VERBS[function.__name__] = known
    return cast("Verb[P, R_co]", verb)


def _refuse_another(function: Callable[..., Any], problem: object, args: Any, keywords: Any) -> None:
    """Raise for a noun of other verbs, where what stands beside it is not even what this verb takes."""
    if not (others := verbs_of(type(problem))):
        return
    try:
        signature(function).bind(*args, **keywords)
    except TypeError:
        kind, taken = type(problem).__name__, ", ".join(f"fluctua.{verb}" for verb in others)
        raise InvalidInput(f"{kind} is not taken by fluctua.{function.__name__}. It is taken by {taken}.") from None


def _refuse_uncovered(function: Callable[..., Any], chosen: Callable[..., Any], problem: object, given: Any) -> None:
    """Raise for keywords that the verb takes with other nouns and not with this one."""
    taken = signature(chosen).parameters
    if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        return
    names = [name for name in signature(function).parameters if name in given and name not in taken]
    if names:
        raise InvalidInput(
            f"{names[0]} = {given[names[0]]!r:.60} is nothing that fluctua.{function.__name__} takes with "
            f"{type(problem).__name__}. Leave it out: {', '.join(list(taken)[1:])} are what it takes."
        )


def verbs_of(kind: type) -> list[str]:
    """Return the names of the verbs that have a function of their own for problems of a kind."""
    return sorted(name for name, known in _VERBS.items() if known.dispatch(kind) is not known.dispatch(object))
