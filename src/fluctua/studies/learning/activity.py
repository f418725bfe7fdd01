"""Spontaneous activity that was measured, and what it foretells of the speed of learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, standard_error
from ..._results import ByValue, Tables, Tabular
from ..._validate.arguments import door
from ..._validate.plain import Header
from ..._validate.values import choice, positive_int
from ...simulation.batches import Rng, seed_sequence
from ...verification.left_out import pseudo_values
from .beginning import begin, refuse_few, sizes_of
from .foretelling import ESTIMATORS, Estimator, balance, response_by, speeds_by
from .network import RateNetwork, hold_network
from .runs import Watched, watch
from .tasks import Tasks

__all__ = ["Activity", "simulate_network"]


@dataclass(frozen=True, eq=False, repr=False)
class Activity(ByValue, Tabular):
    r"""Measured spontaneous activity of a network; made by `fluctua.simulate` of a `RateNetwork`.

    Attributes
    ----------
    net : RateNetwork
    steps, replicas : int
    watched : Watched
        Covariances, group of replicas by group.
    identity : dict
        What repeats the numbers.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import learning
    >>> net = learning.RateNetwork([[0.0, 0.9], [0.3, 0.0]], gain=0.8, noise=0.05, dt=0.1)
    >>> activity = fl.simulate(net, steps=400, replicas=64, rng=1)
    >>> value, error = activity.speeds([1.0, 0.0], [0.0, 1.0])
    >>> bool(abs(value[0] - fl.predict(net, [1.0, 0.0], [0.0, 1.0]).speeds[0]) < 5 * error[0])
    True
    """

    net: RateNetwork
    steps: int
    replicas: int
    watched: Watched = field(repr=False)
    identity: Header = field(default_factory=dict, repr=False)

    @cached_property
    def covariance(self) -> Array:
        """S = E[x x^T], (n, n)."""
        return np.asarray(self.watched.covariance.mean(axis=0))

    @cached_property
    def lagged(self) -> Array:
        """C_1 = E[x(t+1) x(t)^T], (n, n)."""
        return np.asarray(self.watched.lagged.mean(axis=0))

    @cached_property
    def gains(self) -> Array:
        """Mean slopes of f, (n,); 1 for a linear network."""
        return np.asarray(self.watched.gains.mean(axis=0))

    def speeds(self, inputs: ArrayLike, targets: ArrayLike, *, theory: Estimator = "regression") -> tuple[Array, Array]:
        """Return how fast each task will be learned, as this activity foretells it, and its standard error, (t,) each.

        Parameters
        ----------
        inputs, targets : array_like, (t, n) or (n,)
            The tasks.
        theory : "regression", "equilibrium", "response" or "variances"
            As in `speed`; "response" takes the true response for the input's factor.

        Returns
        -------
        tuple of ndarray
            Activity per strength of learning.

        Raises
        ------
        InvalidInput
            For patterns that are none, and for a regression of too few samples.
        """
        tasks = Tasks.of(self.net.neurons, inputs, targets)
        values = self.foretold(tasks, choice("theory", theory, ESTIMATORS))  # type: ignore[arg-type]
        return values.mean(axis=0), standard_error(values)

    def foretold(self, tasks: Tasks, estimator: Estimator, *, transposed: bool = False) -> Array:
        """Return a value of each task's speed for every group of replicas, (g, t): their mean is the estimate.

        Parameters
        ----------
        tasks : Tasks
            Inputs and targets.
        estimator : str
            As in `speeds`.
        transposed : bool
            Whether to take C_1 backwards in time, which is wrong where the coupling is not symmetric.

        Returns
        -------
        ndarray, (g, t)
            Of each group, what leaving it out changes.
        """
        net, rate = self.net, self.net.gain**2 * self.net.input_gain
        if estimator == "regression":
            refuse_few(self.covariance, self.replicas, self.steps)

        def value(covariance: Array, lagged: Array, gains: Array) -> Array:
            one = lagged.T if transposed else lagged
            response = response_by(estimator, covariance, one, net.noise, net.dt)
            true = np.asarray(np.linalg.inv(net.relaxation(gains))) if estimator == "response" else response
            return speeds_by(estimator, rate, tasks.along(response, gains), tasks.along(true, gains))

        return self._left_out(value)

    def turning(self, form: Array, *, transposed: bool = False) -> Array:
        """Return the product of the response that the regression finds with a matrix, for every group, (g,).

        Parameters
        ----------
        form : ndarray, (n, n)
            Such as the antisymmetric part of a response, to which the speeds of a linear network are blind.
        transposed : bool
            As in `foretold`.

        Returns
        -------
        ndarray, (g,)
            Of each group, what leaving it out changes.
        """
        net = self.net

        def value(covariance: Array, lagged: Array, gains: Array) -> Array:  # noqa: ARG001
            one = lagged.T if transposed else lagged
            return np.asarray(np.sum(form * response_by("regression", covariance, one, net.noise, net.dt)))

        return self._left_out(value)

    def balanced(self, modes: Array) -> Array:
        """Return both sides of the balance of fluctuation and learning along each of `modes`, left over right, (g, k).

        Parameters
        ----------
        modes : ndarray, (n, k)
            Directions.

        Returns
        -------
        ndarray, (g, k)
            For every group of replicas; 1 for a linear network (F117).
        """
        net = self.net

        def value(covariance: Array, lagged: Array, gains: Array) -> Array:  # noqa: ARG001
            response = response_by("regression", covariance, lagged, net.noise, net.dt)
            left, right = (
                np.einsum("ik,ij,jk->k", modes, side, modes, optimize=True)
                for side in balance(response, covariance, net.noise, net.dt)
            )
            return np.asarray(left / right)

        return self._left_out(value)

    def _left_out(self, value: Callable[..., Array]) -> Array:
        found = self.watched
        return pseudo_values((found.covariance, found.lagged, found.gains), value)

    def _tables(self) -> Tables:
        return {"neurons": self._columns}

    def _columns(self) -> Mapping[str, Any]:
        own = np.diagonal(self.watched.covariance, axis1=1, axis2=2)
        return {
            "neuron": np.arange(self.net.neurons),
            "variance": own.mean(axis=0),
            "error": standard_error(own),
            "slope": self.gains,
        }

    def __repr__(self) -> str:
        return f"Activity({self.net.neurons} neurons, {self.replicas} replicas, {self.steps} steps)"


def simulate_network(
    net: RateNetwork,
    *,
    steps: int,
    replicas: int,
    rng: Rng = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Activity:
    """Run a network without an input and measure its fluctuation; `fluctua.simulate` of a `RateNetwork`.

    Parameters
    ----------
    net : RateNetwork
        The network.
    steps, replicas : int
        Of the runs, which begin in the stationary state, that of the Gaussian closure and a burn-in for tanh.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way.
    threads : int, optional
        Worker threads; by default the cores this process may use.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Activity
        Covariances, and the speeds of learning that they foretell.

    Raises
    ------
    InvalidInput
        For arguments out of range.
    """
    hold_network(net)
    door(progress=progress)
    count, length = positive_int("replicas", replicas, minimum=2), positive_int("steps", steps)
    root = seed_sequence(rng)
    watched = watch(begin(net, length, sizes_of(count), root, threads), progress)
    identity = {"entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}
    return Activity(net, length, count, watched, identity)
