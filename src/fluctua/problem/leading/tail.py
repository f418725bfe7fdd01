"""The minimum seen in the leading modes, and the traces of what is beyond them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ..._results import Brief, ByValue
from ..._validate.plain import Keywords
from ...errors import Unconverged
from ..known_fit import Fit
from ..minimum import Minimum
from .optimum import minimised

if TYPE_CHECKING:
    from .leading_modes import LeadingModes

__all__ = ["ENOUGH", "LeadingMinimum"]

ENOUGH = 1e-10
"""What L(W*) may be above the least loss, relative, for what its noise is bounded by to hold."""
_NONE = 1e-16  # of the targets' own loss, which is no matter beside an exact fit


class LeadingMinimum(Brief, ByValue):
    """W*, found to within bounds, and the gradient noise there: all of it in the leading modes, a trace of the rest.

    Made by `LeadingModes.minimum`.

    Attributes
    ----------
    weights : ndarray, (c, d)
        W*.
    loss : float
        L there, weight decay included; at most `above` more than the least one.
    above : float
        F150.
    products : int
        Products of A with vectors of all outputs that it took.
    inside : Minimum
        In the leading modes alone; its noise is C there.
    noise_left : float
        Trace of C beyond them.
    """

    def __init__(self, problem: LeadingModes, weight_decay: float) -> None:
        self.problem, self.weight_decay, whole = problem, weight_decay, problem.inside
        known = whole.curvatures, whole.modes
        found = minimised((whole.inputs, whole.targets), whole.operator, known, whole.slope, weight_decay)
        self.weights, self.above = found.weights, found.above
        decayed = float(np.sum(found.weights**2))
        self.products = found.products
        self.loss = float(0.5 * (found.squares.mean() + weight_decay * decayed))
        power = 0.5 * float(np.square(whole.targets, dtype=np.float64).mean()) * whole.outputs
        if self.above > max(ENOUGH * self.loss, _NONE * power):
            self._warn()
        inside = found.weights @ whole.modes
        fit = Fit(found.weights, inside, found.residuals, found.squares, self.loss, False)
        self.inside = Minimum(whole, weight_decay, fit)
        beyond = decayed - float(np.sum(inside**2))
        left = float((found.squares * problem.lengths_left).mean()) - weight_decay**2 * beyond
        self.noise_left = max(left, 0.0)

    def _warn(self) -> None:
        advice = (
            f"L(W*) = {self.loss:.6g} may be {self.above:.2g} too large: bounds are wider for it, and some are not "
            f"given. Weight decay helps, and more modes do."
        )
        what = "the search for W* by conjugate gradients"
        warnings.warn(Unconverged(what, self.products, self.above / (ENOUGH * self.loss), advice), stacklevel=4)

    @property
    def loss_bounds(self) -> tuple[float, float]:
        """L(W*) at least and at most."""
        return max(float(self.loss - self.above), 0.0), self.loss

    @property
    def curvatures(self) -> Array:
        """Leading eigenvalues of H, weight decay included, (k,)."""
        return self.inside.curvatures

    def __repr__(self) -> str:
        return f"LeadingMinimum(loss={self.loss:.7g}, {len(self.curvatures)} modes)"

    def _shown(self) -> Keywords:
        return {"loss": self.loss, "above": self.above, "weight_decay": self.weight_decay, "weights": self.weights}

    def _compared(self) -> Keywords:
        return {name: getattr(self, name) for name in ("problem", "weight_decay", "weights")}
