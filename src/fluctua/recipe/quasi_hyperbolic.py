"""Quasi-hyperbolic momentum: a recipe whose step lies between a plain one and one along a mean of past gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .._validate.plain import JsonObject
from .._validate.values import real_number
from .sampling import Sampling, WeightedSampling
from .schedules import Schedule
from .sgd import Recipe
from .step import Step, plain, quasi_hyperbolic

__all__ = ["QHM"]


@dataclass(frozen=True, repr=False)
class QHM(Recipe):
    r"""Quasi-hyperbolic momentum, one batch per step.

    With g the batch gradient plus ``weight_decay W``, one step is ``buf' = momentum buf + (1 - momentum) g`` and
    ``W' = W - lr ((1 - nu) g + nu buf')``, from ``buf = 0``: a weighted mean of a step of plain SGD and one along the
    exponential moving average of the gradients. ``nu = 0`` is plain SGD; ``nu = 1`` is SGD with
    ``dampening = momentum`` but for torch's first step; ``nu = momentum`` is Nesterov's step, with
    ``lr (1 - momentum)`` in the place of its `lr`.

    Parameters
    ----------
    lr : float
        Learning rate eta > 0, per step. In flat directions QHM drifts as plain SGD of the same `lr` does.
    batch_size : int
        Samples per batch, b >= 1.
    momentum : float
        The share beta, 0 <= beta < 1, that the buffer keeps per step.
    nu : float
        Share of the step that is along the buffer, 0 <= nu <= 1.
    weight_decay : float
        As that of `SGD`, in the gradient g.
    sampling : str or fluctua.WeightedSampling
        As that of `SGD`.
    schedule : fluctua.schedules.Schedule or sequence of float, optional
        What becomes of `lr` in time, as that of `SGD`.
    drop_last : bool
        As that of `SGD`.

    Raises
    ------
    InvalidInput
        For a value out of range, or `drop_last` without epochs; `UnknownName` for an unknown sampling.

    Notes
    -----
    Its law is that of the step s' = B s + e g (F18): whatever takes `SGD` takes `QHM`, except `plan`, which searches
    SGD's own options, and the entropy production's verdict and Yaida's relations, which need a step with each gradient
    in it once: for ``0 < nu < 1`` they are left out, as for Nesterov's step.

    Source: Ma, Yarats, Quasi-hyperbolic momentum and Adam for deep learning, ICLR 2019 (arXiv:1810.06801).

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> qhm = fl.QHM(lr=0.05, batch_size=8, momentum=0.9, nu=0.7)
    >>> print(f"{fl.predict(problem, qhm).excess_loss:.6f}")
    0.005674
    """

    OPTIMISER: ClassVar[str] = "QHM"

    lr: float
    batch_size: int
    momentum: float
    nu: float
    weight_decay: float = 0.0
    sampling: Sampling | WeightedSampling = "with_replacement"
    schedule: Schedule | None = None
    drop_last: bool = False

    def __post_init__(self) -> None:
        self._hold_common()
        object.__setattr__(self, "momentum", real_number("momentum", self.momentum, minimum=0.0, below=1.0))
        object.__setattr__(self, "nu", real_number("nu", self.nu, minimum=0.0, maximum=1.0))

    @property
    def step(self) -> Step:
        """What one step does with a gradient: s' = B s + e g."""
        return quasi_hyperbolic(self.momentum, self.nu) if self.momentum and self.nu else plain()

    @property
    def inertia(self) -> str:
        """Momentum and nu in words."""
        return f"quasi-hyperbolic momentum {self.momentum:g} (nu {self.nu:g})"

    def to_dict(self) -> JsonObject:
        """Return the recipe as plain JSON types, keyed by the constructor's names and the optimiser's."""
        return {"optimizer": self.OPTIMISER, **super().to_dict()}
