"""The last word on the best candidates: their losses by the law, in shuffled epochs also where the law is least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from ..errors import NotConverged
from ..recipe.sgd import SGD
from ..theory.law import Law
from ..theory.reshuffling.expansion import SOME
from ..theory.stability import max_stable_lr
from .candidates import Candidate
from .rates import edge, minimised
from .search import TOLERANCE, Search

__all__ = ["FINALISTS", "settled"]

FINALISTS, _MOST = 2, 4  # candidates whose loss is the law's: where not all are, at least, and at most
_APART, _AROUND = 0.3, 1.0  # of log lr: between two rates at which the estimate is corrected, and about the best
_LOOKS = 6  # rates of a candidate at which the law is asked, at most
_NEAR = 0.7  # share of an estimated limit from which on it is worth finding
_SEVERAL, _ONE = 6e8, 4e9  # work, half a minute and some 200 s, up to which the law is asked at several rates, or once
_OF_AN_EPOCH = 3e6  # work of an epoch of few samples
_ALIKE = 12  # epochs that are followed of a run whose steps are all alike, at most


def settled(search: Search, found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates, best first, with the losses of the best ones by the law on all samples and modes."""
    left = sorted(found, key=loss)
    if not left:
        return ()
    if not left[0].sgd.epochs:
        last = FINALISTS if search.thin else len(left)
        return (*sorted(map(search.settled, left[:last]), key=loss), *left[last:])
    known: list[Candidate] = []
    while left and (len(known) < FINALISTS or (len(known) < _MOST and left[0].loss < known[0].loss)):
        known = sorted([*known, _followed(search, left.pop(0))], key=loss)
    while (again := _within_limit(search, known[0])) is not known[0]:
        known = sorted([again, *known[1:]], key=loss)
    return (*known, *left)


def loss(one: Candidate) -> float:
    """What candidates are sorted by."""
    return one.loss


def _followed(search: Search, one: Candidate) -> Candidate:
    """Return a candidate in shuffled epochs where the law is least about what the estimate says, with its loss.

    Where the law costs more than a search is worth, the estimate stands.
    """
    work = _work(search, one.sgd)
    if work > _ONE:
        return one
    return _by_the_law(search, one) if search.thin or work > _SEVERAL else _corrected(search, one)


def _by_the_law(search: Search, one: Candidate) -> Candidate:
    """Return the candidate with its loss at its rate; infinite where the law does not converge."""
    try:
        return search.settled(one)
    except NotConverged:
        return replace(one, loss=np.inf)


def _work(search: Search, sgd: SGD) -> float:
    """What the law costs in shuffled epochs: epochs times samples times squared components, 5e-8 s each."""
    problem = search.whole
    epochs = ceil(search.steps / len(sgd.batch_sizes(problem.population)))
    if sgd.schedule is None:
        epochs = min(epochs, _ALIKE)
    passes = min(problem.samples, SOME // problem.rank) * (problem.rank * sgd.step.slots) ** 2
    return epochs * (float(passes) + _OF_AN_EPOCH * sgd.step.slots)


def _within_limit(search: Search, best: Candidate) -> Candidate:
    """Return the winner below the limit of epochs: the same, unless that of independent batches has misled."""
    sgd, estimated = best.sgd, search.limits[best.sgd.momentum]
    if (
        not np.isfinite(best.loss)
        or search.thin
        or estimated.method != "independent batches"
        or sgd.lr < _NEAR * estimated
    ):
        return best
    search.limits[sgd.momentum] = max_stable_lr(search.whole, sgd)
    if not best.at_edge and sgd.lr <= edge(sgd) * search.limits[sgd.momentum]:
        return best
    again = search.best(replace(sgd, schedule=None), best.shape)
    return _by_the_law(search, again) if again.at_edge else _followed(search, again)


def _corrected(search: Search, one: Candidate) -> Candidate:
    """Return the candidate at the rate with the least loss by the law, as far as the estimate and few laws tell.

    What the estimate is off by moves slowly with log lr: a line through the two rates nearest to the best, and the
    minimum of the estimate so corrected is looked at, until it is no further than the tolerance from a rate known.
    """
    looks = _Looks(search, one.sgd)
    top, place = search.top(one.sgd), float(np.log(one.sgd.lr))
    looks.at(place)
    looks.at(place + _APART if place + _APART <= top else place - _APART)
    while len(looks.losses) < _LOOKS and np.isfinite(looks.losses[looks.best][0]):
        place = looks.expected(top)
        if min(abs(place - each) for each in looks.losses) < TOLERANCE:
            break
        looks.at(place)
    best = looks.best
    found = replace(one, sgd=search.at(one.sgd, best), at_edge=min(place, best) > top - TOLERANCE)
    if Law(search.whole, found.sgd, "exact").epochs is not None:  # measured beside the expansion, or instead
        return _by_the_law(search, found)
    search.stages.ended()
    return replace(found, loss=looks.losses[best][0], exact=True)


class _Looks:
    """Losses of one candidate at several rates by the law, and by the estimate."""

    def __init__(self, search: Search, sgd: SGD) -> None:
        self.search, self.sgd = search, sgd
        self.losses: dict[float, tuple[float, float]] = {}

    def at(self, place: float) -> None:
        """Ask for the loss at a log rate."""
        sgd = self.search.at(self.sgd, place)
        try:
            known = self.search.loss(sgd, rough=True)
        except NotConverged:  # too near the limit
            known = np.inf
        self.losses[float(np.log(sgd.lr))] = known, self._estimate(sgd)

    def _estimate(self, sgd: SGD) -> float:
        return self.search.loss(sgd, settled=False)

    @property
    def best(self) -> float:
        """Log of the rate with the least loss so far."""
        return min(self.losses, key=lambda place: self.losses[place][0])

    def expected(self, top: float) -> float:
        """Return the log of the rate at which the corrected estimate is least."""
        best = self.best
        near = sorted((each for each in self.losses if np.isfinite(self.losses[each][0])), key=lambda x: abs(x - best))
        places = np.array(near[:2])
        errors = np.array([self.losses[each][0] - self.losses[each][1] for each in near[:2]])
        line = np.polynomial.Polynomial.fit(places, errors, len(places) - 1)

        def corrected(place: float) -> float:
            sgd = replace(self.sgd, lr=float(np.exp(place)))
            return float(np.nan_to_num(self._estimate(sgd) + line(place), nan=np.inf))

        high = min(best + _AROUND, top)
        place, least = minimised(corrected, best - _AROUND, high, TOLERANCE / 2)
        return high if high - place < TOLERANCE and corrected(high) < least else place
