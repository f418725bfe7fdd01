"""The loss of a network as a function of one flat vector of its parameters, with the derivatives that theory asks for.

Nothing here touches the module: its parameters and buffers are copied, and torch's public `torch.func` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from .._arrays import Array

__all__ = ["Objective", "flat_parameters"]

LossFunction = Callable[[Any, Tensor], Tensor]
_BLOCK = 1024  # samples of one pass
_ROUNDED = 1e3  # epsilons of the weights, up to which a gradient may be rounding
_HELD = 2**26  # bytes of the gradients of single samples, or of replicas, that are held at once


@dataclass(frozen=True, eq=False)
class Objective:
    """L(W) = <loss(model(x), y)> + gamma/2 |W|^2 over samples that are held, in a copy of a network at rest.

    Attributes
    ----------
    model : nn.Module
        Called with other parameters by `torch.func.functional_call`, and left as it is.
    loss : callable
        (outputs, targets) -> the mean over the samples of a batch.
    weights : Tensor, (n,)
        The parameters that train, one after another.
    fixed : dict of str to Tensor
        Buffers, and parameters that do not train.
    shapes : dict of str to torch.Size
        Those of the parameters that train, in their order.
    inputs, targets : Tensor, (N, ...)
    weight_decay : float
        gamma.
    """

    model: nn.Module
    loss: LossFunction
    weights: Tensor
    fixed: dict[str, Tensor]
    shapes: dict[str, torch.Size]
    inputs: Tensor
    targets: Tensor
    weight_decay: float = 0.0

    @property
    def samples(self) -> int:
        """The number of samples, N."""
        return len(self.inputs)

    @property
    def parameters(self) -> int:
        """The number of parameters that train, n."""
        return len(self.weights)

    @property
    def precision(self) -> float:
        """Relative rounding of the arithmetic."""
        return float(torch.finfo(self.weights.dtype).eps)

    @property
    def rounding(self) -> float:
        """Norm of a gradient up to which it may be rounding alone."""
        return _ROUNDED * self.precision * (1 + float(self.weights.norm()))

    def vector(self, values: Array) -> Tensor:
        """Return values of NumPy's as the network's arithmetic has them."""
        return torch.as_tensor(np.ascontiguousarray(values)).to(self.weights)

    def of_batch(self, weights: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch at flat `weights`, without the weight decay."""
        pieces = weights.split([shape.numel() for shape in self.shapes.values()])
        named = {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}
        return self.loss(functional_call(self.model, {**self.fixed, **named}, (inputs,)), targets)

    def of_sample(self, weights: Tensor, one: Tensor, target: Tensor) -> Tensor:
        """The loss of one sample."""
        return self.of_batch(weights, one[None], target[None])

    def blocks(self, size: int = _BLOCK) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of some samples after another."""
        for start in range(0, self.samples, size):
            yield self.inputs[start : start + size], self.targets[start : start + size]

    def value(self, weights: Tensor) -> float:
        """L, summed in double precision."""
        with torch.no_grad():
            total = sum(float(self.of_batch(weights, x, y)) * len(x) for x, y in self.blocks())
        return total / self.samples + 0.5 * self.weight_decay * float(weights.double() @ weights.double())

    def gradient(self, weights: Tensor) -> Tensor:
        """Its gradient, (n,)."""
        total = self._mean(lambda x, y: grad(self.of_batch)(weights, x, y))
        return total + self.weight_decay * weights

    def curvature(self, weights: Tensor, direction: Tensor) -> Tensor:
        """H `direction`, (n,): forward over reverse, or reverse over reverse where torch has no forward derivative."""
        return self._mean(partial(self.along_of_batch, weights, direction)) + self.weight_decay * direction

    def along_of_batch(self, weights: Tensor, direction: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The Hessian of a batch's loss times `direction`, without the weight decay."""
        return self._along(lambda w: grad(self.of_batch)(w, x, y), weights, direction)

    def _along(self, slope: Callable[[Tensor], Tensor], weights: Tensor, direction: Tensor) -> Tensor:
        """The derivative of a gradient along a direction."""
        if self._forward:
            return jvp(slope, (weights,), (direction,))[1]
        return grad(lambda w: slope(w) @ direction)(weights)

    @cached_property
    def _forward(self) -> bool:
        """Whether torch differentiates this gradient forward: some operations, `mse_loss` among them, it does not."""
        x, y = self.inputs[:1], self.targets[:1]
        try:
            jvp(lambda w: grad(self.of_batch)(w, x, y), (self.weights,), (self.weights,))
        except RuntimeError:  # NotImplementedError is one
            return False
        return True

    def _mean(self, of_block: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A mean over all samples of what is a mean over those of a block."""
        total = torch.zeros_like(self.weights)
        for x, y in self.blocks():
            total += of_block(x, y).detach() * (len(x) / self.samples)
        return total

    def sample_gradients(self, weights: Tensor) -> Iterator[Tensor]:
        """Yield the gradients of single samples in blocks, (m, n), without the weight decay."""
        gradients = vmap(grad(self.of_sample), (None, 0, 0))
        for x, y in self.blocks(self._held(self.parameters)):
            yield gradients(weights, x, y).detach()

    def sample_curvatures(self, weights: Tensor, basis: Tensor, chosen: Tensor) -> Iterator[Tensor]:
        """Yield U^T H_i U of the `chosen` samples in blocks, (m, k, k), without the weight decay; U is `basis`, (n, k).

        Each is the derivative of U^T grad along the columns of U: k Hessian-vector products a sample.
        """
        assert isinstance(self._forward, bool)  # told before, outside of vmap
        rows = vmap(vmap(partial(self._seen, weights, basis), (0, None, None)), (None, 0, 0))
        for some in chosen.split(self._held(self.parameters * basis.shape[1])):
            yield rows(basis.T, self.inputs[some], self.targets[some]).detach()

    def _seen(self, weights: Tensor, basis: Tensor, direction: Tensor, one: Tensor, target: Tensor) -> Tensor:
        return self._along(lambda w: grad(self.of_sample)(w, one, target), weights, direction) @ basis

    def _held(self, numbers: int) -> int:
        """Samples whose so many numbers are held at once."""
        return int(np.clip(_HELD // (numbers * self.weights.element_size()), 1, _BLOCK))


def flat_parameters(model: nn.Module, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor], dict[str, torch.Size]]:
    """Return copies: the parameters that train as one vector, everything else by name, and the shapes."""

    def copied(value: Tensor) -> Tensor:
        value = value.detach().clone()
        return value.to(dtype) if value.is_floating_point() else value

    named = {name: copied(value) for name, value in model.named_parameters() if value.requires_grad}
    fixed = {name: copied(value) for name, value in model.named_parameters() if not value.requires_grad}
    fixed |= {name: copied(value) for name, value in model.named_buffers()}
    shapes = {name: value.shape for name, value in named.items()}
    return torch.cat([value.reshape(-1) for value in named.values()]), fixed, shapes
