"""What a step of torch's optimisers says of the floor, and what a displacement says of the gradients.

SGD has identities for both (F81 to F83). Adam has none for the floor: its unit is the local one (F84), and its mean
gradient follows from its first moment, which averages gradients over 1 / (1 - beta1) steps.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from ..errors import InvalidInput
from ..verification.equilibrium.unit import Rule
from .lists import dots, norms, summed, widest

__all__ = ["Rules", "rules_of", "unwrapped"]

Group = dict[str, Any]
Tensors = list[Tensor]
States = list[dict[str, Any]]
KNOWN = (SGD, Adam, AdamW)


class Rules(ABC):
    """What the monitor asks of a kind of optimiser."""

    local: bool
    """Whether the unit is the local one, and a second sum is kept."""
    buffer: str
    """Name of the buffer in the optimiser's state whose change enters the sum of gradients."""
    settings: tuple[str, ...]
    """What in a parameter group decides the step."""

    @abstractmethod
    def sampled(
        self, group: Group, gradients: Tensors, weights: Tensors, buffers: Tensors, away: Tensors, scales: Tensors
    ) -> Tensors:
        """Return a few numbers of a step: a row of them for each tensor, then another row."""

    @abstractmethod
    def tallied(self, group: Group, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return samples of the floor and of the squared gradient, (k, n) each, from numbers (k, rows, n)."""

    @abstractmethod
    def shares(self, group: Group) -> tuple[float, Any, float]:
        """Return three numbers, of which the sum of the gradients is the first times the change of a vector.

        The vector is the weights times the second, which is 1, 0 or a tensor, and the buffers times the third.
        """

    def quick(self, group: Group) -> bool:
        """Whether a sample is the norms of the gradients as they are, and of the buffers, and no more."""
        del group
        return False

    @abstractmethod
    def memory(self, group: Group) -> float:
        """Return over how many steps numbers of neighbouring steps are alike."""

    def scales(self, group: Group, states: States) -> list[Tensor | None]:
        """Return the curvature with which decoupled weight decay pulls, for each weight; empty where there is none.

        It is None for a tensor that has not moved yet.
        """
        del group, states
        return []


def descended(group: Group, gradients: Tensors, weights: Tensors, decay: float) -> Tensors:
    """Return gradients of what is minimised: signs of `maximize`, and weight decay that is part of the gradient."""
    found = list(torch._foreach_neg(gradients)) if group["maximize"] else gradients
    return list(torch._foreach_add(found, weights, alpha=decay)) if decay else found


class Descent(Rules):
    """SGD, with momentum, dampening or Nesterov's step."""

    local = False
    buffer = "momentum_buffer"
    settings = ("lr", "momentum", "dampening", "nesterov", "weight_decay", "maximize")

    def sampled(
        self, group: Group, gradients: Tensors, weights: Tensors, buffers: Tensors, away: Tensors, scales: Tensors
    ) -> Tensors:
        """Return |g|; with momentum |u| of the buffer before the step too; for Nesterov |s| and s . u of the step."""
        del away, scales
        decay, nesterov = group["weight_decay"], group["nesterov"] and group["momentum"]
        if decay or nesterov:
            gradients = descended(group, gradients, weights, decay)
        if not nesterov:
            return norms([*gradients, *buffers])
        rule, found = _rule(group), norms(gradients)
        updated = torch._foreach_mul(buffers, rule.momentum)
        torch._foreach_add_(updated, gradients, alpha=1 - rule.dampening)
        step = list(torch._foreach_add(gradients, updated, alpha=rule.momentum))
        return [*found, *norms(step), *dots(step, updated)]

    def tallied(self, group: Group, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return samples of F (F82, F83), and |g|^2."""
        rule, square = _rule(group), numbers[:, 0].square()
        if not rule.momentum:
            return rule.floor(square), square
        product = numbers[:, 2] if rule.nesterov else 0.0
        return rule.floor(numbers[:, 1].square(), product), square

    def memory(self, group: Group) -> float:
        """Return that of the momentum."""
        return _memory(group["momentum"])

    def shares(self, group: Group) -> tuple[float, Any, float]:
        """Return those of what the gradients add up to from the start on, but for a constant (F81)."""
        if not isinstance(group["lr"], Tensor) and group["lr"] == 0:  # nothing moves, whatever the gradients are
            return 1.0, 0, 0.0
        of_displacement, of_buffers = _rule(group).shares
        if isinstance(of_displacement, Tensor):  # only its device knows it
            return 1.0, -of_displacement, of_buffers
        return (-of_displacement, 1, -of_buffers / of_displacement) if of_displacement else (1.0, 0, of_buffers)

    def quick(self, group: Group) -> bool:
        """Whether there is neither weight decay nor Nesterov's step."""
        return not group["weight_decay"] and not group["nesterov"]


class Adaptive(Rules):
    """Adam, and AdamW, whose decay is that of the penalty weight_decay/2 w . D w, D = sqrt(v) + eps its own scale."""

    def __init__(self, *, decoupled: bool = False) -> None:
        self._by_default = decoupled

    local = True
    buffer = "exp_avg"
    settings = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize")

    def sampled(
        self, group: Group, gradients: Tensors, weights: Tensors, buffers: Tensors, away: Tensors, scales: Tensors
    ) -> Tensors:
        """Return |g| and w . g."""
        del buffers
        decay = 0.0 if self._decoupled(group) else group["weight_decay"]
        gradients = descended(group, gradients, weights, decay)
        if scales:
            gradients = list(torch._foreach_addcmul(gradients, scales, weights))
        return [*norms(gradients), *dots(away, gradients)]

    def tallied(self, group: Group, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return samples of 1/2 w . g (F84), and |g|^2."""
        del group
        return 0.5 * numbers[:, 1], numbers[:, 0].square()

    def memory(self, group: Group) -> float:
        """Return that of the first moment."""
        return _memory(float(group["betas"][0]))

    def shares(self, group: Group) -> tuple[float, Any, float]:
        """Return that of the first moment; the rest of the sum is that of the first moment before each step."""
        return 1.0, 0, 1 / (1 - float(group["betas"][0]))

    def scales(self, group: Group, states: States) -> list[Tensor | None]:
        """Return weight_decay D of now, where the decay is decoupled."""
        if not self._decoupled(group) or not group["weight_decay"]:
            return []
        second = "max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"
        return [_scale(group, state["step"], state[second]) if state else None for state in states]

    def _decoupled(self, group: Group) -> bool:
        return bool(group.get("decoupled_weight_decay", self._by_default))


def _scale(group: Group, step: Any, second: Tensor) -> Tensor:
    made = torch.as_tensor(step)
    known = 1 - group["betas"][1] ** made.to(widest(made.device))  # float32 has four digits left of it in early steps
    scale: Tensor = (summed([second])[0] / known).sqrt().add(group["eps"]).mul(group["weight_decay"])
    return scale


def _memory(momentum: Any) -> float:
    return 1 / (1 - float(momentum)) if float(momentum) < 1 else 1.0


def _rule(group: Group) -> Rule:
    rate: Any = group["lr"].detach().reshape(()) if isinstance(group["lr"], Tensor) else group["lr"]
    return Rule(rate, group["momentum"], group["dampening"], group["nesterov"])


def unwrapped(optimizer: object) -> Optimizer:
    """Return the optimiser of torch behind the wrappers of other libraries; refuse what is none."""
    found = optimizer
    while isinstance(inner := getattr(found, "optimizer", None), Optimizer) and not isinstance(found, KNOWN):
        found = inner
    if isinstance(found, Optimizer):
        return found
    raise InvalidInput(f"optimizer must be one of torch.optim, got a {type(optimizer).__name__}.")


def rules_of(optimizer: Optimizer) -> Rules:
    """Return the rules of an optimiser; one whose step is not known is refused."""
    known: dict[type[Optimizer], Rules] = {SGD: Descent(), AdamW: Adaptive(decoupled=True), Adam: Adaptive()}
    for kind, rules in known.items():
        if isinstance(optimizer, kind) and inspect.unwrap(type(optimizer).step) is inspect.unwrap(kind.step):
            return rules
    names = ", ".join(kind.__name__ for kind in KNOWN)
    raise InvalidInput(
        f"optimizer is a {type(optimizer).__name__}, and the monitor knows the steps of torch.optim's {names}: it "
        f"reads the mean gradient and the noise floor off the step. Use one of these."
    )
