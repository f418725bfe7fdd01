"""Real runs of SGD on a network from its minimum, beside what the local picture predicts of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, vmap

from .._arrays import Array, standard_error
from .._results import ByValue, Tables, Tabular
from .._validate.arguments import door
from .._validate.sizes import refuse_bytes
from .._validate.values import positive_int, step_list
from ..errors import InvalidInput
from ..recipe.sgd import Recipe
from ..simulation.batches import Draws, generators, seed_sequence
from ..theory.local.flatness import exponent, principal_directions, principal_flatness
from ..theory.local.subspace_law import SUBSPACE_RUNGS
from .network_prediction import NetworkPrediction, hold_recipe
from .picture import numbers

if TYPE_CHECKING:
    from .networks import LocalNetwork

__all__ = ["NetworkRuns", "measured"]

_RECORDS, _LOSSES = 20, 4  # recorded steps, in the second half; those of them at which the loss itself is computed


@dataclass(frozen=True, eq=False, repr=False)
class NetworkRuns(ByValue, Tabular):
    """What runs from the minimum of a network did in the subspace; made by `LocalNetwork.measure`.

    Attributes
    ----------
    network : LocalNetwork
        The picture from whose weights they ran.
    sgd : SGD
        The recipe.
    steps : tuple of int
        The recorded ones.
    covariances : ndarray, (R, k, k)
        V V^T in the modes, averaged over the recorded steps, of every replica.
    losses : ndarray, (R,)
        L(W) - L of all parameters, averaged over some of the recorded steps, of every replica.

    Examples
    --------
    >>> import torch, fluctua as fl, fluctua.torch
    >>> x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> model = torch.nn.Linear(1, 1, bias=False).double()
    >>> _ = fluctua.torch.minimise(model, "mse", [(x, 0.5 * x + 1)])
    >>> network = fluctua.torch.local(model, "mse", [(x, 0.5 * x + 1)], top=1)
    >>> runs = network.measure(fl.SGD(lr=0.01, batch_size=1), steps=100, replicas=4, rng=1)
    >>> runs.covariances.shape, list(runs.columns("rungs"))[:3]
    ((4, 1, 1), ['theory', 'excess loss', 'off by'])
    """

    network: LocalNetwork
    sgd: Recipe
    steps: tuple[int, ...]
    covariances: Array
    losses: Array

    @property
    def variances(self) -> Array:
        """Squares of V in the modes, of every replica, (R, k)."""
        return np.asarray(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def mode_variances(self) -> Array:
        """The mean over replicas, (k,)."""
        return np.asarray(self.variances.mean(axis=0))

    @property
    def mode_errors(self) -> Array:
        """One standard error of `mode_variances`, by the spread between replicas, (k,)."""
        return standard_error(self.variances)

    @property
    def excess_loss(self) -> float:
        """1/2 sum of h_p <a_p^2>, the quadratic excess loss of the subspace."""
        return float(self._excess.mean())

    @property
    def excess_loss_error(self) -> float:
        """One standard error of `excess_loss`."""
        return float(standard_error(self._excess))

    @property
    def _excess(self) -> Array:
        return np.asarray(0.5 * self.variances @ self.network.curvatures)

    @property
    def whole_excess_loss(self) -> float:
        """The mean of L(W) - L of all parameters: the loss itself, not the quadratic one."""
        return float(self.losses.mean())

    @property
    def whole_excess_loss_error(self) -> float:
        """One standard error of `whole_excess_loss`."""
        return float(standard_error(self.losses))

    @cached_property
    def predictions(self) -> dict[str, NetworkPrediction]:
        """Every rung's, averaged over the recorded steps."""
        network = self.network
        return {
            rung: network.predict(self.sgd, theory=rung, check_stability=False).after(self.steps)
            for rung in SUBSPACE_RUNGS
            if not (rung == "langevin" and self.sgd.schedule is not None)
        }

    def scores(self, prediction: NetworkPrediction) -> Array:
        """Return (measured - predicted)/error of every mode's variance, (k,).

        Parameters
        ----------
        prediction : NetworkPrediction
            After the same steps.

        Returns
        -------
        ndarray, (k,)
            About standard normal where the prediction is right.
        """
        return np.asarray((self.mode_variances - prediction.mode_variances) / self.mode_errors)

    def flatness_exponent(self, prediction: NetworkPrediction) -> tuple[float, float]:
        """Return psi of the variances measured along predicted principal directions, and its standard error (F88).

        Parameters
        ----------
        prediction : NetworkPrediction
            After the same steps; its principal directions and the flatness along them are used.

        Returns
        -------
        tuple of float
            The error is the jackknife's over replicas.
        """
        directions = principal_directions(prediction.mode_covariance)
        _, flatness = principal_flatness(prediction.mode_covariance, prediction.curvatures, self.network.loss)
        along = np.einsum("kq,rkl,lq->rq", directions, self.covariances, directions, optimize=True)
        total, count = along.sum(axis=0), len(along)
        left = [exponent((total - one) / (count - 1), flatness) for one in along]
        return exponent(total / count, flatness), float(np.sqrt((count - 1) * np.var(left)))

    def _tables(self) -> Tables:
        return {"rungs": self._rungs, "modes": self._modes}

    def _rungs(self) -> dict[str, Any]:
        found = self.predictions
        excess = np.array([each.excess_loss for each in found.values()])
        return {
            "theory": list(found),
            "excess loss": excess,
            "off by": excess / self.excess_loss - 1,
            "z": (self.excess_loss - excess) / self.excess_loss_error,
            "z-rms": [float(np.sqrt(np.mean(self.scores(each) ** 2))) for each in found.values()],
        }

    def _modes(self) -> dict[str, Any]:
        h = self.network.curvatures
        predicted = {rung: each.mode_variances for rung, each in self.predictions.items()}
        measured = {"measured": self.mode_variances, "error": self.mode_errors}
        return {"mode": np.arange(1, len(h) + 1), "curvature": h, **measured, **predicted}

    def __repr__(self) -> str:
        return (
            f"NetworkRuns({len(self.variances)} replicas of {self.steps[-1]:,} steps, excess_loss="
            f"{self.excess_loss:.6g} +- {self.excess_loss_error:.2g} in {len(self.network.curvatures)} modes)"
        )


def measured(
    network: LocalNetwork, sgd: Recipe, steps: int, replicas: int, record: Sequence[int] | None, rng: Any
) -> NetworkRuns:
    """Run replicas side by side from the weights of the picture, and record what they do in its modes."""
    door(sgd=sgd)
    hold_recipe(network, sgd)
    last, count = positive_int("steps", steps), positive_int("replicas", replicas, minimum=2)
    refuse_bytes(
        f"{count} replicas of {network.parameters:,} parameters",
        8.0 * 5 * count * network.parameters,
        "Use fewer replicas, and repeat with another rng.",
    )
    recorded = _recorded(last, record)
    valued = set(recorded[:: -max(1, len(recorded) // _LOSSES)])
    basis = network.objective.vector(network.modes)
    squares, losses = np.zeros((count, *network.noise.shape)), np.zeros(count)
    for step, moved in trajectory(network, sgd, last, generators(seed_sequence(rng), count)):
        if step in recorded:
            seen = numbers(moved @ basis)
            squares += seen[:, :, None] * seen[:, None] / len(recorded)
        if step in valued:
            values = [network.objective.value(network.objective.weights + each) for each in moved]
            losses += (np.array(values) - network.loss) / len(valued)
    return NetworkRuns(network, sgd, tuple(recorded), squares, losses)


def _recorded(last: int, record: Sequence[int] | None) -> list[int]:
    """The steps that are recorded: as asked, or 20 in the second half."""
    if record is None:
        return np.unique(np.linspace(max(last // 2, 1), last, _RECORDS).astype(int)).tolist()
    found = sorted(set(step_list("record", record).tolist()))
    if not 1 <= found[0] <= found[-1] <= last:
        raise InvalidInput(f"record must hold steps from 1 to {last:,}, the last one, got {found[0]} to {found[-1]}.")
    return found


def trajectory(
    network: LocalNetwork, sgd: Recipe, steps: int, rngs: list[np.random.Generator]
) -> Iterator[tuple[int, Tensor]]:
    """Yield the number of each step and V after it, (R, n): s' = B s + e g on the network's own gradients (F11)."""
    objective, step = network.objective, sgd.step
    gradients = vmap(grad(objective.of_batch))
    state = torch.zeros(step.slots, len(rngs), network.parameters).to(objective.weights)
    rates, number = sgd.rates(np.arange(steps)), 0
    for run in Draws(rngs, network.samples, sgd).batches(steps):
        for batch in torch.as_tensor(run.astype(np.int64), device=state.device):
            weights = objective.weights + state[0]
            slope = gradients(weights, objective.inputs[batch], objective.targets[batch])
            slope = slope.detach() + objective.weight_decay * weights
            motion, push = (step.later if number else step.first).at(rates[number])
            state = torch.einsum("ij,jrn->irn", torch.as_tensor(motion).to(state), state)
            state += torch.as_tensor(push).to(state)[:, None, None] * slope
            number += 1
            yield number, state[0]
