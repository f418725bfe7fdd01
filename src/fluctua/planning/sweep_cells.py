"""One cell of a sweep: what is predicted of a recipe, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._results import Brief, ByValue, clipped
from .._validate.plain import Header, Json, JsonObject
from .._validate.values import positive_int, real_number
from ..errors import InvalidInput
from ..recipe.sgd import Recipe
from ..theory.stable_limit import StableLimit
from .rehearsal import own_error, widened

__all__ = ["NEAR", "Cell", "Measured", "Predicted"]

NEAR = 0.7
"""Share of the limit up to which the level of a test holds: above it the losses of runs have heavy tails."""
_METHODS = ("exact", "all epochs", "random epochs", "expansion", "independent batches", "local")


@dataclass(frozen=True)
class Measured:
    """Mean over real runs.

    Attributes
    ----------
    excess_loss, error : float
        Mean of L(W_T) - L(W*) over the replicas, and its standard error.
    replicas : int
    """

    excess_loss: float
    error: float
    replicas: int

    @classmethod
    def of(cls, given: Header) -> Measured:
        """Read what `to_dict` gave; raises `InvalidInput`."""
        excess = real_number("excess_loss", given["excess_loss"])
        error = real_number("error", given["error"], minimum=0.0)
        return cls(excess, error, positive_int("replicas", given["replicas"], minimum=2))

    def to_dict(self) -> JsonObject:
        """Return the same as plain JSON types."""
        return {"excess_loss": self.excess_loss, "error": self.error, "replicas": self.replicas}


@dataclass(frozen=True)
class Predicted:
    """What theory says of a cell.

    Attributes
    ----------
    optimum_loss : float
        L(W*) at the cell's weight decay.
    limit : StableLimit
        Largest stable learning rate.
    share : float
        The rate, of a schedule the largest, over the limit.
    floor : float or None
        Excess loss of the stationary state, infinite beyond the limit; None with a schedule, and if it was not found.
    excess_loss : float or None
        E L(W_T) - L(W*) after the budget, infinite beyond the limit but with a schedule; None without a budget.
    steps_to_target : float or None
        Infinite where the expected loss does not come to the target; None without one.
    replicas : int or None
        Runs whose mean has a standard error of about 2 %; None without a budget and beyond the limit.
    uncertainty : float
        What the predicted excess loss states of itself, absolute: of heads, whose theory is local; else 0.
    inflation : float or None
        Of a sampler the stationary variance over the target's, in the mode where it is farthest from 1; else None.
    """

    optimum_loss: float
    limit: StableLimit
    share: float
    floor: float | None
    excess_loss: float | None
    steps_to_target: float | None
    replicas: int | None
    uncertainty: float = 0.0
    inflation: float | None = None

    @property
    def stable(self) -> bool:
        """Whether the rate is below the limit."""
        return self.share < 1

    def to_dict(self) -> JsonObject:
        """Return the same as plain JSON types: what is infinite is null."""
        return {
            "optimum_loss": self.optimum_loss,
            "max_stable_lr": float(self.limit),
            "method": self.limit.method,
            "share": self.share,
            "floor": _finite(self.floor),
            "excess_loss": _finite(self.excess_loss),
            "steps_to_target": _finite(self.steps_to_target),
            "replicas": self.replicas,
            **({"uncertainty": self.uncertainty} if self.uncertainty else {}),
            **({} if self.inflation is None else {"inflation": self.inflation}),
        }

    @classmethod
    def of(cls, given: Header, *, scheduled: bool, budget: bool, target: bool) -> Predicted:
        """Read what `to_dict` gave of a cell with or without a schedule, a budget and a target."""
        if given["method"] not in _METHODS:
            raise InvalidInput("its limit of stability was found in no way that is known.")
        share = real_number("share", given["share"], above=0.0)
        absent = None if share < 1 else np.inf
        floor, excess, steps = (_number(name, given[name]) for name in ("floor", "excess_loss", "steps_to_target"))
        return cls(
            real_number("optimum_loss", given["optimum_loss"], minimum=0.0),
            StableLimit(real_number("max_stable_lr", given["max_stable_lr"], above=0.0), given["method"]),
            share,
            absent if floor is None and not scheduled else floor,
            absent if excess is None and budget else excess,
            np.inf if steps is None and target else steps,
            None if given["replicas"] is None else positive_int("replicas", given["replicas"], minimum=2),
            real_number("uncertainty", given.get("uncertainty", 0.0), minimum=0.0),
            None if "inflation" not in given else real_number("inflation", given["inflation"], above=0.0),
        )


def _number(name: str, given: Any) -> float | None:
    return None if given is None else real_number(name, given)


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


@dataclass(frozen=True, eq=False, repr=False)
class Cell(ByValue, Brief):
    """One recipe of a sweep: predicted and, where it was asked for, measured; made by `sweep`.

    Attributes
    ----------
    sgd : Recipe
        The recipe.
    steps : int or None
        Budget.
    values : dict
        The parameters that are varied, as plain JSON types.
    predicted : Predicted
        What theory says; the properties read it.
    measured : Measured or None
        The mean of real runs; None where it was not asked for, beyond the limit, and where runs overflowed.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> cell = fl.sweep(problem, fl.SGD(lr=0.02, batch_size=8), lr=[0.01, 0.02], steps=100).cells[1]
    >>> print(f"{cell.sgd.lr} ends at {cell.loss:.4f}; the limit is {cell.limit:.3f}")
    0.02 ends at 0.0321; the limit is 0.163
    """

    sgd: Recipe
    steps: int | None
    values: dict[str, Json]
    predicted: Predicted
    measured: Measured | None

    def _shown(self) -> dict[str, Any]:
        return {name: value for name, value in {**self.values, **self.numbers}.items() if value is not None}

    def __repr__(self) -> str:
        end = "" if self.excess_loss is None else f", excess loss {self.excess_loss:.4g}"
        found = "" if self.measured is None else f", measured {self.measured.excess_loss:.4g}"
        return clipped(f"Cell({self.sgd.words}: {self.share:.0%} of the limit{end}{found})")

    @property
    def numbers(self) -> dict[str, float | None]:
        """What is predicted and measured, by name; None where there is none."""
        found = self.measured
        return {
            "steps": self.steps,
            "limit": float(self.limit),
            "share": self.share,
            "stable": self.stable,
            "floor": self.floor,
            "inflation": self.predicted.inflation,
            "excess_loss": self.excess_loss,
            "loss": self.loss,
            "steps_to_target": self.steps_to_target,
            "score": self.score,
            "optimum_loss": self.predicted.optimum_loss,
            "measured": None if found is None else found.excess_loss,
            "error": None if found is None else found.error,
            "replicas": None if found is None else found.replicas,
            "measured_floor": self.measured_floor,
        }

    @property
    def limit(self) -> StableLimit:
        """Largest stable learning rate of this recipe."""
        return self.predicted.limit

    @property
    def stable(self) -> bool:
        """Whether the learning rate, of a schedule the largest, is below the limit."""
        return self.predicted.stable

    @property
    def share(self) -> float:
        """That rate over the limit."""
        return self.predicted.share

    @property
    def floor(self) -> float | None:
        """Predicted excess loss of the stationary state."""
        return self.predicted.floor

    @property
    def excess_loss(self) -> float | None:
        """Predicted excess loss after the budget, E L(W_T) - L(W*)."""
        return self.predicted.excess_loss

    @property
    def loss(self) -> float | None:
        """Predicted loss after the budget, E L(W_T)."""
        return None if self.excess_loss is None else self.predicted.optimum_loss + self.excess_loss

    @property
    def steps_to_target(self) -> float | None:
        """Steps until the expected loss is at the target; infinite if it does not come there."""
        return self.predicted.steps_to_target

    @property
    def score(self) -> float | None:
        """(measured - predicted)/error, the error being that of `rehearse`; None where nothing was measured."""
        if self.measured is None or self.excess_loss is None:
            return None
        found = self.measured
        loss = self.predicted.optimum_loss + found.excess_loss
        own = self.predicted.uncertainty + own_error(self.sgd, loss, self.excess_loss)
        error = float(np.hypot(widened(found.excess_loss, found.error, self.excess_loss), own))
        return (found.excess_loss - self.excess_loss) / error if error else 0.0

    @property
    def measured_floor(self) -> float | None:
        """The measured excess loss, where the prediction is then less than its error from the floor; else None."""
        if self.measured is None or self.excess_loss is None or self.floor is None:
            return None
        reached = abs(self.excess_loss - self.floor) <= self.measured.error
        return self.measured.excess_loss if reached else None

    def to_dict(self) -> JsonObject:
        """Return the values, the prediction and the measurement as plain JSON types."""
        measured = None if self.measured is None else self.measured.to_dict()
        return {"values": self.values, "predicted": self.predicted.to_dict(), "measured": measured}
