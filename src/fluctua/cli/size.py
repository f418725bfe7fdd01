"""How many samples are held out, as an option: a share, or a number of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

__all__ = ["TestSize"]


if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # older releases of click do not say of what


class TestSize(_Type):
    """0.2 is a share and 200 a number; what they may be is checked by the split."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | int:
        """Return a whole number where digits alone spell it, and else a float."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return int(value) if value.strip().isdecimal() else float(value)
        except ValueError:
            self.fail(f"{value[:80]!r} is neither a share of the samples, as 0.2, nor a number of them.", param, ctx)
