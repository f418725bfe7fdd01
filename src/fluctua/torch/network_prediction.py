"""What the local picture of a network says of a recipe: mode variances, the floor, the limit, and where that ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .._arrays import Array, standard_error
from .._results import ByValue, Tables, Tabular
from .._validate.arguments import door
from .._validate.values import choice, flag, real_number, step_list
from ..errors import InvalidInput, OutsideBowl
from ..recipe.sgd import Recipe
from ..theory.fixed_points import NoStationaryState
from ..theory.local.flatness import exponent, principal_flatness
from ..theory.local.subspace_law import SUBSPACE_RUNGS, SubspaceLaw, SubspaceRung
from ..theory.stable_limit import StableLimit
from .noise_meter import noise_deviations

if TYPE_CHECKING:
    from .networks import LocalNetwork

__all__ = ["NetworkPrediction", "hold_recipe", "predicted"]

_TRUSTED = 0.3  # of the floor, that the loss may be off the quadratic one, and that the weights may be above W*
_ROUNDED = 30.0  # epsilons of the loss, and of the weights, up to which a floor cannot be seen in them
_PAIRS = 12  # of draws, over which the noise is averaged
_KNOWN = 0.15  # standard error of a meter, above which it says nothing


@dataclass(frozen=True, eq=False, repr=False)
class NetworkPrediction(ByValue, Tabular):
    """The fluctuation of SGD about a minimum of a network, in the subspace; made by `LocalNetwork.predict`.

    Attributes
    ----------
    network : LocalNetwork
        The picture.
    sgd : SGD
        The recipe.
    theory : str
        Rung of the ladder.
    mode_covariance : ndarray, (k, k)
        S in the modes.
    steps : tuple of int, or None
        Steps from the minimum, averaged over; None if it is stationary.

    Examples
    --------
    >>> import torch, fluctua as fl, fluctua.torch
    >>> x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> model = torch.nn.Linear(1, 1, bias=False).double()
    >>> half = lambda outputs, targets: 0.5 * (outputs - targets).square().sum(1).mean()
    >>> _ = fluctua.torch.minimise(model, half, [(x, 0.5 * x + 1)])
    >>> network = fluctua.torch.local(model, half, [(x, 0.5 * x + 1)], top=1)
    >>> prediction = network.predict(fl.SGD(lr=0.01, batch_size=1))
    >>> print(f"{prediction.excess_loss:.6f} {prediction.trace_floor:.6f} {prediction.max_stable_lr:.6f}")
    0.002377 0.002222 0.153846
    """

    network: LocalNetwork
    sgd: Recipe
    theory: SubspaceRung
    mode_covariance: Array
    steps: tuple[int, ...] | None = None

    @property
    def _law(self) -> SubspaceLaw:
        return SubspaceLaw(self.network.subspace, self.sgd, self.theory)

    @property
    def curvatures(self) -> Array:
        """Eigenvalues h_p of the Hessian, largest first, (k,)."""
        return self.network.curvatures

    @property
    def mode_variances(self) -> Array:
        """S_pp, in squared units of the parameters, (k,)."""
        return np.diag(self.mode_covariance)

    @property
    def excess_loss(self) -> float:
        """The excess loss of the subspace, 1/2 sum of h_p S_pp."""
        return float(0.5 * self.curvatures @ self.mode_variances)

    @cached_property
    def excess_loss_error(self) -> float:
        """One standard error of the stationary excess loss, by the Hessians that were drawn; 0 where all were kept."""
        finite = np.isfinite(self.mode_covariance).all()
        return self._law.feedback_error(self.mode_covariance) if finite else float("nan")

    @property
    def trace_floor(self) -> float:
        """The floor of all parameters in continuous time, eta kappa tr(C)/4, eta/(1 - beta) with momentum."""
        lr = self.sgd.step.effective_lr(self.sgd.lr)
        return 0.25 * lr * self._law.source.kappa * self.network.noise_trace

    @cached_property
    def max_stable_lr(self) -> StableLimit:
        """Where variances of the quadratic picture begin to grow without bound in the subspace: a crossover."""
        return StableLimit(self._law.max_stable_lr, "local")

    @cached_property
    def _deviation(self) -> tuple[float, float]:
        floor = self.excess_loss
        if floor <= self._invisible or not np.isfinite(floor):
            return (0.0 if np.isfinite(floor) else floor), 0.0
        value, error = self.network.deviation(self.mode_covariance)
        return value / floor, error / floor

    @property
    def _invisible(self) -> float:
        """Excess loss below which the loss, or what a rounded gradient moves, is rounding."""
        objective, loss = self.network.objective, abs(self.network.loss)
        moved = (_ROUNDED * objective.precision * (1 + float(objective.weights.norm()))) ** 2 / self.curvatures[0]
        return float(max(_ROUNDED * objective.precision * loss, moved))

    @property
    def anharmonicity(self) -> float:
        """What the loss over the predicted Gaussian is above the quadratic one, over the excess loss (F89)."""
        return self._deviation[0]

    @property
    def anharmonicity_error(self) -> float:
        """One standard error of `anharmonicity`, by the draws."""
        return self._deviation[1]

    @cached_property
    def _noise_deviation(self) -> tuple[float, float]:
        floor = self.excess_loss
        if floor <= self._invisible or not np.isfinite(floor):
            return (0.0 if np.isfinite(floor) else floor), 0.0
        each = self._law.excess_of(noise_deviations(self.network, self.mode_covariance, _PAIRS)) / floor
        return float(each.mean()), float(standard_error(each))

    @property
    def noise_anharmonicity(self) -> float:
        """What the noise averaged over the predicted Gaussian adds to the floor of C + K[S], over the floor (F89).

        It costs the gradients of all samples 24 times.
        """
        return self._noise_deviation[0]

    @property
    def noise_anharmonicity_error(self) -> float:
        """One standard error of `noise_anharmonicity`, by the draws."""
        return self._noise_deviation[1]

    @property
    def flatness_exponent(self) -> float:
        """The exponent psi of variance ~ flatness^-psi along the principal directions of S (F88).

        Directions are counted down to 1e-4 of the largest variance. psi = -2 in equilibrium; from 0 up variance is
        larger where the loss is steeper.
        """
        return exponent(*principal_flatness(self.mode_covariance, self.curvatures, self.network.loss))

    def after(self, steps: int | Sequence[int], *, rtol: float = 1e-4) -> NetworkPrediction:
        """Return the same after so many steps from the minimum, or averaged over a sequence of them.

        Parameters
        ----------
        steps : int or sequence of int
            0 is the minimum itself.
        rtol : float
            Relative accuracy asked of every mode's variance.

        Returns
        -------
        NetworkPrediction
            Of the same picture, recipe and rung.

        Raises
        ------
        InvalidInput
            For arguments out of range.
        """
        wanted = tuple(sorted(int(t) for t in step_list("steps", steps)))
        covariance = self._law.after(wanted, real_number("rtol", rtol, above=0.0))
        return replace(self, mode_covariance=covariance, steps=wanted)

    def _tables(self) -> Tables:
        return {"modes": self._modes, "flatness": self._principal}

    def _modes(self) -> dict[str, Any]:
        k = len(self.curvatures)
        return {"mode": np.arange(1, k + 1), "curvature": self.curvatures, "variance": self.mode_variances}

    def _principal(self) -> dict[str, Any]:
        variances, flatness = principal_flatness(self.mode_covariance, self.curvatures, self.network.loss)
        return {"direction": np.arange(1, len(variances) + 1), "variance": variances, "flatness": flatness}

    @property
    def _attributes(self) -> dict[str, Any]:
        names = ("excess_loss", "trace_floor", "max_stable_lr", "anharmonicity", "theory")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        when = "stationary" if self.steps is None else f"after {self.steps[-1]:,} steps"
        return (
            f"NetworkPrediction({self.theory}, {when}, excess_loss={self.excess_loss:.6g} in {len(self.curvatures)} "
            f"modes, anharmonicity={self.anharmonicity:.1%})"
        )


def predicted(network: LocalNetwork, sgd: Recipe, theory: str | None, check: bool) -> NetworkPrediction:
    """Return the stationary state, refused where the picture is known to fail."""
    door(sgd=sgd)
    rung = cast("SubspaceRung", choice("theory", theory or SUBSPACE_RUNGS[0], SUBSPACE_RUNGS))
    hold_recipe(network, sgd)
    law, checked = SubspaceLaw(network.subspace, sgd, rung), flag("check_stability", check)
    try:
        found = NetworkPrediction(network, sgd, rung, law.stationary())
    except NoStationaryState as missing:
        if checked:
            raise OutsideBowl(sgd.lr, law.max_stable_lr, float("inf")) from missing
        return NetworkPrediction(network, sgd, rung, np.full_like(network.noise, np.inf))
    if checked:
        _hold_valid(found)
    return found


def hold_recipe(network: LocalNetwork, sgd: Recipe) -> None:
    """Refuse a recipe that the picture does not cover."""
    if sgd.weight_decay != network.weight_decay:
        raise InvalidInput(
            f"the recipe has weight_decay {sgd.weight_decay:g}, and the picture is of the minimum with "
            f"{network.weight_decay:g}: its place depends on it. Use the same in both."
        )
    sgd.refuse_epochs("the local law of a network is of independent batches")
    if sgd.sampler.probabilities(network.samples) is not None:
        raise InvalidInput("the local law of a network is of samples drawn alike: WeightedSampling is not covered.")
    sgd.sampling_factor(network.samples)


def _hold_valid(found: NetworkPrediction) -> None:
    """Refuse a floor that the loss itself contradicts."""
    network, floor = found.network, found.excess_loss
    if network.saddle:
        raise InvalidInput(
            f"the weights are at a saddle: the Hessian has an eigenvalue of {network.lowest_curvature:.3g} or below "
            f"beside its largest, {network.curvatures[0]:.3g}, and no run stays there. Train on with "
            f"fluctua.torch.minimise; check_stability=False gives the numbers of the other directions all the same."
        )
    if network.gradient_norm > network.objective.rounding and network.decrement > _TRUSTED * floor:
        raise InvalidInput(
            f"the weights are too far from the minimum: the loss is {network.decrement:.3g} above that of the "
            f"quadratic picture, and the predicted floor is {floor:.3g}. Train on with fluctua.torch.minimise."
        )
    for value, error in (found._deviation, found._noise_deviation):
        if not (abs(value) <= _TRUSTED and error <= _KNOWN):
            raise OutsideBowl(found.sgd.lr, found.max_stable_lr, value)
