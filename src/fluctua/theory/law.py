"""One rung of the ladder of theories for one recipe: its kernel, its source, its balance solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._arrays import Array
from ..errors import InvalidInput, NotConverged
from ..kernels.averaged import beside, phi_of_average
from ..kernels.constant import Kernel
from ..kernels.flow import langevin_flow
from ..kernels.momentum import step_kernel
from ..kernels.time_varying import Course, course
from ..problem.least_squares import LeastSquares, Minimum
from ..recipe.averages import EMA, Average
from ..recipe.sampling import FULL
from ..recipe.sgd import Recipe
from . import fixed_points as stationary
from .heated import Heated
from .ladder import FLOWS, QUIET, Rung
from .reshuffling.covered import refuse_beyond_shuffling
from .reshuffling.expansion import FEW_NODES, NODES, SOME, Shuffle
from .reshuffling.followed import FollowedRun
from .reshuffling.following import follow_epochs
from .reshuffling.loudness import crowding, overshoots
from .reshuffling.measured import MeasuredEpochs
from .reshuffling.orders import Orders, chosen_orders
from .reshuffling.resting import Resting, at_rest
from .reshuffling.stationary import Cycle
from .source import Source
from .spanned import recalling
from .stability import independent_limit
from .transient import Relaxation, SourceOf

__all__ = ["Law"]

_FLATTEST = 1e-12  # what an epoch takes from a mode at least, where it is measured
_NEAR = 0.7  # share of the limit of independent batches above which the expansion is checked, where that is cheap
_CROWDED, _UNSHARED = 0.07, 0.2  # crowding times share plus 0.2 from which it is, too: off by 5 % was met from there on
_ERRORS, _SLIGHT = 3, 0.03  # of the excess loss: what tells measured epochs from the expansion


@dataclass(frozen=True)
class Law(Heated):
    """The balance S = Theta + Phi o kappa (C + K[S]) on one rung of the ladder (F2, F7, F90).

    The "equilibrium" rung carries the exact balance: it keeps nothing of it but the excess loss. In shuffled epochs a
    `rough` law, of a search, is the expansion wherever not all epochs can be listed.
    """

    problem: LeastSquares
    sgd: Recipe
    rung: Rung
    average: Average | None = None
    rough: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", self.sgd.seen(self.problem))
        if self.sgd.epochs:
            refuse_beyond_shuffling(self.sgd, self.rung, self.problem)
        self.refuse_uncovered()

    @cached_property
    def minimum(self) -> Minimum:
        """W* and the noise there, at the recipe's weight decay."""
        return self.problem.minimum(self.sgd.weight_decay)

    @cached_property
    def source(self) -> Source:
        """The covariance of the gradient of one batch."""
        return Source(self.minimum, FULL if self.rung in QUIET else self.sgd.sampler, self.sgd.batch_size)

    @cached_property
    def kernel(self) -> Kernel:
        """What one step does to a pair of modes."""
        return self._kernel(self.minimum.curvatures)

    def motion(self, steps: int) -> Kernel | Course:
        """What the first `steps` steps do to a pair of modes."""
        return self._motion(self.minimum.curvatures, steps)

    def null_motion(self, steps: int) -> Kernel | Course:
        """What they do to a direction that no data point has: only weight decay moves it."""
        return self._motion(np.array([self.sgd.weight_decay]), steps)

    @cached_property
    def averaging(self) -> Average | None:
        """The average, updated every so many steps."""
        return None if self.average is None else self.average.in_steps(self.sgd, self.problem.population)

    @property
    def steady(self) -> bool:
        """Whether every step is like the one before, so that time has closed forms."""
        return self.sgd.schedule is None and (self.averaging is None or self._filters)

    @property
    def _filters(self) -> bool:
        """Whether an EMA is updated after every step."""
        return isinstance(self.averaging, EMA) and self.averaging.period == 1

    @property
    def moves(self) -> bool:
        """Whether a step may be unlike the one before: by a schedule, an average, or torch's first step."""
        return self.sgd.schedule is not None or self.average is not None or not self.sgd.step.begins_alike

    def _motion(self, curvatures: Array, steps: int) -> Kernel | Course:
        if self.steady:
            return self._kernel(curvatures)
        if self._flows:
            raise InvalidInput(
                "schedules and averages are of steps: use theory='exact' or 'discrete', not a flow in continuous time."
            )
        return self._course(curvatures, steps)

    def _course(self, curvatures: Array, steps: int) -> Course:
        for part in (self.sgd.schedule, self.averaging):
            if part is not None:
                part.refuse_beyond(steps)
        return course(curvatures, self.sgd, self.averaging, steps)

    def _kernel(self, curvatures: Array) -> Kernel:
        plain = self._step(curvatures)
        return beside(plain, self.averaging) if self._filters and isinstance(self.averaging, EMA) else plain

    def _step(self, curvatures: Array) -> Kernel:
        sgd = self.sgd
        if self._flows:  # overdamped: without inertia, momentum only changes the rate
            return langevin_flow(curvatures, sgd.step.effective_lr(sgd.lr))
        return step_kernel(curvatures, sgd.step, sgd.lr, diagonal=sgd.epochs)

    @property
    def _flows(self) -> bool:
        """Whether time is continuous on this rung."""
        return self.rung in FLOWS

    @cached_property
    def shuffle(self) -> Shuffle | None:
        """The law of one epoch, where batches come in shuffled ones."""
        if not self.sgd.epochs:
            return None
        sizes = self.sgd.batch_sizes(self.problem.population)
        nodes = NODES if self.problem.samples * self.problem.rank <= SOME else FEW_NODES
        plain = self._step(self.minimum.curvatures)
        return Shuffle(self.problem, self.minimum, plain, sizes, feels=self.feeds_back, nodes=nodes)

    @cached_property
    def cycle(self) -> Cycle | None:
        """Its stationary state."""
        return None if self.shuffle is None else Cycle(self.shuffle)

    @cached_property
    def measured(self) -> MeasuredEpochs | None:
        """Epochs as they are, in the place of the expansion: where few differ, or where it is seen to be off.

        It may be where samples are few or a few of them loud, where a small last batch overshoots, and near the
        stability limit. There random epochs are measured too, and taken where the excess losses differ by more than
        three standard errors and by more than single modes may be uncertain by: r standard errors, or 3 % if that is
        less. Below, single modes of the expansion are the better ones.
        """
        found = self.epochs
        return found if found is not None and (found.orders.listed or self._differs(found)) else None

    @cached_property
    def resting(self) -> Resting:
        """What a run in shuffled epochs comes to rest at."""
        assert self.cycle is not None
        return at_rest(self.sgd, self.averaging, self.cycle, self.measured)

    def settled_in_epochs(self, place: int | None) -> tuple[Array, Array]:
        """Stationary S and E V of what is looked at, (r, r) and (c, r): at a position, or averaged over the epoch."""
        return self.resting.settled_at(place)

    @cached_property
    def epochs(self) -> MeasuredEpochs | None:
        """Epochs as they are: all of them, or random ones where the expansion is to be checked with them."""
        if self.shuffle is None or not self.feeds_back:
            return None
        orders = self._orders
        if orders is None or not (orders.listed or (not self.rough and self.strained)):
            return None
        return MeasuredEpochs(self.problem, self.sgd, orders, self.shuffle.epoch)

    @property
    def strained(self) -> bool:
        """Whether the expansion of shuffled epochs may be off by more than a few per cent."""
        assert self.shuffle is not None
        if len(self.shuffle.sizes) == 1:  # independent batches: the expansion is exact
            return False
        crowded = crowding(self.problem, self.minimum.curvatures)
        if self.overshoots or crowded > _CROWDED / _UNSHARED:
            return True
        share = self.sgd.lr / independent_limit(self.problem, self.sgd)
        return share > _NEAR or crowded * (_UNSHARED + share) > _CROWDED

    @property
    def affordable(self) -> bool:
        """Whether epochs of this size can be measured."""
        return self._orders is not None

    @property
    def _orders(self) -> Orders | None:
        """Those of an epoch that can be measured; None also where it moves a mode by no more than rounding."""
        assert self.shuffle is not None
        flattest = float(np.abs(self.shuffle.slow.rate).min())  # negative beyond 2/h, where an epoch may still contract
        return chosen_orders(self.problem, self.sgd) if flattest > _FLATTEST else None

    def _differs(self, measured: MeasuredEpochs) -> bool:
        assert self.cycle is not None
        h = self.minimum.curvatures
        try:
            found = float(h @ np.diag(measured.settled_at(None)[0]))
            expanded = float(h @ np.diag(self.cycle.settled_at(None)[0]))
        except (stationary.NoStationaryState, NotConverged):
            return True
        single = min(len(h) * measured.error, _SLIGHT)
        return not (expanded > 0 and abs(np.log(expanded / found)) < max(_ERRORS * measured.error, single))

    @cached_property
    def overshoots(self) -> bool:
        """Whether a last batch of at most half the size could overshoot W*: eta max |x|^2/(1 - beta) > l."""
        assert self.shuffle is not None
        return overshoots(self.problem, self.shuffle.sizes, self.sgd.step.effective_lr(self.sgd.lr))

    @property
    def feeds_back(self) -> bool:
        """Whether the source depends on S."""
        return self.rung in ("exact", "equilibrium") and self.source.kappa > 0

    @property
    def noise(self) -> Array:
        """The source at W*, kappa C, (r, r); for "hessian" the common stand-in for it."""
        return self.source.noise if self.rung != "hessian" else self.source.noise_of_the_loss

    def source_at(self, covariance: Array) -> Array:
        """Return the source, (r, r), at S = `covariance`, if it depends on S on this rung."""
        return self.noise + self.source.feedback(covariance) if self.feeds_back else self.noise

    def solve(self, source: Array, steps: Sequence[int] | None, rtol: float) -> Array:
        """S of this balance with `source` in the place of kappa C: stationary, or from S = 0 averaged over `steps`."""
        if steps is not None:
            feeding = (lambda s, _: source + self.source.feedback(s)) if self.feeds_back else source
            return self._relaxation(feeding, source, None, max(steps), rtol).average(steps)[0]
        return self.stationary_state(source, self.problem.precision)

    def heat_after(self, steps: Sequence[int], rtol: float) -> Array:
        """S of thermal noise alone, averaged over `steps`, (r, r)."""
        source = (lambda s, _: self.source.feedback(s)) if self.feeds_back else np.zeros_like(self.noise)
        run = self._relaxation(source, self.source_at(self._theta()) - self.noise, None, max(steps), rtol)
        return replace(run, thermal=self.thermal).average(steps)[0]

    def stationary_state(self, source: Array, rtol: float) -> Array:
        """Stationary S with `source` in the place of kappa C, to a relative residual of `rtol`."""
        if not self.feeds_back:
            return self.kernel.stationary * source
        accuracy = max(rtol, self.problem.precision)
        return stationary.solve(self.kernel.stationary, source, self.source.feedback, rtol=accuracy)

    def odd_state(self, source: Array) -> Array:
        """Stationary S with an antisymmetric `source`, (r, r): there K[S] = -A S A, elementwise."""
        phi, a = self.kernel.stationary, self.problem.curvatures
        fed = self.source.centring(np.multiply.outer(a, a)) * self.feeds_back
        return np.asarray(phi * source / (1 - phi * fed))

    def averaged(self, covariance: Array) -> Array:
        """Stationary second moment of the average, given S of the weights: it is driven by the same source."""
        return self.averaged_source(self.source_at(covariance))

    def averaged_source(self, source: Array) -> Array:
        """What a stationary `source`, (r, r), leaves in the average; nothing in a mean over all time."""
        if not isinstance(self.averaging, EMA):
            return np.zeros_like(source)
        return phi_of_average(self._step(self.minimum.curvatures), self.averaging) * source

    def relaxation(self, mean: Array | None, steps: int, rtol: float) -> Relaxation | FollowedRun:
        """F0 over `steps` steps from E V(0) = `mean`, (c, r) or None for W*, without spread."""
        if self.shuffle is not None:
            ways = self._course(self.minimum.curvatures, int(steps)) if self.moves else None
            return follow_epochs(self.shuffle, self.at_most(steps).measured, ways, mean, rtol)
        recalled = recalling(self.source, rtol) if self.feeds_back else None
        source = self.noise if recalled is None else recalled.at
        run = self._relaxation(source, self.noise, mean, steps, rtol)
        return replace(run, recalled=recalled, thermal=self.thermal)

    def at_most(self, steps: int) -> Law:
        """The law with the largest rate of so many steps, held: there the expansion is at its worst."""
        largest = float(self.sgd.rates(np.arange(steps)).max(initial=0.0))
        if largest in (0.0, self.sgd.lr):
            return self
        return replace(self, sgd=replace(self.sgd, lr=largest, schedule=None))

    def _relaxation(
        self, source: SourceOf | Array, noise: Array, mean: Array | None, steps: int, rtol: float
    ) -> Relaxation:
        covariance = np.zeros((self.problem.rank,) * 2) if mean is None else mean.T @ mean
        tolerance = max(rtol, 10 * self.problem.precision)  # the products over samples are no finer
        return Relaxation(self.motion(int(steps)), source, noise, covariance, mean, tolerance, self.minimum.curvatures)
