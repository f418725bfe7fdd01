"""The monitor's hook as the last before each step: it sees gradients as they are applied, whoever clips them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from torch.optim import Optimizer

__all__ = ["LastHook"]


class LastHook:
    """A hook before each step that comes after those which were registered later.

    Torch calls hooks in the order in which they were registered, and that cannot be changed while it does so: it is
    changed after the step.
    """

    def __init__(self, optimizer: Optimizer, hook: Callable[..., Any]) -> None:
        self._optimizer, self._home = optimizer, hook.__module__
        self._handle = optimizer.register_step_pre_hook(hook)
        self._after: Any = None

    def come_last(self) -> bool:
        """Return whether hooks come later, as of now; from the next step on they come before.

        Those of other monitors are left where they are, since they change nothing.
        """
        if self._after is not None:
            self._after = self._after.remove()
        hooks = self._optimizer._optimizer_step_pre_hooks
        if next(reversed(hooks)) == self._handle.id:
            return False
        later = takewhile(lambda key: key != self._handle.id, reversed(hooks))
        if all(getattr(hooks[key], "__module__", "") == self._home for key in later):
            return False
        self._after = self._optimizer.register_step_post_hook(self._move)
        return True

    def _move(self, *_: Any) -> None:
        hooks: Any = self._optimizer._optimizer_step_pre_hooks
        if self._handle.id in hooks:
            hooks.move_to_end(self._handle.id)

    def remove(self) -> None:
        """Take it off the optimiser."""
        self._handle.remove()
        if self._after is not None:
            self._after.remove()
