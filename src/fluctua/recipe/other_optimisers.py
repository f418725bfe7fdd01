"""Optimisers of other libraries in the place of a recipe: refused, with what to write or why there is no theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput

__all__ = ["is_not_linear", "not_linear", "refuse_optimiser"]

_NOT_LINEAR = """
AdaBelief AdaBound Adadelta Adafactor Adagrad Adahessian Adam Adam8bit Adamax AdamW AdamW8bit AdEMAMix AMSGrad Apollo
Ftrl KFAC LAMB LARS LBFGS Lion Lookahead MARS Muon NAdam NAdamW Novograd PagedAdamW Prodigy RAdam Ranger RMSprop Rprop
SAM ScheduleFree Shampoo SignSGD Signum SOAP Sophia SophiaG SparseAdam Yogi
"""
_NAMES = {name.lower(): name for name in _NOT_LINEAR.split()}
_PAGE = "docs/howto/optimisers.md, 'Steps that are not linear in the gradient'"
_OPTIONS = ("momentum", "dampening", "weight_decay", "nesterov")


def is_not_linear(name: str) -> bool:
    """Whether an optimiser of that name is known for a step that is not linear in the gradient."""
    return _plain(name) in _NAMES


def not_linear(name: str) -> str:
    """Return why there is no recipe of that name, and what to do."""
    return (
        f"{_NAMES[_plain(name)]} is not covered: its step is not linear in the gradient, so that no closed equation "
        f"for the covariance of the weights holds. Use fluctua.SGD, with momentum or Nesterov's step, or fluctua.QHM; "
        f"see {_PAGE}."
    )


def refuse_optimiser(value: object) -> None:
    """Raise `InvalidInput` for an optimiser of another library: its class, an object of it, or its name."""
    kind = value if isinstance(value, type) else type(value)
    name = value if isinstance(value, str) else next((each.__name__ for each in kind.__mro__ if _other(each)), "")
    if is_not_linear(name):
        raise InvalidInput(not_linear(name))
    if name == "SGD" and not isinstance(value, str):
        raise InvalidInput(_line(getattr(value, "param_groups", None)))


def _other(kind: type) -> bool:
    """Whether a class is an optimiser: of torch, or of a name that is known."""
    return is_not_linear(kind.__name__) or (kind.__name__ == "SGD" and kind.__module__.startswith("torch."))


def _plain(name: str) -> str:
    """A name as people write it in many ways, in one."""
    return name.rsplit(".", 1)[-1].lower().replace("-", "").replace("_", "")


def _line(groups: Any) -> str:
    """What to write for torch.optim.SGD, given its `param_groups`."""
    if not isinstance(groups, list) or not groups:
        return "sgd is the class torch.optim.SGD. Write the recipe: fluctua.SGD(lr=..., batch_size=...)."
    if any(_told(group) != _told(groups[0]) for group in groups):
        return (
            f"sgd is a torch.optim.SGD of {len(groups)} parameter groups with different options: options for each "
            f"group are not covered. Use one learning rate and weight decay: fluctua.SGD(lr=..., batch_size=...)."
        )
    if groups[0].get("maximize"):
        return "sgd is a torch.optim.SGD that maximizes, and a recipe descends the loss. Leave maximize out."
    return (
        f"sgd is a torch.optim.SGD, which does not know the size and the sampling of its batches. Write "
        f"fluctua.SGD({_told(groups[0])}, batch_size=...), and sampling='shuffle' for DataLoader(shuffle=True)."
    )


def _told(group: Mapping[str, Any]) -> str:
    """The options of a group, as arguments; those that are 0 or False are left out."""
    given = {name: group[name] for name in _OPTIONS if group.get(name)}
    lr = {"lr": group.get("initial_lr", group["lr"])}  # a scheduler has moved the other
    return ", ".join(
        f"{name}={float(value) if name != 'nesterov' else value!r}" for name, value in (lr | given).items()
    )
