"""How much memory and how many operations runs and solutions take; what is beyond the machine is refused before."""

from __future__ import annotations

from typing import Protocol

from .._validate.devices import Device
from .._validate.sizes import refuse_bytes, refuse_work
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from .records import Window

__all__ = ["refuse_lagged", "refuse_noise", "refuse_runs", "refuse_twins"]

_REPLICA = 3000.0  # bytes of a replica's generator
_AT_ONCE = 64  # replicas of a chunk at most
_STEP = 1e4  # operations that a step costs beside its arithmetic, of a compiled loop
_TURN = 3e5  # and of a loop in Python, on one core at a time
_FLOAT = 8.0


class Sized(Protocol):
    """A problem of so many outputs and features, seen in so many modes."""

    @property
    def outputs(self) -> int:
        """Rows of the weights, c."""

    @property
    def features(self) -> int:
        """Inputs of a sample, d."""

    @property
    def rank(self) -> int:
        """Modes, r."""


def refuse_runs(
    problem: Sized, window: Window, replicas: int, threads: int, rows: float, device: Device | None = None
) -> None:
    """Refuse the runs of `simulate`, whose steps pass over `rows` samples each, on this machine's cores or a device."""
    c, d, r, looks = problem.outputs, problem.features, problem.rank, float(len(window.watched))
    kept = replicas * (_REPLICA + _FLOAT * (r + looks))
    refuse_bytes(f"replicas = {replicas} seen at {looks:,.0f} steps", kept, "Use fewer replicas or records.")
    busy = min(threads, replicas)
    of_a_chunk = looks * c * r + 4.0 * r**2 + 3.0 * min(_AT_ONCE, replicas) * c * d
    what = f"a run with {c:,} outputs, {r:,} modes and {looks:,.0f} looks on {busy} threads"
    refuse_bytes(what, _FLOAT * (busy + 2) * of_a_chunk, "Use fewer records, threads or outputs.")
    flops = float(window.steps) * replicas * (4.0 * rows * c * d + _STEP)
    refuse = refuse_work if device is None else device.refuse_work
    refuse(f"steps = {window.steps} of {replicas} replicas", flops, "Use fewer steps or replicas.")


def refuse_twins(problem: LeastSquares, sgd: Recipe, steps: int, replicas: int, modes: int, reach: int) -> None:
    """Refuse the runs of `verify_dynamic`, in groups, with their twins."""
    c, r, slots = problem.outputs, problem.rank, sgd.step.slots
    refuse_bytes(f"replicas = {replicas}", replicas * (_REPLICA + _FLOAT * c), "Use fewer replicas.")
    groups = min(32, replicas)
    joint = ((1.0 + slots) * c * modes) ** 2
    twins = 2.0 + modes * slots / c
    state = replicas / groups * twins * slots * c * r
    refuse_bytes(f"modes = {modes} of {c:,} outputs", _FLOAT * (2 * groups * joint + 6 * state), "Look at fewer modes.")
    per_step = replicas * (2.0 + 0.5 * twins) * 4 * sgd.batch_size * c * r + groups * _TURN
    refuse_work(f"steps = {steps} of {replicas} replicas and their twins", steps * per_step, "Use fewer steps.")
    refuse_work(f"lags up to {reach}", 10.0 * reach * r**2, "Use shorter lags.")


def refuse_noise(problem: LeastSquares, sgd: Recipe, steps: int, replicas: int, lags: int) -> None:
    """Refuse the runs of `gradient_noise`."""
    c, r = problem.outputs, problem.rank
    each = _REPLICA + _FLOAT * c * r * (10 + lags + 3 * (sgd.step.slots - 1))
    refuse_bytes(f"replicas = {replicas} of {c:,} outputs and {r:,} modes", replicas * each, "Use fewer replicas.")
    flops = steps * (replicas * c * r * (4.0 * sgd.batch_size + 20) + _TURN)
    refuse_work(f"steps = {steps} of {replicas} replicas", flops, "Use fewer steps or replicas.")


def refuse_lagged(problem: LeastSquares, sgd: Recipe, steps: int, replicas: int, waiting: int) -> None:
    """Refuse the runs of `learned_share`, whose groups keep the weights of so many looks until they are seen again."""
    c, width = problem.outputs, sgd.step.slots * problem.rank
    groups = min(32, replicas)
    kept = replicas * (_REPLICA + _FLOAT * c * width * waiting / groups) + _FLOAT * groups * 2.0 * width**2
    refuse_bytes(f"replicas = {replicas} of {c:,} outputs and {problem.rank:,} modes", kept, "Use fewer replicas.")
    flops = float(steps) * (replicas * 4.0 * sgd.batch_size * c * problem.rank + groups * _TURN)
    refuse_work(f"{replicas} replicas of {steps:,} steps", flops, "Use fewer steps or replicas.")
