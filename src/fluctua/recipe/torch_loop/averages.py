"""How each average of the weights is kept in torch."""

from __future__ import annotations

from functools import singledispatch

from ..averages import EMA, Average
from .layout import assigned, number

__all__ = ["averaged", "updated"]


@singledispatch
def averaged(average: Average | None) -> list[str]:
    """Return the lines that make the average of a `model`; none without."""
    return [] if average is None else ["average = AveragedModel(model)"]


@averaged.register
def _(average: EMA) -> list[str]:
    how = f"get_ema_multi_avg_fn({number(average.decay)})"
    return assigned(f"average = AveragedModel(model, multi_avg_fn={how})")


def updated(average: Average | None) -> tuple[str, str] | None:
    """Return the condition of an update, of the `step` that was done, empty for every one; and the update."""
    if average is None:
        return None
    late = f"step > {average.left_out}" if average.left_out else ""
    rare = f"step % {average.period} == 0" if average.period > 1 else ""
    return " and ".join(filter(None, (late, rare))), "average.update_parameters(model)"
