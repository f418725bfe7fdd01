"""The questions: how fast a network will learn, and by which theory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.values import choice
from ...errors import InvalidInput, NotConverged
from .foretelling import ESTIMATORS
from .network import EDGE, RateNetwork, abscissa, hold_network
from .prediction import CLOSURES, LearningPrediction, Theory
from .refusals import NoSpontaneousState
from .tasks import Tasks

__all__ = ["predict_network", "speed"]

_ORTHOGONAL = 1e-12  # of the product of the lengths: what a target shares with the response to it, at least


def predict_network(
    net: RateNetwork, inputs: ArrayLike, targets: ArrayLike, *, theory: Theory | None = None
) -> LearningPrediction:
    """Foretell how fast a network learns tasks; `fluctua.predict` of a `RateNetwork`.

    Parameters
    ----------
    net : RateNetwork
        The network.
    inputs, targets : array_like, (t, n) or (n,)
        The tasks: an input and the response to be learned, a pair a row.
    theory : str, optional
        As in `speed`.

    Returns
    -------
    LearningPrediction
        Speeds, overlaps and strengths.

    Raises
    ------
    InvalidInput
        For patterns that are none, and for a theory that the network has no state for.
    """
    hold_network(net)
    tasks = Tasks.of(net.neurons, inputs, targets)
    known = ESTIMATORS if net.linear else (*ESTIMATORS, *CLOSURES)
    usual = "regression" if net.linear else "gaussian"
    chosen = usual if theory is None else choice("theory", theory, known)
    if chosen == "linear" and net.gain >= (1 - EDGE) * net.largest_gain:
        raise NoSpontaneousState(
            net.gain, net.largest_gain, "with the slopes of f at zero activity grows", "Use theory='gaussian'."
        )
    found = LearningPrediction(net, tasks.inputs, tasks.targets, chosen)  # type: ignore[arg-type]
    _hold(found)
    return found


def speed(net: RateNetwork, inputs: ArrayLike, targets: ArrayLike, *, theory: Theory | None = None) -> Array:
    r"""Return how fast a network will learn each task, foretold from its fluctuation before learning, (t,).

    The speed is v = d(xi . E x)/d eps at eps = 0 for W + eps xi u^T (F115), with no run: every theory is given the
    covariances that an infinitely long one would measure.

    ===========  ===================================================================================================
    regression   chi = dt (I - C_1 S^-1)^-1 from lagged covariances: exact for a linear network (F116)
    equilibrium  chi = (S + C_1)/(2 D): exact where the coupling is symmetric (F116)
    response     chi = S/D for the target, and the true response for the input
    variances    chi = S/D twice, the product of variances: symmetric coupling and a short time step (F116)
    linear       tanh as if it were the identity
    frozen       tanh with its mean slopes in the spontaneous state, which do not move
    gaussian     tanh by the Gaussian closure, whose slopes move: off by `LearningPrediction.own_error` at most (F119)
    ===========  ===================================================================================================

    Parameters
    ----------
    net : RateNetwork
        The network.
    inputs, targets : array_like, (t, n) or (n,)
        The tasks: an input u and the response xi to be learned, a pair a row.
    theory : str, optional
        From the table; the last three are for tanh alone. By default "regression", and "gaussian" for tanh.

    Returns
    -------
    ndarray, (t,)
        Activity per strength of learning.

    Raises
    ------
    InvalidInput
        For patterns that are zero, of unequal length or orthogonal to every response, and for theories that the
        network has no state for.

    Notes
    -----
    Cost: one inverse of n^3 flops; S another 40 n^3, and a closure some 30 times that for every input.

    Examples
    --------
    >>> from fluctua.studies import learning
    >>> net = learning.RateNetwork([[0.0, 0.9], [0.3, 0.0]], gain=0.8, noise=0.05, dt=0.1)
    >>> there, back = ([1.0, 0.0], [0.0, 1.0]), ([0.0, 1.0], [1.0, 0.0])
    >>> learning.speed(net, *there).round(6), learning.speed(net, *there, theory="variances").round(6)
    (array([0.935317]), array([1.125958]))
    """
    return predict_network(net, inputs, targets, theory=theory).speeds


def _hold(found: LearningPrediction) -> None:
    """Refuse a state that does not come to rest, and targets that no response has a part along."""
    most = abscissa(np.eye(found.net.neurons) - found.net.relaxation(found.gains))
    if most >= 1:
        raise NotConverged("the spontaneous state of the Gaussian closure", 1, most, 1.0, "Use a smaller gain.")
    response = np.asarray(np.linalg.inv(found.net.relaxation(found.gains)))
    own = Tasks(found.inputs, found.targets).along(response, found.gains)[0]
    lost = np.flatnonzero(np.abs(own) <= _ORTHOGONAL * np.einsum("ti,ti->t", found.targets, found.targets))
    if len(lost):
        raise InvalidInput(
            f"targets[{lost[0]}] is orthogonal to the response to itself: learning it by Hebb's rule changes nothing "
            f"along it, and its speed is 0. Leave it out."
        )
