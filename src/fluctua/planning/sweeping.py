"""Sweeps over recipes: predicted, and measured beside the prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from .._validate.arguments import door
from .._validate.nouns import by_noun
from .._validate.shards import Shard
from .._validate.sizes import refuse_work
from .._validate.values import as_path, positive_int, real_array, real_number
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.softmax.base import Head
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..simulation.batches import Rng, seed_sequence
from ..simulation.needs import refuse_runs
from ..simulation.records import Window
from ..simulation.workers import workers_for
from ..storage.results import provenance
from ..storage.shelf import shelf_in
from . import head_forecast as _heads  # noqa: F401  (what is predicted of heads)
from .forecast import MOST, Forecast, forecast_of
from .grid import Grid
from .sweep_work import Work, seed_words
from .swept import Sweep, steps_of

__all__ = ["sweep"]

_STEP = 1e4  # operations that a step costs beside its arithmetic


@by_noun  # type: ignore[arg-type]  # a ParamSpec holds no other keywords
def sweep(
    problem: LeastSquares | Head,
    sgd: Recipe,
    *,
    lr: Sequence[float] | None = None,
    batch_size: Sequence[int] | None = None,
    momentum: Sequence[float] | None = None,
    steps: int | None = None,
    samples: int | None = None,
    measure: bool = False,
    target: float | None = None,
    start: ArrayLike | str = "zero",
    average: Average | None = None,
    replicas: int | None = None,
    rng: Rng = None,
    longest: int = 20_000,
    threads: int | None = None,
    checkpoint: Path | str | None = None,
    reuse: bool = True,
    shard: str | None = None,
    progress: Callable[[str, float], None] | None = None,
    **others: Sequence[Any],
) -> Sweep:
    r"""Predict every combination of some recipes' parameters, and measure them by real runs beside the prediction.

    Of each cell: the noise floor (F8), the largest stable learning rate (F12), the expected loss after a budget and the
    steps to a target loss (F9). What is measured is the loss after the same steps from the same start as what is
    predicted, so that points and line are one quantity whether or not the floor is reached.

    Parameters
    ----------
    problem : LeastSquares, Softmax or Logistic
        The data. Of heads at a constant rate: what is predicted from a start other than W* is an estimate, and
        says by how much it may be off.
    sgd : SGD
        What all cells share. The values of a sequence take the place of the recipe's own.
    lr, batch_size, momentum : sequence of float or int, optional
        The values to try.
    steps, samples : int, optional
        Budget of a run, in steps or in samples, one of the two. Without one, only what is stationary is predicted.
    measure : bool
        Train real models too, in the cells below the limit of stability; needs a budget.
    target : float, optional
        Expected training loss, above L(W*): also say after how many steps it is reached.
    start : "zero", "optimum" or array_like, (c, d)
        W(0), the same in every cell.
    average : EMA or RunningAverage, optional
        Look at this average of the weights instead.
    replicas : int, optional
        Real runs of each cell; by default so many that the mean excess loss is known to about 2 %, 16 to 256.
    rng : numpy.random.Generator, int or None
        Seed of the real runs. A cell's batches depend on it and on the cell alone. None takes that of the last sweep
        in `checkpoint`, or else fresh entropy.
    longest : int
        Steps after which a target counts as never reached; with a schedule that is the budget.
    threads : int, optional
        Worker threads of the real runs; by default the cores this process may use.
    checkpoint : path, optional
        Directory that keeps finished cells. A sweep called again, after an interrupt or with other values beside, takes
        from there what is the same: data, recipe, budget, start, and of the real runs their number and seed.
    reuse : bool
        Whether cells in `checkpoint` are taken; otherwise they are replaced.
    shard : str, optional
        "i/n", such as "2/8": only the cells of the i-th of n parts, for jobs that share a `checkpoint` and know nothing
        of one another. The same call without it then finds all cells there.
    progress : callable, optional
        Called with the stage, "theory" or "runs", and the fraction of it that is done.
    **others : sequence
        Values of any other parameter of the recipe: weight_decay, nu, sampling, schedule.

    Returns
    -------
    Sweep
        The cells, with a table, columns and files; `fluctua.report.figures.draw` draws it. Of a shard, its cells alone.

    Raises
    ------
    InvalidInput
        Before any work, for arguments out of range, for values that come twice, for a recipe that none of its kind has,
        for what no law covers, and where the runs would not fit into memory or not end in time.
    NotConverged
        If a limit of stability was not found to the accuracy stated.
    OutputError
        If `checkpoint` cannot be written, or another run holds it.
    ResultError
        If a cell that is kept is damaged.

    Warns
    -----
    UncertainFloor
        In shuffled epochs, where a floor may be off by more than 10 % and nothing affordable tells.
    UncertainLimit
        In shuffled epochs, where the standard error of a limit is above 5 %.

    Notes
    -----
    A cell beyond the limit has an infinite floor and, at a constant rate, an infinite loss; it is not measured. With a
    schedule there is no floor.

    Cost: a cell as `predict(...)` and `.after(steps, rtol=1e-3)`, 0.1 s on digits; a target adds a learning curve to
    where it is reached. Limits are found once for all learning rates. The real runs cost as `simulate`.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> sweep = fl.sweep(problem, fl.SGD(lr=0.05, batch_size=8), lr=[0.02, 0.05, 0.2], batch_size=[8, 32], steps=500)
    >>> print(sweep.table)
    batch    lr  of limit      floor  predicted
        8  0.02       11%   0.003186    0.03565
        8  0.05       26%   0.009355    0.02381
        8   0.2      106%   unstable   unstable
       32  0.02       10%  0.0007904    0.03282
       32  0.05       26%   0.002291    0.01618
       32   0.2      105%   unstable   unstable
    """
    door(sgd=sgd, samplers=True, average=average, staged=progress, measure=measure, reuse=reuse)
    varied = {"lr": lr, "batch_size": batch_size, "momentum": momentum}
    grid = Grid.of(sgd, {**{name: each for name, each in varied.items() if each is not None}, **others})
    budget = _budget(grid, steps, samples, measure)
    longest = positive_int("longest", longest)
    begin = start if isinstance(start, str) else real_array("start", start, ndim=2, shape="(outputs, features)")
    forecast = forecast_of(problem, begin, average, longest)
    forecast.target = _target(forecast, grid, target)
    _refuse(forecast, grid, budget)
    count = None if replicas is None else positive_int("replicas", replicas, minimum=2)
    if measure:
        _refuse_runs(problem, grid, budget, count or MOST, threads)
    place = None if checkpoint is None else as_path("checkpoint", checkpoint)
    seed = None if rng is None else seed_sequence(rng)
    part = _part(shard, measure and rng is None)
    mine = range(len(grid.recipes)) if part is None else part.of(range(len(grid.recipes)))
    with shelf_in(place, reuse, alone=part is None) as shelf:
        work = Work(forecast, grid, budget, shelf, seed, progress or _silent, mine)
        cells = work.measured(count, threads) if measure else work.predicted()
        identity = {**work.identity, "seed": seed_words(work.root) if measure else None}
    return Sweep(
        sgd=sgd,
        axes=grid.axes,
        cells=cells,
        steps=steps,
        samples=samples,
        start=work.start,
        average=average,
        target=forecast.target,
        longest=longest,
        identity=identity,
        provenance=provenance(),
        shard=None if part is None else str(part),
    )


sweep.register(Head)(sweep.__wrapped__)  # type: ignore[attr-defined]


def _part(shard: str | None, unseeded: bool) -> Shard | None:
    """The part that is asked for; jobs that measure have one seed."""
    part = None if shard is None else Shard.read("shard", shard)
    if part is not None and unseeded:
        raise InvalidInput(
            f"shard = {part} is one of {part.count} jobs, which must have one seed between them: give rng, a whole "
            f"number (--seed)."
        )
    return part


def _silent(stage: str, fraction: float) -> None:
    """Say nothing."""


def _budget(grid: Grid, steps: int | None, samples: int | None, measure: bool) -> list[int | None]:
    """Steps of each cell."""
    if steps is not None and samples is not None:
        raise InvalidInput("steps and samples are two budgets of one run: give one of them.")
    if steps is not None:
        steps = positive_int("steps", steps)
    if samples is not None:
        if any(recipe.batch_size is None for recipe in grid.recipes):
            raise InvalidInput("a full batch has no batch_size that a budget of samples is cut into: give steps.")
        most = max(recipe.batch_size for recipe in grid.recipes)
        samples = positive_int("samples", samples)
        if samples < most:
            raise InvalidInput(f"samples = {samples} is less than one batch of {most}. Give more samples.")
    if steps is samples is None:
        if measure:
            raise InvalidInput("real runs have a length: measure=True needs steps or samples.")
        if any(recipe.schedule is not None for recipe in grid.recipes):
            raise InvalidInput("a run with a schedule has no stationary state: give its budget, steps or samples.")
    return [steps_of(recipe, steps, samples) for recipe in grid.recipes]


def _target(forecast: Forecast, grid: Grid, target: float | None) -> float | None:
    """The target, which some cell can reach and none has at the start."""
    if target is None:
        return None
    wanted = real_number("target", target)
    ends = [forecast.losses(recipe) for recipe in grid.recipes]
    least = min(end for end, _ in ends)
    if wanted <= least:
        raise InvalidInput(
            f"target = {wanted:.7g} is not above the loss at the optimum, {least:.7g}: no run gets there. Give more."
        )
    for _, first in ends:
        if wanted >= first:
            raise InvalidInput(
                f"target = {wanted:.7g} is met before the first step: the loss at the start is {first:.7g}. Give less, "
                f"or another start."
            )
    return wanted


def _refuse(forecast: Forecast, grid: Grid, budget: Sequence[int | None]) -> None:
    """Refuse what no law covers, batches larger than the data, and schedules that end before the run."""
    for recipe, steps in zip(grid.recipes, budget, strict=True):
        forecast.hold(recipe)
        recipe.sampling_factor(forecast.problem.samples)
        average = None if forecast.average is None else forecast.average.in_steps(recipe, forecast.problem.population)
        for part in (recipe.schedule, average):
            if part is not None and steps is not None:
                part.refuse_beyond(steps)


def _refuse_runs(
    problem: LeastSquares | Head, grid: Grid, budget: Sequence[int | None], replicas: int, threads: int | None
) -> None:
    """Refuse real runs that would not fit into memory or not end in time, each and all together."""
    workers = workers_for(threads)
    for recipe, steps in zip(grid.recipes, budget, strict=True):
        window = Window.of(steps or 1, 1, problem.rank)
        refuse_runs(problem, window, replicas, workers, recipe.batch_size or problem.rank)
    total = sum(
        float(steps or 0) * replicas * (4.0 * rows * problem.outputs * problem.features + _STEP)
        for steps, rows in zip(budget, (each.batch_size or problem.rank for each in grid.recipes), strict=True)
    )
    refuse_work(f"{len(budget)} cells of {replicas} replicas", total, "Give fewer cells, steps or replicas.")
