r"""Yaida's fluctuation-dissipation relations in matrix form (F36), read off the trajectory alone.

A step is d(t) = V(t+1) - V(t) = q d(t-1) + e_0 g(t) (`Step.autoregressive`; q = beta and e_0 = -eta (1 - dampening)
with momentum), and E[g(t) | past] = V H, the full gradient. For any quadratic form of V that gives, with the steps d
and the covariance itself measured,

    -e_0 (E[V . grad] + its transpose) = (1 + q) E[d . d] - storage,
    storage = DS(t) - q DS(t-1) + q (E[d . d](t) - E[d . d](t-1)),   DS(t) = S(t+1) - S(t),

at every instant; in the stationary state there is no storage. Traced, and with d of plain SGD, these are the relations
of Yaida (arXiv:1810.00004): FDR1, 2 <V . grad> = eta <|g|^2>, with V . V for the form, and FDR2,
2 <|grad|^2> = eta <g . H g>, with V . H V, which is twice the loss. Here they hold element by element, between modes
and between outputs. Where a step has the last gradient too, as Nesterov's, they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._arrays import Array
from ..errors import InvalidInput
from ..recipe.step import Step

__all__ = ["RELATIONS", "Relation", "sides"]


@dataclass(frozen=True)
class Relation:
    """One of the relations: an observable with two sides.

    Attributes
    ----------
    name : str
    symbol : str
    meaning : str
    metric : callable
        Curvatures, (m,), to the weights of the form in the modes, (m,).
    of_outputs : bool
        Whether it is a matrix between outputs, (c, c), summed over modes; otherwise between modes, (m, m), summed over
        outputs.
    """

    name: str
    symbol: str
    meaning: str
    metric: Callable[[Array], Array]
    of_outputs: bool

    def form(self, moments: Array, curvatures: Array) -> Array:
        """Return the form's mean from E[x y^T], (c, m, c, m): (c, c) or (m, m)."""
        weights = self.metric(curvatures)
        if self.of_outputs:
            return np.asarray(np.einsum("kplp,p->kl", moments, weights))
        return np.asarray(np.einsum("kpkq->pq", moments) * np.sqrt(np.multiply.outer(weights, weights)))

    def work(self, moments: Array, curvatures: Array) -> Array:
        """Return that of V and the full gradient, plus its transpose, from E[V V^T]."""
        if self.of_outputs:
            found = np.einsum("kplp,p->kl", moments, self.metric(curvatures) * curvatures)
            return np.asarray(found + found.T)
        return self.form(moments, curvatures) * np.add.outer(curvatures, curvatures)


RELATIONS = (
    Relation("FDR1, modes", "V^T grad + grad^T V", "work of the gradient, pairs of modes", np.ones_like, False),
    Relation("FDR1, outputs", "V grad^T + grad V^T", "work of the gradient, pairs of outputs", np.ones_like, True),
    Relation(
        "FDR2, modes",
        "H^(1/2) (V^T grad + grad^T V) H^(1/2)",
        "square of the gradient, pairs of modes",
        np.array,
        False,
    ),
    Relation("FDR2, outputs", "2 grad grad^T", "square of the gradient, pairs of outputs", np.array, True),
)
"""The register."""


def sides(relation: Relation, path: Array, curvatures: Array, step: Step, lr: float) -> tuple[Array, Array]:
    """Return the two sides of a relation, (m, m) or (c, c): the gradient's work, and what the steps do less storage.

    Parameters
    ----------
    relation : Relation
        One of `RELATIONS`.
    path : ndarray, (n c m, n c m)
        Second moments of (V(t), ..., V(t + n - 1)) in m modes, outputs one after another: n = 2, with momentum 3.
    curvatures : ndarray, (m,)
        Of those modes.
    step : Step
        The optimiser's.
    lr : float
        Its learning rate.

    Raises
    ------
    InvalidInput
        Where a step has the last gradient too.
    """
    if not step.autoregressive:
        raise InvalidInput(
            "Yaida's relations are of a step made of the last one and the gradient; Nesterov's and quasi-hyperbolic "
            "ones have the last gradient too. Use momentum without nesterov."
        )
    times, m = step.slots + 1, len(curvatures)
    blocks = path.reshape(times, -1, m, times, path.shape[0] // (times * m), m)

    def mean(left: Array, right: Array) -> Array:
        """The form of two sums of the V of the path."""
        return relation.form(np.einsum("i,ikpjlq,j->kplq", left, blocks, right, optimize=True), curvatures)

    instants = np.eye(times)
    squares = [mean(at, at) for at in instants]
    moved = [mean(step, step) for step in np.diff(instants, axis=0)]
    stored, kept = squares[-1] - squares[-2], step.memory
    if step.slots > 1:
        stored = stored - kept * (squares[-2] - squares[-3]) + kept * (moved[-1] - moved[-2])
    rate = -step.at(lr)[1][0]
    return rate * relation.work(blocks[-2, :, :, -2], curvatures), (1 + kept) * moved[-1] - stored
