"""A chain's runs, or draws from anybody's code, held against the law of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.arguments import door, is_another
from ..._validate.values import false_alarm_level, instance, real_array, resolution_share
from ...errors import InvalidInput
from ...simulation.batches import Rng
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress, verify
from ...verification.statements import Statement, scaled, stated
from .chain import Langevin
from .evidence import gather
from .law import ChainLaw
from .predicted import predict_chain
from .runs import BINS, LEAST, ChainRuns, simulate_chain

__all__ = ["verify_chain"]

is_another("problem", Langevin)
MUTANT = 0.9
"""Share of the correction that is wrong on purpose: it may lie nearer to the target than the whole one."""
_ALIKE = 1e-9  # relative differences of g below which it does not adapt
PART = f"{MUTANT} of the correction"
Found = Mapping[str, Array]


@verify.register(Langevin)
def verify_chain(
    chain: Langevin,
    *,
    law: ChainLaw | None = None,
    draws: ArrayLike | None = None,
    steps: int = 40_000,
    replicas: int = 256,
    rng: Rng = None,
    level: float = 0.01,
    resolution: float = 0.05,
    progress: Progress | None = None,
) -> StatementVerdict:
    """Hold runs of a chain, or given draws, against the law of the chain at its finite step.

    The claim is the exact law: E x, E x^2 and E g, and for the naive chain the averages weighted by g too. Wrong on
    purpose are the law with every number off by `resolution`, the law of the chain with 0.9 of the correction T g' and
    without it, and that of a fixed step; the target exp(-V/T) and the first order in the step are the rungs below.
    Each has to be rejected where runs of this length can tell it from the claim, whatever they find.

    Parameters
    ----------
    chain : Langevin
        In one dimension.
    law : ChainLaw, optional
        Held against the runs in the place of the chain's own: that of another chain.
    draws : array_like, (R, n), optional
        Places of at least 8 independent chains of anybody's code, in equilibrium, in the place of runs.
    steps, replicas : int
        Length and number of the runs.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it either way.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of the averages that the runs must be able to reject to count as sharp.
    progress : callable, optional
        Called with the name of the stage and the fraction of it done.

    Returns
    -------
    StatementVerdict
        The statements, and what the figures draw.

    Raises
    ------
    InvalidInput
        Where the chain has no law (see `fluctua.predict`), for arguments out of range, for draws that hold NaN, fewer
        than 8 chains of them, and chains shorter than twice the slowest relaxation.
    NotConverged
        Where the interval in which a law lives was not found.

    Notes
    -----
    Cost: that of `fluctua.simulate`, some 50 ns a step, and of some twenty laws, most on few points.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies.adaptive import Langevin
    >>> chain = Langevin("spring", lr=0.3, temperature=0.1)
    >>> verdict = fl.verify(chain, steps=10_000, replicas=64, rng=1, level=1e-6)
    >>> verdict.consistent, [row.name for row in verdict.claims]
    (True, ['exact'])
    """
    door(staged=progress)
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    if law is not None:
        instance("law", law, ChainLaw, "a ChainLaw, as fluctua.predict returns it, or None")
    own = predict_chain(chain)
    told = law or own
    say = progress or (lambda _stage, _fraction: None)
    if draws is None:
        runs = simulate_chain(chain, steps=steps, replicas=replicas, rng=rng, progress=lambda f: say("simulation", f))
    else:
        runs = _given(own, draws)
    if runs.escaped:
        raise InvalidInput(f"{runs.escaped} of {len(runs.final)} runs left the domain of the law. Give a smaller lr.")
    others = {name: predict_chain(other) for name, other in _others(told.chain).items()}
    rows = _statements(told, others, runs.replica_means, level, resolution)
    arrays, tables = gather(told, runs, lambda f: say("laws", f))
    from . import figures  # noqa: F401, PLC0415  (how the verdict is shown)

    return conclude(
        "adaptive",
        _title(chain),
        rows,
        level=level,
        resolution=resolution,
        steps=runs.identity["steps"],
        replicas=len(runs.final),
        entropy=runs.identity["entropy"],
        asked={"chain": repr(chain), **_command(chain, runs, draws is None and law is None)},
        arrays=arrays,
        tables=tables,
        facts=_facts(told, others),
    )


def averages(law: ChainLaw) -> dict[str, float]:
    """Return what a law says of the quantities that are looked at."""
    found = dict(zip(("E x", "E x^2"), map(float, law.moments), strict=False))
    g = law.chain.g(law.grid)
    return {**found, "E g": law.mean(law.chain.g)} if np.ptp(g) > _ALIKE * g.max() else found


def _statements(
    law: ChainLaw, others: Mapping[str, ChainLaw], found: Found, level: float, resolution: float
) -> list[Statement]:
    """The claims, the mutants and the rungs."""
    chain, right = law.chain, averages(law)
    claim = stated("exact", "claim", right, found)
    rows = [claim, *(scaled("exact", 1 + wrong, right, found) for wrong in (resolution, -resolution))]
    if chain.method == "naive":
        weighted = {f"E {x} weighted": law.mean(f, weighted=True) for x, f in _POWERS.items()}
        rows.insert(1, stated("exact, weighted by g", "claim", weighted, _weighted(weighted, found)))
    for name, other in others.items():
        wrong = {key: value for key, value in averages(other).items() if key in right}
        rows.append(stated(name, "rung", wrong, found).if_told(claim, level))
    for name, below in (("first order in lr", "first_order"), ("target", "target")):
        rung = averages(law.rung(below))
        rows.append(stated(name, "rung", rung, found).if_told(claim, level))
    return rows


_POWERS = {"x": lambda x: x, "x^2": lambda x: x**2}


def _weighted(right: Mapping[str, float], found: Found) -> dict[str, Array]:
    """Of each run, the ratio of means to first order about the predicted one: its mean is exact, a ratio's is not."""
    g = found["E g"]
    return {
        f"E {x} weighted": right[f"E {x} weighted"] + (found[f"E g {x}"] - right[f"E {x} weighted"] * g) / g.mean()
        for x in _POWERS
    }


def _others(chain: Langevin) -> dict[str, Langevin]:
    """Chains that this one must not be taken for."""
    fixed = {"fixed step": replace(chain, method="fixed")}
    if chain.method == "fixed":
        return {}
    if chain.share == 0:
        return {"with the correction": replace(chain, method="ip", correction=1.0), **fixed}
    part = replace(chain, correction=MUTANT * chain.correction)
    return {PART: part, "no correction": replace(chain, method="naive"), **fixed}


def _given(law: ChainLaw, draws: ArrayLike) -> ChainRuns:
    """Averages over somebody's draws."""
    places = np.asarray(real_array("draws", draws, ndim=2, shape="(chains, steps)"), dtype=float)
    chains, steps = places.shape
    if chains < LEAST:
        raise InvalidInput(
            f"draws hold {chains} chains, and at least {LEAST} are needed: the spread between independent chains is "
            f"the error bar. Their shape is (chains, steps)."
        )
    slowest = law.relaxation_steps
    if steps < 2 * slowest:
        raise InvalidInput(
            f"draws hold {steps:,} steps of each chain, fewer than twice the slowest relaxation, {slowest:,.0f} steps: "
            f"their averages are still those of where the chains began. Give longer chains."
        )
    g = law.chain.g(places.ravel()).reshape(places.shape)
    both = {"E x": places, "E x^2": places**2, "E g": g, "E g x": g * places, "E g x^2": g * places**2}
    edges = np.linspace(law.grid[0], law.grid[-1], BINS + 1)
    counts = np.array([np.histogram(row, edges)[0] for row in places])
    identity = {"steps": steps, "replicas": chains, "burn_in": 0, "entropy": "none: draws were given"}
    return ChainRuns(identity, {k: v.mean(axis=1) for k, v in both.items()}, places[:, -1], edges, counts)


def _title(chain: Langevin) -> str:
    name = chain.potential if isinstance(chain.potential, str) else type(chain.potential).__name__
    share = f", {chain.correction:g} of the correction" if chain.method == "ip" and chain.correction != 1 else ""
    return f"{name}, {chain.method}, lr {chain.lr:g}, temperature {chain.temperature:g}{share}"


def _command(chain: Langevin, runs: ChainRuns, by_name: bool) -> dict[str, Any]:
    """The command that repeats the run; none for functions of the user's."""
    if not by_name or not isinstance(chain.potential, str) or chain.monitor is not None:
        return {}
    off = " --no-correction" if chain.method == "ip" and chain.correction == 0 else ""
    if chain.method == "ip" and chain.correction not in (0, 1):
        return {}
    size = f" --steps {runs.identity['steps']} --replicas {len(runs.final)}"
    asked = f"--method {chain.method} --lr {chain.lr:g} --temperature {chain.temperature:g}{size}"
    return {"command": f"adaptive {chain.potential} {asked}{off}"}


def _kept(chain: Langevin) -> str:
    if chain.share == 1 or chain.method == "fixed":
        return "exp(-V/T)"
    return "exp(-V/T)/g" if chain.share == 0 else f"exp(-V/T) g^{chain.share - 1:.3g}"


def _facts(law: ChainLaw, others: Mapping[str, ChainLaw]) -> dict[str, str]:
    chain = law.chain
    facts = {
        "Chain": repr(chain),
        "Keeps, as lr goes to 0": _kept(chain),
        "Distance from exp(-V/T)": f"total variation {law.total_variation:.4f}",
        "Real time of a step": f"{law.mean_step:.4g} on average, lr is {chain.lr:g}",
    }
    if (part := others.get(PART)) is not None:
        other = part.total_variation
        word = "nearer to the target, and still wrong" if other < law.total_variation else "further away"
        facts[f"With {PART}"] = f"total variation {other:.4f}: {word}"
    return facts
