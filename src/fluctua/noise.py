"""The gradient noise itself, measured along a training run: mean, covariance, memory, and how far from Gaussian.

If it has mean zero, covariance kappa (C + K[S]) and no memory, then SGD's second moments are those of a Langevin
process with the same drift; its higher moments show where SGD is not that process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._door import door
from ._needs import refuse_noise
from ._validate import choice, positive_int, real_number
from .dynamics import minibatch_in_modes, slots
from .errors import InvalidInput
from .kurtosis import excess_kurtosis
from .problem import LeastSquares
from .sampling import Draws, Rng, draw_batches, generators, seed_sequence
from .sgd import SGD
from .significance import bands, family_p_value
from .theory import predict

__all__ = ["GradientNoise", "gradient_noise"]

Array = NDArray[np.float64]
LAGS = 5
STEEPEST = 10
"""Modes averaged in the picture of kurtosis against batch size."""
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_GROUPS, _DRAWS = 20, 100  # batches drawn at W* for each batch size
_COVARIANCE_STRIDE = 10  # steps between looks at S, which changes slowly and enters through K only


@dataclass(frozen=True)
class GradientNoise:
    """Noise G_b(W_t) - grad L(W_t) along a run, mode by mode, against theory; made by `gradient_noise`.

    Attributes
    ----------
    curvatures : ndarray, (r,)
    variances, variance_errors, predicted_variances : ndarray, (r,)
        Per mode, summed over outputs; predicted: the diagonal of kappa (C + K[S]) with the run's own S.
    correlations, correlation_errors : ndarray, (LAGS,)
        Correlation with the noise 1, 2, ... steps earlier, averaged over modes; theory: zero.
    kurtoses, kurtosis_errors, predicted_kurtoses : ndarray, (r,)
        Excess kurtosis per mode, averaged over outputs; predicted at W* for this batch size and sampling. Sampling
        biases a large one low: the rare batches that make it did not come up.
    batch_sizes, steep_kurtoses, steep_errors, steep_predicted : ndarray, (k,)
        Excess kurtosis at W* against the batch size, averaged over the `STEEPEST` modes.
    p_values : dict
        Of "mean", "covariance" and "memory", each family-wise over its contrasts.
    level : float
        Family-wise level over all three.
    identity : dict
        Recipe and seed.
    """

    curvatures: Array
    variances: Array
    variance_errors: Array
    predicted_variances: Array
    correlations: Array
    correlation_errors: Array
    kurtoses: Array
    kurtosis_errors: Array
    predicted_kurtoses: Array
    batch_sizes: NDArray[np.int64]
    steep_kurtoses: Array
    steep_errors: Array
    steep_predicted: Array
    p_values: Mapping[str, float]
    level: float
    identity: Mapping[str, Any]

    def holds(self, statement: str) -> bool:
        """Whether "mean", "covariance" or "memory" is as theory says, at the family-wise level."""
        return self.p_values[choice("statement", statement, self.p_values)] >= self.level / len(self.p_values)

    @property
    def passed(self) -> bool:
        """All three statements hold."""
        return all(map(self.holds, self.p_values))

    @property
    def words(self) -> str:
        """The findings, a line each."""
        fails = {
            name: "" if self.holds(name) else f"NOT as predicted, p = {p:.2g}" for name, p in self.p_values.items()
        }
        ratio = self.variances.sum() / self.predicted_variances.sum()
        lag, error = self.correlations[0], self.correlation_errors[0]
        median, worst = np.median(self.predicted_kurtoses), self.predicted_kurtoses.max()
        lines = (
            f"mean        {fails['mean'] or 'zero within sampling'}",
            f"covariance  {fails['covariance'] or 'kappa (C + K[S]) within sampling'}; trace off by {ratio - 1:+.2%}",
            f"memory      {fails['memory'] or 'none within sampling'}; correlation at lag 1 {lag:+.1e} +- {error:.0e}",
            f"Gaussian?   excess kurtosis {median:.3g} in the median mode, {worst:.3g} in the worst (Gaussian: 0)",
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        raw = {"kind": "noise", "passed": self.passed, "words": self.words, **asdict(self)}
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in raw.items()}


def gradient_noise(
    problem: LeastSquares,
    sgd: SGD,
    *,
    steps: int = 1000,
    replicas: int = 32,
    rng: Rng = None,
    level: float = 0.01,
    progress: Callable[[float], None] | None = None,
) -> GradientNoise:
    r"""Run SGD from W* and measure the noise of every batch gradient, against theory.

    Theory, for independent batches: mean zero; covariance kappa (C + K[S]) (theory.md F0); uncorrelated in time,
    because each batch is drawn anew; excess kurtosis of a batch mean, (m4/m2^2 - 3)/b with replacement.

    Parameters
    ----------
    problem : LeastSquares
    sgd : SGD
    steps, replicas : int
    rng : numpy.random.Generator, int or None
    level : float
        Family-wise false-alarm probability of the three statements together.
    progress : callable, optional
        Called with the fraction done.

    Raises
    ------
    InvalidInput
        Before any run, for epochs, a schedule, or where there is no noise.
    UnstableSGD
        Before any run, beyond the stability limit.

    Notes
    -----
    Cost: as `simulate` in one thread, in float64, plus about 20 c r operations per replica and step. The predicted
    kurtosis is the one at W*; along the run the fluctuation of the weights adds a little of its own.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> noise = fl.gradient_noise(problem, fl.SGD(lr=0.05, batch_size=8), steps=200, replicas=16, rng=5)
    >>> noise.holds("memory")
    True
    """
    door(problem, sgd, progress=progress)
    _check(problem, sgd, steps, replicas, level)
    root = seed_sequence(rng)
    run, draws = root.spawn(2)
    book = _Book(problem, sgd, replicas)
    batches = Draws(generators(run, replicas), problem.samples, sgd)
    state = np.zeros((slots(sgd), replicas, problem.outputs, problem.rank))
    advance = minibatch_in_modes(problem, sgd)
    for step in range(steps):
        before = state.copy()
        advance(state, batches, 1, step)
        book.watch(before, state)
        if progress:
            progress(step / steps)
    sizes = np.array([b for b in _BATCH_SIZES if b < problem.samples])
    steep = np.array([_steep(problem, replace(sgd, batch_size=int(b)), draws) for b in sizes])
    return GradientNoise(
        **book.averages(), **dict(zip(("steep_kurtoses", "steep_errors", "steep_predicted"), steep.T, strict=True)),
        batch_sizes=sizes, p_values=book.p_values(), level=level,
        identity={"recipe": sgd.to_dict(), "steps": steps, "replicas": replicas, "entropy": str(root.entropy)},
    )  # fmt: skip


def _check(problem: LeastSquares, sgd: SGD, steps: int, replicas: int, level: float) -> None:
    positive_int("steps", steps, minimum=LAGS + 1)
    positive_int("replicas", replicas, minimum=2)
    real_number("level", level, above=0.0)
    refuse_noise(problem, sgd, steps, replicas, LAGS)
    sgd.refuse_epochs("the noise is compared with that of independent batches, which has no memory")
    if sgd.sampling_factor(problem.samples) == 0:
        raise InvalidInput("a full batch without replacement has no gradient noise. Use a smaller batch_size.")
    if sgd.schedule is not None:
        raise InvalidInput("the noise is measured at a constant learning rate; leave the schedule out.")
    problem.minimum(sgd.weight_decay).refuse_interpolation()
    predict(problem, sgd)  # refuses an unstable recipe


class _Book:
    """Sums of one run's noise, per replica."""

    def __init__(self, problem: LeastSquares, sgd: SGD, replicas: int) -> None:
        self.problem, self.sgd, self.minimum = problem, sgd, problem.minimum(sgd.weight_decay)
        shape = (replicas, problem.outputs, problem.rank)
        self.total, self.squares, self.fourths = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.lagged = np.zeros((LAGS, replicas, problem.rank))
        self.covariance = np.zeros((problem.rank, problem.rank))
        self.recent: deque[Array] = deque(maxlen=LAGS)
        self.steps = self.looks = 0

    def watch(self, before: Array, after: Array) -> None:
        """Take in one step: the state before and after it, (1 or 2, R, c, r)."""
        v, noise = before[0], self._gradient(before, after) - before[0] * self.minimum.curvatures
        square = noise**2
        self.total += noise
        self.squares += square
        self.fourths += square**2
        for lag, earlier in enumerate(self.recent):
            self.lagged[lag] += np.einsum("rcp,rcp->rp", noise, earlier)
        self.recent.appendleft(noise)
        if self.steps % _COVARIANCE_STRIDE == 0:
            flat = v.reshape(-1, v.shape[-1])
            self.covariance += flat.T @ flat / len(v)
            self.looks += 1
        self.steps += 1

    def _gradient(self, before: Array, after: Array) -> Array:
        """The batch gradient that made this step, weight decay included."""
        sgd = self.sgd
        if not sgd.momentum:
            return np.asarray((before[0] - after[0]) / sgd.lr)
        later = (after[1] - sgd.momentum * before[1]) / (1 - sgd.dampening)
        return np.asarray(after[1] if self.steps == 0 else later)

    def averages(self) -> dict[str, Array]:
        """Return the fields of `GradientNoise` that have a value per mode or per lag."""
        replicas = len(self.total)
        variances = self.squares.sum(axis=1) / self.steps
        correlations = self._correlations()
        kurtoses = _jackknife(self.squares / self.steps, self.fourths / self.steps)
        return {
            "curvatures": self.minimum.curvatures,
            "variances": variances.mean(axis=0),
            "variance_errors": variances.std(axis=0, ddof=1) / np.sqrt(replicas),
            "predicted_variances": self._predicted(),
            "correlations": correlations.mean(axis=0),
            "correlation_errors": correlations.std(axis=0, ddof=1) / np.sqrt(replicas),
            "kurtoses": kurtoses[0],
            "kurtosis_errors": kurtoses[1],
            "predicted_kurtoses": excess_kurtosis(self.problem, self.sgd).mean(axis=0),
        }

    def p_values(self) -> dict[str, float]:
        """Family-wise p-values of the three statements, from contrasts over bands of modes and over lags."""
        variances = self.squares.sum(axis=1) / self.steps
        # Noise without memory and of mean zero: the square of its time average is its variance over the steps.
        wander = self.total**2 / self.steps
        ratio = wander.sum(axis=1) / variances.mean(axis=0)
        return {
            "mean": family_p_value(_banded(ratio) - 1),
            "covariance": family_p_value(_banded(variances / self._predicted()) - 1),
            "memory": family_p_value(self._correlations()),
        }

    def _predicted(self) -> Array:
        kappa = self.sgd.sampling_factor(self.problem.samples)
        return kappa * np.diag(self.minimum.source(self.covariance / self.looks))

    def _correlations(self) -> Array:
        """Lagged products over the variance, averaged over modes, (R, LAGS)."""
        counts = self.steps - np.arange(1, LAGS + 1)
        variances = self.squares.sum(axis=1).mean(axis=0) / self.steps
        return np.asarray((self.lagged / variances).mean(axis=2).T / counts)


def _banded(ratios: Array) -> Array:
    return np.stack([ratios[:, band].mean(axis=1) for band in bands(ratios.shape[1])], axis=1)


def _steep(problem: LeastSquares, sgd: SGD, draws: np.random.SeedSequence) -> tuple[float, float, float]:
    """Excess kurtosis at W* averaged over the steepest modes: measured, its error, predicted."""
    z, r = problem.projections[:, :STEEPEST], problem.minimum(sgd.weight_decay).residuals
    mean = -sgd.weight_decay * problem.minimum(sgd.weight_decay).mode_weights[:, :STEEPEST]
    second, fourth = [], []
    for rng in generators(draws, _GROUPS):
        batches = draw_batches(rng, problem.samples, sgd, _DRAWS)
        noise = np.matmul(r[batches].transpose(0, 2, 1), z[batches]).astype(np.float64) / sgd.batch_size - mean
        second.append(np.mean(noise**2, axis=0))
        fourth.append(np.mean(noise**4, axis=0))
    value, error = _jackknife(np.array(second), np.array(fourth), over_modes=True)
    return float(value), float(error), float(excess_kurtosis(problem, sgd)[:, :STEEPEST].mean())


def _jackknife(second: Array, fourth: Array, over_modes: bool = False) -> tuple[Any, Any]:
    """Excess kurtosis averaged over outputs (and modes), and its error, from moments per replica (R, c, r)."""
    axes = (-2, -1) if over_modes else (-2,)
    replicas = len(second)

    def statistic(m2: Array, m4: Array) -> Any:
        return np.mean(m4 / m2**2 - 3, axis=axes)

    value = statistic(second.mean(axis=0), fourth.mean(axis=0))
    left_out = statistic((second.sum(axis=0) - second) / (replicas - 1), (fourth.sum(axis=0) - fourth) / (replicas - 1))
    return value, np.sqrt((replicas - 1) * np.var(left_out, axis=0))
