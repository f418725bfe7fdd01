"""What a probe asks of a softmax head: the theory of independent batches, and what shuffled epochs leave of noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import Array
from .._validate.starts import start_weights
from ..data import Dataset
from ..problem.softmax.base import Head
from ..recipe.sgd import SGD
from ..recipe.torch_loop.cross_entropy import HeadLoop
from ..recipe.torch_loop.layout import number
from ..theory.local.approach import noise_along
from ..theory.local.balance import Balance
from ..theory.local.epoch_error import overshoots
from ..theory.local.right import head_accuracy
from ..theory.local.shuffled import kept_share
from ..theory.probe import ExpectedAccuracy
from ..theory.stable_limit import StableLimit
from .candidates import Candidate, Plan
from .head_forecast import expected_end
from .probe_nouns import Found, _planned_with, found_of, limit_words, outputs_words, recipe_words
from .wanted import Wanted

__all__: list[str] = []

_SHUFFLED = 0.1
"""Of the noise: what the share of it that shuffled epochs leave may be off by, as other estimates of a plan."""


@_planned_with.register(Head)
def _independent(problem: Head, wanted: Wanted) -> Any:
    """Epochs are planned as the independent batches that they are nearest to."""
    del problem
    return "without_replacement" if wanted.sampling == "shuffle" else wanted.sampling


@found_of.register(Head)
def _found(problem: Head, plan: Plan, wanted: Wanted, data: Dataset, held_out: Dataset | None) -> Found:
    soft = data.labels is None
    ends = [_End(problem, one, plan.steps, wanted, soft) for one in plan.candidates]
    candidates = sorted((end.candidate for end in ends), key=lambda one: one.loss)
    (best,) = (end for end in ends if end.candidate is candidates[0])
    told = replace(plan, candidates=tuple(candidates))
    if soft:
        return Found(told, best.floor, None, None, None)
    other = None if held_out is None else best.accuracy(held_out)
    return Found(told, best.floor, None, best.accuracy(), other)


@limit_words.register(Head)
def _crossover(problem: Head, limit: StableLimit) -> str:
    del problem
    return f"lr {float(limit):.4g} is the crossover: above it the weights live outside the bowl, and nothing diverges"


@outputs_words.register(Head)
def _classes(problem: Head, data: Dataset) -> str:
    return data.targets_words if data.labels is not None else f"probabilities of {len(problem.classes)} classes"


@recipe_words.register(Head)
def _in_torch(problem: Head, sgd: SGD) -> str:
    del problem
    return f"nn.CrossEntropyLoss(): lr {number(sgd.lr)}, weight_decay {number(sgd.weight_decay)}"


class _End:
    """The end of a candidate's run, which a plan has for independent batches, as its sampling has it."""

    def __init__(self, problem: Head, planned: Candidate, steps: int, wanted: Wanted, soft: bool) -> None:
        self.balance, self.steps, self.soft = Balance(problem, planned.sgd), steps, soft
        self.planned, self.sgd = planned, replace(planned.sgd, sampling=wanted.sampling)

    def share(self, position: int | None = None) -> Array:
        """What each mode keeps of its variance."""
        h = self.balance.picture.curvatures
        if not self.sgd.epochs:
            return np.ones_like(h)
        return kept_share(h, self.sgd, self.balance.problem.population, position)

    @property
    def floor(self) -> float:
        """The noise floor, over an epoch where there are epochs."""
        state = self.balance.state("anharmonic")
        return state.excess_loss * self._felt(self.share())

    def _felt(self, share: Array) -> float:
        """The share of the noise's loss that is left."""
        losses = self.balance.picture.curvatures * np.diag(self.balance.state("multiplicative").covariance)
        return float(losses @ share / losses.sum()) if losses.any() else 1.0

    @cached_property
    def candidate(self) -> Candidate:
        """The candidate with its loop, which knows the loss at the end."""
        problem, minimum = self.balance.problem, self.balance.minimum
        noise = float(noise_along(self.balance, self.steps)[-1])
        end = expected_end(self.balance, self.steps, start_weights("zero", minimum.weights.shape))
        share = self.share(self.steps)
        left, path = noise * self._felt(share), end.excess_loss - noise
        loss = minimum.loss + path + left
        off = end.uncertainty * np.sqrt(left / noise) if noise else 0.0
        shuffled = _SHUFFLED * left if self.sgd.epochs else 0.0
        spread = float(np.linalg.norm([self._deviation(share, path), off, shuffled]))
        tails = self.sgd.epochs and overshoots(self.balance.picture, self.sgd)
        loop = HeadLoop.on(problem, self.sgd, self.steps)
        loop = replace(loop, soft=self.soft, expected=loss, spread=spread, tails=tails)
        return replace(self.planned, sgd=self.sgd, loss=loss, loop=loop)

    def _deviation(self, share: Array, path: float) -> float:
        """The standard deviation of the loss between runs, at most: of a Gaussian, and of a mean along its widest."""
        h, kept = self.balance.picture.curvatures, np.sqrt(share)
        state = self.balance.state("anharmonic").covariance
        felt = np.sqrt(h)[:, None] * kept[:, None] * state * kept * np.sqrt(h)
        return float(np.sqrt(0.5 * np.vdot(felt, felt) + 2 * max(path, 0.0) * np.linalg.norm(felt, 2)))

    def accuracy(self, data: Dataset | None = None) -> ExpectedAccuracy:
        """Of weights about W*, in the stationary state."""
        state = self.balance.state("anharmonic")
        given = () if data is None else (data.inputs, data.labels)
        return head_accuracy(self.balance, state, self.share(), *given)
