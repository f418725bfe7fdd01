"""What the local picture of a head says: the numbers of one rung, stationary or at finite time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import JsonObject
from ..._validate.values import flag, real_number, step_list
from ..readings import kernel_relaxation, refuse_curve, spelled
from ..stable_limit import StableLimit
from .balance import Balance, LocalState
from .bent_way import on_the_way, ratio, until_settled
from .finite_time import LocalStart, followed, left_outside, mean_of, read_start, refuse_incomplete, warn_unstable_rates
from .ladder import EXPANDED, Bowl, LocalRung
from .own_error import EDGE, stated_error

__all__ = ["OUTSIDE", "LocalPrediction", "bowl_of"]

OUTSIDE = 0.3  # anharmonicity from which a floor is refused


def bowl_of(anharmonicity: float) -> Bowl:
    """Return where the weights live, as the anharmonicity says."""
    if not abs(anharmonicity) <= OUTSIDE:
        return "outside"
    return "edge" if abs(anharmonicity) > EDGE else "inside"


@dataclass(frozen=True, eq=False, repr=False)
class LocalPrediction(ByValue, Tabular):
    r"""What SGD's weights do around the optimum of a softmax or logistic head; made by `predict`.

    Every quantity is about V = W - W*, in the directions that the data can move, and is either stationary (`steps` is
    None) or at the given step, or averaged over the given steps. Losses are cross-entropies in nats.

    Attributes
    ----------
    balance : Balance
        Problem and recipe, and the states of all rungs.
    theory : str
        Rung of the ladder: the one asked for, or the one that the anharmonicity allows.
    state : LocalState
        S and E V in the modes, and the excess loss.
    steps : tuple of int, or None
        The steps it is at, or averaged over; None if it is stationary.
    start : LocalStart or None
        W(0) less W*; None for a start at W*, and if it is stationary.
    curve : ndarray, (t + 1,), or None
        Learning curve up to the last step, if `after` was asked for it.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.Softmax(data.inputs, data.labels)
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.3, batch_size=8, weight_decay=1e-2))
    >>> print(f"{prediction.excess_loss:.5f} {prediction.theory}, u {prediction.anharmonicity:.3f}, {prediction.bowl}")
    0.02654 anharmonic, u 0.026, inside
    """

    balance: Balance
    theory: LocalRung
    state: LocalState
    steps: tuple[int, ...] | None = None
    start: LocalStart | None = None
    curve: Array | None = None

    @property
    def when(self) -> str:
        """The time it is for, in words."""
        return "stationary" if self.steps is None else f"after {spelled(self.steps)} steps"

    @property
    def excess_loss(self) -> float:
        """E L(W) - L(W*)."""
        return self.state.excess_loss

    @property
    def excess_loss_error(self) -> float:
        """One standard error of it, of the draws that the Gaussian closure averages over; 0 on the other rungs."""
        return self.state.error

    @property
    def optimum(self) -> Array:
        """The minimiser W*, (c, d)."""
        return self.balance.minimum.weights

    @property
    def optimum_loss(self) -> float:
        """L(W*), weight decay included."""
        return self.balance.minimum.loss

    @property
    def curvatures(self) -> Array:
        """Eigenvalues h_p of H in the modes, largest first, (r,)."""
        return self.balance.picture.curvatures

    @property
    def modes(self) -> Array:
        """Eigenvectors for the curvatures: columns are weights flattened row by row, (c d, r)."""
        return self.balance.minimum.modes

    @property
    def mode_covariance(self) -> Array:
        """S = E[V V^T] in the modes, (r, r)."""
        return self.state.covariance

    @property
    def mode_variances(self) -> Array:
        """S_pp, (r,)."""
        return np.diag(self.state.covariance)

    @property
    def mode_mean(self) -> Array:
        """E V in the modes, (r,): on the upper rungs the mean is displaced from W*."""
        return self.state.mean

    @cached_property
    def covariance(self) -> Array:
        """S of the weights flattened row by row, (c d, c d), in the directions that the data can move."""
        return np.asarray(self.modes @ self.mode_covariance @ self.modes.T)

    @property
    def temperatures(self) -> Array:
        """T_p = h_p S_pp, the mode temperature, (r,): equal for all modes only in equilibrium."""
        return self.curvatures * self.mode_variances

    @property
    def relaxation_steps(self) -> Array:
        """Steps in which E V of a mode shrinks by e, (r,)."""
        return kernel_relaxation(self.balance.kernel(self.curvatures, self.theory))

    @property
    def anharmonicity(self) -> float:
        """The meter u = floor(anharmonic)/floor(multiplicative) - 1, found without a run (F75).

        What it does not see is in `stated_error`.
        """
        return self.balance.anharmonicity

    @cached_property
    def stated_error(self) -> float:
        """What the stationary floor may be off by, relative, as the theory itself says (F75); 0 where K is left out.

        The largest of u ("anharmonic" inside the bowl: u/4), of what fourth derivatives and of what the skewness of the
        noise add to the loss. With it `verify` judges.
        """
        return stated_error(self.balance, self.theory)

    @property
    def bowl(self) -> Bowl:
        """Where the weights live: "inside" the quadratic bowl (u to 10 %), at its "edge", or "outside" (above 30 %)."""
        return bowl_of(self.anharmonicity)

    @property
    def limit(self) -> StableLimit:
        """The rate of `max_stable_lr`, a crossover: above it the weights live outside the bowl; nothing diverges."""
        return self.balance.limit

    def after(
        self, steps: int | Sequence[int], *, start: ArrayLike | str = "optimum", rtol: float = 1e-4, curve: bool = False
    ) -> LocalPrediction:
        """Return the same quantities after `steps` steps, or averaged over a sequence of them (F78).

        The quadratic of H, with the noise C + K[S] and what a displaced mean adds to it, is followed exactly. From W*
        "anharmonic" and "closure" have on top what third derivatives have done by then (F168), to about a quarter of
        it. From elsewhere they are left out: the answer is that of "multiplicative".

        Parameters
        ----------
        steps : int or sequence of int
            0 is the start itself. In any order; a step that comes twice counts twice.
        start : "optimum", "zero" or array_like, (c, d)
            W(0), without spread; near enough to W* that the quadratic's loss there is off by at most 30 %.
        rtol : float
            Relative accuracy asked of every mode's variance.
        curve : bool
            Also keep E L(W_t) - L(W*) of every step up to the last, as `.curve`.

        Returns
        -------
        LocalPrediction
            At or averaged over `steps`.

        Raises
        ------
        InvalidInput
            For arguments out of range, for a start that is too far, and where so many steps do not fit into memory.
        NotConverged
            If the limit that a schedule's rates are compared with was not found to the accuracy stated.

        Warns
        -----
        UnstableRates
            Where a schedule's rate is above the limit at some step.

        Notes
        -----
        Cost: passes of 2 N c^2 d^2 flops, as many as `Prediction.after` takes.
        """
        asked = wanted = tuple(sorted(int(t) for t in step_list("steps", steps)))
        flag("curve", curve)
        tolerance = real_number("rtol", rtol, above=0.0)
        refuse_incomplete(self.balance)
        begin = read_start(self.balance.minimum, start)
        bends = self.theory in EXPANDED and (begin is None or begin.at_optimum)
        rung: LocalRung = "multiplicative" if self.theory in EXPANDED else self.theory
        warn_unstable_rates(self.balance, wanted[-1])
        if bends and not curve:
            wanted = until_settled(self.balance, float(self.relaxation_steps.max()), asked)
        if bends or curve:
            refuse_curve(wanted[-1])
        run = followed(self.balance, rung, begin, wanted[-1], tolerance)
        covariance, inside = run.average(wanted, 0.5 * self.curvatures if curve or bends else None)
        rest = float(left_outside(self.balance, rung, begin, np.array(asked)).mean())
        excess = float(0.5 * self.curvatures @ np.diag(covariance))
        found = LocalState(covariance, mean_of(run, begin, wanted), excess)
        if bends and np.isfinite(self.state.excess_loss):
            rung, found, inside = self._bent(found, inside, wanted)
        kept = inside + left_outside(self.balance, rung, begin, np.arange(wanted[-1] + 1)) if curve else None
        found = replace(found, excess_loss=found.excess_loss + rest)
        return replace(self, theory=rung, state=found, steps=asked, start=begin, curve=kept)

    def _bent(self, reached: LocalState, curve: Array, steps: tuple[int, ...]) -> tuple[LocalRung, LocalState, Array]:
        """What third derivatives make of "multiplicative" on the way from W* (F168), and of its curve on average."""
        states = self.state, self.balance.state("multiplicative")
        found = on_the_way(self.balance.sgd, self.curvatures, states, reached, curve, steps)
        return self.theory, found, curve * float(ratio(found.excess_loss, reached.excess_loss))

    def to_dict(self) -> JsonObject:
        """Return the scalars and the per-mode vectors as plain JSON types."""
        problem = self.balance.problem
        return {
            "theory": self.theory,
            "steps": None if self.steps is None else list(self.steps),
            "recipe": self.balance.sgd.to_dict(),
            **{name: getattr(problem, name) for name in ("samples", "features", "outputs", "rank", "ignored")},
            **{name: getattr(self, name) for name in ("optimum_loss", "excess_loss", "excess_loss_error")},
            "relative_excess_loss": self.excess_loss / self.optimum_loss,
            "accuracy": self.balance.minimum.accuracy,
            "anharmonicity": self.anharmonicity if np.isfinite(self.anharmonicity) else None,
            "stated_error": self.stated_error if np.isfinite(self.stated_error) else None,
            "bowl": self.bowl,
            **{name: getattr(self, name).tolist() for name in _PER_MODE},
        }

    def _tables(self) -> Tables:
        found: dict[str, Any] = {"modes": self._modes}
        if (curve := self.curve) is not None:
            found["curve"] = lambda: {"step": range(len(curve)), "excess_loss": curve}
        return found

    def _modes(self) -> Columns:
        named = {"curvature": "curvatures", "variance": "mode_variances", "temperature": "temperatures"}
        columns = {name: getattr(self, place) for name, place in named.items()}
        return {"mode": range(1, len(self.curvatures) + 1), **columns, "relaxation_steps": self.relaxation_steps}

    def _grids(self) -> Mapping[str, tuple[tuple[str, ...], Any]]:
        return {
            "mode_covariance": (("mode", "other_mode"), np.asarray(self.mode_covariance)),
            "modes": (("weight", "mode"), self.modes),
            "optimum": (("output", "input"), self.optimum),
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        said = {name: getattr(self, name) for name in ("theory", "when", "optimum_loss", "excess_loss", "bowl")}
        return {**said, "recipe": self.balance.sgd.words, "anharmonicity": self.anharmonicity}

    def __repr__(self) -> str:
        said = f"excess_loss={self.excess_loss:.6g}, u={self.anharmonicity:.1%}, {self.bowl}"
        return clipped(f"LocalPrediction({self.theory}, {self.when}: {said})")


_PER_MODE = ("curvatures", "mode_variances", "temperatures", "relaxation_steps")
