"""How much of a new output will be learned: by the law, foretold from the outputs that exist, and by training it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, standard_error
from .._validate.arguments import door
from .._validate.targets import values_of
from .._validate.values import as_array, positive_int, step_list
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..simulation.batches import Rng, seed_sequence
from ..simulation.fluctuating import Lagged, fluctuate, train_beside
from ..simulation.workers import workers_for
from ..theory.answers import predict
from .left_out import pseudo_values
from .shares import LearnedShare

__all__ = ["learned_share"]

_ENOUGH = 10  # rows of weights for each element of the regression, at least
_NOTHING = 1e-12  # of the lengths of both: an output that shares less with the inputs has nothing to be learned
_STILL = 1e-12  # variance of a mode, over the largest, below which it tells nothing


def learned_share(
    problem: LeastSquares,
    sgd: Recipe,
    new_targets: ArrayLike,
    steps: ArrayLike | int,
    *,
    replicas: int | None = None,
    rng: Rng = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> LearnedShare:
    r"""Say how much of a new output SGD will learn in so many steps, before it is trained.

    The mean of a new output's weights relaxes from zero as a fluctuation of the outputs that exist does (F20), so that
    their lagged covariances foretell it: E[V(t)^T V(t + k)] = S M^k gives M^k, and
    phi(k) = B (1 - M^k) H^-1 B^T/<f^2> with B = <f x^T> (F120). The foretelling looks at weights that fluctuate and at
    the inputs, and at no gradient of the new output.

    Parameters
    ----------
    problem : LeastSquares
        The data, with the outputs that exist.
    sgd : SGD
        The recipe; independent batches at a constant rate.
    new_targets : array_like, (N,) or (N, m)
        The new output f of each sample, or several: numbers, such as +1 and -1.
    steps : int or sequence of int
        After how many steps of training from zero.
    replicas : int, optional
        With it, so many runs of the outputs that exist foretell the share, and as many that train the new ones measure
        it. Without it there is no run.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way.
    threads : int, optional
        Worker threads; by default the cores this process may use.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    LearnedShare
        Exact, and with `replicas` foretold and measured.

    Raises
    ------
    InvalidInput
        For targets that are zero or that no input says anything of, for epochs and schedules, and for runs that are too
        few or that do not fluctuate.
    UnstableSGD
        If the recipe has no stationary state to fluctuate in.
    NotConverged
        If that state was not found to the accuracy stated.

    Notes
    -----
    Cost: without runs that of a `LeastSquares`; a run 4 b c r flops a step, five times as many steps as the longest of
    `steps`, and a regression of r modes.

    References
    ----------
    Kurikawa and Kaneko, Nat. Commun. 16 (2025), arXiv:2409.13597, ask it of neural networks; Onsager, Phys. Rev. 37,
    405 (1931), for the regression.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=200)
    >>> problem = fl.LeastSquares(data.inputs[:, 18:24], data.targets)
    >>> tall = data.inputs[:, 10] - data.inputs[:, 10].mean()
    >>> share = fl.learned_share(problem, fl.SGD(lr=0.02, batch_size=8), tall, steps=[10, 50], replicas=64, rng=1)
    >>> bool((abs(share.measured - share.exact) < 6 * share.measured_error).all())
    True
    """
    door(problem, sgd, progress=progress)
    counts = step_list("steps", steps)
    few = None if replicas is None else positive_int("replicas", replicas, minimum=2)
    root = seed_sequence(rng)
    new = New(problem, sgd, _beside(problem, new_targets))
    exact = LearnedShare(tuple(counts.tolist()), new.exact(counts), new.limit, identity={"recipe": sgd.to_dict()})
    if few is None:
        return exact
    return new.with_runs(exact, few, root, workers_for(threads), progress)


def _beside(problem: LeastSquares, new_targets: ArrayLike) -> LeastSquares:
    """The same inputs with the new outputs alone."""
    values = values_of("new_targets", as_array("new_targets", new_targets)).astype(np.float64)
    if len(values) != problem.samples:
        raise InvalidInput(f"new_targets must have a row for each of the {problem.samples} samples, got {len(values)}.")
    silent = np.flatnonzero(~values.any(axis=0))
    if len(silent):
        raise InvalidInput(f"new output {silent[0]} is zero for every sample: there is nothing to be learned of it.")
    if problem.sample_weight is not None:
        values = values * np.sqrt(problem.sample_weight)[:, None]
    return LeastSquares(problem.inputs, values, targets_are="values")


@dataclass(frozen=True)
class New:
    """New outputs beside those of a problem."""

    problem: LeastSquares
    sgd: Recipe
    outputs: LeastSquares

    def __post_init__(self) -> None:
        """Refuse what has no law in time, and outputs that no input says anything of."""
        predict(self.seen, self.sgd).response(1)
        length = np.sqrt(np.mean(np.square(self.seen.targets, dtype=np.float64), axis=0))
        told = np.sqrt(np.einsum("mp,p,mp->m", self.optimum, self.seen.curvatures, self.optimum))
        lost = np.flatnonzero(told <= _NOTHING * length)
        if len(lost):
            raise InvalidInput(
                f"new output {lost[0]} is orthogonal to every input: no linear model learns anything of it. Leave it "
                f"out, or add inputs that say something of it."
            )

    @cached_property
    def seen(self) -> LeastSquares:
        """As the batches descend it, in the modes of the outputs that exist."""
        found = self.sgd.seen(self.outputs)
        found.spectrum = self.sgd.seen(self.problem).spectrum
        return found

    @cached_property
    def optimum(self) -> Array:
        """Weights at which the new outputs end, in the modes, (m, r)."""
        return np.asarray(self.seen.minimum(self.sgd.weight_decay).mode_weights)

    @cached_property
    def gradient(self) -> Array:
        """B over <f^2>, (m, r): what weights in the modes have learned is their product with it."""
        h = self.seen.minimum(self.sgd.weight_decay).curvatures
        power = np.mean(np.square(self.seen.targets, dtype=np.float64), axis=0)
        return np.asarray(self.optimum * h / power[:, None])

    @cached_property
    def limit(self) -> Array:
        """The share that is learned in the end, (m,)."""
        return np.asarray(np.einsum("mp,mp->m", self.gradient, self.optimum))

    def exact(self, steps: Any) -> Array:
        """phi(k), (k, m)."""
        drift = predict(self.seen, self.sgd, check_stability=False).law.kernel.drift(steps)
        return np.asarray(np.einsum("mp,kp,mp->km", self.gradient, 1 - drift, self.optimum))

    def with_runs(
        self,
        share: LearnedShare,
        replicas: int,
        root: np.random.SeedSequence,
        threads: int,
        progress: Callable[[float], None] | None,
    ) -> LearnedShare:
        """The same with what runs foretell and measure."""
        problem = self.sgd.seen(self.problem)
        if self.sgd.sampling_factor(problem.samples) == 0:
            raise InvalidInput("full-batch gradient descent does not fluctuate: nothing can be foretold from it.")
        problem.minimum(self.sgd.weight_decay).refuse_interpolation()
        watched = Lagged.of(problem, self.sgd, share.steps, replicas)
        foretells = self.sgd.step.begins_alike
        if foretells:
            _refuse_few(watched)
        seeds = [np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, k)) for k in range(2)]
        learned = train_beside(self.seen, self.sgd, watched, seeds[1], threads, self.gradient, progress)
        found = fluctuate(problem, self.sgd, watched, seeds[0], threads, progress) if foretells else None
        identity = {"replicas": replicas, "entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}
        foretold = None if found is None else pseudo_values(found, self._foretold)
        return replace(
            share,
            foretold=None if foretold is None else foretold.mean(axis=0),
            foretold_error=None if foretold is None else standard_error(foretold),
            measured=learned.mean(axis=0),
            measured_error=standard_error(learned),
            identity={**share.identity, **identity},
        )

    def _foretold(self, now: Array, lagged: Array) -> Array:
        """phi(k) of S, (q, q), and of lagged covariances, (k, q, r), the state in the modes with its memory first."""
        size = np.sqrt(np.diag(now))
        rank = lagged.shape[-1]
        if (size[:rank] ** 2 <= _STILL**2 * size[:rank].max() ** 2).any():
            raise InvalidInput("a mode does not fluctuate, so that nothing can be foretold along it. Use fewer inputs.")
        unit = now / np.multiply.outer(size, size)
        moved = np.linalg.lstsq(unit, (lagged / size[:, None]).swapaxes(0, 1).reshape(len(now), -1), rcond=None)[0]
        decay = (moved.reshape(len(now), -1, rank) / size[:, None, None])[:rank]
        left = np.einsum("mp,pkq,mq->km", self.gradient, decay, self.optimum, optimize=True)
        return np.asarray(self.limit - left)


def _refuse_few(watched: Lagged) -> None:
    least = _ENOUGH * watched.width**2
    if watched.rows < least:
        raise InvalidInput(
            f"a regression of {watched.width} numbers at two times needs at least {least:,} pairs, and "
            f"{watched.replicas} replicas of {watched.outputs} outputs give {watched.rows:,}. Use at least "
            f"{-(-least * watched.replicas // watched.rows):,} replicas, or fewer inputs."
        )
