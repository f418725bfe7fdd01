"""What a simulation found: replica by replica where error bars need it, streamed where matrices would not fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._arrays import Array, Ints, standard_error
from .._results import ByValue, Tables, Tabular
from .._validate.plain import Header
from . import tabulated
from .identity import EqualTimeRun

__all__ = ["Measurement", "overflowing"]

overflowing = np.errstate(over="ignore", invalid="ignore")  # a run that diverges says so by `diverged_at`


@dataclass(frozen=True, eq=False, repr=False)
class Measurement(ByValue, Tabular):
    """Fluctuation of V = W - W* over independent replicas; made by `simulate`.

    Error bars are the spread between replicas (F17). Time averages run over the `recorded` steps.

    Attributes
    ----------
    identity : dict
        Recipe, dynamics, steps, entropy: everything that fixes the numbers.
    recorded : ndarray, (n,)
        Steps measured, evenly spaced.
    opened : int
        Step at which their window opens, one gap before the first.
    watched : ndarray, (m,)
        Steps at which losses and means are kept: the start, a few log-spaced ones, `opened` and the recorded ones.
    replica_variances : ndarray, (R, r)
        Mode variances, summed over outputs and averaged over the recorded steps, of each replica.
    replica_losses : ndarray, (R, m)
        L(W_t) - L(W*) at the watched steps.
    mode_means : ndarray, (m, c, r)
        Replicas' mean of V in the modes at the watched steps.
    mode_covariance : ndarray, (r, r)
        U^T S U, S = E[V^T V].
    covariance_error : float
        Frobenius norm of the sampling error of `mode_covariance`, from the spread between chunks of replicas.
    window_covariance : ndarray, (r, r)
        S averaged over every step of the window, trapezoidal between the records.
    balance, balance_error : ndarray, (r, r), or None with momentum, a schedule, an average or epochs
        The left side of F0 averaged over the window, storage and dissipation: [S(end) - S(opened)]/steps plus
        eta (H S + S H) - eta^2 H S H (in continuous time (1 - m m) o S), and its standard error.
    chunks : int
        Groups of replicas whose spread gives the errors of the matrices.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> run = fl.simulate(problem, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=8, rng=1)
    >>> run.mode_variances.shape, run.replica_losses.shape == (run.replicas, len(run.watched)), run.diverged_at
    ((48,), True, None)
    """

    identity: Header
    recorded: Ints
    opened: int
    watched: Ints
    replica_variances: Array
    replica_losses: Array
    mode_means: Array
    mode_covariance: Array
    covariance_error: float
    window_covariance: Array
    balance: Array | None
    balance_error: Array | None
    chunks: int

    @cached_property
    def run(self) -> EqualTimeRun:
        """The identity, read: recipe, steps, replicas, seed and the rest."""
        return EqualTimeRun.of(self.identity)

    @property
    def replicas(self) -> int:
        """Number of independent runs, R."""
        return len(self.replica_variances)

    @property
    @overflowing
    def mode_variances(self) -> Array:
        """Mode variances S_pp, averaged over the recorded steps and the replicas, (r,)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.replica_variances.mean(axis=0))

    @property
    def mode_variance_errors(self) -> Array:
        """Standard errors of `mode_variances`, (r,)."""
        with np.errstate(all="ignore"):
            return standard_error(self.replica_variances)

    @property
    @overflowing
    def replica_excess(self) -> Array:
        """Excess loss of each replica, averaged over the recorded steps, (R,)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.replica_losses[:, np.isin(self.watched, self.recorded)].mean(axis=1))

    @property
    @overflowing
    def excess_loss(self) -> float:
        """Excess loss E L(W) - L(W*), averaged over the recorded steps and the replicas."""
        return float(self.replica_excess.mean())

    @property
    def excess_loss_error(self) -> float:
        """Standard error of `excess_loss`."""
        with np.errstate(all="ignore"):
            return float(standard_error(self.replica_excess))

    @property
    def diverged_at(self) -> int | None:
        """First watched step at which a replica had overflowed, or None."""
        bad = ~np.isfinite(self.replica_losses).all(axis=0)
        return int(self.watched[np.argmax(bad)]) if bad.any() else None

    def _tables(self) -> Tables:
        return tabulated.tables(self)

    def _grids(self) -> dict[str, tuple[tuple[str, ...], Array]]:
        return tabulated.grids(self)

    @property
    def _attributes(self) -> dict[str, str | float]:
        return tabulated.attributes(self)

    def __repr__(self) -> str:
        return tabulated.in_a_line(self)
