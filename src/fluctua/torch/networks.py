"""The local picture of a small network near a minimum: what fluctuates there, by how much, and where that ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import Array
from .._results import ByValue, Tables, Tabular
from .._validate.arguments import door, is_another
from ..recipe.sgd import Recipe
from ..theory.answers import predict
from ..theory.local.subspace import Subspace
from ..theory.stability import max_stable_lr
from ..theory.stable_limit import StableLimit
from .network_prediction import NetworkPrediction, hold_recipe, predicted
from .network_runs import NetworkRuns, measured
from .noise_meter import gaussian_pairs
from .objective import Objective
from .picture import Picture, flat

__all__ = ["LocalNetwork"]


@dataclass(frozen=True, eq=False, repr=False)
class LocalNetwork(ByValue, Tabular, Picture):
    r"""A network about a minimum W*, to second order, in the directions of its largest curvatures; made by `local`.

    Attributes
    ----------
    curvatures : ndarray, (k,)
        The largest eigenvalues h_p > 0 of the Hessian H of the full loss, weight decay included, largest first.
    modes : ndarray, (n, k)
        Their eigenvectors U, in the order of `model.parameters()` that train.
    noise : ndarray, (k, k)
        U^T C U, C the covariance of the gradients of single samples.
    noise_trace : float
        tr C, of all parameters.
    hessians : ndarray, (m, k, k)
        U^T H_i U of single samples: all of them, or m that were drawn.
    left_out : ndarray
        Curvatures among the `top` that are zero or negative, whose directions are left out.
    lowest_curvature, lowest_residual : float
        The lowest eigenvalue of H that 80 products with it show, an upper bound, and its residual.
    loss, gradient_norm : float
        L and |grad L| at the weights, weight decay included.
    decrement : float
        1/2 grad^T H^-1 grad in the subspace: how far L is above the minimum of the quadratic picture there.
    objective : Objective
        The loss as a function of the parameters, with copies of all that it needs.

    Examples
    --------
    >>> import torch, fluctua as fl, fluctua.torch
    >>> _ = torch.manual_seed(0)
    >>> x, y = torch.randn(200, 4), torch.randint(3, (200,))
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()
    >>> _ = fluctua.torch.minimise(model, "cross_entropy", [(x, y)], weight_decay=0.02)
    >>> network = fluctua.torch.local(model, "cross_entropy", [(x, y)], top=8, weight_decay=0.02)
    >>> prediction = network.predict(fl.SGD(lr=0.05, batch_size=8, weight_decay=0.02))
    >>> prediction.mode_variances.shape, bool(0 < prediction.excess_loss < prediction.trace_floor)
    ((8,), True)
    """

    objective: Objective

    @property
    def samples(self) -> int:
        """The number of samples, N."""
        return self.objective.samples

    @property
    def parameters(self) -> int:
        """The number of parameters that train, n."""
        return self.objective.parameters

    @property
    def weight_decay(self) -> float:
        """The coefficient gamma."""
        return self.objective.weight_decay

    @property
    def saddle(self) -> bool:
        """Whether a direction of negative curvature was found: then the weights are at no minimum."""
        return bool(self.lowest_curvature < -flat(self.objective.precision) * self.curvatures[0])

    @cached_property
    def subspace(self) -> Subspace:
        """What the law needs: curvatures, noise and feedback in the k directions."""
        return Subspace(self.curvatures, self.noise, self.hessians, self.samples)

    def feedback(self, covariance: Array) -> Array:
        """Return K[S] = <H_i S H_i> - <H_i> S <H_i> in the subspace (F87), (k, k).

        Parameters
        ----------
        covariance : ndarray, (k, k)
            S.

        Returns
        -------
        ndarray, (k, k)
            What the fluctuation adds to the noise of single samples.
        """
        return self.subspace.feedback(covariance)

    def predict(self, sgd: Recipe, *, theory: str | None = None, check_stability: bool = True) -> NetworkPrediction:
        """Return the stationary fluctuation of SGD in the subspace (F87); `.after(steps)` gives finite times.

        Parameters
        ----------
        sgd : SGD
            The recipe, with the weight decay of the picture and independent batches.
        theory : str, optional
            "multiplicative", also where none is given: F87. "discrete": without K. "langevin": and in continuous time.
        check_stability : bool
            If False, a floor is given where the picture is known to fail, too; its `.anharmonicity` says so.

        Returns
        -------
        NetworkPrediction
            In the modes, with the floor, the limit of stability and the meter of anharmonicity.

        Raises
        ------
        InvalidInput
            For a recipe that the picture does not cover, at a saddle, and where the weights are farther from the
            minimum than the fluctuation is wide.
        OutsideBowl
            Where the loss over the predicted fluctuation is off the quadratic by more than 30 % of the floor (F89), and
            at the largest stable learning rate of the subspace and above.
        NotConverged
            If the stationary state was not found to the accuracy stated.
        """
        return predicted(self, sgd, theory, check_stability)

    def measure(
        self, sgd: Recipe, *, steps: int, replicas: int = 32, record: Sequence[int] | None = None, rng: Any = None
    ) -> NetworkRuns:
        """Return what real runs from the minimum do in the subspace, to be compared with `predict`.

        Parameters
        ----------
        sgd : SGD
            The recipe, as for `predict`; any schedule.
        steps : int
            Of each run.
        replicas : int
            Runs side by side, each with its own batches.
        record : sequence of int, optional
            Steps that are recorded; 20 in the second half otherwise.
        rng : Generator, int or None
            As in `fluctua.simulate`.

        Returns
        -------
        NetworkRuns
            Mode variances and losses with their errors; its table has every rung beside them.

        Raises
        ------
        InvalidInput
            For a recipe that the picture does not cover, and arguments out of range.
        TooLarge
            Where the replicas do not fit into memory.
        """
        return measured(self, sgd, steps, replicas, record, rng)

    def deviation(self, covariance: Array, pairs: int = 32) -> tuple[float, float]:
        """Return E L(W* + U a) - L - 1/2 E a^T h a over a Gaussian of this covariance, and its standard error (F89).

        Parameters
        ----------
        covariance : ndarray, (k, k)
            S, in the modes.
        pairs : int
            Antithetic pairs of draws; always the same ones.

        Returns
        -------
        tuple of float
            In units of the loss. Odd orders cancel in a pair.
        """
        each = [self._deviation(place) for place in gaussian_pairs(covariance, pairs)]
        return float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(pairs))

    def _deviation(self, place: Array) -> float:
        objective = self.objective
        shift = objective.vector(self.modes @ place)
        both = sum(objective.value(objective.weights + sign * shift) for sign in (1, -1))
        return 0.5 * both - self.loss - 0.5 * float(self.curvatures @ place**2)

    def _tables(self) -> Tables:
        return {"modes": self._modes}

    def _modes(self) -> dict[str, Any]:
        k = len(self.curvatures)
        return {"mode": np.arange(1, k + 1), "curvature": self.curvatures, "noise": np.diag(self.noise)}

    def __repr__(self) -> str:
        kind = "a saddle" if self.saddle else "a minimum"
        return (
            f"LocalNetwork({len(self.curvatures)} of {self.parameters:,} modes, {kind}, loss={self.loss:.6g}, "
            f"|gradient|={self.gradient_norm:.2g})"
        )


@predict.register(LocalNetwork)
def _predicted(
    problem: LocalNetwork, sgd: Recipe, *, theory: str | None = None, check_stability: bool = True
) -> NetworkPrediction:
    return problem.predict(sgd, theory=theory, check_stability=check_stability)


@max_stable_lr.register(LocalNetwork)
def _max_stable_lr(problem: LocalNetwork, sgd: Recipe) -> StableLimit:
    door(sgd=sgd)
    hold_recipe(problem, sgd)
    return problem.predict(sgd, check_stability=False).max_stable_lr


is_another("problem", LocalNetwork)
