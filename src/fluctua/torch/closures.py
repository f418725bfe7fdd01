"""Closures of optimizer.step: those that are known to be evaluated once, for the one batch of the step."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["closure_of", "is_of_lightning", "with_closure"]

_LIGHTNING = ("lightning", "pytorch_lightning", "lightning_fabric")


def closure_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the closure among the arguments of a step, the optimiser first; None where there is none."""
    return kwargs.get("closure", args[1] if len(args) > 1 else None)


def with_closure(args: tuple[Any, ...], kwargs: dict[str, Any], closure: Any) -> tuple[Any, Any]:
    """Return the arguments of a step with another closure."""
    if "closure" in kwargs:
        return args, {**kwargs, "closure": closure}
    return (args[0], closure, *args[2:]), kwargs


def is_of_lightning(closure: Any) -> bool:
    """Whether Lightning made a closure: it wraps training step and backward, or nothing, and is evaluated once."""
    if isinstance(closure, functools.partial):
        return any(map(is_of_lightning, (closure.func, *closure.args)))
    return any(_home(each) in _LIGHTNING for each in (closure, getattr(closure, "__self__", None)))


def _home(value: Any) -> str:
    """The package that a function or the class of an object is of."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).split(".", 1)[0]
