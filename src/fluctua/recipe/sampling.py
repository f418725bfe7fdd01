"""The sampling of a recipe: a name or weights, as given, as read back, and the sampler that does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._results import Brief
from .._validate.plain import JsonObject
from .._validate.values import as_array, choice, flag, shown
from .._validate.weights import hold_length, sample_weights
from ..errors import InvalidInput
from .samplers import EPOCHS, FULL, KINDS, SAMPLINGS, Distinct, Epochs, P, Sampler, Sampling

__all__ = [
    "EPOCHS",
    "FULL",
    "SAMPLINGS",
    "Distinct",
    "Epochs",
    "P",
    "Sampler",
    "Sampling",
    "WeightedSampling",
    "read_sampling",
    "sampler_of",
]


@dataclass(frozen=True, repr=False)
class WeightedSampling(Brief, Sampler):
    r"""Independent batches in which sample i is drawn with probability p_i = weights_i / sum of weights.

    What `torch.utils.data.WeightedRandomSampler(weights, ...)` draws, with replacement, for `SGD(sampling=...)`.

    Parameters
    ----------
    weights : sequence of float, (N,)
        At least 0, not all 0; only ratios count.
    unbiased : bool
        With True the gradient of sample i is multiplied by 1/(N p_i) whenever it is drawn (importance sampling): the
        mean gradient, the loss and W* are the problem's own, and only the noise is another.
        With False nothing is multiplied, as in a loop that only swaps the sampler. SGD then descends *another loss*,
        the sum of p_i loss_i, and every number is of that loss: W*, the curvatures, V = W - W*, `optimum_loss`,
        `excess_loss`, learning curves and limits. A sample of weight 0 is never seen.

    Raises
    ------
    InvalidInput
        For weights below 0, not finite, all 0 or 0 beside less than 1e-12 of their mean; where problem and recipe meet,
        for a number of weights that is not the number of samples, and for an unbiased draw that never draws a sample
        which the loss has.

    Notes
    -----
    With w_i the problem's sample weights (of mean 1), p_i and the multiplier m_i, SGD sees rows x_i, y_i times
    sqrt(N p_i m_i w_i). The averages in C, K and X are over these rows, each sample counted rho_i = 1/(N p_i) times
    (F19); A and the square of the mean gradient are plain averages, and kappa = 1/b. Weight decay is not multiplied.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> brightness = (data.inputs**2).sum(axis=1)
    >>> for sampling in ("with_replacement", fl.WeightedSampling(brightness)):
    ...     print(f"{fl.predict(problem, fl.SGD(lr=0.05, batch_size=8, sampling=sampling)).excess_loss:.7f}")
    0.0093549
    0.0093110
    """

    weights: Iterable[float]
    unbiased: bool = True
    name = "weighted"

    def __post_init__(self) -> None:
        sample_weights("weights", given := as_array("weights", self.weights))
        object.__setattr__(self, "weights", tuple(given.astype(np.float64).tolist()))
        object.__setattr__(self, "unbiased", flag("unbiased", self.unbiased))

    def __repr__(self) -> str:
        return f"WeightedSampling({len(tuple(self.weights)):,} weights, {self._kind})"

    @property
    def _kind(self) -> str:
        return "unbiased" if self.unbiased else "biased"

    def words(self, size: int) -> str:
        """Return the sampling in words."""
        return f"weighted batches of {size} with replacement ({self._kind})"

    def probabilities(self, samples: int) -> Array:
        """Return p."""
        weights = sample_weights("weights", np.array(self.weights))
        hold_length("WeightedSampling", weights, samples)
        return np.asarray(weights / samples)

    def seen(self, problem: P) -> P:
        """Return the problem whose loss these batches descend, its samples counted rho_i times in second moments."""
        if problem.drawn_by is self or problem.drawn_by == self:
            return problem
        if problem.drawn_by is not None:
            raise InvalidInput(f"this problem is as {problem.drawn_by!r} draws it. Use the one that it was made from.")
        chance = problem.population * self.probabilities(problem.population)
        if self.unbiased:
            _refuse_unseen(chance, problem.sample_weight)
        rho = np.divide(1.0, chance, out=np.zeros_like(chance), where=chance > 0)
        seen: P = problem.drawn(self, rho, None if self.unbiased else chance)
        return seen

    def to_dict(self) -> JsonObject:
        """Return the sampling as plain JSON types; `SGD(sampling=...)` reads them back."""
        return {"name": type(self).__name__, **asdict(self), "weights": list(self.weights)}


def _refuse_unseen(chance: Array, sample_weight: Array | None) -> None:
    """Refuse to leave out a gradient that the mean needs."""
    lost = (chance == 0) if sample_weight is None else (chance == 0) & (sample_weight > 0)
    if lost.any():
        raise InvalidInput(
            f"WeightedSampling has weight 0 for {lost.sum()} samples that the loss has, sample {int(np.argmax(lost))} "
            f"first: never drawn, their gradients are missing in the mean, and no multiplier makes up for it. Give "
            f"them a weight, leave them out of the loss with sample_weight=0, or use unbiased=False."
        )


def read_sampling(given: Any) -> Sampling | WeightedSampling:
    """Return a name or a sampling as it is, or the one that `WeightedSampling.to_dict` described."""
    if isinstance(given, WeightedSampling):
        return given
    if isinstance(given, Mapping):
        return _described(dict(given))
    if given is not None and not isinstance(given, str):
        raise InvalidInput(
            f"sampling must be one of {', '.join(SAMPLINGS)}, or fluctua.WeightedSampling(weights), got {shown(given)}."
        )
    return choice("sampling", given, SAMPLINGS)  # type: ignore[return-value]


def _described(options: dict[Any, Any]) -> WeightedSampling:
    choice("sampling", options.pop("name", None), ["WeightedSampling"])
    if not {"weights"} <= set(options) <= {"weights", "unbiased"}:
        raise InvalidInput(f"the sampling WeightedSampling needs weights and may have unbiased, got {shown(options)}.")
    return WeightedSampling(**options)


def sampler_of(sampling: Sampling | WeightedSampling) -> Sampler:
    """Return what a sampling does."""
    return sampling if isinstance(sampling, WeightedSampling) else KINDS[sampling]
