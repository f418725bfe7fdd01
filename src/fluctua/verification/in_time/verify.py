"""The dynamic verdict: correlation against response, both measured, and what is left of the equilibrium theorem."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..._validate.arguments import door
from ..._validate.values import false_alarm_level, listed, positive_int, resolution_share
from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from ...simulation.agenda import Agenda, Found
from ...simulation.batches import Rng, generators, seed_sequence
from ...simulation.identity import InTimeRun, Size, content
from ...simulation.kept import asked_part, keeping
from ...simulation.needs import refuse_twins
from ...simulation.parts import Part, in_parts, part_of
from ...simulation.steppers import slots
from ...simulation.twins import Twins, watch
from ...simulation.workers import workers_for
from ...storage.checkpoint import Checkpoint, kept_until_done
from ...theory.answers import Prediction, predict
from ..equal_time import Progress, default_replicas, refuse_run, silent
from ..near_limit import share_of_limit
from .expectation import Expectation
from .findings import GROUPS
from .trial import verdict_of
from .verdict import DynamicVerdict

__all__ = ["verify_dynamic"]

_STILL = 1e-12  # variance of a mode, over the largest, that is kicked as though it had it: else no kick would be seen
_MOST, _AFFORDABLE = 1000, 1e13  # weights looked at together; flops of the theory of their entropy production
_MODES, _LAGS, _ORIGINS = 20, (1, 2, 4, 8, 16, 32), 512


@in_parts
def verify_dynamic(
    problem: LeastSquares,
    sgd: Recipe,
    *,
    steps: int = 1000,
    replicas: int | None = None,
    rng: Rng = None,
    modes: int | None = None,
    lags: Sequence[int] | None = None,
    level: float = 0.01,
    resolution: float = 0.05,
    entropy: bool | None = None,
    threads: int | None = None,
    checkpoint: Checkpoint | Path | str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
) -> DynamicVerdict | Part:
    r"""Hold the fluctuation-dissipation theorem in time against real training runs (F20 to F23).

    Replicas start at W*. In the second half of a run, correlations E[V(t)^T V(t+k)] are measured in the steepest
    modes, and so are responses: twins that share their replica's batches are kicked in every mode and in a random
    direction, or pushed by new targets. The statements:

    ===================  =========================================================================================
    correlation =        E[V(t)^T V(t+k)] = E[V^T V] R(k), both sides measured; with momentum the buffer's part too
    S x response
    correlation          the same against the predicted S(t) M^k, at finite time
    response             answers to kicks against m^k, to new targets against (1 - m^k)/h
    circulation          the antisymmetric part of the correlation one step apart, against J
    ===================  =========================================================================================

    Each is tested along what theory names (bands of modes, the predicted J), and over all of its elements along what
    one half of the runs found for the other half, so that a deviation need not lie where theory looks.

    *Consistent*: none deviates at the family-wise `level`. *Sharp*: the same runs reject a loss of correlation,
    S - E[V(t)^T V(t+k)], that is wrong by `resolution` either way, and the equilibrium theorem, whose correlations
    have no antisymmetric part, wherever J is resolvable: where its predicted size is one that the runs would miss with
    a probability of 0.05 at most. Where they would tell it, they also reject a theory without J, and one with half of J
    turned into what is at a right angle to it.

    Levels hold from 2 replicas up. From 0.7 of the stability limit on tails are heavy, and `words` say how much more
    often a true theory is rejected.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        Plain or with momentum, at a constant rate, independent batches.
    steps, replicas : int
        Length and number of the runs; by default replicas for about half a minute on two cores, from 32 to 512.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it either way.
    modes : int, optional
        How many of the steepest modes are looked at; by default 20, or as many as there are.
    lags : sequence of int, optional
        By default powers of two up to 32 and to a quarter of the window.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of the correlations that the run must be able to reject to count as sharp.
    entropy : bool, optional
        Whether to predict and measure the entropy production, and the current in a plane. By default where its theory
        takes less than 1e13 flops, some minutes. Never for one mode, and with Nesterov's step or that of `QHM` with
        0 < nu < 1, whose weights are not the chain that it is of.
    threads : int, optional
        As in `simulate`.
    checkpoint : path or Checkpoint, optional
        Directory that keeps the finished groups of replicas: an interrupted call repeated with the same arguments goes
        on with those that are missing, and ends with the same numbers. They are removed when there is a verdict.
    shard : str, optional
        As in `simulate`: jobs that share a `checkpoint` make a part of the groups each.
    progress : callable, optional
        Called with the name of the stage and the fraction of it done.

    Returns
    -------
    DynamicVerdict or Part
        The statements, and what the runs could have told. Of a shard what it has made.

    Raises
    ------
    UnstableSGD, InvalidInput
        Before any run: beyond the stability limit, for epochs, schedules, arguments out of range, and where nothing
        fluctuates.
    NotConverged
        Before any run, if the stationary state was not found to the accuracy stated.
    OutputError
        If `checkpoint` cannot be written, or another run holds it.
    ResultError
        If `checkpoint` belongs to another run, or what it keeps is damaged.

    Notes
    -----
    Cost: a run costs 4 b c r flops a step, a twin as much, and there are 2 + modes/c of them (with momentum twice as
    many kicked ones) in the second half. Theory: c (c + 1)/2 solutions of F1 for the entropy production, about 20 N r^2
    flops each. Memory: 32 float64 matrices of 2 c modes rows and columns, with momentum 3 c modes; c modes is at most
    1,000.

    References
    ----------
    Onsager, Phys. Rev. 37, 405 (1931), for the regression; Adhikari et al., arXiv:2306.03521, measured the entropy
    production of SGD with 7 weights.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify_dynamic(problem, fl.SGD(0.05, 8), steps=200, replicas=64, modes=6, rng=1, level=1e-6)
    >>> verdict.consistent, verdict.circulation.resolvable
    (True, True)
    """
    door(problem, sgd, samplers=True, staged=progress, **({} if entropy is None else {"entropy": entropy}))
    problem = sgd.seen(problem)
    for name, count in {"steps": steps, "replicas": replicas, "modes": modes, "threads": threads}.items():
        if count is not None:
            positive_int(name, count)
    if lags is not None:
        lags = [positive_int("lags", lag) for lag in listed("lags", lags, "steps")]
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    refuse_run(checkpoint, rng)
    part = asked_part(shard, checkpoint, rng)
    if sgd.sampling_factor(problem.samples) == 0:
        raise InvalidInput(
            "a full batch has no noise of batches: gradient descent does not fluctuate, and of a sampler the twins "
            "have no batches to share. Use a smaller batch_size."
        )
    problem.minimum(sgd.weight_decay).refuse_interpolation()
    report = progress or silent
    report("theory", 0.0)
    stationary = predict(problem, sgd)
    stationary.response(1)  # refuses what has no law in time, before any run
    seen = _modes(stationary, modes)
    length = positive_int("steps", steps, minimum=8)
    count = _replicas(problem, sgd, steps, seen) if replicas is None else positive_int("replicas", replicas, minimum=2)
    entropic = _entropic(problem, sgd, seen, entropy)
    with kept_until_done(checkpoint, part) as kept, keeping(kept, part, always=True) as keep:
        root = seed_sequence(rng) if keep is None else keep.root(rng)
        agenda = _agenda(stationary, length, lags, seen, root)
        refuse_twins(problem, sgd, agenda.steps, count, seen, agenda.reach)
        expectation = Expectation(stationary, agenda, entropic)
        share = share_of_limit(problem, sgd, agenda.steps)
        rngs = generators(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, 0)), count)
        groups = [list(each) for each in np.array_split(np.array(rngs, dtype=object), min(GROUPS, count))]
        run = _identity(problem, sgd, agenda, count, len(groups), root).to_dict()
        fixed = {**run, "entropy production": entropic, "samples": content(problem)}
        if keep is not None:
            keep.hold(fixed)
        twins = Twins(problem, sgd, agenda, expectation.forms)
        found = watch(twins, groups, workers_for(threads), lambda fraction: report("simulation", fraction), fixed)
        if part is not None:
            return part_of(part, [len(each) for each in groups])
        report("comparison", 0.0)
        identity = {**run, "share_of_limit": share}
        return verdict_of(expectation, Found.gathered(found), level, resolution, identity)


def _identity(
    problem: LeastSquares, sgd: Recipe, agenda: Agenda, replicas: int, groups: int, root: np.random.SeedSequence
) -> InTimeRun:
    """What fixes the numbers of these runs."""
    return InTimeRun(
        recipe=sgd,
        steps=agenda.steps,
        opened=agenda.opened,
        gap=agenda.gap,
        lags=tuple(agenda.lags),
        modes=agenda.modes,
        replicas=replicas,
        groups=groups,
        entropy=str(root.entropy),
        spawn_key=tuple(root.spawn_key),
        problem=Size.of(problem, sgd.weight_decay),
    )


def _modes(prediction: Prediction, modes: int | None) -> int:
    """How many modes to look at; raises `InvalidInput` for more than fit, and for such as do not fluctuate."""
    problem, variances = prediction.law.problem, prediction.mode_variances
    most = min(problem.rank, max(1, _MOST // problem.outputs))
    chosen = min(_MODES, most) if modes is None else positive_int("modes", modes, maximum=problem.rank)
    if chosen > most:
        raise InvalidInput(
            f"modes = {chosen} of {problem.outputs} outputs are {chosen * problem.outputs} weights to correlate with "
            f"one another, and {_MOST} are the most that fit into memory 32 times over. Use at most {most} modes."
        )
    still = np.flatnonzero(variances[:chosen] <= _STILL * variances.max())
    if len(still):
        raise InvalidInput(
            f"mode {still[0] + 1} does not fluctuate: no batch gradient has a part along it, so it has "
            f"no correlation to compare with a response. Look at fewer modes."
        )
    return chosen


def _entropic(problem: LeastSquares, sgd: Recipe, modes: int, asked: bool | None) -> bool:
    """Whether entropy production is in question."""
    if modes == 1 or not sgd.step.autoregressive:
        return False
    pairs = problem.outputs * (problem.outputs + 1) / 2
    return pairs * 20 * problem.samples * problem.rank**2 < _AFFORDABLE if asked is None else asked


def _replicas(problem: LeastSquares, sgd: Recipe, steps: int, modes: int) -> int:
    """As many as `verify` would take for runs as long as these and their twins together."""
    twins = 2 + modes * slots(sgd) / problem.outputs
    return default_replicas(problem, sgd, int(steps * (1 + twins / 2)))


def _agenda(
    prediction: Prediction, steps: int, lags: Sequence[int] | None, modes: int, root: np.random.SeedSequence
) -> Agenda:
    """When to look: origins in the second half, and kicks of about one standard deviation."""
    opened = steps // 2
    longest = (steps - opened) // 4
    chosen = [lag for lag in _LAGS if lag <= longest] if lags is None else sorted(set(lags))
    if not chosen or chosen[-1] > longest:
        raise InvalidInput(
            f"lags = {chosen} do not fit a window of {steps - opened} steps, the second half of the run: the longest "
            f"may be a quarter of it, {longest}. Use more steps or shorter lags."
        )
    if chosen[0] != 1:
        chosen.insert(0, 1)  # the circulation's
    if prediction.law.kernel.components > 1 and 2 not in chosen:
        chosen.insert(1, 2)
    variances = prediction.mode_variances
    sizes = np.sqrt(np.maximum(variances, _STILL * variances.max()) / prediction.law.problem.outputs)
    shape = prediction.law.minimum.mode_weights.shape
    normal = np.random.default_rng(root).standard_normal((2, *shape))
    gap = max(1, (steps - opened - chosen[-1]) // _ORIGINS)
    return Agenda(
        steps, opened, gap, tuple(chosen), modes, sizes, normal[0] * sizes, normal[1] * sizes, _plane(prediction, modes)
    )


def _plane(prediction: Prediction, modes: int) -> tuple[int, int]:
    """Return the two modes with the largest circulation in units of their standard deviations."""
    current = prediction.circulation[:modes, :modes] / np.sqrt(
        np.multiply.outer(*2 * (prediction.mode_variances[:modes],))
    )
    p, q = np.unravel_index(int(np.argmax(np.abs(current))), current.shape)
    return (int(p), int(q)) if p != q else (0, modes - 1)
