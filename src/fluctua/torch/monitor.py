"""Whether a run has come to equilibrium at its learning rate, said while it trains, by hooks on the optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch.optim import Optimizer

from .._validate.values import choice, positive_int, real_number
from ..verification.equilibrium.looks import DRIFTING, EQUILIBRATED, UNDECIDED, decided, level
from .clock import Clock
from .evidence import Evidence, Gain, Look
from .hooks import Hooked, ordinarily
from .resume import RESUMED, copied, refuse_other, restored
from .scopes import KINDS
from .transfer import Gathered, gathered
from .windows import Piece

__all__ = ["EquilibriumMonitor"]


class EquilibriumMonitor(Hooked):
    r"""Say whether training on at this learning rate is worth it: drifting, undecided or equilibrated.

    At looks, a factor of 1.14 to 1.5 apart, two windows A = (t/2, 3t/4] and B = (3t/4, t] of the run are compared;
    t is the number of steps since the learning rate is what it is. The gain G = 2.3 W / F says by how many noise
    floors F the next doubling of training would lower the loss, W = 1/2 (w_A - w_B) . (g_A + g_B) (F80). No loss is
    evaluated. The state is "equilibrated" where G is below `delta`, and "drifting" where it is above, at the level of
    the look (F86); the levels add up to `alpha`.

    Everything attaches through a hook before ``optimizer.step``. After construction the monitor never raises
    in a training loop: it says "undecided" and, as `reason`, why.

    Assumptions: the optimiser alone moves the weights; the loss is near a quadratic within the windows. For Adam and
    AdamW the unit is local: half the covariance of weights and gradients within B (F84). It leaves out what is slower
    than a quarter of the run, and no identity backs it.

    Cost: one addition of the weights and one norm of the gradients every `every` steps; scalar products at looks only,
    and nothing is copied to the host between them. Memory: 1 copy of the weights (for Adam 3, with decoupled decay 4)
    and, up to 131,072 weights in a scope, at most 80 more of vectors of blocks; above that these are folded to 4,093
    numbers each (1.3 MB in all), by signs that are one copy more.

    A closure given to ``optimizer.step`` is refused, but for Lightning's: the state is "undecided", and `reason` says
    so. LBFGS is refused at once.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        ``SGD`` (momentum, dampening, Nesterov, maximize, weight decay), ``Adam`` or ``AdamW``, each also fused, foreach
        or capturable. Wrappers of Lightning and Accelerate are seen through.
    delta : float, optional
        Gain, in floors, below which a run counts as equilibrated.
    alpha : float, optional
        Probability of one false "equilibrated" or more in all looks at one learning rate; below 1/2.
    every : int, optional
        Steps from one sample of the weights to the next. The first look comes after ``129 * every`` steps; later where
        the momentum, or Adam's beta1, remembers more than ``every`` steps, since blocks are at least 4 / (1 - momentum)
        steps long.
    groups : {"global", "param_group", "tensor"}, optional
        What has a state of its own.
    sketch : {"auto"}, int or None, optional
        Numbers to which vectors are folded; None folds nothing, "auto" those of over 131,072 entries to 4,093. The
        error this makes is in the error bar.

    Raises
    ------
    InvalidInput
        For an optimiser whose step is not known, weights that are complex, distributed or not initialised, delta <= 0,
        alpha outside (0, 1/2), every < 1.
    UnknownName
        For other `groups`.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> monitor = fluctua.torch.EquilibriumMonitor(optimizer, delta=0.1)
    >>> monitor.state, monitor.reason
    ('undecided', 'the first look comes after 2064 steps at one learning rate; 0 have been made')
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        delta: float = 0.1,
        alpha: float = 0.01,
        every: int = 16,
        groups: str = "global",
        sketch: int | str | None = "auto",
    ) -> None:
        self._delta = real_number("delta", delta, above=0.0)
        self._alpha = real_number("alpha", alpha, above=0.0, below=0.5)
        width = sketch if sketch is None or sketch == "auto" else positive_int("sketch", sketch)
        given = positive_int("every", every), choice("groups", groups, KINDS), width
        self._looks: list[Look] = []
        self._states: dict[str, str] = {}
        self._resting: list[str] = []
        self._skipped, self._reason = 0, ""
        import_module("scipy.special")  # a look needs it, and comes within a training loop
        super().__init__(optimizer, *given)

    @property
    def state(self) -> str:
        """The state as of the last look: "drifting", "undecided" or "equilibrated".

        Of several groups all have to be equilibrated, and one that drifts is enough for "drifting". A group that stood
        still, without a gradient or at the learning rate 0, has no say.
        """
        self._settle()
        found = {state for name, state in self._states.items() if name not in self._resting} or {UNDECIDED}
        return DRIFTING if DRIFTING in found else UNDECIDED if UNDECIDED in found else EQUILIBRATED

    @property
    def states(self) -> Mapping[str, str]:
        """The state of each group by its name, empty before the first look."""
        self._settle()
        return dict(self._states)

    @property
    def reason(self) -> str:
        """Why the state is "undecided"; empty where it is not."""
        if self.state != UNDECIDED:
            return ""
        if self._reason:
            return self._reason
        made = self._steps - self._begun + (0 if self._clock is None else (self._clock.units + 1) * self._every)
        needed = self._first + self._every
        return f"the first look comes after {needed} steps at one learning rate; {made} have been made"

    @property
    def gain(self) -> Gain:
        """What the next doubling of training would lower the loss by, in floors, with its interval at the look's level.

        It is of all weights together, as are `floor` and `noise_scale`; NaN before the first look.
        """
        last = self._last()
        return Gain(math.nan, -math.inf, math.inf) if last is None else Gain(last.gain, last.low, last.high)

    @property
    def floor(self) -> float:
        """The noise floor F at the last look, in units of the loss; for Adam and AdamW the local unit."""
        last = self._last()
        return math.nan if last is None else last.floor

    @property
    def noise_scale(self) -> float:
        """The variance of a batch's gradient over the square of the mean gradient; in batches."""
        last = self._last()
        return math.nan if last is None else last.noise_scale

    @property
    def unit(self) -> str:
        """What gains are in units of: "floor", or for Adam and AdamW "local"."""
        return "local" if self._rules.local else "floor"

    @property
    def skipped(self) -> int:
        """Samples left out until the last look, as a gradient was not finite."""
        self._settle()
        return self._skipped

    @property
    def evidence(self) -> Evidence:
        """A row for each look and group; it has `to_dataframe` and `to_csv`."""
        self._settle()
        return Evidence(tuple(self._looks))

    def restart(self, reason: str = "") -> None:
        """Start the clock anew: the weights were moved by other means, or the loss has changed.

        A look that is due is not made: it would read the weights where they were moved to.

        Parameters
        ----------
        reason : str, optional
            Said as `reason` until the next look.
        """
        self._clock, self._states, self._reason, self._stopped = None, {}, str(reason), False
        self._mark(self._steps)

    @ordinarily
    def state_dict(self) -> dict[str, Any]:
        """Return all that later decisions depend on, for ``torch.save``: bit by bit the same after resuming."""
        self._settle()
        if not self._seen.in_place():
            self._changed()
        kept = {name: getattr(self, name) for name in RESUMED}
        clock = None if self._clock is None else {"shapes": self._clock.shapes, **self._clock.state()}
        looks = {name: list(values) for name, values in self.evidence.columns().items()}
        saved: dict[str, Any] = copied({**kept, **self._seen.state(), "clock": clock, "looks": looks})
        return saved

    @ordinarily
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of a monitor with the same arguments; load model and optimiser first.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        InvalidInput
            For the state of a monitor with other arguments or of other weights, or what is none.
        """
        refuse_other(self, state)
        clock = state["clock"]
        made = None if clock is None else self._new_clock(state["_seen"])
        if made is not None:
            restored(made, clock)
        for name in RESUMED:
            setattr(self, name, state[name])
        self._mark(self._begun)
        self._quiet = state["_quiet"]
        self._aim()
        self._seen.load(state)
        self._clock = made
        rows = zip(*state["looks"].values(), strict=True)
        self._looks = [Look(*row) for row in rows]

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again: copied or pickled together with its optimizer, which it watches anew."""
        options = {name: getattr(self, f"_{name}") for name in ("delta", "alpha", "every", "sketch")}
        return _made_again, (type(self), self.optimizer, {**options, "groups": self._kind}, self.state_dict())

    def __repr__(self) -> str:
        value, low, high = self.gain
        shown = self.reason if math.isnan(value) else f"gain {value:.3g} in [{low:.3g}, {high:.3g}]"
        return f"EquilibriumMonitor({self.state}: {shown})"

    def _last(self) -> Look | None:
        """The last look at all weights since the clock was started."""
        self._settle()
        return self._looks[-1] if self._states and self._looks else None

    def _look(self, clock: Clock, blocks: list[list[Piece]]) -> None:
        """Look, and begin anew where the windows are of no use."""
        found = gathered(blocks, clock.samples(blocks), clock.scopes, clock.factor)
        self._skipped += clock.missed()
        if clock.moved:  # its gradients were read off with another rate than they were applied with
            self._restart_at("the learning rate changed")
            return
        at = level(self._alpha, clock.windows.look - 1)
        looks = [self._concluded(each, clock, at) for each in found]
        self._looks += looks
        self._states = {each.name: look.state for each, look in zip(clock.scopes, looks, strict=False)}
        self._resting = [look.scope for look in looks if look.floor == 0 and look.work == 0]
        moving = [look for look in looks if look.scope not in self._resting] or looks
        self._reason = "; ".join(dict.fromkeys(look.reason for look in moving if look.reason))
        if not math.isfinite(looks[-1].work):
            self._restart_at(self._reason)

    def _restart_at(self, why: str) -> None:
        self.restart(f"{why}; the clock started anew at step {self._steps}")

    def _concluded(self, found: Gathered, clock: Clock, at: float) -> Look:
        read = found.read(local=self._rules.local)
        said = decided(read, self._delta, at)
        return Look(
            step=self._steps,
            clock=clock.units * self._every,
            scope=found.name,
            state=said.state,
            gain=said.gain,
            low=said.low,
            high=said.high,
            floor=float(read.floor),
            floor_error=float(read.floor_error),
            work=float(read.work),
            work_error=float(read.work_error),
            noise_scale=found.noise_scale,
            level=at,
            reason=said.reason,
        )


def _made_again(
    kind: type[EquilibriumMonitor], optimizer: Optimizer, options: Mapping[str, Any], state: Mapping[str, Any]
) -> EquilibriumMonitor:
    made = kind(optimizer, **options)
    made.load_state_dict(state)
    return made
