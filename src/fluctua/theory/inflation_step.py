"""A step size that says what its inflation is, in which mode, and what limits it."""

from __future__ import annotations

from typing import Any, Literal

from .._results import Brief

__all__ = ["Limit", "StepForInflation"]

Limit = Literal["inflation", "stability", "recipe"]


class StepForInflation(Brief, float):
    """A step size, usable as any float, and what limits it; made by `lr_for_inflation`.

    Attributes
    ----------
    inflation : float
        S_pp over the target's at this step in the worst mode; below 1 where its draws are too narrow.
    mode : int
        The worst mode, counted from 1, the steepest.
    curvature : float
        Its curvature h_p.
    limit : str
        "inflation"; "stability" where draws are good enough up to the largest stable step: then this is 1e-6 below;
        "recipe" where the sampler takes no larger step, as SGHMC with a `beta`.
    max_stable_lr : float
        The largest stable step.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> step = fl.lr_for_inflation(problem, fl.ULA(lr=0.1, temperature=0.1))
    >>> print(f"{step:.7f} {step.inflation:.4f} mode {step.mode}, {step.limit}")
    0.0136054 1.0500 mode 1, inflation
    """

    inflation: float
    mode: int
    curvature: float
    limit: Limit
    max_stable_lr: float

    def __new__(
        cls, value: float, inflation: float, mode: int, curvature: float, limit: Limit, max_stable_lr: float
    ) -> StepForInflation:
        """Take the step and what is known of it."""
        found = super().__new__(cls, value)
        found.inflation, found.mode, found.curvature = inflation, mode, curvature
        found.limit, found.max_stable_lr = limit, max_stable_lr
        return found

    def _shown(self) -> dict[str, Any]:
        return {"lr": float(self), **vars(self)}

    def __repr__(self) -> str:
        return f"StepForInflation({float(self):.7g}, inflation {self.inflation:.6g} in mode {self.mode}, {self.limit})"

    __str__ = float.__repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (float(self), *vars(self).values())
