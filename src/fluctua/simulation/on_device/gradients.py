"""The gradient of some replicas in one step on a device: of batches, or of all samples.

It is about V = W - W*, with the residuals of W* as targets, as the compiled loop's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...problem.moments import blocks
from ..steppers import Setting
from .arithmetic import DeviceArithmetic

__all__ = ["Gradient", "OfAll", "OfBatch", "OnDevice"]

_ERRORS = 2**24  # of all samples, held at once


class OnDevice:
    """Rows, residuals and constants of a setting, sent to the device once.

    Parameters
    ----------
    setting : Setting
    arithmetic : DeviceArithmetic
    drawn : bool
        Whether the rows are to be drawn, each with its factor; otherwise they are as all samples are.

    Attributes
    ----------
    rows : Tensor, (N, d)
        Of 16 bits where the inputs are.
    factors : Tensor, (N, 1), or None
        Of rows of 16 bits.
    residuals : Tensor, (N, c)
    constant : Tensor, (c, d)
        What weight decay adds to every gradient at W*.
    """

    def __init__(self, setting: Setting, arithmetic: DeviceArithmetic, drawn: bool) -> None:
        self.setting, self.arithmetic, self.torch = setting, arithmetic, arithmetic.torch
        self.rows, self.factors = arithmetic.device.sent_rows(setting.inputs)
        self.residuals, self.constant = arithmetic.given(setting.residuals), arithmetic.given(setting.constant)
        self.dtype = self.constant.dtype
        if drawn and setting.problem.importance is not None:
            self._weigh(arithmetic.given(np.sqrt(setting.problem.importance)[:, None], setting.dtype))

    def _weigh(self, root: Any) -> None:
        """Multiply rows and residuals by sqrt(rho): their gradient is what a draw of one adds."""
        self.residuals *= root
        if self.rows.dtype == self.dtype:
            self.rows *= root
        else:
            self.factors = root if self.factors is None else self.factors * root

    def room(self, *shape: int) -> Any:
        """Return room for numbers of the runs' precision."""
        return self.arithmetic.empty(*shape, dtype=self.setting.dtype)

    def some(self, rows: slice) -> Any:
        """Return consecutive rows in the precision of the runs."""
        wide = self.rows[rows].to(self.dtype)
        return wide if self.factors is None else wide * self.factors[rows].to(self.dtype)


class Gradient(ABC):
    """What a step does with what was drawn for it.

    Attributes
    ----------
    group : int
        Replicas that are handled at once.
    """

    group: int

    @abstractmethod
    def add(self, drawn: Any, v: Any, g: Any, kept: float) -> None:
        """Set g to the gradient of the loss at V, (n, c, d), given what n replicas drew, and `kept` of what g was.

        Of 0 times what it was nothing is left, whatever that is.
        """


class OfBatch(Gradient):
    """Of a batch: its samples are drawn, (n, b).

    Rows are gathered for as many replicas as a cache holds the rows of, so that memory is read once for both products.
    """

    def __init__(self, data: OnDevice, replicas: int, size: int) -> None:
        self.data, self.size, (outputs, features) = data, size, data.constant.shape
        width = 2.0 * size * features * data.setting.dtype.itemsize
        self.group = _even(replicas, data.arithmetic.device.cache / width)
        self._rows, self._errors = data.room(self.group * size, features), data.room(self.group * size, outputs)
        self._narrow = None if data.rows.dtype == data.dtype else self._rows.to(data.rows.dtype)
        self._factors = None if data.factors is None else data.factors.new_empty(self.group * size, 1)

    def add(self, drawn: Any, v: Any, g: Any, kept: float) -> None:
        """4 n b c d flops; n b rows are read from memory once."""
        index, count = drawn.reshape(-1), drawn.numel()
        x, e = (each[:count].view(len(drawn), self.size, -1) for each in (self._rows, self._errors))
        self._gather(index, count)
        self.data.torch.index_select(self.data.residuals, 0, index, out=self._errors[:count])
        e.baddbmm_(x, v.transpose(1, 2))
        g.baddbmm_(e.transpose(1, 2), x, beta=kept, alpha=1 / self.size)

    def _gather(self, index: Any, count: int) -> None:
        wide, torch = self._rows[:count], self.data.torch
        narrow = wide if self._narrow is None else self._narrow[:count]
        torch.index_select(self.data.rows, 0, index, out=narrow)
        if narrow is not wide:
            wide.copy_(narrow)
        if self._factors is not None:
            torch.index_select(self.data.factors, 0, index, out=self._factors[:count])
            wide.mul_(self._factors[:count])


class OfAll(Gradient):
    """Of all rows: nothing is drawn."""

    def __init__(self, data: OnDevice, replicas: int) -> None:
        self.data, (self.outputs, features) = data, data.constant.shape
        self._blocks = list(blocks(len(data.rows), features))
        rows = min(len(data.rows), self._blocks[0].stop)
        self.group = _even(replicas, _ERRORS / (self.outputs * rows))

    def add(self, drawn: Any, v: Any, g: Any, kept: float) -> None:
        """4 n N c d flops."""
        del drawn
        flat, out, torch = v.reshape(-1, v.shape[-1]), g.view(-1, g.shape[-1]), self.data.torch
        for rows in self._blocks:
            x, answers = self.data.some(rows), self.data.residuals[rows]
            errors = torch.addmm(answers.T.repeat(len(v), 1), flat, x.T)
            out.addmm_(errors, x, beta=kept, alpha=1 / len(self.data.rows))
            kept = 1.0


def _even(replicas: int, most: float) -> int:
    """Replicas of a group: at most so many, and all groups but the last alike."""
    groups = -(-replicas // max(1, int(most)))
    return -(-replicas // groups)
