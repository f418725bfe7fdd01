"""Two runs and their verdict: one network only fluctuates, the other learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.arguments import door
from ..._validate.plain import Header
from ..._validate.values import false_alarm_level, positive_int, resolution_share
from ...simulation.batches import Rng, seed_sequence
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress, silent
from .activity import simulate_network
from .asked import predict_network
from .beginning import begin, refuse_few, relaxed, sizes_of
from .held import Held
from .network import RateNetwork
from .prediction import LearningPrediction
from .refusals import LearnedTooFar
from .runs import learn
from .tasks import Tasks
from .told import evidence, facts_of

__all__ = ["Asked", "judge", "verify_network"]

_STEPS, _REPLICAS = 4000, 512
_FORGOTTEN = 40.0  # relaxation times after which a linear network has learned to rounding
_LEARNERS = 4  # of every so many replicas one learns, where learning fluctuates
_STILL, _LOOKS, _WINDOW = (1, 1, 1, 1), 4, 1000  # groups and steps that learn where nothing of it fluctuates; and where
_SHARES = 0.25, 0.5, 1.0
_SHORT, _SAFE = 0.2, 0.8  # overlap that a network with tanh is taught; share of eps* that a linear one is


@dataclass(frozen=True)
class Asked:
    """Length and number of the runs, and how strict the verdict is."""

    steps: int
    replicas: int
    root: np.random.SeedSequence
    level: float
    resolution: float
    threads: int | None
    report: Progress

    @classmethod
    def of(
        cls,
        steps: int,
        replicas: int,
        rng: Rng,
        level: float,
        resolution: float,
        threads: int | None,
        progress: Progress | None,
    ) -> Asked:
        """Check and keep what was asked."""
        door(staged=progress)
        return cls(
            positive_int("steps", steps),
            positive_int("replicas", replicas, minimum=2),
            seed_sequence(rng),
            false_alarm_level(level),
            resolution_share(resolution),
            None if threads is None else positive_int("threads", threads),
            progress or silent,
        )


def verify_network(
    net: RateNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    steps: int = _STEPS,
    replicas: int = _REPLICAS,
    rng: Rng = None,
    level: float = 0.01,
    resolution: float = 0.05,
    threads: int | None = None,
    progress: Progress | None = None,
) -> StatementVerdict:
    """Hold speeds foretold from fluctuation against learning; `fluctua.verify` of a `RateNetwork`.

    One run only fluctuates; in the other the network learns beside a twin with the same noise. For a linear network
    the claims are that the regression foretells the speed of learning, that the network learns as predicted, also to
    finite strengths, and that chi S + S chi^T - dt S = 2 D chi chi^T, both sides measured. For tanh the claim is the
    Gaussian closure, within the error that it states of itself. Estimators that assume equilibrium are held against
    the same runs, and so is a regression that runs backwards in time: they have to be rejected where these runs can
    tell that they are wrong.

    Parameters
    ----------
    net : RateNetwork
        The network.
    inputs, targets : array_like, (t, n) or (n,)
        The tasks; the first is also learned to finite strengths.
    steps, replicas : int
        Of the run that fluctuates.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it either way.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of the speeds that the runs must be able to reject.
    threads : int, optional
        Worker threads; by default the cores this process may use.
    progress : callable, optional
        Called with the name of the stage and the fraction of it done.

    Returns
    -------
    StatementVerdict
        The statements.

    Raises
    ------
    InvalidInput
        Before any run, for arguments out of range, and for fewer than 10 n^2 samples.
    """
    prediction = predict_network(net, inputs, targets)
    asked = Asked.of(steps, replicas, rng, level, resolution, threads, progress)
    labels = [str(k) for k in range(len(prediction.inputs))]
    return judge(prediction, labels, asked, {})  # no command repeats it


def judge(
    prediction: LearningPrediction,
    labels: Sequence[str],
    asked: Asked,
    repeats: Header,
    beside: LearningPrediction | None = None,
) -> StatementVerdict:
    """Return the verdict of a network, and of one with a symmetric coupling `beside` it, where equilibrium holds."""
    for each in filter(None, (prediction, beside)):
        refuse_few(each.covariance, asked.replicas, asked.steps)
    held = _held(prediction, asked, 0, 1 if beside is None else 2)
    rows = held.rows()
    other = None if beside is None else _held(beside, asked, 1, 2)
    if other is not None:
        rows += [
            other.by("equilibrium", "equilibrium, symmetric", "claim"),
            other.by("variances", "product of variances, symmetric", "claim"),
            other.backwards("C_1 transposed, symmetric", "claim"),
        ]
    asked.report("comparison", 0.0)
    arrays, tables = evidence(held, other)
    verdict = conclude(
        "learning",
        f"{len(labels)} task{'s' * (len(labels) > 1)} of {prediction.net.neurons} neurons, {prediction.net.activation}",
        rows,
        level=asked.level,
        resolution=asked.resolution,
        steps=asked.steps,
        replicas=asked.replicas,
        entropy=str(asked.root.entropy),
        asked={**repeats, "tasks": list(labels), "spawn_key": list(asked.root.spawn_key)},
        arrays=arrays,
        tables=tables,
        facts=facts_of(held, labels, other),
    )
    from . import figures  # noqa: F401, PLC0415  (a page has them)

    return verdict


def _held(prediction: LearningPrediction, asked: Asked, number: int, of: int) -> Held:
    """Run a network twice: it fluctuates, and it learns."""
    net, seeds = prediction.net, _child(asked.root, number).spawn(2)

    def within(begin: float, share: float, fraction: float) -> None:
        asked.report("simulation", (number + begin + share * fraction) / of)

    activity = simulate_network(
        net,
        steps=asked.steps,
        replicas=asked.replicas,
        rng=seeds[0],
        threads=asked.threads,
        progress=partial(within, 0.0, 0.8),
    )
    strengths = taught(prediction)
    learned, overlaps = _learned(prediction, strengths, asked, seeds[1], partial(within, 0.8, 0.2))
    return Held(prediction, activity, learned, strengths, overlaps, asked.level, asked.resolution)


def _child(root: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, number))


def _learned(
    prediction: LearningPrediction,
    strengths: Sequence[float],
    asked: Asked,
    seed: np.random.SeedSequence,
    progress: Callable[[float], None],
) -> tuple[Array, Array]:
    """Run the network that learns: until it has settled, and where learning fluctuates for a window more."""
    net = prediction.net
    tasks = Tasks(prediction.inputs, prediction.targets)
    if not net.linear:
        sizes = tuple(max(1, size // _LEARNERS) for size in sizes_of(asked.replicas))
        return learn(begin(net, _WINDOW, sizes, seed, asked.threads), tasks, strengths, progress)
    u, xi = tasks.inputs[0], tasks.targets[0]
    burn = max(relaxed(each, None, _FORGOTTEN) for each in (net, *(net.learned(eps, u, xi) for eps in strengths)))
    return learn(begin(net, _LOOKS, _STILL, seed, asked.threads, burn), tasks, strengths, progress)


def taught(prediction: LearningPrediction) -> tuple[float, ...]:
    """Return the strengths to which the first task is learned.

    To an overlap of 1 with the target, or as near to it as a linear network can; to an overlap of 0.2 with tanh.
    """
    first = predict_network(prediction.net, prediction.inputs[0], prediction.targets[0], theory=prediction.theory)
    most = float(_SHORT / np.abs(first.speeds[0]))
    if prediction.net.linear:
        reached = float(first.strengths(1.0)[0])
        most = reached if 0 < reached < np.inf else 1 / float(np.abs(first.speeds[0]))
        try:
            first.overlaps(most / _SAFE)
        except LearnedTooFar as error:
            most = _SAFE * error.largest
    return tuple(share * most for share in _SHARES)
