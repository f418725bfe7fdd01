"""The gradient noise of every replica of a run, summed up step by step, and its three statements tested.

Given the weights, every batch is drawn anew, so that the noise n_t = G_b(W_t) - grad L(W_t) has mean zero whatever came
before. The same holds for n_t in units of a scale s_t that the weights before the step decide: its totals and its
lagged products have mean zero too, and they have lighter tails near the stability limit, where the fluctuation, and the
noise with it, now and then is large.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from .._arrays import Array, Bools
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..theory.kurtosis import excess_kurtosis, jackknife, mean_of_noisy, smallest_noise
from ..theory.source import Source
from .significance import bands, detectable_error, family_p_value

__all__ = ["LAGS", "NoiseSums"]

LAGS = 5
_CHEAP = 128  # modes up to which S is looked at in every step: beyond, it would cost more than the run


class NoiseSums:
    """Sums over one run, per replica; `add` takes in a step."""

    def __init__(self, problem: LeastSquares, sgd: Recipe, replicas: int) -> None:
        self.problem, self.sgd, self.minimum = problem, sgd, problem.minimum(sgd.weight_decay)
        shape = (replicas, problem.outputs, problem.rank)
        self.squares, self.fourths = np.zeros(shape), np.zeros(shape)
        self.total, self.scaled_squares = np.zeros(shape), np.zeros(shape)
        self.lagged = np.zeros((LAGS, replicas, problem.rank))
        self.covariance = np.zeros((problem.rank, problem.rank))
        self.recent: deque[Array] = deque(maxlen=LAGS)
        self.stride = -(-problem.rank // _CHEAP)
        self.steps = self.looks = 0

    def add(self, before: Array, after: Array) -> None:
        """Take in one step: the state before and after it, (1 or 2, R, c, r)."""
        v, noise = before[0], self._gradient(before, after) - before[0] * self.minimum.curvatures
        scaled = noise / self._scale(v)
        self.squares += noise**2
        self.fourths += noise**4
        self.total += scaled
        self.scaled_squares += scaled**2
        for lag, earlier in enumerate(self.recent):
            self.lagged[lag] += np.einsum("rcp,rcp->rp", scaled, earlier)
        self.recent.appendleft(scaled)
        self._look(v)
        self.steps += 1

    def _gradient(self, before: Array, after: Array) -> Array:
        """The batch gradient that made this step, weight decay included."""
        return self.sgd.step.gradient(before, after, self.sgd.lr, self.steps)

    def _scale(self, v: Array) -> Array:
        """Root mean square of the residual at V over that at W*, but for their cross term, (R, 1, 1)."""
        grown = np.sum(v**2 @ self.problem.curvatures, axis=1) / self.minimum.squared_residuals.mean()
        return np.asarray(np.sqrt(1 + grown)[:, None, None])

    def _look(self, v: Array) -> None:
        """Add to S, of large problems each replica once in `stride` steps: they take turns, so no step is left out."""
        seen = v[-self.steps % self.stride :: self.stride]
        flat = seen.reshape(-1, v.shape[-1])
        self.covariance += flat.T @ flat
        self.looks += len(seen)

    def averages(self) -> dict[str, Array]:
        """Return the fields of `GradientNoise` that have a value per mode or per lag."""
        replicas = len(self.total)
        variances = self._variances()
        correlations = self._correlations()
        kurtoses = jackknife(np.where(self._noisy, self.squares / self.steps, np.nan), self.fourths / self.steps)
        return {
            "curvatures": self.minimum.curvatures,
            "variances": variances.mean(axis=0),
            "variance_errors": variances.std(axis=0, ddof=1) / np.sqrt(replicas),
            "predicted_variances": self._predicted(),
            "correlations": correlations.mean(axis=0),
            "correlation_errors": correlations.std(axis=0, ddof=1) / np.sqrt(replicas),
            "kurtoses": kurtoses[0],
            "kurtosis_errors": kurtoses[1],
            "predicted_kurtoses": mean_of_noisy(excess_kurtosis(self.problem, self.sgd), (0,)),
        }

    def p_values(self) -> dict[str, float]:
        """Family-wise p-values of the three statements: totals per output and mode, variances in bands, lags."""
        return {
            "mean": family_p_value(self.total[:, self._noisy]),
            "covariance": family_p_value(self._ratios() - 1),
            "memory": family_p_value(self._correlations()),
        }

    def detectable(self, level: float) -> float:
        """Return the smallest relative error of all variances that "covariance" would have caught."""
        return detectable_error(self._ratios(), level)

    def _ratios(self) -> Array:
        """Measured over predicted variances in bands of modes with noise, (R, bands)."""
        predicted = self._predicted()
        modes = self._noisy.any(axis=0) | (predicted > smallest_noise(self.problem))
        return _banded(self._variances()[:, modes] / predicted[modes])

    def _variances(self) -> Array:
        return np.asarray(self.squares.sum(axis=1) / self.steps)

    def _predicted(self) -> Array:
        """The diagonal of kappa (C + K[S]) with the run's own S.

        The replicas share this S, so the spread between them, the error bar, has what their own fluctuation adds to
        their noise, and the mean has not: near the limit the statement is then rejected less often than the level says.
        """
        return np.diag(Source.of(self.problem, self.sgd).at(self.covariance / self.looks))

    @property
    def _noisy(self) -> Bools:
        """Which outputs and modes have noise beyond rounding, (c, r)."""
        return np.asarray(self.squares.mean(axis=0) / self.steps > smallest_noise(self.problem))

    def _correlations(self) -> Array:
        """Lagged products over the variance, averaged over modes, (R, LAGS)."""
        counts = self.steps - np.arange(1, LAGS + 1)
        variances = self.scaled_squares.sum(axis=1).mean(axis=0) / self.steps
        modes = self._noisy.any(axis=0)
        return np.asarray((self.lagged[..., modes] / variances[modes]).mean(axis=2).T / counts)


def _banded(ratios: Array) -> Array:
    return np.stack([ratios[:, band].mean(axis=1) for band in bands(ratios.shape[1])], axis=1)
