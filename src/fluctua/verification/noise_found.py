"""What a measurement of the gradient noise found, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._arrays import Array, Ints
from .._results import ByValue, Tables, Tabular, clipped
from .._tables import Columns
from .._validate.plain import Header, JsonObject
from .._validate.values import as_path, choice, instance
from ..errors import ResultError
from ..simulation.identity import NoiseRun
from ..storage.layout import hold_header
from ..storage.paths import kind_of
from ..storage.results import finite
from ..storage.stored import reading
from .formats import caught, shown
from .judgement import SUMMARY
from .outcome import Concluded, remedy, replicas_for, steps_for
from .significance import POWER

__all__ = ["GradientNoise"]


@dataclass(frozen=True, eq=False, repr=False)
class GradientNoise(ByValue, Tabular, Concluded):
    """Noise G_b(W_t) - grad L(W_t) along a run, mode by mode, against theory; made by `gradient_noise`.

    Attributes
    ----------
    curvatures : ndarray, (r,)
        Eigenvalues of H, largest first.
    variances, variance_errors, predicted_variances : ndarray, (r,)
        Per mode, summed over outputs; predicted: the diagonal of kappa (C + K[S]) with the run's own S.
    correlations, correlation_errors : ndarray, (LAGS,)
        Correlation with the noise 1, 2, ... steps earlier, averaged over modes; theory: zero. Of the noise over
        (1 + tr(V A V^T)/<|r|^2>)^(1/2), about the scale that the weights give it: without it the law of large steps has
        tails too heavy for Student's t.
    kurtoses, kurtosis_errors, predicted_kurtoses : ndarray, (r,)
        Excess kurtosis per mode, averaged over outputs; predicted at W* for this batch size and sampling. Sampling
        biases a large one low: the rare batches that make it did not come up.
    batch_sizes, steep_kurtoses, steep_errors, steep_predicted : ndarray, (k,)
        Excess kurtosis at W* against the batch size, averaged over the `STEEPEST` modes.
    p_values : dict
        Of "mean", "covariance" and "memory", each family-wise over its contrasts: the total per output and mode,
        the variance in bands of modes, the correlation per lag. The first two leave out what has no noise.
    level, resolution : float
        Family-wise level over all three; relative error of the covariance that the runs had to reject.
    detectable : float
        Smallest relative error of the covariance that they would have caught with probability 0.95.
    identity : dict
        Recipe, seed and the size of the problem, with a fingerprint of its sample weights where it has any.
    data : dict
        Name and hashes of the data, where `about` said them.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> noise = fl.gradient_noise(problem, fl.SGD(lr=0.02, batch_size=8), steps=50, replicas=8, rng=1)
    >>> sorted(noise.p_values), noise.variances.shape, noise.batch_sizes.tolist()
    (['covariance', 'mean', 'memory'], (48,), [1, 2, 4, 8, 16, 32, 64])
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
    batch_sizes: Ints
    steep_kurtoses: Array
    steep_errors: Array
    steep_predicted: Array
    p_values: Mapping[str, float]
    level: float
    resolution: float
    detectable: float
    identity: Header
    data: Header = field(default_factory=dict)

    STEM: ClassVar[str] = "noise"
    """Name of its file, without the ending."""

    def _tables(self) -> Tables:
        size = {"batch_size": self.batch_sizes, "kurtosis": self.steep_kurtoses, "kurtosis_error": self.steep_errors}
        lag: Columns = {"lag": range(1, len(self.correlations) + 1), "correlation": self.correlations}
        return {
            "modes": lambda: {
                "mode": range(1, len(self.curvatures) + 1),
                "curvature": self.curvatures,
                "variance": self.variances,
                "variance_error": self.variance_errors,
                "predicted_variance": self.predicted_variances,
                "kurtosis": self.kurtoses,
                "kurtosis_error": self.kurtosis_errors,
                "predicted_kurtosis": self.predicted_kurtoses,
            },
            "memory": lambda: {**lag, "correlation_error": self.correlation_errors},
            "batch_sizes": lambda: {**size, "predicted_kurtosis": self.steep_predicted},
        }

    def __repr__(self) -> str:
        wrong = ", ".join(name for name in self.p_values if not self.holds(name))
        said = f"NOT as predicted: {wrong}" if wrong else f"{', '.join(self.p_values)} as predicted"
        return clipped(f"GradientNoise({self.run.recipe.words}, {len(self.curvatures)} modes: {said})")

    @cached_property
    def run(self) -> NoiseRun:
        """The identity, read: recipe, steps, replicas, seed and the rest."""
        return NoiseRun.of(self.identity)

    def holds(self, statement: str) -> bool:
        """Return whether a statement is as theory says, at the family-wise level.

        Parameters
        ----------
        statement : str
            Either "mean", "covariance" or "memory".

        Returns
        -------
        bool
            False where the statement is rejected.

        Raises
        ------
        UnknownName
            For another statement.
        """
        return self.p_values[choice("statement", statement, self.p_values)] >= self.level / len(self.p_values)

    @property
    def consistent(self) -> bool:
        """Whether all three statements hold."""
        return all(map(self.holds, self.p_values))

    @property
    def sharp(self) -> bool:
        """Whether the runs resolve `resolution`."""
        return bool(self.detectable <= self.resolution)

    @property
    def replicas_needed(self) -> int | None:
        """About how many replicas of as many steps would be sharp; None if these are, or if no number would be."""
        if self.sharp:
            return None
        return replicas_for(self.detectable, self.resolution, self.run.replicas, self.level / len(self.p_values))

    @property
    def words(self) -> str:
        """The findings, a line each."""
        fails = {
            name: "" if self.holds(name) else f"NOT as predicted, p = {p:.2g}" for name, p in self.p_values.items()
        }
        ratio = self.variances.sum() / self.predicted_variances.sum()
        lag, error = self.correlations[0], self.correlation_errors[0]
        trace, first = shown(ratio - 1, "+.2%"), shown(lag, "+.1e")
        median, worst = (shown(of(self.predicted_kurtoses), ".3g") for of in (np.nanmedian, np.nanmax))
        lines = (
            f"mean        {fails['mean'] or 'zero within sampling'}",
            f"covariance  {fails['covariance'] or 'kappa (C + K[S]) within sampling'}; trace off by {trace}",
            f"memory      {fails['memory'] or 'none within sampling'}; correlation at lag 1 {first} +- {error:.0e}",
            f"sharp       {self._sharpness}",
            f"Gaussian?   excess kurtosis {median} in the median mode, {worst} in the worst (Gaussian: 0)",
        )
        return "\n".join(lines)

    @property
    def _sharpness(self) -> str:
        """What error of the covariance would have been caught."""
        said = f"would have caught {caught(self.detectable)} of the covariance (with probability {POWER:g})"
        if self.sharp:
            return said
        run = self.run
        longer = steps_for(self.detectable, self.resolution, run.replicas, run.steps)
        do = remedy(self.replicas_needed, run.replicas, longer)
        return f"NOT: {said}, asked was {100 * self.resolution:.3g} %{do}"

    def about(self, data: Header) -> Self:
        """Return the same with a description of the data attached.

        Parameters
        ----------
        data : mapping
            Name and hashes, such as `Dataset.about`.

        Returns
        -------
        GradientNoise
            A copy.

        Raises
        ------
        InvalidInput
            If `data` is no mapping.
        """
        return replace(self, data=dict(instance("data", data, Mapping, "a dict of its name and hashes")))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `fluctua noise` wrote.

        Parameters
        ----------
        path : path
            The directory, or the noise.json in it.

        Returns
        -------
        GradientNoise
            As it was written.

        Raises
        ------
        ResultError
            If it is missing, damaged, or of another version.
        InvalidInput
            If `path` is no path.
        """
        given = as_path("path", path)
        place = given / f"{cls.STEM}.json" if kind_of(given, ResultError) == "directory" else given
        if kind_of(place, ResultError) != "file":
            raise ResultError(f"{place} does not exist. Give a directory written by `fluctua noise`.")
        with reading(partial(_foreign, place), ours=True):
            held = json.loads(place.read_text(encoding="utf-8"))
            hold_header(held, cls.STEM)
            found = cls(**{each.name: _read(each.name, str(each.type), held[each.name]) for each in fields(cls)})
            if (words := found.words) != held["words"]:
                raise ValueError(f"its words are not what follows from its numbers, {words!r}")
        return found

    def to_dict(self) -> JsonObject:
        """Return everything as plain JSON types; a kurtosis of no noise is null."""
        summary = {name: getattr(self, name) for name in SUMMARY if name != "detectable"}
        raw = {"kind": "noise", **summary, **asdict(self)}
        if not self.data:
            del raw["data"]
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in raw.items()}
        return dict(finite(plain))


def _foreign(place: Path, why: str) -> ResultError:
    return ResultError(f"{place} does not hold what a result must: {why}. Delete it and run `fluctua noise` again.")


def _read(name: str, kind: str, value: Any) -> Any:
    """A field as JSON has it: null is no number, and a relative error that is none is infinite."""
    if kind in ("Array", "Ints"):
        return np.array(value, dtype=np.int64 if kind == "Ints" else np.float64)
    return float("inf") if name == "detectable" and value is None else value
