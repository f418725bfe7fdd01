"""The noun of the study: a recurrent network of firing rates that is driven by noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import AnyArray, Array
from ..._results import Brief, ByValue
from ..._validate.values import choice, instance, real_array, real_number
from ...errors import InvalidInput
from .lyapunov import Balanced
from .refusals import NoSpontaneousState

__all__ = ["ACTIVATIONS", "EDGE", "Activation", "RateNetwork", "abscissa", "hold_network"]

Activation = Literal["linear", "tanh"]
ACTIVATIONS = ("linear", "tanh")
EDGE = 1e-9  # of the decay of a single neuron: a slower mode counts as none that decays


@dataclass(frozen=True, eq=False, repr=False)
class RateNetwork(ByValue, Brief):
    r"""A recurrent network of firing rates x, driven by noise; it may be given an input u.

    In every step x' = x + dt (-x + f(g (W x + gamma u))) + sqrt(2 D dt) noise, f the identity or tanh. Learning by
    Hebb's rule adds eps xi u^T to W, xi the target of the input u. The network is linear in x for the identity: its
    relaxation is H = I - g W, and dt and 2 D take the places of SGD's learning rate and noise.

    Parameters
    ----------
    coupling : array_like, (n, n)
        W; row i holds what neuron i hears. It need not be symmetric.
    gain : float
        g, above 0. A linear network has a spontaneous state while no eigenvalue of g W has a real part of 1 or more.
    noise : float
        D, above 0: the fluctuation before learning is what the speed of learning is foretold from.
    dt : float
        The time step, in units of a neuron's relaxation.
    activation : "linear" or "tanh"
        f.
    input_gain : float
        gamma, above 0.

    Raises
    ------
    InvalidInput
        For a coupling that is no square matrix of finite numbers, for numbers out of range, for a linear network
        without a spontaneous state (`NoSpontaneousState`, with the gain at which it ends), and for a time step that is
        too long for it.

    Examples
    --------
    >>> from fluctua.studies import learning
    >>> net = learning.RateNetwork([[0.0, 0.5], [0.5, 0.0]], gain=0.8, noise=0.05, dt=0.1)
    >>> net.neurons, net.symmetric
    (2, True)
    >>> try:
    ...     learning.RateNetwork([[0.0, 0.5], [0.5, 0.0]], gain=3.0, noise=0.05, dt=0.1)
    ... except learning.NoSpontaneousState as error:
    ...     print(f"{error.gain} >= {error.largest_gain}")
    3.0 >= 2.0
    """

    coupling: Array
    gain: float
    noise: float
    dt: float
    activation: Activation = "linear"
    input_gain: float = 1.0

    def __init__(
        self,
        coupling: ArrayLike,
        gain: float,
        noise: float,
        dt: float,
        activation: Activation = "linear",
        input_gain: float = 1.0,
    ) -> None:
        matrix = real_array("coupling", coupling, ndim=2, shape="(neurons, neurons)").astype(np.float64)
        if matrix.shape[0] != matrix.shape[1]:
            raise InvalidInput(
                f"coupling must be a square matrix, a row and a column for each neuron, got shape {matrix.shape}."
            )
        given = {
            "coupling": matrix,
            "gain": real_number("gain", gain, above=0.0),
            "noise": _noise(noise),
            "dt": real_number("dt", dt, above=0.0),
            "activation": choice("activation", activation, ACTIVATIONS),
            "input_gain": real_number("input_gain", input_gain, above=0.0),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        self._hold()

    @property
    def neurons(self) -> int:
        """How many there are, n."""
        return len(self.coupling)

    @cached_property
    def symmetric(self) -> bool:
        """Whether W is its own transpose to rounding: the spontaneous state is then one of equilibrium."""
        size = float(np.abs(self.coupling).max(initial=0.0))
        return bool(np.abs(self.coupling - self.coupling.T).max(initial=0.0) <= 1e-12 * size)

    @cached_property
    def _eigenvalues(self) -> AnyArray:
        """Of W, (n,)."""
        return _eigenvalues(self.coupling)

    @property
    def linear(self) -> bool:
        """Whether f is the identity."""
        return self.activation == "linear"

    @cached_property
    def largest_gain(self) -> float:
        """The gain at which the spontaneous state of the linear network ends; infinite where none does."""
        most = float(self._eigenvalues.real.max())
        return 1.0 / most if most > 0 else float("inf")

    def relaxation(self, gains: Array | None = None) -> Array:
        """Return H = I - diag(G) g W, (n, n); `gains`, (n,), are the slopes G of f, 1 without them.

        Parameters
        ----------
        gains : ndarray, (n,), optional
            Mean slopes of f at each neuron.

        Returns
        -------
        ndarray, (n, n)
            Without a unit: time is counted in relaxation times of a neuron.
        """
        slopes = np.ones(self.neurons) if gains is None else gains
        return np.asarray(np.eye(self.neurons) - self.gain * slopes[:, None] * self.coupling)

    def balanced(self, gains: Array | None = None) -> Balanced:
        """Return the balance of fluctuation and dissipation for these slopes.

        Parameters
        ----------
        gains : ndarray, (n,), optional
            As for `relaxation`.

        Returns
        -------
        Balanced
            What solves for covariances.
        """
        return Balanced(self.relaxation(gains), self.dt)

    def learned(self, strength: float, given: Array, target: Array) -> RateNetwork:
        """Return the network after learning: W + eps xi u^T.

        Parameters
        ----------
        strength : float
            eps.
        given, target : ndarray, (n,)
            u and xi.

        Returns
        -------
        RateNetwork
            Refused as any other where it has no spontaneous state.
        """
        return replace(self, coupling=self.coupling + strength * np.multiply.outer(target, given))

    def _hold(self) -> None:
        """Refuse a linear network without a spontaneous state, and a time step too long for the network."""
        if not self.linear:
            self._hold_dt(2.0)
            return
        most = self.gain * float(self._eigenvalues.real.max())
        if most >= 1.0 - EDGE:
            raise NoSpontaneousState(
                self.gain,
                self.largest_gain,
                f"the largest real part of an eigenvalue of gain x coupling is {most:.7g}, and from 1 on activity "
                f"grows without bound",
                "Use a smaller gain or coupling, or activation='tanh', which saturates.",
            )
        rates = 1 - self.gain * self._eigenvalues
        self._hold_dt(float(np.min(2 * rates.real / np.abs(rates) ** 2)))

    def _hold_dt(self, most: float) -> None:
        if self.dt >= most:
            raise InvalidInput(
                f"dt = {self.dt:g} is too long a step: from {most:.7g} on the steps overshoot further each time, and "
                f"the activity diverges. Use dt well below {most:.4g}."
            )


def hold_network(net: object) -> None:
    """Refuse what is no network."""
    instance("net", net, RateNetwork, "a network, learning.RateNetwork(coupling, gain, noise, dt)")


def abscissa(coupling: Array) -> float:
    """Return the largest real part of an eigenvalue of a matrix."""
    return float(_eigenvalues(coupling).real.max())


def _eigenvalues(coupling: Array) -> AnyArray:
    """Those of a matrix; of a symmetric one, without complex numbers."""
    symmetric = np.array_equal(coupling, coupling.T)
    return np.asarray(np.linalg.eigvalsh(coupling) if symmetric else np.linalg.eigvals(coupling))


def _noise(value: float) -> float:
    number = real_number("noise", value, minimum=0.0)
    if not number:
        raise InvalidInput(
            "noise = 0: without noise there is no spontaneous fluctuation to foretell anything from. Use noise > 0."
        )
    return number
