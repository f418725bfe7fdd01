"""What a simulation found: replica by replica where error bars need it, streamed where matrices would not fit."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from .._arrays import AnyArray, Array, Arrays, Ints, standard_error
from .._results import ByValue, Tables, Tabular
from .._validate.plain import Header
from ..storage.results import save_arrays
from ..storage.stored import reading
from . import tabulated
from .identity import EqualTimeRun
from .resumed import arrays_of_run, damaged, hold_tally

__all__ = ["Chunk", "Measurement", "Tally", "window_average"]

_overflowing = np.errstate(over="ignore", invalid="ignore")  # a run that diverges says so by `diverged_at`


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
    @_overflowing
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
    @_overflowing
    def replica_excess(self) -> Array:
        """Excess loss of each replica, averaged over the recorded steps, (R,)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.replica_losses[:, np.isin(self.watched, self.recorded)].mean(axis=1))

    @property
    @_overflowing
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


@dataclass(frozen=True)
class Chunk:
    """What a group of replicas found, averaged over its records and over its replicas unless it names them."""

    replica_variances: Array
    replica_losses: Array
    means: Array
    covariance: Array
    change: Array

    @property
    def replicas(self) -> int:
        """Replicas of the group."""
        return len(self.replica_variances)


_ZERO = np.float64(0.0)
Sum = Array | np.float64 | float
"""Of arrays, or zero before the first."""


@dataclass
class Tally:
    """Running sums over chunks of replicas: what a checkpoint keeps.

    Sums are weighted by the chunk's number of replicas; `*_squares` hold the chunk-wise squares from which the spread
    between chunks, and so the error of the matrices, follows.
    """

    recorded: Ints
    opened: int
    watched: Ints
    chunks: int = 0
    replica_variances: list[Array] = field(default_factory=list)
    replica_losses: list[Array] = field(default_factory=list)
    mean_sum: Sum = _ZERO
    covariance_sum: Sum = _ZERO
    covariance_squares: float = 0.0
    change_sum: Sum = _ZERO
    balance_squares: Sum = _ZERO

    @_overflowing
    def add(self, chunk: Chunk, gap: Array | None) -> None:
        """Take in a chunk, in the order of the chunks; `gap` is 1 - m m of the dynamics' kernel, (r, r).

        With momentum or an average F0 holds for V and what is kept beside it together, with a schedule it changes from
        step to step, in an epoch a batch depends on those before and so on V: then `gap` is None.
        """
        self.chunks += 1
        self.replica_variances.append(chunk.replica_variances)
        self.replica_losses.append(chunk.replica_losses)
        with np.errstate(all="ignore"):  # divergence is a finding, not a warning
            self._sum(chunk, gap)

    def _sum(self, chunk: Chunk, gap: Array | None) -> None:
        n = chunk.replicas
        self.mean_sum = self.mean_sum + n * chunk.means
        self.covariance_sum = self.covariance_sum + n * chunk.covariance
        self.covariance_squares += n * float(np.vdot(chunk.covariance, chunk.covariance))
        self.change_sum = self.change_sum + n * chunk.change
        if gap is not None:
            self.balance_squares = self.balance_squares + n * self._balance(chunk.covariance, chunk.change, gap) ** 2

    @property
    def replicas(self) -> int:
        """Replicas tallied so far."""
        return sum(map(len, self.replica_variances))

    def save(self, path: Path, identity: Header) -> None:
        """Keep the sums so far in a checkpoint file."""
        save_arrays(path, {"identity": identity}, self.arrays())

    def arrays(self) -> Arrays:
        """Return the sums by name."""
        return {item.name: np.asarray(_stacked(getattr(self, item.name))) for item in fields(self)}

    def loaded(self, path: Path, identity: Header, outputs: int, rank: int) -> Tally:
        """Read a checkpoint of the run `identity`, looked at as this one is, in `rank` modes of so many outputs.

        Raises
        ------
        ResultError
            If it belongs to another run, or does not hold what this one would have left.
        """
        arrays = arrays_of_run(path, identity)
        with reading(partial(damaged, path)):
            return self.of(arrays, identity["replicas"], outputs, rank)

    def of(self, arrays: dict[str, AnyArray], replicas: int, outputs: int, rank: int) -> Tally:
        """Return the sums that `arrays` gave of a run looked at as this one is; raises ValueError for others."""
        hold_tally(arrays, self, replicas, outputs, rank)
        lists = {name: [arrays.pop(name)] for name in ("replica_variances", "replica_losses")}
        scalars = {name: arrays.pop(name).item() for name in ("opened", "chunks", "covariance_squares")}
        return Tally(**arrays, **lists, **scalars)  # type: ignore[arg-type]

    @_overflowing
    def measurement(self, identity: Header, gap: Array | None) -> Measurement:
        """Turn the sums into averages and error bars."""
        with np.errstate(all="ignore"):  # divergence is a finding, not a warning
            return self._averaged(identity, gap)

    def _averaged(self, identity: Header, gap: Array | None) -> Measurement:
        total = self.replicas
        covariance, change = self.covariance_sum / total, self.change_sum / total
        balance = None if gap is None else self._balance(covariance, change, gap)
        return Measurement(
            identity=identity,
            recorded=self.recorded,
            opened=self.opened,
            watched=self.watched,
            replica_variances=np.concatenate(self.replica_variances),
            replica_losses=np.concatenate(self.replica_losses),
            mode_means=np.asarray(self.mean_sum / total),
            mode_covariance=np.asarray(covariance),
            covariance_error=float(
                np.sqrt(self._spread(self.covariance_squares, float(np.vdot(covariance, covariance))))
            ),
            window_covariance=window_average(covariance, change, len(self.recorded), self._steps),
            balance=balance,
            balance_error=None if balance is None else np.sqrt(self._spread(self.balance_squares, balance**2)),
            chunks=self.chunks,
        )

    @property
    def _steps(self) -> int:
        return int(self.recorded[-1]) - self.opened

    def _balance(self, covariance: Sum, change: Sum, gap: Array) -> Array:
        """Storage and dissipation averaged over the window, the left side of F0: linear in both arguments."""
        dissipation = gap * window_average(covariance, change, len(self.recorded), self._steps)
        return np.asarray(dissipation + change / self._steps)

    def _spread(self, squares: Sum, square_of_mean: Sum) -> Sum:
        """Variance of the mean from chunk-wise squares: unbiased also for unequal chunks."""
        if self.chunks < 2:
            return np.nan * square_of_mean
        return np.maximum(squares / self.replicas - square_of_mean, 0.0) / (self.chunks - 1)


def window_average(mean_of_records: Sum, change: Sum, records: int, steps: int) -> Array:
    """Average over steps opened..end - 1 of a quantity recorded at evenly spaced steps up to the end.

    Trapezoidal between records; `change` is its value at the end less that at the opening.
    """
    return np.asarray(mean_of_records - 0.5 * change * (1 / records + 1 / steps))


def _stacked(value: object) -> object:
    return np.concatenate(value) if isinstance(value, list) else value
