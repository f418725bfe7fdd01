"""Errors and warnings that cross from one process to another as they are: text, numbers and all."""

from __future__ import annotations

from typing import Any

__all__ = ["Carried"]


class Carried:
    """What makes an exception unpickle without its constructor, whose arguments are not those of the text."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the class, the text and the attributes."""
        return _again, (type(self), self.args, dict(self.__dict__))  # type: ignore[attr-defined]  # an exception's


def _again(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    made = kind.__new__(kind, *args)
    made.args = args
    if isinstance(made, ImportError):  # whose text is not in its arguments
        made.msg = str(args[0])
    made.__dict__.update(attributes)
    return made
