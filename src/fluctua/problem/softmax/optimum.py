"""The optimum of a head, and the operators of the local picture there."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import AnyArray, Array
from ..._results import Brief, ByValue
from ..._validate.plain import Keywords
from ..._validate.values import shaped
from ...errors import MissingBias
from .descent import Place, Samplewise, find_optimum
from .leading import leading_modes
from .picture import MOST_MODES, Picture
from .sums import gathered, logits_of

if TYPE_CHECKING:
    from .base import Head

__all__ = ["HeadMinimum"]

_VISIBLE = 1e-2  # share of the loss that a bias would take, from which its absence is worth a warning
_CONSTANT = 1e-6  # of a constant, what the inputs may leave of it


class HeadMinimum(Brief, ByValue):
    r"""The minimiser W* of the regularised loss, and the derivatives and gradient noise there (F71, F72).

    Made by `Softmax.minimum` and `Logistic.minimum`. With r_i = p - y and A_i = diag(p) - p p^T of a sample, times its
    factor where classes have weights: H = <A (x) x x^T> + gamma, C = <r r^T (x) x x^T> - gamma^2 w* w*^T.

    Attributes
    ----------
    problem : Softmax or Logistic
    weight_decay : float
    place : Place
        Loss, gradient and curvature at W*, in the coordinates that data can move.
    """

    def __init__(self, problem: Head, weight_decay: float) -> None:
        self.problem, self.weight_decay = problem, weight_decay
        head = Samplewise(problem.rows.projections, problem.targets, problem.factors, problem.frame, weight_decay)
        self.place = find_optimum(head)
        self._warned = False

    @classmethod
    def at(cls, problem: Head, place: Place) -> HeadMinimum:
        """Return the local picture at a place that is known."""
        found = object.__new__(cls)
        found.problem, found.weight_decay, found.place, found._warned = problem, place.head.weight_decay, place, True
        return found

    def __repr__(self) -> str:
        decay = f", weight_decay={self.weight_decay:g}" if self.weight_decay else ""
        return f"HeadMinimum(loss={self.loss:.7g}, accuracy={self.accuracy:.3g}{decay})"

    def _shown(self) -> Keywords:
        named = {name: getattr(self, name) for name in ("loss", "accuracy", "weight_decay", "noise_trace")}
        return {**named, "weights": self.weights}

    def _compared(self) -> Keywords:
        return {name: getattr(self, name) for name in ("problem", "weight_decay", "weights")}

    @cached_property
    def weights(self) -> Array:
        """W*, (c, d); the one of least norm."""
        return self.problem.expanded(self.place.theta)

    @property
    def loss(self) -> float:
        """L(W*), weight decay included."""
        return self.place.loss

    @property
    def probabilities(self) -> Array:
        """P of each sample and class, (N, classes)."""
        return self.place.p

    @property
    def residuals(self) -> Array:
        """R = p - y times the sample's factor, by the rows of the weights, (N, c)."""
        return np.asarray(self.place.residuals @ self.problem.lift.T)

    @property
    def accuracy(self) -> float:
        """Share of the samples whose likeliest class is that of the label."""
        return float(np.mean(self.place.p.argmax(axis=1) == self.problem.answers))

    @property
    def gradient_norm(self) -> float:
        """|dL/dW|: 0 to within rounding."""
        return float(np.linalg.norm(self.place.gradient))

    def curvature(self, change: AnyArray) -> Array:
        """Return H V = <A (V x) x^T> + gamma V.

        Parameters
        ----------
        change : ndarray, (c, d)
            V.

        Returns
        -------
        ndarray, (c, d)
            In units of the loss over a weight.

        Raises
        ------
        InvalidInput
            For another shape.

        Notes
        -----
        Cost: 4 N c d flops; no matrix is formed.
        """
        v = shaped("change", change, self.weights.shape).astype(np.float64)
        inside = self.problem.reduced(v)
        moved = self.place.curvature_times(inside) - self.weight_decay * inside
        return self.problem.expanded(moved) + self.weight_decay * v

    def noise(self, change: AnyArray) -> Array:
        """Return C V = <r (r^T V x) x^T> - gamma^2 W* <W*, V>, the covariance of one sample's gradient applied to V.

        Parameters
        ----------
        change : ndarray, (c, d)
            V.

        Returns
        -------
        ndarray, (c, d)
            In units of the gradient's square times V's.

        Raises
        ------
        InvalidInput
            For another shape.

        Notes
        -----
        Cost: 4 N c d flops; no matrix is formed.
        """
        v = self.problem.reduced(shaped("change", change, self.weights.shape).astype(np.float64))
        return self.problem.expanded(self.noise_times(v))

    def noise_times(self, inside: Array) -> Array:
        """C of a change in the coordinates that data can move, (k, r)."""
        z, r, rho = self.place.head.z, self.place.residuals, self.problem.importance
        along = np.einsum("nk,nk->n", r, logits_of(z, inside))
        along = along if rho is None else along * rho
        pulled = self.weight_decay * self.place.theta
        return np.asarray(gathered(z, r * along[:, None]) - pulled * np.vdot(pulled, inside))

    @cached_property
    def noise_trace(self) -> float:
        """Tr C = <|r|^2 |x|^2> - gamma^2 |W*|^2, from one pass."""
        z, r, rho = self.place.head.z, self.place.residuals, self.problem.importance
        each = np.einsum("nk,nk->n", r, r) * np.einsum("nr,nr->n", z, z, dtype=np.float64)
        each = each if rho is None else each * rho
        return float(each.mean() - self.weight_decay**2 * np.sum(self.place.theta**2))

    @cached_property
    def picture(self) -> Picture:
        """H, C, K and X in the modes of H: all of them up to 2,000, and else the 64 steepest (`leading`)."""
        if self.place.theta.size > MOST_MODES:
            return leading_modes(self)
        return Picture.of(self.place, self.problem.importance)

    @property
    def curvatures(self) -> Array:
        """Eigenvalues of H in the directions that data can move, largest first, (r,); the steepest of many."""
        return self.picture.curvatures

    @property
    def modes(self) -> Array:
        """Their eigenvectors: columns are weights flattened row by row, (c d, r)."""
        columns = self.picture.basis.T.reshape(-1, *self.place.theta.shape)
        lifted = np.einsum("ca,mar,dr->mcd", self.problem.lift, columns, self.problem.rows.modes, optimize=True)
        return np.asarray(lifted.reshape(len(columns), -1).T)

    def warn_missing_bias(self) -> None:
        """Warn, once, where a constant input would lower the loss visibly."""
        warned, self._warned = self._warned, True
        if not warned and (share := self._share_of_bias()) > _VISIBLE:
            warnings.warn(MissingBias(share), stacklevel=3)

    def _share_of_bias(self) -> float:
        """What one step of Newton's along a bias would take from the loss, relative to it."""
        slope, curvature = self.place.residuals.mean(axis=0), self.place.spread.mean(axis=0)
        if self._has_constant() or not slope.any():
            return 0.0
        taken = 0.5 * slope @ np.linalg.lstsq(curvature, slope, rcond=None)[0]
        return float(taken / self.loss) if self.loss else 0.0

    def _has_constant(self) -> bool:
        """Whether some sum of the inputs is the same for all samples."""
        rows = self.problem.rows
        mean = np.zeros(rows.rank)
        for b in rows.blocks(rows.rank):
            mean = mean + rows.projections[b].sum(axis=0, dtype=np.float64) / rows.samples
        return bool(1 - np.sum(mean**2 / rows.curvatures) < _CONSTANT)
