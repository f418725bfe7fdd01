"""Underdamped Langevin dynamics with a step that adapts: splittings with the correction in B or in O, simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..._arrays import Array
from ..._validate.arguments import is_another
from ..._validate.values import choice, function, positive_int, real_number
from ...errors import InvalidInput
from ...simulation.batches import Rng, generators, seed_sequence
from ...simulation.replicas import simulate
from ...theory.answers import predict
from .chain import Langevin, System
from .law import ChainLaw
from .predicted import predict_chain
from .runs import ChainRuns, counted, drawn, silent, table_of
from .slopes import evaluated

__all__ = ["Underdamped", "simulate_underdamped"]

TERMS = "B", "O"
_SUMS = "E q", "E q^2", "E p^2", "E g", "E g q", "E g q^2"


@dataclass(frozen=True, eq=False, repr=False)
class Underdamped(System):
    r"""A chain of steps B A O A B in (q, p), scaled by the monitor g (F104), in one dimension.

    It follows dq = g p ds, dp = (-g V' + c T g' - gamma g p) ds + sqrt(2 gamma T g) dW, which keeps
    exp(-V/T - p^2/2T) with c = 1. A solves q' = q + (h/2) p g((q + q')/2) by its fixed point, O is exact, and the term
    c T g' stands in B or in O.

    Parameters
    ----------
    potential, monitor, lr, temperature, method, correction : as for `Langevin`
        "naive" leaves the term out, and "fixed" is BAOAB.
    dimension : int
        1.
    friction : float
        The rate gamma, above 0.
    term : str
        Where T g' stands: "B" or "O".

    Raises
    ------
    InvalidInput
        As for `Langevin`; for a friction that is not above 0; and where the fixed point of A does not contract for a
        usual momentum: h sqrt(T) max |g'|/4 of 1 or more.
    NotConverged
        Where the interval in which exp(-V/T) lives was not found.

    References
    ----------
    Leroy, Leimkuhler, Latz and Higham, SIAM J. Sci. Comput. 46, A3574 (2024), arXiv:2403.11993.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies.adaptive import SpringMonitor, Underdamped
    >>> chain = Underdamped("spring", SpringMonitor(m=0.01, M=1.1), lr=0.2, temperature=1.0, friction=0.1)
    >>> runs = fl.simulate(chain, steps=2000, replicas=32, rng=1)
    >>> runs.escaped, len(runs.against(fl.predict(chain))["z"])
    (0, 2)
    """

    friction: float = 1.0
    term: str = "B"

    def __post_init__(self) -> None:
        """Refuse what is no chain, and an A whose fixed point is none."""
        real_number("friction", self.friction, above=0.0)
        choice("term", self.term, TERMS)
        if positive_int("dimension", self.dimension) > 1:
            raise InvalidInput(f"underdamped chains are simulated in one dimension, not in {self.dimension}.")
        super().__post_init__()
        places, _ = self.places
        slopes = np.abs(evaluated("monitor.slope", self.steps_of.slope, places))
        worst = int(slopes.argmax())
        factor = self.lr * np.sqrt(self.temperature) * slopes[worst] / 4
        if factor >= 1:
            raise InvalidInput(
                f"the fixed point of A does not contract at x = {places[worst]:g}: h |p g'|/4 is {factor:.3g} for the "
                f"usual momentum p = sqrt(T), and must be below 1. Give an lr below {self.lr / factor:.3g}, or a "
                f"monitor that changes less steeply."
            )


is_another("problem", Underdamped)


@predict.register(Underdamped)
def predict_underdamped(chain: Underdamped, *, theory: str = "target") -> ChainLaw:
    """Return the density of q that the chain should keep, exp(-V/T): its law at finite step is not known.

    Parameters
    ----------
    chain : Underdamped
        Any.
    theory : str
        "target" alone.

    Returns
    -------
    ChainLaw
        Its `kept` is what continuous time keeps with the chain's own correction.

    Raises
    ------
    InvalidInput
        For another theory.
    """
    if choice("theory", theory, ("target", "first_order", "exact")) != "target":
        raise InvalidInput(
            f"theory {theory!r} is that of overdamped chains in one dimension; of an underdamped chain the target "
            f"alone is known, theory='target'."
        )
    return predict_chain(_overdamped(chain), theory="target")


def _overdamped(chain: Underdamped) -> Langevin:
    """A chain with the same target, and the same density kept by continuous time."""
    lr = min(chain.lr, 0.1)
    return Langevin(chain.potential, chain.monitor, lr, chain.temperature, chain.method, chain.correction)


@simulate.register(Underdamped)
def simulate_underdamped(
    chain: Underdamped,
    *,
    steps: int,
    replicas: int,
    rng: Rng = None,
    burn_in: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> ChainRuns:
    """Run independent underdamped chains and average over their steps.

    Parameters
    ----------
    chain : Underdamped
        In one dimension.
    steps, replicas : int
        Length and number of the runs, at least 8 of them.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way.
    burn_in : int, optional
        Steps that are not averaged over, a tenth of `steps` if not given. Each run begins at a place and a momentum
        drawn from the target.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    ChainRuns
        Averages of q, q^2, p^2, g, g q and g q^2 over the ends of the steps; those of a run that left the domain are
        NaN, and `escaped` counts them.

    Raises
    ------
    InvalidInput
        For arguments out of range, fewer than 8 replicas, and where the fixed point of A was not found on the way.

    Notes
    -----
    Cost: some 200 ns a step, compiled, on one thread.
    """
    from .compiled import march_underdamped  # noqa: PLC0415  (numba is slow to load)

    count, runs = counted(steps, replicas)
    unseen = positive_int("burn_in", count // 10 if burn_in is None else burn_in, minimum=0)
    function("progress", progress, ("fraction",))
    say, root = progress or silent, seed_sequence(rng)
    rngs, target = generators(root, runs), predict_underdamped(chain)
    places = drawn(target.grid, target.density, rngs)
    table, span = table_of(partial(_functions, chain), *chain.domain)
    asked = np.array([chain.lr, chain.friction, chain.temperature, *_shares(chain)])
    sums, final = np.zeros((runs, len(_SUMS))), np.empty(runs)
    for k, one in enumerate(rngs):
        state = np.array([places[k], one.standard_normal() * np.sqrt(chain.temperature)])
        seen = unseen == 0 or march_underdamped(state, one, unseen, asked, table, span, np.zeros(len(_SUMS))) == unseen
        done = march_underdamped(state, one, count, asked, table, span, sums[k]) if seen else 0
        _refuse_lost(chain, state)
        final[k] = state[0] if done == count else np.nan
        say((k + 1) / runs)
    sums[np.isnan(final)] = np.nan
    identity = {"steps": count, "replicas": runs, "burn_in": unseen, "entropy": str(root.entropy), "chain": repr(chain)}
    return ChainRuns(identity, dict(zip(_SUMS, (sums / count).T, strict=True)), final)


def _functions(chain: Underdamped, x: Array) -> tuple[Array, Array, Array]:
    """V', g and g'."""
    slope = evaluated("potential.slope", chain.energy.slope, x)
    return slope, chain.g(x), evaluated("monitor.slope", chain.steps_of.slope, x)


def _shares(chain: Underdamped) -> tuple[float, float]:
    return (chain.share, 0.0) if chain.term == "B" else (0.0, chain.share)


def _refuse_lost(chain: Underdamped, state: Array) -> None:
    """Raise where A's fixed point was not found, at the place where it happened."""
    if np.isinf(state[1]):
        raise InvalidInput(
            f"the fixed point of A was not found at q = {state[0]:.6g}: h |p g'|/4 passed 1 there at lr {chain.lr:g}. "
            f"Give a smaller lr, or a monitor that changes less steeply."
        )
