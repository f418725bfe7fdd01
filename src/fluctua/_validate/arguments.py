"""The arguments that most public functions have, refused before any work if they are of another type."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidInput
from .nouns import verbs_of
from .values import flag, function, instance, shown

__all__ = ["door", "is_another", "is_sampler", "stands_for"]

_LEFT_OUT = object()
_REFUSED: dict[str, Callable[[object], None]] = {}
"""What raises, with what to do, for what is often given in an argument's place."""
_NOUNS: dict[str, tuple[list[type], str]] = {}
"""What each argument's name stands for, and how to make one, as the rooms above have said."""
_OTHERS: dict[str, list[type]] = {}
"""Kinds that some verbs alone take in an argument's place, each by a function of its own."""
_SAMPLERS: list[type] = []
"""Kinds of `sgd` that only those verbs take whose laws have their thermal noise."""


def stands_for(name: str, kind: type, expected: str, refused: Callable[[object], None] | None = None) -> None:
    """Say that the argument `name` may be a `kind`, `expected` in words; the room that makes it does.

    `refused` raises for what is often given in its place, with what to do.
    """
    if refused is not None:
        _REFUSED[name] = refused
    _NOUNS.setdefault(name, ([], expected))[0].append(kind)


def is_another(name: str, kind: type) -> None:
    """Say that a `kind` is taken in the place of the argument `name` by verbs that registered it, and by no others."""
    _OTHERS.setdefault(name, []).append(kind)


def is_sampler(kind: type) -> None:
    """Say that a `kind` of the argument `sgd` is a sampler: a verb takes it only if it says so."""
    _SAMPLERS.append(kind)


def door(
    problem: object = _LEFT_OUT,
    sgd: object = _LEFT_OUT,
    *,
    average: object = None,
    progress: object = None,
    staged: object = None,
    samplers: bool = False,
    **flags: object,
) -> None:
    """Raise `InvalidInput`, by name, for an argument that is not what its name stands for; `flags` are True or False.

    What is left out is not looked at. `staged` is a progress that is told the stage too. Verbs that take `samplers` say
    so: in any other the thermal noise would be left out in silence.
    """
    if problem is not _LEFT_OUT:
        _one_of_its_kind("problem", problem)
    if sgd is not _LEFT_OUT:
        _one_of_its_kind("sgd", sgd)
        if not samplers and isinstance(sgd, tuple(_SAMPLERS)):
            raise InvalidInput(
                f"sgd = {shown(sgd)} is a sampler, and this is not covered for samplers: it has no place for their "
                f"thermal noise. Samplers are taken by fluctua.predict, learning_curve, held_out_curve, max_stable_lr, "
                f"lr_for_inflation, simulate, verify, verify_dynamic and sweep, each for LeastSquares."
            )
    if average is not None:
        _one_of_its_kind("average", average)
    function("progress", progress, ("fraction",))
    function("progress", staged, ("stage", "fraction"))
    for name, value in flags.items():
        flag(name, value)


def _one_of_its_kind(name: str, value: object) -> None:
    kinds, expected = _NOUNS[name]
    if isinstance(value, tuple(_OTHERS.get(name, ()))):
        verbs = ", ".join(f"fluctua.{verb}" for verb in verbs_of(type(value)))
        raise InvalidInput(
            f"{name} must be {expected}, got {shown(value)}: what was asked is for that loss alone. A "
            f"{type(value).__name__} is taken by {verbs}."
        )
    if name in _REFUSED and not isinstance(value, tuple(kinds)):
        _REFUSED[name](value)
    instance(name, value, tuple(kinds), expected)
