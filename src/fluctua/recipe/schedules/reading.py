"""A schedule from what a caller gave or a file holds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields

from numpy.typing import ArrayLike

from ..._validate.plain import Header, Keywords
from ..._validate.values import choice, shown
from ...errors import InvalidInput
from .base import Schedule
from .shapes import ArrayLR

__all__ = ["EXAMPLES", "read_schedule"]

_PLATEAU = "ReduceLROnPlateau"
EXAMPLES = {
    "linear": "LinearLR(1.0, 0.0, total_iters=steps)",
    "warmup": "LinearLR(0.1, 1.0, total_iters=steps)",
    "cosine": "CosineAnnealingLR(T_max=steps)",
    "cosineannealing": "CosineAnnealingLR(T_max=steps)",
    "cosine-annealing": "CosineAnnealingLR(T_max=steps)",
    "cosineannealingwarmrestarts": "CosineAnnealingWarmRestarts(T_0=steps)",
    "warm-restarts": "CosineAnnealingWarmRestarts(T_0=steps)",
    "step": "StepLR(step_size=steps)",
    "multistep": "MultiStepLR(milestones=[steps // 2, 3 * steps // 4])",
    "inverse": "InverseTimeLR(half_time=steps / 10)",
    "inversetime": "InverseTimeLR(half_time=steps / 10)",
    "exponential": "ExponentialLR(gamma=0.01 ** (1 / steps))",
    "constant": "ConstantLR(factor=1 / 3, total_iters=20)",
    "sequential": "SequentialLR([LinearLR(0.1, 1.0, 20), CosineAnnealingLR(steps - 20)], milestones=[20])",
    "warmup-cosine": "SequentialLR([LinearLR(0.1, 1.0, 20), CosineAnnealingLR(steps - 20)], milestones=[20])",
    "polynomial": "PolynomialLR(total_iters=steps)",
    "onecycle": "OneCycleLR(total_steps=steps, cycle_momentum=False)",
    "one-cycle": "OneCycleLR(total_steps=steps, cycle_momentum=False)",
}
"""What to write for a name: those of the command line, and torch's without their LR."""


def read_schedule(given: Schedule | Header | ArrayLike) -> Schedule:
    """Return a schedule as it is, the one that `Schedule.to_dict` described, or an array's.

    Parameters
    ----------
    given : Schedule, mapping or array_like
        A schedule, its description, or the factors of `ArrayLR`.

    Returns
    -------
    Schedule
        One of the classes of this module.

    Raises
    ------
    InvalidInput
        For a scheduler of torch, a function, a name, and what no schedule can be made of; the text says what to call.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.schedules.read_schedule({"name": "StepLR", "step_size": 30, "gamma": 0.5})
    StepLR(step_size=30, gamma=0.5)
    """
    if isinstance(given, Schedule):
        return given
    if isinstance(given, Mapping):
        return _described(dict(given))
    _refuse_code(given)
    return ArrayLR(given)  # type: ignore[arg-type]


def _refuse_code(given: object) -> None:
    """Raise `InvalidInput`, with what to call, for what makes rates and holds none: a scheduler, a function, a name."""
    kinds = [kind.__name__ for kind in Schedule.__subclasses__()]
    if isinstance(given, str):
        name, how = given, _of_name(given, kinds)
    elif isinstance(given, type) or hasattr(given, "get_last_lr"):
        name = given.__name__ if isinstance(given, type) else type(given).__name__
        groups = len(getattr(getattr(given, "optimizer", None), "param_groups", ()))
        several = "one learning rate for all parameters (there are several groups, which are not covered), and "
        how = (several if groups > 1 else "") + _of_scheduler(name, kinds)
    elif callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        how = (
            "numpy.array([f(t) for t in range(steps)]), or, for a function that builds a scheduler of torch, "
            "fluctua.schedules.from_torch(f, steps)"
        )
    else:
        return
    raise InvalidInput(
        f"schedule must be one of fluctua.schedules or an array of the factors of lr, one for each step, because rates "
        f"are needed before there is a run; got {name!r}. To make one: {how}."
    )


def _of_name(name: str, kinds: list[str]) -> str:
    """Return what to write instead of a name."""
    short = name.lower().replace("_", "-").removesuffix("lr").removesuffix("-")
    if short.replace("-", "") in {"reduceonplateau", _PLATEAU.lower()}:
        return _of_scheduler(_PLATEAU, kinds)
    if short == "constant" and name not in kinds:
        return "leave schedule out: lr is the rate of every step"
    if near := difflib.get_close_matches(short, EXAMPLES, n=1, cutoff=0.75):
        return f"schedule=fluctua.schedules.{EXAMPLES[near[0]]}, for a run of that many steps"
    if name.endswith("LR"):
        return _of_scheduler(name, kinds)
    return f"the shapes are {', '.join(f'fluctua.schedules.{kind}' for kind in sorted(kinds))}"


def _of_scheduler(name: str, kinds: list[str]) -> str:
    """Return what to call instead of a scheduler, or a class of them."""
    if name == _PLATEAU:
        return f"train without {name}, which follows the loss of the run; any schedule that is known before is covered"
    same = f"call fluctua.schedules.{name} with the same arguments, or " if name in kinds else ""
    return f"{same}fluctua.schedules.from_torch(lambda optimizer: {name}(optimizer, ...), steps)"


def _described(options: Keywords) -> Schedule:
    kinds = {kind.__name__: kind for kind in Schedule.__subclasses__()}
    kind = kinds[choice("schedule", options.pop("name", None), kinds)]
    known = [item.name for item in fields(kind)]
    if unknown := [name for name in options if name not in known]:
        raise InvalidInput(f"the schedule {kind.__name__} has no {shown(unknown[0])}; it has {', '.join(known)}.")
    try:
        return kind(**options)
    except TypeError:
        raise InvalidInput(f"the schedule {kind.__name__} needs {', '.join(known)}, got {shown(options)}.") from None
