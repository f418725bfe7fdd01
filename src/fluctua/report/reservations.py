"""What a reader of this very run should keep in mind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..verification.in_time.verdict import DynamicVerdict
from ..verification.near_limit import NEAR
from ..verification.verdict import Verdict
from .explorer.ranges import Survey

__all__ = ["FEW", "caveats", "dull", "near"]

FEW = 30  # replicas


def caveats(verdict: Verdict, survey: Survey | None) -> list[str]:
    """Return the caveats that apply, each a sentence or two."""
    return [
        *_run(verdict),
        *_rank(verdict),
        *(_dynamics(verdict, survey) if survey else []),
        *near(verdict, survey.limit if survey else float("nan")),
    ]


def near(verdict: Verdict | DynamicVerdict, limit: float = float("nan")) -> list[str]:
    """Return what to keep in mind near the stability limit, if the run was there; `limit` where it is not recorded."""
    share = verdict.identity.get("share_of_limit") or verdict.run.recipe.lr / limit
    if not share > NEAR:
        return []
    return [
        f"The learning rate is about {100 * share:.0f} % of the largest stable one. There the fluctuation has "
        f"heavy tails, error bars are too small now and then, and verdicts alarm more often than stated."
    ]


def dull(resolution: float) -> str:
    """Return what to keep in mind of a verdict that is not sharp."""
    return (
        f"The run was too short to tell an error of {resolution:.3g} from none: consistent then means little. More "
        f"replicas sharpen it as the square root of their number."
    )


def _run(verdict: Verdict) -> Iterator[str]:
    run = verdict.run
    if verdict.diverged_at is not None:
        yield f"The run diverged by step {verdict.diverged_at}: nothing below can be compared."
    elif not verdict.sharp:
        yield dull(verdict.resolution)
    if run.replicas < FEW:
        yield f"Error bars come from the spread between {run.replicas} replicas: few, so uncertain themselves."
    if run.recipe.sampling == "shuffle":
        yield "The law of shuffled epochs is an expansion, of first order in modes over samples, not an identity."
    if verdict.balance is None and verdict.loss == "squares":
        yield (
            "There is no picture of F0 here: it is measured for plain SGD at a constant rate, its own weights, "
            "independent batches, from W*."
        )


def _rank(verdict: Verdict) -> Iterator[str]:
    features, rank = verdict.run.problem.features, len(verdict.arrays["curvatures"])
    if rank < features and verdict.loss == "squares":
        yield (
            f"The data move {rank} of {features} directions: the other {features - rank} have no curvature, "
            f"fluctuate not at all, and are no part of the comparison."
        )


def _dynamics(verdict: Verdict, survey: Survey) -> Iterator[str]:
    steps, slow = verdict.run.steps, survey.relaxation_steps
    late = int(np.sum(slow > steps))
    if late:
        yield (
            f"{late} of {len(slow)} modes relax in more than the run's {steps:,} steps (the slowest in "
            f"{slow.max():,.0f}) and have not equilibrated: their variances are held against the law at finite "
            f"time, and would go on growing."
        )
