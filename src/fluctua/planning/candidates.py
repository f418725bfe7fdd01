"""A plan: how each combination of momentum and schedule ends, or why it was not tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from textwrap import fill
from typing import Literal

from .._results import Brief, ByValue, Tables, Tabular, clipped
from .._tables import Columns, text_table
from .._validate.plain import Json, JsonObject
from ..errors import InvalidInput
from ..recipe.sgd import SGD
from ..recipe.torch_loop.cross_entropy import HeadLoop
from ..recipe.torch_loop.loop import Loop
from ..theory.answers import Prediction
from ..theory.stable_limit import StableLimit

__all__ = ["Candidate", "Plan", "Skipped"]

FILLED = 100  # characters of a line of `Plan.words`
_EDGE = (
    "at the edge of the search, where the loss still falls: a larger rate may end lower. So near the limit variances "
    "are heavy-tailed, and `verify` rejects a true theory more often than its level says."
)


@dataclass(frozen=True, repr=False)
class Candidate(Brief):
    """A recipe at its best learning rate, and the loss it is predicted to end with; made by `plan`.

    Attributes
    ----------
    sgd : SGD
        The recipe.
    shape : str
        Name of its schedule.
    loss : float
        Expected loss after the budget, of the training data with weight decay or of the held-out data.
    exact : bool
        Whether the loss is that of the law; otherwise it was estimated, see `plan`.
    at_edge : bool
        Whether the loss still falls at the largest learning rate that is tried: a larger one may end lower.
    loop : Loop or HeadLoop or None
        The run that `torch_code` writes; None where no plan has made the candidate.
    end : Prediction or None
        What is predicted at the end of the run, of the best candidates of a plan.

    Examples
    --------
    >>> import fluctua as fl
    >>> one = fl.Candidate(fl.SGD(lr=0.1, batch_size=8), shape="constant", loss=0.15, exact=True)
    >>> one.sgd.words
    'lr 0.1, batches of 8 with replacement'
    """

    sgd: SGD
    shape: str
    loss: float
    exact: bool
    at_edge: bool = False
    loop: Loop | HeadLoop | None = None
    end: Prediction | None = field(default=None, repr=False, compare=False)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the training loss at the end between runs, about; None where a plan did not ask."""
        return None if self.loop is None else self.loop.spread

    @property
    def uncertain_spread(self) -> bool:
        """Whether that may be more than 1.5 times too small: near the limit, or where a small last batch overshoots."""
        return self.loop is not None and self.loop.tails

    def torch_code(self, loss: str | None = None, dtype: str = "float32") -> str:
        """Return the run as a training loop in torch, which can be pasted and runs as it is; see `torch_code`.

        At its end the loop prints its loss on the training data beside the predicted one, and by how much runs differ:
        one standard deviation, about (F60). For a candidate whose loss is not `exact`, what the estimate may be off by
        is in it: 10 % of the excess loss.

        Parameters
        ----------
        loss : "half" or "mse", optional
            ``0.5 * ((out - y) ** 2).sum(1).mean()``, or `nn.MSELoss` with the numbers with which it makes the same run.
        dtype : "float32" or "float64"
            Of the weights and of the data in the loop.

        Returns
        -------
        str
            Lines of Python, which expect `inputs` and `targets` as `LeastSquares` was given them, and leave the trained
            `torch.nn.Linear` as `model`. For a plan from weights of the caller's they expect these as `start`.

        Raises
        ------
        InvalidInput
            For a candidate that no plan has made; `UnknownName` for another loss or dtype.
        """
        if self.loop is None:
            raise InvalidInput(
                "this candidate does not know its data and steps, because no plan has made it: use "
                "fluctua.torch_code(problem, sgd, steps). The loop of a softmax head is a probe's, "
                "fluctua.torch.probe(..., loss='cross_entropy')."
            )
        return self.loop.code(self.loop.losses[0] if loss is None else loss, dtype)

    def to_dict(self) -> dict[str, Json]:
        """Return everything as plain JSON types."""
        said = ("shape", "loss", "exact", "at_edge", "spread", "uncertain_spread")
        return {"recipe": self.sgd.to_dict(), **{name: getattr(self, name) for name in said}}


@dataclass(frozen=True)
class Skipped:
    """A combination that a plan did not try.

    Attributes
    ----------
    shape : str
        Name of its schedule.
    momentum : float
    reason : str
        Why not.
    """

    shape: str
    momentum: float
    reason: str

    @property
    def words(self) -> str:
        """The combination and the reason, in words."""
        return f"{self.shape}, momentum {self.momentum:g}: {self.reason}"

    def to_dict(self) -> dict[str, Json]:
        """Return everything as plain JSON types."""
        return {"shape": self.shape, "momentum": self.momentum, "reason": self.reason}


@dataclass(frozen=True, eq=False, repr=False)
class Plan(ByValue, Tabular):
    """What to train with; made by `plan`.

    Attributes
    ----------
    steps : int
        Budget.
    objective : "training" or "held-out"
        The data whose expected loss is minimised.
    optimum_loss : float
        That loss at W*.
    limits : dict of (float, StableLimit)
        Largest stable learning rate by momentum. In shuffled epochs it is that of independent batches as noisy as the
        epoch's are on average, unless the best rate is near that or at the edge of the search: then it is
        `max_stable_lr`, but for data that are searched thinned. `limits[momentum].method` says which.
    candidates : tuple of Candidate
        Best first.
    skipped : tuple of Skipped
        Combinations of momentum and schedule that were not tried, each with its `shape`, `momentum` and `reason`.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", limit=200)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> found = fl.plan(problem, 100, batch_size=8, momenta=[0.0], schedules=["constant"])
    >>> print(f"lr {found.best.sgd.lr:.2g} ends at {found.best.loss:.3f}, and W* is at {found.optimum_loss:.3f}")
    lr 0.095 ends at 0.145, and W* is at 0.079
    """

    steps: int
    objective: Literal["training", "held-out"]
    optimum_loss: float
    limits: dict[float, StableLimit]
    candidates: tuple[Candidate, ...]
    skipped: tuple[Skipped, ...] = ()

    def _tables(self) -> Tables:
        return {"candidates": lambda: self._candidates, "skipped": lambda: self._left_out}

    @property
    def _candidates(self) -> Columns:
        found, recipes = self.candidates, [one.sgd for one in self.candidates]
        return {
            "schedule": [one.shape for one in found],
            "momentum": [sgd.momentum for sgd in recipes],
            "lr": [sgd.lr for sgd in recipes],
            "max_stable_lr": [float(self.limits[sgd.momentum]) for sgd in recipes],
            "loss": [one.loss for one in found],
            "excess": [one.loss - self.optimum_loss for one in found],
            "exact": [one.exact for one in found],
            "at_edge": [one.at_edge for one in found],
            "spread": [one.spread for one in found],
            "uncertain_spread": [one.uncertain_spread for one in found],
        }

    @property
    def _left_out(self) -> Columns:
        return {name: [getattr(one, name) for one in self.skipped] for name in ("shape", "momentum", "reason")}

    @property
    def _attributes(self) -> dict[str, str | float]:
        return {"steps": self.steps, "objective": self.objective, "optimum_loss": self.optimum_loss}

    def __repr__(self) -> str:
        best = self.best
        said = f"{self.objective} loss {best.loss:.6g} after {self.steps:,} steps of {best.sgd.words}"
        return clipped(f"Plan({said})")

    @property
    def best(self) -> Candidate:
        """The recipe to train with."""
        return self.candidates[0]

    @property
    def table(self) -> str:
        """The candidates in text, best first."""
        lines = [("schedule", "momentum", "lr", "of limit", f"{self.objective} loss", "excess")]
        for one in self.candidates:
            share, excess = one.sgd.lr / self.limits[one.sgd.momentum], one.loss - self.optimum_loss
            about = "" if one.exact else "about "
            asked = one.shape, f"{one.sgd.momentum:g}", f"{one.sgd.lr:.3g}", f"{share:.0%}"
            lines.append((*asked, f"{about}{one.loss:.6g}", f"{excess:.3g}"))
        return text_table(lines, ("<9", ">8", ">9", ">8", ">16", ">9"))

    @property
    def words(self) -> str:
        """What the table does not say: which rates are at the edge of the search, and what was not tried."""
        edge = [f"{one.shape} with momentum {one.sgd.momentum:g}" for one in self.candidates if one.at_edge]
        lines = [f"edge      {', '.join(edge)}: {_EDGE}"] if edge else []
        for (momentum, reason), group in groupby(self.skipped, lambda one: (one.momentum, one.reason)):
            shapes = ", ".join(one.shape for one in group)
            lines.append(f"skipped   {shapes} with momentum {momentum:g}: {reason}")
        return "\n".join(fill(line, FILLED, subsequent_indent=10 * " ") for line in lines)

    def to_dict(self) -> JsonObject:
        """Return everything as plain JSON types (part of the schema `fluctua schema plans`)."""
        limits = [
            {"momentum": momentum, "max_stable_lr": float(limit), "method": limit.method}
            for momentum, limit in self.limits.items()
        ]
        return {
            "steps": self.steps,
            "objective": self.objective,
            "optimum_loss": self.optimum_loss,
            "limits": limits,
            "candidates": [one.to_dict() for one in self.candidates],
            "skipped": [one.to_dict() for one in self.skipped],
            "torch_code": None
            if self.best.loop is None
            else {name: self.best.torch_code(name) for name in self.best.loop.losses},
        }
