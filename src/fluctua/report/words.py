"""A verdict in sentences, for the terminal and the report alike."""

from __future__ import annotations

from ..data.prepared import preparation_words
from ..verification.formats import shown
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict

__all__ = [
    "balance_words",
    "data_words",
    "local_facts",
    "measured_words",
    "name_words",
    "prepared_words",
    "recipe_words",
    "run_words",
]

_ASTRAY = "in epochs their law is not known well enough"
_NO_BALANCE = "shown for plain SGD, its own weights, independent batches, from W*"


def name_words(verdict: Verdict | DynamicVerdict, unnamed: str = "unnamed data") -> str:
    """What the data are called, and whether their samples count unequally."""
    weighted = " with sample weights" if verdict.run.problem.sample_weight else ""
    return f"{verdict.data.get('name') or unnamed}{weighted}"


def data_words(verdict: Verdict | DynamicVerdict) -> str:
    """What was learned from."""
    size = verdict.run.problem
    return f"{name_words(verdict)}: {size.samples:,} samples, {size.features} inputs, {size.outputs} outputs"


def prepared_words(verdict: Verdict | DynamicVerdict) -> str:
    """What was done to the data before they became a problem; empty where nothing was."""
    return preparation_words(verdict.data.get("preparation") or {})


def recipe_words(verdict: Verdict) -> str:
    """What was asked of SGD."""
    dynamics = verdict.run.dynamics
    noise = "" if dynamics == "sgd" else f", {dynamics.replace('_', ' ')} dynamics"
    return verdict.run.recipe.words + noise


def run_words(verdict: Verdict) -> str:
    """What was run."""
    run = verdict.run
    average = "" if run.average is None else f", {run.average.words}"
    place = "" if run.device is None else f" on {run.device}"
    return f"{run.steps} steps x {run.replicas} replicas from {run.start}{average}{place}, seed {run.entropy}"


def measured_words(verdict: Verdict) -> str:
    """What came out."""
    half, floor = 1.96 * verdict.excess_loss_error, verdict.optimum_loss
    share = f", {shown(verdict.excess_loss / floor, '.2%')} of L(W*) = {floor:.6g}" if floor else ", L(W*) = 0"
    return f"excess loss {shown(verdict.excess_loss, '.6g')} +- {half:.2g} (95 %){share}"


def local_facts(verdict: Verdict) -> list[tuple[str, str]]:
    """Of a head, what the local theory says of itself, each with its name."""
    told = verdict.identity
    u, limit = told.get("anharmonicity"), told.get("limit")
    known = "no floor exists beyond the quadratic" if u is None else f"anharmonicity u = {shown(u, '.2%')}"
    crossover = "" if limit is None else f"lr is {verdict.run.recipe.lr / limit:.1%} of the crossover, {limit:.6g}"
    control = "twins on the same batches that follow the quadratic" if told.get("control") else "none"
    control += "" if told.get("controlled", True) or not told.get("control") else f"; set aside: {_ASTRAY}"
    return [("Bowl", f"{told['bowl']}: {known}; {crossover}"), ("Control", control)]


def balance_words(verdict: Verdict) -> str:
    """How F0 came out, dissipation against fluctuation."""
    balance = verdict.balance
    if balance is None:
        return _NO_BALANCE
    return (
        f"dissipation by curvature over injection by batches: {shown(balance.trace_ratio, '.4f')}; "
        f"{balance.elements:,} elements, z-rms {balance.z_rms:.2f}"
    )
