"""What decides the steps of an optimiser, as it was last seen: settings, parameters, and what was otherwise since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from .clock import identity, settings

__all__ = ["SETTINGS", "Seen"]

SETTINGS = "the learning rate or another setting"
_PARAMETERS = "the list of parameters"
_TRAINED = "which parameters require gradients"

_rate = itemgetter("lr")
_trains = attrgetter("requires_grad")


class Seen:
    """Settings and parameters of an optimiser's groups, to be compared with those of now.

    Attributes
    ----------
    settings : tuple
        Of each group; a tensor stands for itself.
    rates : list
        The learning rates, which are compared at each step: they may come back before anything else is looked at.
    rate : float, tensor or None
        The very object that all of them are, where they are one.
    strayed : str
        What was otherwise in a step since; empty where nothing was.
    trained : list of bool or None
        Whether each parameter requires gradients, as of the first sample of a clock.
    """

    def __init__(self, optimizer: Optimizer, names: Sequence[str]) -> None:
        self._optimizer, self._names, self._read = optimizer, names, itemgetter(*names)
        self.strayed: str = ""
        self.trained: list[bool] | None = None
        self.take()

    def take(self, known: Any = None) -> None:
        """Remember how everything is; where they are given, the settings `known` in place of those of now."""
        groups = self._optimizer.param_groups
        now, place = settings(self._optimizer, self._names), self._names.index("lr")
        self.settings = now if known is None else known
        self.rates = [
            group["lr"] if isinstance(group["lr"], Tensor) else values[place]
            for group, values in zip(groups, self.settings, strict=False)
        ]
        first, *others = self.rates or [None]
        self.rate = first if all(each is first for each in others) else None
        self._tensors = any(isinstance(each, Tensor) for each in self.rates)
        self._identity, self._places = identity(self._optimizer), self._places_now()
        self._params = [each for group in groups for each in group["params"]]
        self._groups = [(self._read(group) if self.settings == now else None, self._ids(group)) for group in groups]
        self.strayed, self.trained = "", None

    def state(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"_seen": self.settings, "_strayed": self.strayed, "_trained": self.trained}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what was saved; settings that are others now are found changed where the unit ends."""
        self.take(state["_seen"])
        self.strayed, self.trained = state["_strayed"], state["_trained"]

    @staticmethod
    def _ids(group: dict[str, Any]) -> list[int]:
        return [*map(id, group["params"])]

    def _places_now(self) -> list[int]:
        return [each.data_ptr() for group in self._optimizer.param_groups for each in group["params"]]

    def follow(self) -> None:
        """Compare the learning rates that a step is made with."""
        try:
            if [*map(_rate, self._optimizer.param_groups)] == self.rates:
                return
        except Exception:  # tensors that cannot be compared are others
            pass
        self.strayed = self.strayed or SETTINGS

    def follow_trained(self) -> None:
        """Compare which parameters a step is made of: what begins to move has its way before it."""
        now = [*map(_trains, self._params)]
        if self.trained is None:
            self.trained = now
        elif now != self.trained:
            self.strayed = self.strayed or _TRAINED

    def unmoved(self) -> bool:
        """Whether settings and parameters are what they were, which is quickly said."""
        groups = self._optimizer.param_groups
        for group, (values, params) in zip(groups, self._groups, strict=False):
            if self._read(group) != values or self._ids(group) != params:
                return False
        if self._tensors and any(map(_replaced, map(_rate, groups), self.rates)):
            self.strayed = self.strayed or SETTINGS
        return not self.strayed and len(groups) == len(self._groups)

    def in_place(self) -> bool:
        """Whether the parameters have the memory that they had."""
        return self._places_now() == self._places

    def changed(self) -> str:
        """Return what has changed; empty where nothing has."""
        alike = [self._ids(group) for group in self._optimizer.param_groups] == [ids for _, ids in self._groups]
        if not alike or identity(self._optimizer) != self._identity:
            return _PARAMETERS
        return SETTINGS if settings(self._optimizer, self._names) != self.settings else self.strayed


def _replaced(rate: Any, before: Any) -> bool:
    """Whether another tensor has taken the place of a rate: what is written into it would not be seen."""
    return isinstance(before, Tensor) and rate is not before
