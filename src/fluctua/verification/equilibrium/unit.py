r"""The noise floor of a run from the run itself (F82, F83), and its mean gradient from where it went (F81).

The floor F is what the loss of a stationary run exceeds the least loss by. For a quadratic loss the excess is half the
mean of v . g, v the weights less the optimum and g the gradient of the batch. In the stationary state the storage of
|v|^2 and of v . u is zero, u torch's momentum buffer after the update, and with that the mean of v . g follows from
squares of the steps alone, for any noise. These are exact identities at any learning rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Rule"]


@dataclass(frozen=True)
class Rule:
    """The step of torch.optim.SGD: u = momentum u + (1 - dampening) g, and the weights lose lr u.

    Nesterov's step moves by s = g + momentum u instead. Arrays of NumPy and tensors are served alike.

    Attributes
    ----------
    lr, momentum, dampening : float
    nesterov : bool
    """

    lr: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    def floor(self, square: Any, product: Any = 0.0) -> Any:
        """Return what the floor is the mean of, from one step: |u|^2, and for Nesterov |s|^2 and s . u (F82, F83)."""
        if self.nesterov:
            beta = self.momentum
            return self.lr * ((1 - beta) / 4 * square + beta**2 / 2 * product)
        return self.lr / 4 * (1 + self.momentum) / self._kept * square

    @property
    def _kept(self) -> float:
        """What enters the buffer of a gradient; without momentum there is none, and torch ignores the dampening."""
        return 1 - self.dampening if self.momentum else 1.0

    @property
    def shares(self) -> tuple[Any, Any]:
        """What a block's gradients add up to: of its displacement, and of the change of the buffer (F81).

        The displacement is the weights at the block's start less those at its end. Weight decay is in the sum, as it is
        in the step.
        """
        beta, kept = self.momentum, self._kept
        return (1 - beta) / (self.lr * kept), beta**2 if self.nesterov else beta / kept

    def gradients(self, displacement: Any, buffers: Any = 0.0) -> Any:
        """Return the sum of a block's gradients (F81)."""
        of_displacement, of_buffers = self.shares
        return of_displacement * displacement + of_buffers * buffers
