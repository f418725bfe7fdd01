"""A learning-rate scheduler that cuts when the monitor says that nothing is left to gain at the present rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .._results import ByValue, Tables, Tabular
from .._validate.values import instance, positive_int, real_number, shown
from ..errors import InvalidInput
from ..verification.equilibrium.looks import EQUILIBRATED
from .evidence import Look
from .monitor import EquilibriumMonitor
from .rates import held, nested, of_groups, put_rate
from .resume import copied
from .rules import unwrapped

__all__ = ["Cut", "Cuts", "EquilibriumLR"]

_LOG = logging.getLogger("fluctua.torch")
_OWN = ("last_epoch", "_agreed", "_last_look", "_finished", "_last_lr")


@dataclass(frozen=True)
class Cut:
    """A decision of the scheduler, with the look that led to it.

    Attributes
    ----------
    before, after : tuple of float
        Learning rate of each group.
    look : Look
        The look at all weights.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    look: Look


@dataclass(frozen=True, eq=False, repr=False)
class Cuts(ByValue, Tabular):
    """The decisions of a scheduler; made by `EquilibriumLR`.

    Attributes
    ----------
    cuts : tuple of Cut
        In the order of time; the last may have left every rate as it was, at `min_lr`.
    """

    cuts: tuple[Cut, ...]

    def __len__(self) -> int:
        return len(self.cuts)

    def __iter__(self) -> Iterator[Cut]:
        return iter(self.cuts)

    def _tables(self) -> Tables:
        return {"cuts": self._columns}

    def _columns(self) -> dict[str, list[Any]]:
        looks = {each.name: [getattr(cut.look, each.name) for cut in self.cuts] for each in fields(Look)}
        rates = {"before": [max(cut.before) for cut in self.cuts], "after": [max(cut.after) for cut in self.cuts]}
        return {"step": looks.pop("step"), **rates, **looks}

    def __repr__(self) -> str:
        return f"Cuts({len(self.cuts)} in all)"


class EquilibriumLR(LRScheduler):
    """Multiply the learning rate by a factor each time the monitor says "equilibrated".

    Call `step` as often as you like, after ``optimizer.step``: each step or each epoch. A cut multiplies the present
    rate of every group, its ``initial_lr``, and the base rates of `schedulers`, so that warm-up and torch's schedulers
    go on from there. It also starts the monitor's clock anew.

    Cost: nothing but a comparison, except at cuts.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        That of the monitor.
    monitor : EquilibriumMonitor
        What says whether anything is left to gain; of the same optimiser.
    factor : float, optional
        Between 0 and 1.
    min_lr : float or sequence of float, optional
        What no rate, or that of each group, is cut below.
    patience : int, optional
        Further looks in a row that have to agree before a cut; 0 cuts at the first. Those between two calls of `step`
        count as one, the last.
    schedulers : sequence of torch.optim.lr_scheduler.LRScheduler, optional
        Others of the same optimiser, which compute the rate from a base rate: LambdaLR, cosine, or a SequentialLR of
        such.

    Raises
    ------
    InvalidInput
        For another optimiser than the monitor's, a factor that is not between 0 and 1, a negative `min_lr`, and
        `schedulers` that are none of torch's or of another optimiser.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> monitor = fluctua.torch.EquilibriumMonitor(optimizer)
    >>> scheduler = fluctua.torch.EquilibriumLR(optimizer, monitor, factor=0.1, min_lr=1e-3)
    >>> scheduler.step()
    >>> scheduler.get_last_lr(), scheduler.finished
    ([0.1], False)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        monitor: EquilibriumMonitor,
        *,
        factor: float = 0.1,
        min_lr: float | Sequence[float] = 0.0,
        patience: int = 0,
        schedulers: Sequence[LRScheduler] = (),
    ) -> None:
        self.monitor = instance("monitor", monitor, EquilibriumMonitor, "an EquilibriumMonitor of the optimizer")
        self.optimizer = unwrapped(optimizer)
        if self.optimizer is not monitor.optimizer:
            raise InvalidInput("the monitor is of another optimizer: give both the same one.")
        self.factor = real_number("factor", factor, above=0.0, below=1.0)
        self.patience = positive_int("patience", patience, minimum=0)
        self._min_lr = of_groups("min_lr", min_lr, len(self.optimizer.param_groups))
        self._others = [one for each in held(schedulers, self.optimizer) for one in nested(each)]
        self.last_epoch, self._agreed, self._last_look, self._finished = 0, 0, 0, False
        self._cuts: list[Cut] = []
        self._told: Cut | None = None
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self._last_lr: list[Any] = self._rates()

    @property
    def finished(self) -> bool:
        """Whether the run is in equilibrium at the smallest rate: training on gains less than delta floors."""
        return self._finished

    @property
    def cuts(self) -> Cuts:
        """Every decision, with the look that led to it."""
        return Cuts(tuple(self._cuts))

    def get_last_lr(self) -> list[Any]:
        """Return the learning rate of each group, as of the last `step`."""
        return list(self._last_lr)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each group, now."""
        return list(self._rates())

    def step(self, epoch: int | None = None) -> None:
        """Cut where enough looks in a row said "equilibrated".

        Parameters
        ----------
        epoch : int, optional
            0 begins at the base rates, as SequentialLR does; other numbers mean nothing here.
        """
        if epoch == 0:
            self._begin()
        self.last_epoch += 1
        self._tell_undone()
        looks = len(self.monitor.evidence)
        if looks < self._last_look:  # of a monitor that began anew
            self._last_look = 0
        if looks > self._last_look:
            self._last_look = looks
            agrees = self.monitor.state == EQUILIBRATED and self.monitor._holds()
            self._agreed = self._agreed + 1 if agrees else 0
            if self._agreed > self.patience:
                self._cut(self.monitor.evidence[-1])
        self._last_lr = self._rates()

    def _tell_undone(self) -> None:
        """Say once where the rates are again what they were before the last cut."""
        last = self._cuts[-1] if self._cuts else None
        if last is None or last is self._told or last.before == last.after or tuple(self._rates()) != last.before:
            return
        self._told = last
        words = "the cut at step %d was undone: give the scheduler that computes the rate as schedulers=[...]"
        _LOG.warning(words, last.look.step)

    def _initial_step(self) -> None:
        """Do nothing: the rate is the optimiser's."""

    def _update_lr(self, epoch: int | None = None) -> None:
        """Begin: SequentialLR hands over by this with 0, or by ``step(0)``; how torch does it has changed."""
        if epoch == 0:
            self._begin()

    def _begin(self) -> None:
        """Set the base rates."""
        self.last_epoch = self._agreed = 0
        for group, rate in zip(self.optimizer.param_groups, self.base_lrs, strict=False):
            put_rate(group, float(rate))
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _cut(self, look: Look) -> None:
        """Multiply every rate that is above its least, and whatever rates are computed from."""
        before = self._rates()
        least = [*self._min_lr, *[self._min_lr[-1]] * (len(before) - len(self._min_lr))]
        after = [max(rate * self.factor, min(rate, low)) for rate, low in zip(before, least, strict=False)]
        cut = Cut(tuple(before), tuple(after), look)
        self._agreed = 0
        if after == before:
            if not self._finished:
                self._cuts.append(cut)
                _LOG.info("step %d: equilibrated at the smallest learning rate, gain %.3g floors", look.step, look.gain)
            self._finished = True
            return
        for place, ratio in enumerate(new / old if old else 1.0 for new, old in zip(after, before, strict=True)):
            self._multiply(place, before[place], after[place], ratio)
        self._cuts.append(cut)
        words = "step %d: learning rate %.6g to %.6g, gain %.3g floors in [%.3g, %.3g]"
        _LOG.info(words, look.step, max(before), max(after), look.gain, look.low, look.high)
        self.monitor.restart(f"the learning rate was cut at step {look.step}, and the clock started anew")

    def _multiply(self, place: int, before: float, after: float, ratio: float) -> None:
        group = self.optimizer.param_groups[place]
        put_rate(group, after)
        group["initial_lr"] = group.get("initial_lr", before) * ratio
        for each in (self, *self._others):
            if place < len(each.base_lrs):
                each.base_lrs[place] = each.base_lrs[place] * ratio

    def state_dict(self) -> dict[str, Any]:
        """Return what later decisions depend on; the monitor and other schedulers have a state of their own."""
        cuts = [{"before": each.before, "after": each.after, "look": asdict(each.look)} for each in self._cuts]
        return {**{name: getattr(self, name) for name in _OWN}, "base_lrs": list(self.base_lrs), "cuts": cuts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` returned.

        Raises
        ------
        InvalidInput
            For what is none.
        """
        if not isinstance(state_dict, Mapping) or not {*_OWN, "base_lrs", "cuts"} <= set(state_dict):
            raise InvalidInput(f"state_dict is not that of an EquilibriumLR: {shown(state_dict)}.")
        for name in (*_OWN, "base_lrs"):
            setattr(self, name, copied(state_dict[name]))
        self._cuts = [
            Cut(tuple(each["before"]), tuple(each["after"]), Look(**each["look"])) for each in state_dict["cuts"]
        ]
