"""The optimum of a head: Newton's steps on a convex loss, with conjugate gradients in the place of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..._arrays import AnyArray, Array
from ...errors import InvalidInput, NotConverged
from .logits import log_losses, probabilities, spread, spread_times
from .sums import gathered, logits_of, scattered

__all__ = ["Place", "Samplewise", "find_optimum"]

_DENSE = 1_000  # numbers in theta, up to which Newton's equations are solved directly
_STEPS, _HALVINGS, _ROUNDS = 100, 40, 400
_SLOPE = 1e-4  # share of the promised decrease that a step has to give
_STILL = 1e-4  # logits by which a sample's loss may grow along a direction in which none does
_KEPT = 0.95  # of a step's length, what the next one has where there is no end
_MANY, _SOME = 8, 1_000  # a part of the samples is solved for first where it has so many
_FLOOR = 1e-3  # of the residual of conjugate gradients, relative
_FAR = 10.0  # logits where an optimum is doubted
_LONG = 0.1  # logits that a step moves where it does not end
_SURE, _RUNNING = 35.0, 0.5  # logits where a probability is 1 to rounding, and that a rough step moves where it runs
_IN_PART = "some classes can be told apart without an error"
_USUAL = 1e-3  # weight decay over the largest curvature at W = 0 that is proposed


@dataclass(frozen=True)
class Samplewise:
    """What the loss of a head is made of, in the coordinates that data can move.

    Attributes
    ----------
    z : ndarray, (N, r)
    targets : ndarray, (N, c)
    factors : ndarray, (N,), or None
        What each sample's loss is multiplied by.
    frame : ndarray, (c, k)
    weight_decay : float
    """

    z: AnyArray
    targets: Array
    factors: Array | None
    frame: Array
    weight_decay: float

    def weighed(self, values: Array) -> Array:
        """Return per-sample values times the samples' factors."""
        return values if self.factors is None else values * self.factors.reshape(-1, *(1,) * (values.ndim - 1))


@dataclass(frozen=True)
class Place:
    """A head at some weights theta, (k, r): loss, gradient and curvature.

    Attributes
    ----------
    head : Samplewise
    theta : ndarray, (k, r)
    """

    head: Samplewise
    theta: Array

    @cached_property
    def logits(self) -> Array:
        """Logits of all classes, (N, c)."""
        return np.asarray(logits_of(self.head.z, self.theta) @ self.head.frame.T)

    @cached_property
    def p(self) -> Array:
        """Probabilities, (N, c)."""
        return probabilities(self.logits)

    @cached_property
    def loss(self) -> float:
        """L, weight decay included."""
        data = self.head.weighed(log_losses(self.logits, self.head.targets)).mean()
        return float(data + 0.5 * self.head.weight_decay * np.sum(self.theta**2))

    @cached_property
    def residuals(self) -> Array:
        """Derivatives of each sample's loss by the free logits, (N, k)."""
        return np.asarray(self.head.weighed(self.p - self.head.targets) @ self.head.frame)

    @cached_property
    def gradient(self) -> Array:
        """Of L, (k, r)."""
        return np.asarray(gathered(self.head.z, self.residuals) + self.head.weight_decay * self.theta)

    @cached_property
    def spread(self) -> Array:
        """A_i, second derivatives by the free logits, (N, k, k)."""
        frame = self.head.frame
        return self.head.weighed(frame.T @ spread(self.p) @ frame)

    def curvature_times(self, change: Array) -> Array:
        """Return H `change`, (k, r): 4 N k r flops."""
        head = self.head
        moved = spread_times(self.p, logits_of(head.z, change) @ head.frame.T)
        return np.asarray(gathered(head.z, head.weighed(moved) @ head.frame) + head.weight_decay * change)

    def curvature(self) -> Array:
        """H, (k r, k r)."""
        out = scattered(self.head.z, self.spread)
        out.flat[:: len(out) + 1] += self.head.weight_decay
        return out


def find_optimum(head: Samplewise, start: Array | None = None) -> Place:
    """Return the place where the gradient is zero.

    Raises
    ------
    InvalidInput
        For data that can be separated, without weight decay: their loss has no minimum.
    NotConverged
        If Newton's steps end before they are as short as promised.
    """
    if not head.weight_decay and head.z.dtype != np.float64:  # whether there is an optimum is not told in less
        return Place(head, find_optimum(replace(head, z=head.z.astype(np.float64)), start).theta)
    place = Place(head, _begun(head) if start is None else start)
    fine = 1e-9 if head.z.dtype == np.float64 else 1e-4
    length = 0.0
    for _ in range(_STEPS):
        _refuse_separated(place)
        step = _newton_step(place)
        length = _refuse_endless(place, step, length)
        after = _descended(place, step)
        if after is None:
            break
        moved = float(np.abs(after.logits - place.logits).max())
        place = after
        if moved < fine * max(1.0, float(np.abs(place.logits).max())):
            return place
    scale = float(np.linalg.norm(gathered(head.z, np.abs(place.residuals)))) or 1.0
    left, allowed = float(np.linalg.norm(place.gradient)) / scale, 1e3 * np.finfo(head.z.dtype).eps
    if left < allowed and length < _LONG:  # no step is better to within rounding
        return place
    if not head.weight_decay and np.abs(place.logits).max() > _FAR:
        raise InvalidInput(_no_optimum(place, _IN_PART))
    raise NotConverged("the optimum of the head", _STEPS, left, float(allowed), _advice(place))


def _begun(head: Samplewise) -> Array:
    """Where Newton's steps begin: 0, or the optimum of some of the samples where there are many."""
    shape = head.frame.shape[1], head.z.shape[1]
    if len(head.z) < _MANY * _SOME or not head.weight_decay:
        return np.zeros(shape)
    rows = np.random.default_rng(0).permutation(len(head.z))[: len(head.z) // _MANY]
    factors = None if head.factors is None else head.factors[rows]
    some = Samplewise(head.z[rows], head.targets[rows], factors, head.frame, head.weight_decay)
    return find_optimum(some, np.zeros(shape)).theta


def _newton_step(place: Place) -> Array:
    if place.theta.size <= _DENSE:
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        try:
            factor = cho_factor(place.curvature(), check_finite=False)
            return np.asarray(cho_solve(factor, -place.gradient.ravel()).reshape(place.theta.shape))
        except LinAlgError:  # singular to rounding, as where all probabilities are 0 or 1
            pass
    return _by_conjugate_gradients(place)


def _by_conjugate_gradients(place: Place) -> Array:
    """Newton's step, the more accurate the closer the gradient is to zero, preconditioned by <A> (x) <z z^T>."""
    from scipy.sparse.linalg import LinearOperator, cg

    shape, size = place.theta.shape, place.theta.size
    scaled = _preconditioner(place)

    def balance(flat: Array) -> Array:
        return place.curvature_times(flat.reshape(shape)).ravel()

    operator = LinearOperator((size, size), matvec=balance, dtype=np.float64)
    scaling = LinearOperator((size, size), matvec=lambda flat: scaled(flat.reshape(shape)).ravel(), dtype=np.float64)
    right = -place.gradient.ravel()
    floor = _FLOOR if place.head.z.dtype == np.float64 else 10 * _FLOOR
    wanted = float(np.clip(np.linalg.norm(right), floor, 0.1))
    return np.asarray(cg(operator, right, rtol=wanted, maxiter=_ROUNDS, M=scaling)[0].reshape(shape))


def _preconditioner(place: Place) -> Callable[[Array], Array]:
    sizes, turned = np.linalg.eigh(place.spread.mean(axis=0))
    variances = np.square(place.head.z, dtype=np.float64).mean(axis=0)
    below = sizes[:, None] * variances + place.head.weight_decay
    below = np.maximum(below, 1e-12 * below.max())

    def scaled(values: Array) -> Array:
        return np.asarray(turned @ ((turned.T @ values) / below))

    return scaled


def _descended(place: Place, step: Array) -> Place | None:
    """The first of the step, its half, ... that lowers the loss as promised; None where none does."""
    slope = float(np.vdot(place.gradient, step))
    if not slope < 0:
        return None
    share, rounding = 1.0, 8 * float(np.finfo(place.head.z.dtype).eps) * abs(place.loss)
    for _ in range(_HALVINGS):
        after = Place(place.head, place.theta + share * step)
        if after.loss <= place.loss + _SLOPE * share * slope + rounding:
            return after
        share *= 0.5
    return None


def _refuse_separated(place: Place) -> None:
    """Without weight decay the weights of data that are told apart without an error go on growing."""
    head = place.head
    if head.weight_decay or not place.theta.any():
        return
    own = np.where(head.targets > 0, place.logits, -np.inf).max(axis=1)
    others = np.where(head.targets > 0, -np.inf, place.logits).max(axis=1)
    if (head.targets.max(axis=1) == 1).all() and (own > others).all():
        raise InvalidInput(_no_optimum(place, f"all {len(place.p):,} samples can be told apart without an error"))


def _refuse_endless(place: Place, step: Array, before: float) -> float:
    """Refuse what runs away; return how far a step moves logits if it raises no sample's loss, and 0 of other steps.

    A direction in which no sample's loss grows leads the weights to infinity. Newton's steps then come to follow it,
    each as long as the one `before`; where there is an optimum they soon get shorter, however far out it is. Those of
    conjugate gradients are too rough to tell.
    """
    far = float(np.abs(place.logits).max())
    if place.head.weight_decay or far < _FAR:
        return 0.0
    moved = logits_of(place.head.z, step) @ place.head.frame.T
    raised = moved.max(axis=1) - np.einsum("na,na->n", moved, place.head.targets)
    length = float(np.ptp(moved, axis=1).max()) if raised.max() < _STILL else 0.0
    if length > _LONG and length > _KEPT * before > 0:
        raise InvalidInput(_no_optimum(place, _IN_PART))
    if place.theta.size > _DENSE and far > _SURE and np.abs(moved).max() > _RUNNING:
        raise InvalidInput(_no_optimum(place, f"{_IN_PART}, or nearly so"))
    return length


def _no_optimum(place: Place, what: str) -> str:
    return (
        f"the data are separable, {what}: without weight decay the loss falls for ever as the weights grow, there is "
        f"no optimum, and nothing to fluctuate about. {_advice(place)}"
    )


def _advice(place: Place) -> str:
    """A weight decay to use."""
    still = Place(place.head, np.zeros_like(place.theta))
    steepest = float(np.linalg.eigvalsh(still.spread.mean(axis=0))[-1])
    largest = steepest * float(np.square(place.head.z, dtype=np.float64).mean(axis=0).max())
    proposed = 10.0 ** round(np.log10(_USUAL * largest))
    return f"Use a weight decay, such as weight_decay={proposed:.0e}."
