"""What `predict` gives for a two-layer net."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import JsonObject
from ..._validate.values import positive_int, step_list
from ...errors import FarDrift, InvalidInput
from ...storage.results import finite
from ...theory.readings import spelled
from .ladder import LayerRung
from .law import LayerLaw, LayerState
from .layer import Layer, layer_of
from .net import TwoLayer

__all__ = ["NODES", "LayersPrediction"]

_FAR = 0.05  # of tr B, from which a drift of Bal is warned of
_OWN_ERROR = 0.03  # of lr over 2/h_max: one standard error that the law states of itself
NODES = 12
_NUMBERS = "optimum_loss", "excess_loss", "quadratic_loss", "stated_error", "flatness_slope"


@dataclass(frozen=True, eq=False, repr=False)
class LayersPrediction(ByValue, Tabular):
    """The fluctuation of a two-layer linear net, about its mean, on the range of H at the start; made by `predict`.

    Attributes
    ----------
    law : LayerLaw
        Net, recipe and rung.
    found : LayerState or None
        What the rung says; None of a quasi-stationary state, which is found where it is first asked for.
    steps : tuple of int or None
        The steps that it is an average over; None is the quasi-stationary state about the start, whose frame is held.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits")
    >>> steep = fl.LeastSquares(data.inputs @ fl.LeastSquares(data.inputs, data.targets).modes[:, :20], data.targets)
    >>> prediction = fl.predict(layers.TwoLayer(steep), fl.SGD(lr=0.02, batch_size=8)).after(range(10, 20))
    >>> print(f"{prediction.excess_loss:.6f}, slope {prediction.flatness_slope:+.3f}")
    0.001654, slope +2.176
    """

    law: LayerLaw
    found: LayerState | None = None
    steps: tuple[int, ...] | None = None

    @cached_property
    def state(self) -> LayerState:
        """S, the excess loss and the drift; the quasi-stationary ones are found where they are first asked for."""
        return self.law.stationary() if self.found is None else self.found

    @property
    def net(self) -> TwoLayer:
        """The net at its start."""
        return self.law.net

    @property
    def theory(self) -> LayerRung:
        """Rung of the ladder."""
        return self.law.rung

    @property
    def when(self) -> str:
        """The time it is for, in words."""
        return "quasi-stationary" if self.steps is None else f"after {spelled(self.steps)} steps"

    @property
    def excess_loss(self) -> float:
        """E L(W) - L*; the rungs with K know that the mean is displaced and the product bilinear (F107)."""
        return self.state.excess_loss

    @property
    def quadratic_loss(self) -> float:
        """1/2 tr(H S), to leading order the same."""
        return self.state.quadratic_loss

    @property
    def optimum_loss(self) -> float:
        """L*."""
        return self.net.optimum_loss

    @property
    def curvatures(self) -> Array:
        """Eigenvalues of H at the start on its range, largest first, (q,)."""
        return self.net.curvatures

    @property
    def modes(self) -> Array:
        """Their eigenvectors, (n, q): weights of layer 1 in the modes of the inputs, row by row, then of layer 2."""
        return self.net.frame.modes

    @property
    def mode_covariance(self) -> Array:
        """S in these modes, (q, q)."""
        return self.state.covariance

    @property
    def mode_variances(self) -> Array:
        """S_pp, (q,)."""
        return np.diag(self.state.covariance)

    @cached_property
    def covariance(self) -> Array:
        """S on the range of H, (n, n), in the coordinates of `modes`."""
        return np.asarray(self.modes @ self.mode_covariance @ self.modes.T)

    def layer(self, number: int) -> Layer:
        """Return one layer's part.

        Parameters
        ----------
        number : int
            1 or 2.

        Returns
        -------
        Layer
            With `.variances`, `.curvatures` and `.slope`.

        Raises
        ------
        InvalidInput
            For another number.
        UnstableSGD, NotConverged
            Where a quasi-stationary state is asked for that is not there, or not found.
        """
        return layer_of(number, self.net.frame, self.mode_covariance, self.optimum_loss)

    @cached_property
    def flatness_slope(self) -> float:
        """Slope of log variance on log curvature over the principal directions of layer 2 (F110)."""
        return self.layer(2).slope

    @property
    def balance_drift(self) -> Array:
        """E Bal at the last step less that at the start, (h, h) (F108); at finite time."""
        if self.found is None or self.found.drifts is None:
            raise InvalidInput(
                "the balance drifts on at a rate, `.balance_rate`, and a quasi-stationary state has no length. Ask "
                "`.after(steps).balance_drift`."
            )
        return np.asarray(self.found.drifts[-1])

    @property
    def balance_rate(self) -> Array:
        """Drift of Bal per step at the start, (h, h): lr^2 kappa (<|r|^2 z z^T> - <|x|^2 p p^T>)."""
        return self.law.rate

    @property
    def stated_error(self) -> float:
        """One standard error that the law states of itself, relative: no rung is exact, and what is left is O(lr)."""
        return _OWN_ERROR * self.law.sgd.lr / self.net.edge

    def after(self, steps: int | Sequence[int], *, nodes: int = NODES) -> LayersPrediction:
        """Return the same quantities after `steps` steps from the start, or averaged over a sequence of them.

        Parameters
        ----------
        steps : int or sequence of int
            0 is the start itself, which does not fluctuate.
        nodes : int
            Intervals in which the frame moves; 12 are within 1e-4 of many more on digits.

        Returns
        -------
        LayersPrediction
            At or averaged over `steps`; `balance_drift` is that at the last of them.

        Raises
        ------
        InvalidInput
            For arguments out of range.
        NotConverged
            Never: at finite time nothing is solved for.

        Warns
        -----
        FarDrift
            Where the balance drifts by more than 5 % of tr B.

        Notes
        -----
        Cost: of the rungs with K, 2 N h^2 r^2 multiplications and eight products of (n, n) matrices for each node.
        """
        return self.over([step_list("steps", steps).tolist()], nodes=nodes)[0]

    def over(self, windows: Sequence[Sequence[int]], *, nodes: int = NODES) -> list[LayersPrediction]:
        """Return what `after` gives of several windows of steps, for the cost of the longest.

        Parameters
        ----------
        windows : sequence of sequences of int
            Steps of each.
        nodes : int
            As for `after`.

        Returns
        -------
        list of LayersPrediction
            One of each window.

        Raises
        ------
        InvalidInput
            For arguments out of range.
        UnstableSGD, NotConverged
            Never: at finite time nothing is solved for.
        """
        count = positive_int("nodes", nodes)
        wanted = [tuple(sorted(int(t) for t in step_list("steps", window))) for window in windows]
        found = [
            replace(self, found=state, steps=steps)
            for steps, state in zip(wanted, self.law.over(wanted, count), strict=True)
        ]
        for each in found:
            each._warn_far()
        return found

    def _warn_far(self) -> None:
        moved, scale = float(np.abs(np.linalg.eigvalsh(self.balance_drift)).sum()), self.net.frame.scale
        if self.steps is not None and moved > _FAR * scale:
            warnings.warn(FarDrift(moved / scale, self.steps[-1]), stacklevel=3)

    @property
    def causes(self) -> dict[str, float]:
        """What the slope of layer 2 is made of: the coupling of the layers, noise unlike H, and modes not yet relaxed.

        "coupling" is the slope of isotropic noise, S = tau on the range of H; "noise" is what the noise of the data
        adds in the quasi-stationary state; "unrelaxed" is what the time adds to that. Their sum is `flatness_slope`.
        """
        settled = replace(self, found=None, steps=None)
        coupling = replace(settled, law=replace(self.law, rung="isotropic")).flatness_slope
        stationary = settled.flatness_slope
        return {
            "coupling": coupling,
            "noise": stationary - coupling,
            "unrelaxed": 0.0 if self.steps is None else self.flatness_slope - stationary,
        }

    def to_dict(self) -> JsonObject:
        """Return the scalars and the per-mode vectors as plain JSON types."""
        drift = None if self.steps is None else self.balance_drift
        said: JsonObject = {
            "theory": self.theory,
            "steps": None if self.steps is None else list(self.steps),
            "recipe": self.law.sgd.to_dict(),
            "net": self.net.words,
            **{name: getattr(self, name) for name in _NUMBERS},
            "traces": [self.layer(1).trace, self.layer(2).trace],
            "balance_drift": None if drift is None else drift.tolist(),
            "balance_rate": self.balance_rate.tolist(),
            "curvatures": self.curvatures.tolist(),
            "mode_variances": self.mode_variances.tolist(),
        }
        plain: JsonObject = finite(said)
        return plain

    def _tables(self) -> Tables:
        return {"modes": self._modes, "layer 1": self.layer(1).columns, "layer 2": self.layer(2).columns}

    def _modes(self) -> Columns:
        modes = range(1, len(self.curvatures) + 1)
        return {"mode": modes, "curvature": self.curvatures, "variance": self.mode_variances}

    def _grids(self) -> Mapping[str, tuple[tuple[str, ...], Any]]:
        return {"mode_covariance": (("mode", "other_mode"), self.mode_covariance)}

    @property
    def _attributes(self) -> Mapping[str, Any]:
        said = {name: getattr(self, name) for name in ("theory", "when", "optimum_loss", "excess_loss")}
        return {**said, "recipe": self.law.sgd.words, "net": self.net.words}

    def __repr__(self) -> str:
        said = f"excess_loss={self.excess_loss:.6g}, slope={self.flatness_slope:+.4f}"
        return clipped(f"LayersPrediction({self.theory}, {self.when}: {said})")
