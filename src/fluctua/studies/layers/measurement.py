"""What runs of a two-layer net found: covariance about the replica mean, on the range of H at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array, Ints, standard_error
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import Header
from .layer import Layer, layer_of
from .net import TwoLayer

__all__ = ["LayersMeasurement"]


@dataclass(frozen=True, eq=False, repr=False)
class LayersMeasurement(ByValue, Tabular):
    """Fluctuation of the weights of a two-layer net about their mean over independent replicas; made by `simulate`.

    Averages run over the `recorded` steps; error bars are the spread between replicas.

    Attributes
    ----------
    net : TwoLayer
        At the start of all replicas.
    identity : dict
        Recipe, steps and entropy: everything that fixes the numbers.
    recorded : ndarray, (n,)
        Steps that were looked at.
    replica_excess : ndarray, (R,)
        L(W) - L* of each replica.
    replica_variances : ndarray, (R, q)
        Squares in the modes of H at the start.
    replica_traces : ndarray, (R, 2)
        Sum of the squares of each layer.
    mode_covariance : ndarray, (q, q)
        Q^T S Q.
    second_layer : ndarray, (g, c h, c h)
        Covariance of layer 2 in each of g groups of replicas.
    balances : ndarray, (n, h, h)
        Replica mean of W2^T W2 - W1 W1^T less that of the start.
    replica_flat : ndarray, (R,)
        Sum of the squares outside the range of H, along the manifold.
    replica_drifts : ndarray, (R,)
        Trace of Bal less that of the start at the last of the steps.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits", classes=[3, 8])
    >>> steep = data.inputs @ fl.LeastSquares(data.inputs, data.targets).modes[:, :6]
    >>> net = layers.TwoLayer(fl.LeastSquares(steep, data.targets), hidden=2)
    >>> found = fl.simulate(net, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=64, records=[50, 100], rng=1)
    >>> found.mode_variances.shape, found.layer(2).weight_variances.shape, found.balances.shape
    ((12,), (2, 2), (2, 2, 2))
    """

    net: TwoLayer
    identity: Header
    recorded: Ints
    replica_excess: Array
    replica_variances: Array
    replica_traces: Array
    mode_covariance: Array
    second_layer: Array
    balances: Array
    replica_flat: Array
    replica_drifts: Array

    @property
    def replicas(self) -> int:
        """Number of independent runs, R."""
        return len(self.replica_excess)

    @property
    def diverged(self) -> bool:
        """Whether a replica left the numbers that there are."""
        return not bool(np.isfinite(self.replica_excess).all())

    @property
    def excess_loss(self) -> float:
        """L(W) - L*, averaged."""
        return float(self.replica_excess.mean())

    @property
    def excess_loss_error(self) -> float:
        """One standard error of it."""
        return float(standard_error(self.replica_excess))

    @property
    def mode_variances(self) -> Array:
        """S_pp in the modes of H at the start, (q,)."""
        return np.diag(self.mode_covariance)

    @property
    def mode_variance_errors(self) -> Array:
        """One standard error of each, (q,)."""
        return standard_error(self.replica_variances)

    @property
    def balance_drift(self) -> Array:
        """Replica mean of Bal at the last recorded step less that at the start, (h, h)."""
        return np.asarray(self.balances[-1])

    def layer(self, number: int) -> Layer:
        """Return one layer's part.

        Parameters
        ----------
        number : int
            1 or 2.

        Returns
        -------
        Layer
            Along the principal directions of what was measured, whose variances few replicas spread out.

        Raises
        ------
        InvalidInput
            For another number.
        """
        return layer_of(number, self.net.frame, self.mode_covariance, self.net.optimum_loss)

    @cached_property
    def flatness_slope(self) -> float:
        """Slope of log variance on log curvature over the principal directions of layer 2 (F110)."""
        return self.layer(2).slope

    def slopes_along(self, layer: Layer) -> Array:
        """Return the slope of layer 2 over the principal directions of a prediction, as pseudo-values of groups.

        Directions of its own would follow the sampling of its covariance, and tilt the slope.

        Parameters
        ----------
        layer : Layer
            Layer 2 of a prediction.

        Returns
        -------
        ndarray, (g,)
            Jackknife values of the groups of replicas: their mean is the slope, their spread its error.
        """
        along = np.einsum("km,gkl,lm->gm", layer.directions, self.second_layer, layer.directions)
        x = np.log(layer.curvatures)
        x = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
        whole, groups = along.mean(axis=0), len(along)
        left = (groups * whole - along) / (groups - 1)
        return np.asarray(groups * (np.log(whole) @ x) - (groups - 1) * (np.log(left) @ x))

    def _tables(self) -> Tables:
        return {"modes": self._modes, "layer 1": self.layer(1).columns, "layer 2": self.layer(2).columns}

    def _modes(self) -> Columns:
        curvatures = self.net.curvatures
        numbers = range(1, len(curvatures) + 1)
        found = {"variance": self.mode_variances, "variance_error": self.mode_variance_errors}
        return {"mode": numbers, "curvature": curvatures, **found}

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"excess_loss": self.excess_loss, "excess_loss_error": self.excess_loss_error, "net": self.net.words}

    def __repr__(self) -> str:
        error = f"{self.excess_loss:.6g} +- {self.excess_loss_error:.2g}"
        return clipped(f"LayersMeasurement({self.replicas} replicas: excess_loss={error})")
