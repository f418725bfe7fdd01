"""How the reduced balance is found: the solutions that it is of, and what it misses at settings in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged, UnstableSGD
from ...problem.least_squares import LeastSquares
from ...problem.minimum import Minimum
from ...problem.subsample import part, part_of_all
from ...recipe.sgd import SGD, Recipe
from ...theory.answers import predict
from ...theory.stability import max_stable_lr
from .balance import ReducedBalance, triangle

__all__ = ["reduced_balance"]

_SHARES = (0.3, 0.9)  # of the limit, of what is solved
_BATCHES, _MOMENTA = (1, 8, 100), (0.0, 0.5, 0.9)
_BASIS = 18  # solutions that are kept
_NEW = 1e-7  # of a solution, from which it has something new
_NOISE = 1e-5  # of C, left out of its sums
_MODES, _WORK, _FEWEST = 128, 1e8, 2000  # modes, and samples times modes^2, kept of a large problem; samples at least
_CHECKS, _CLOSEST, _MOST_MOMENTUM = 8, 0.95, 0.95  # settings checked; the largest share of the limit among them
_SAFETY, _LEAST = 4.0, 5e-4  # of the stated errors over the largest that the checks met; the least that is stated


def reduced_balance(
    problem: LeastSquares, weight_decays: Array, own: Recipe, progress: Callable[[float], None] | None = None
) -> ReducedBalance | None:
    """Return the balance for these weight decays; None where there is no noise, or no solution was found.

    The solution of the recipe `own` is among those that it is of. `progress` is called with the fraction done.

    Cost: some forty K, and eight predictions and limits, on at most 128 modes and some thousand samples, the steepest
    modes of a random part of a large problem: half a second on digits.
    """
    if problem.minimum().interpolates or problem.samples < 3:
        return None
    try:
        with np.errstate(divide="ignore"):
            found = _Reduction(problem, weight_decays, own, progress or (lambda _: None)).checked()
    except (UnstableSGD, NotConverged, np.linalg.LinAlgError):
        return None
    return found if np.isfinite([found.limit_error, found.floor_error]).all() else None


@dataclass
class _Reduction:
    """Solutions, one after another, each from those before it."""

    problem: LeastSquares
    weight_decays: Array
    own: Recipe
    progress: Callable[[float], None]

    def __post_init__(self) -> None:
        self.curvatures = self.parts[0].curvatures
        self.scale = np.sqrt(np.multiply.outer(self.curvatures, self.curvatures)).ravel()
        self.vectors, self.images = (np.empty((0, self.scale.size)) for _ in range(2))
        self.solutions: list[Array] = []

    @cached_property
    def parts(self) -> list[LeastSquares]:
        """The problem, or the steepest modes of some of its samples, with its minimum at each weight decay."""
        rank, modes = self.problem.rank, min(_MODES, self.problem.rank)
        samples = int(max(_WORK / modes**2, _FEWEST))
        if rank <= _MODES and self.problem.samples <= samples:
            return [self.problem] * len(self.weight_decays)
        some, bare = part(self.problem, self.problem.minimum(0.0), samples, own_noise=True)  # with W* of all of them
        minima = [Minimum(some, float(gamma)) if gamma else bare for gamma in self.weight_decays]
        return [part_of_all(some, minima, samples, slice(0, modes))] * len(minima)

    @cached_property
    def noises(self) -> Array:
        """C at each weight decay, (g, n)."""
        pairs = zip(self.parts, self.weight_decays, strict=True)
        return np.array([triangle(each.minimum(float(gamma)).noise) for each, gamma in pairs])

    @cached_property
    def _few_noises(self) -> tuple[Array, Array, Array]:
        """The scale, (n,), and noises in units of it of which C at each weight decay is the sum with some shares."""
        scale = triangle(self.scale.reshape((len(self.curvatures),) * 2))
        return scale, *_few(self.noises / scale)

    def checked(self) -> ReducedBalance:
        """Return the balance with its errors."""
        balance = self._solved()
        share, limits, floors = np.array([self._miss(balance, i) for i in range(1, _CHECKS + 1)]).T
        limit = max(_SAFETY * float(limits.max()), _LEAST)
        floor = max(_SAFETY * float(np.max(floors - limits.max() * share / (1 - share))), _LEAST)
        thin = {name: getattr(balance, name).astype(np.float32) for name in ("images", "noises")}
        return replace(balance, **thin, limit_error=limit, floor_error=floor, checks=_CHECKS)

    # -- the basis -----------------------------------------------------------------------------------------------------

    def _solved(self) -> ReducedBalance:
        self._add(np.eye(len(self.curvatures)))
        settings = self._settings()
        for done, (sgd, place, shares) in enumerate(settings):
            self.progress(done / (len(settings) + _CHECKS))
            self._solve(sgd, place, shares)
        balance = self._balance(_BASIS)
        for sgd, place, _ in settings:
            balance, _ = self._sound(balance, sgd, place)
        return balance

    def _sound(self, balance: ReducedBalance, sgd: Recipe, place: int) -> tuple[ReducedBalance, float]:
        """The balance without poles of its own below the limit of a recipe, and that limit."""
        kappa = sgd.sampling_factor(self.problem.population)
        return balance.sound(sgd.step, kappa, sgd.weight_decay, place)

    def _settings(self) -> list[tuple[Recipe, int, tuple[float, ...]]]:
        """What is solved: a recipe, the place of its weight decay, and shares of the limit; none for its own rate."""
        high = int(np.searchsorted(self.weight_decays, 0.3 * self.weight_decays[-1]))
        sizes = sorted({min(b, max(self.problem.samples // 3, 1)) for b in _BATCHES})
        some = product(sizes, _MOMENTA, (0, high))
        grid: list[tuple[Recipe, int, tuple[float, ...]]] = [
            (SGD(1.0, b, momentum=beta, weight_decay=float(self.weight_decays[place])), place, _SHARES)
            for b, beta, place in some
        ]
        return [*grid, (self.own, int(np.flatnonzero(self.weight_decays == self.own.weight_decay)[0]), ())]

    def _solve(self, sgd: Recipe, place: int, shares: tuple[float, ...]) -> None:
        gamma, kappa = float(self.weight_decays[place]), sgd.sampling_factor(self.problem.population)
        if kappa <= 0:
            return
        for share in shares or (0.0,):
            balance, limit = self._sound(self._balance(len(self.vectors)), sgd, place)
            lr = share * limit if share else sgd.lr
            if lr < limit:
                self._add(balance.solution(sgd.step, lr, kappa, gamma, self.noises[place]))

    def _add(self, solution: Array) -> None:
        """Add what is new in a solution; a matrix S counts as A^(1/2) S A^(1/2), as samples feel it."""
        flat = self.scale * solution.ravel()
        flat = flat / np.linalg.norm(flat)
        self.solutions.append(flat)
        for _ in range(2):
            flat = flat - (self.vectors @ flat) @ self.vectors
        if (size := float(np.linalg.norm(flat))) > _NEW:
            flat = flat / size
            image = self.parts[0].feedback((flat / self.scale).reshape(solution.shape)).ravel() / self.scale
            self.vectors, self.images = np.vstack([self.vectors, flat]), np.vstack([self.images, image])

    def _balance(self, count: int) -> ReducedBalance:
        """The balance along the `count` directions that the solutions so far have most of."""
        places = np.array(self.solutions) @ self.vectors.T
        kept = np.linalg.svd(places, full_matrices=False)[2][:count]
        vectors, images = kept @ self.vectors, kept @ self.images
        products, shape = vectors @ images.T, (len(kept), *(len(self.curvatures),) * 2)
        scale, noises, shares = self._few_noises
        return ReducedBalance(
            curvatures=self.curvatures,
            images=triangle((images * self.scale).reshape(shape)),
            products=0.5 * (products + products.T),
            noises=noises * scale,
            noise_shares=shares,
            weight_decays=self.weight_decays,
            samples=self.parts[0].samples,
        )

    # -- its errors ----------------------------------------------------------------------------------------------------

    def _miss(self, balance: ReducedBalance, i: int) -> tuple[float, float, float]:
        """A share of the limit, and relative errors of limit and floor: between the settings, by Halton's sequence."""
        share, size, inertia, decay = (_mirrored(i, base) for base in (2, 3, 5, 7))
        place, share = int(decay * len(self.weight_decays)), _CLOSEST * share
        most = float(max(min(_BATCHES[-1], self.problem.samples // 2), 1))
        momentum = float(-np.expm1(inertia * np.log1p(-_MOST_MOMENTUM)))
        self.progress(1 - (_CHECKS - i + 1) / (_CHECKS + len(self.solutions)))
        sgd = SGD(1.0, int(most**size), momentum=momentum, weight_decay=float(self.weight_decays[place]))
        part, kappa = self.parts[place], sgd.sampling_factor(self.problem.population)
        limit = max_stable_lr(part, sgd)
        found = balance.limit(sgd.step, kappa, sgd.weight_decay, place)
        there = replace(sgd, lr=share * limit)
        exact, discrete = predict(part, there).excess_loss, predict(part, there, theory="discrete").excess_loss
        ratio = 1 + balance.feedback(sgd.step, there.lr, kappa, sgd.weight_decay, place)
        return share, abs(found / limit - 1), abs(ratio * discrete / exact - 1)


def _few(rows: Array) -> tuple[Array, Array]:
    """Few rows, and the shares of them in each of `rows`, to a part in ten million of the largest."""
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    count = int(np.count_nonzero(sizes > _NOISE * sizes[0]))
    return right[:count], left[:, :count] * sizes[:count]


def _mirrored(i: int, base: int) -> float:
    """The digits of i mirrored at the point."""
    out, digit = 0.0, 1.0 / base
    while i:
        out, i, digit = out + digit * (i % base), i // base, digit / base
    return out
