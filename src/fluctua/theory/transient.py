"""Finite time: the balance law F0 followed from any start, with few evaluations of its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from .._arrays import Array
from ..kernels.constant import Kernel
from ..kernels.thermal import Thermal
from ..kernels.time_varying import Course
from .asked import Asked
from .control import Controller, largest_change, loss_rtol
from .estimated_error import EstimatedError
from .interval import Reading
from .march import March, Stretch
from .overflow import overflowing, overflown
from .source import Source
from .spanned import SpannedSource
from .sweeps import Sweeps

__all__ = ["Reading", "Relaxation", "SourceOf", "largest_change"]

_EXACT = 1e-12  # relative, of what is not interpolated
_UNEVEN = 4.0  # of what intervals tell: errors with momentum or where rates move, at most; measured
_FINEST = 1e-5  # accuracy up to which a run is swept as a whole
_PIECE = 2**10  # steps of a curve at once

SourceOf = Callable[[Array, Array | None], Array]


@dataclass(frozen=True)
class Relaxation:
    r"""S(t) from S(0): F0 as a recursion, S(t+1) = m m S(t) + i G(t), G = kappa (C + K[S] + X(E V)).

    G costs a pass over the data and is smooth in log time; so it is evaluated at *nodes* only and interpolated between
    them by a cubic in log(1 + t), and the recursion is summed in closed form over pieces on which the interpolant is
    nearly a cubic in t. The source at the end of an interval is found at the S that extrapolation predicts, and again
    at the corrected S while the correction moves the source. An interval is accepted when, in every mode, the cubic and
    the parabola agree at its middle and the last correction was small, to a tolerance set by `rtol`; otherwise it is
    shortened. An error of the source comes back through K, amplified by the gain G/C, about 1/(1 - lr/max_stable_lr):
    the tolerance is divided by it. Intervals of one step are exact. Modes that overshoot (m < 0) make the source
    alternate, which no smooth interpolant follows: steps of one until they decay. Where the learning rate jumps the
    source has a corner, and the march begins anew.

    Parameters
    ----------
    kernel : Kernel or Course
    source : callable or ndarray, (r, r)
        (S, E V) -> G, or a constant, as on the discrete rung: then one interval reaches any time.
    noise : ndarray, (r, r)
        kappa C, the part of G that does not depend on the state.
    covariance : ndarray, (r, r)
        S(0), with the square of the mean.
    mean : ndarray, (c, r), or None
        E V(0); None is zero.
    rtol : float
        Relative accuracy wanted of each mode's variance. Measured on digits against every-step iteration (b = 1 to 8,
        lr up to 0.94 of the stability limit, both starts, rtol 1e-2 to 1e-6): at most 0.40 of it; with momentum and
        schedules on iris, wine and diabetes (rtol 1e-2 to 1e-4) at most 0.6. Closer than 1 % to the limit the gain is
        above what is controlled: up to 2.3 times rtol on heavy-tailed data at 0.999 of it.
    curvatures : ndarray, (r,), or None
        What weighs the modes in the loss; where they are given, and from rtol 1e-4 on, it is held to 1e-6.
    recalled : Source or SpannedSource or None
        What `source` belongs to. With one that recalls states, of many samples, all nodes are swept at once instead
        (`Sweeps`), where the source is smooth.
    thermal : Thermal or None
        What thermal noise adds, in closed form: S is the sum of both, and the source is taken at the sum.

    Notes
    -----
    Cost: one or two source evaluations per node; from W* at rtol 1e-3, about one node per doubling of time, more near
    the stability limit. Memory: about ten (r, r) float64 arrays, and as many states.
    """

    kernel: Kernel | Course
    source: SourceOf | Array
    noise: Array
    covariance: Array
    mean: Array | None
    rtol: float
    curvatures: Array | None = None
    recalled: Source | SpannedSource | None = None
    thermal: Thermal | None = None
    _reached: list[EstimatedError] = field(default_factory=list, repr=False, compare=False)
    _asked: list[int] = field(default_factory=list, repr=False, compare=False)

    @property
    def estimated_error(self) -> EstimatedError | None:
        """What the last question reached, as estimated; of a march, from what its intervals were accepted with."""
        return self._reached[-1] if self._reached else None

    def readings(self, steps: Sequence[int], form: Array) -> Array:
        """Return tr(form S(t)) at each of `steps`, (n,)."""
        wanted = np.asarray(steps)
        total = np.where(wanted == 0, np.vdot(form, self.covariance), 0.0)

        def traced(step: int, state: Array) -> Array:
            return np.where(wanted == step, np.vdot(form, self.observed(step, state)), 0.0)

        later = sorted({step for step in wanted.tolist() if step})
        if later and (swept := self._swept(later, curve=False)):
            for step, state in zip(later, swept.states(later), strict=True):
                total[wanted == step] = np.vdot(form, state)
        elif later:
            total = total + self.total(later, traced)
        return np.asarray(total + self._warm(steps, np.diag(form)))

    def _warm(self, steps: Sequence[int], form: Array) -> Array | float:
        """What thermal noise adds to the sum of `form`, (r,), times the variances at each of `steps`, (n,)."""
        return 0.0 if self.thermal is None or self.thermal.silent else self.thermal.read(steps, form)

    def total(self, stops: Sequence[int], read: Reading | None = None) -> Array:
        """Return the sum of what is read of the state at the sorted `stops`, all after the start; by default S."""
        with overflowing():
            return np.asarray(sum(stretch.passed for stretch in self._march(stops, read)))

    def observed(self, step: int, state: Array) -> Array:
        """S of a state, or the second moment of the average that is looked at, (r, r)."""
        del step
        return self.kernel.fold(state, observed=True)

    def average(self, steps: Sequence[int], observable: Array | None = None) -> tuple[Array, Array]:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them.

        Without an observable there is no curve, and time costs its logarithm.
        """
        wanted = sorted(int(t) for t in steps)
        later = [step for step in wanted if step]
        total = self.covariance * (len(wanted) - len(later))
        curve: list[Array] = [np.empty(0)] if observable is None else [self._begun(observable)]
        if later and (swept := self._swept(later, curve=observable is not None)):
            for state in swept.states(later):
                total += state
            curve += [] if observable is None else [_seen(observable, swept.variances())]
        elif later:
            with overflowing():
                for stretch in (march := self._march(later)):
                    total += stretch.passed
                    if observable is not None:
                        curve.append(_seen(observable, stretch.variances))
            self._reached.append(self._estimated(march.worst))
        losses = np.concatenate(curve)
        if self.thermal is not None and not self.thermal.silent:
            warm = self.thermal.variances(self.thermal.mean(wanted), shown=True)
            total += len(wanted) * np.diag(warm)
        if observable is not None:
            losses = losses + self._warm(range(len(losses)), observable)
        total /= len(wanted)
        return overflown(total), overflown(losses)

    @property
    def _heated(self) -> bool:
        """Whether there is thermal noise."""
        return self.thermal is not None and not self.thermal.silent

    def curve(self, last: int, observable: Array) -> Iterator[Array]:
        """Yield observable . S_pp(t) from t = 0 to `last`, an interval of the march after another."""
        begin = 0
        for piece in self._made(last, observable):
            yield piece + self._warm(range(begin, begin + len(piece)), observable)
            begin += len(piece)

    def _made(self, last: int, observable: Array) -> Iterator[Array]:
        """The same of what gradients make."""
        yield self._begun(observable)
        if last and (swept := self._swept([last], curve=True)):
            variances = swept.variances()
            while some := list(islice(variances, _PIECE)):
                yield np.array(some) @ observable
            return
        march: Iterator[Stretch] = iter(self._march([last]) if last else ())
        while True:
            with overflowing():
                stretch = next(march, None)
                piece = None if stretch is None else _seen(observable, stretch.variances)
            if piece is None:
                return
            yield overflown(piece)

    def _begun(self, observable: Array) -> Array:
        """Observable . S_pp(0), (1,)."""
        return np.array([observable @ np.diag(self.covariance)])

    def _swept(self, steps: Sequence[int], curve: bool) -> Sweeps | None:
        """The run swept as a whole up to the last of the sorted steps, where that can be done."""
        source, last = self.recalled, steps[-1]
        if not isinstance(source, SpannedSource) or self.rtol < _FINEST:
            return None
        asked, everywhere = Asked(source.minimum, source.witnesses, self.covariance), curve or steps[0] < last
        kappa, warm = source.source.kappa, self.thermal if self._heated else None
        found = Sweeps(self.kernel, asked, kappa, self.covariance, self.mean, self.rtol, last, everywhere, warm)
        with np.errstate(over="ignore", invalid="ignore"):
            solved = found.solve()
        self._asked.extend([1] * len(asked.felt))
        if not solved:
            return None
        self._reached.append(found.estimated_error)
        return found

    def _estimated(self, worst: float) -> EstimatedError:
        """What a march reached whose worst interval had this share of what is allowed."""
        fine = _EXACT if self.recalled is None else self.recalled.minimum.problem.precision
        passes = len(self._asked)
        if isinstance(self.recalled, SpannedSource):  # what it leaves out is not in the share
            worst, passes = max(worst, 1.0), passes + self.recalled.passes
        if worst and self._margin > 1:
            worst = max(worst, 1.0)
        return EstimatedError(max(worst * self.rtol, fine), max(worst * loss_rtol(self.rtol), fine), passes)

    @property
    def _margin(self) -> float:
        """What the errors that a march's intervals tell are multiplied by."""
        return _UNEVEN if isinstance(self.kernel, Course) or self.kernel.components > 1 else 1.0

    def _march(self, stops: Sequence[int], read: Reading | None = None) -> March:
        """From 0 to the last of the sorted `stops`, reading at them."""
        quiet = float(np.abs(np.diag(self.noise)).sum())
        control = Controller(self.kernel, self.rtol, quiet, self.curvatures, self._margin)
        varies, read = callable(self.source), self.observed if read is None else read
        return March(self.kernel, self.covariance, self._evaluate, varies, control, stops, read)

    def _evaluate(self, step: int, covariance: Array) -> Array:
        """G."""
        if not callable(self.source):
            return self.source
        if self._heated:
            assert self.thermal is not None
            covariance = covariance + np.diag(self.thermal.variances(self.thermal.after(step)))
        mean = None if self.mean is None else self.mean * self.kernel.drift(step)
        if isinstance(self.recalled, Source) and (mean is not None or covariance.any()):
            self._asked.append(step)
        return np.asarray(self.source(covariance, mean))


def _seen(observable: Array, variances: Iterator[Array]) -> Array:
    """Observable . S_pp of every step."""
    return np.fromiter((observable @ each for each in variances), np.float64)
