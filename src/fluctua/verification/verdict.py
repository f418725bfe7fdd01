"""What a verification concluded, with the evidence that its figures show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from .._arrays import Arrays
from .._results import Brief, Tables
from .._tables import text_table
from .._validate.plain import Header, JsonObject
from ..simulation.identity import EqualTimeRun
from ..storage.results import finite
from ..storage.saved import with_nan
from ..theory.ladder import RUNGS, SAMPLER_RUNGS, Rung
from ..theory.local.ladder import LocalRung
from .formats import shown
from .judgement import FAMILY, SUMMARY, Judgement, Role
from .near_limit import heavy_tails
from .outcome import replicas_for
from .promised import hold_equal_time
from .significance import Comparison
from .tabulated import equal_time_tables

__all__ = ["INDEPENDENT", "Balance", "Row", "Verdict"]

INDEPENDENT = "independent batches"
"""Name of the row of what batches would do if they did not come in epochs."""


@dataclass(frozen=True, repr=False)
class Row(Brief):
    """One theory held against the measurement.

    Attributes
    ----------
    name : str
        Rung of the ladder; with ", stationary", or with the factor by which it was made wrong; or `INDEPENDENT`.
    role : str
        "claim" for the theory under test, "mutant" for the same made wrong, "rung" for the others of the ladder,
        "reference" for the stationary law and for independent batches.
    excess_loss : float
        Predicted.
    consistent : bool
        Not rejected at the family-wise level.
    comparison : Comparison
    """

    name: str
    role: Role
    excess_loss: float
    consistent: bool
    comparison: Comparison


@dataclass(frozen=True)
class Balance:
    """F0 element by element: dissipation against fluctuation, both measured along the trajectory.

    Attributes
    ----------
    elements : int
        Of the upper triangle.
    z_rms : float
        Over elements, from the spread between chunks of replicas; Student-t brought to unit scale.
    correlation : float
    trace_ratio : float
        Dissipated over injected, summed over modes.
    """

    elements: int
    z_rms: float
    correlation: float
    trace_ratio: float


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(Judgement[Row]):
    """What `verify` found: consistent or not, sharp or not, and the table behind it; made by `verify`.

    Attributes
    ----------
    theory : str
        Rung under test.
    level, resolution : float
        Family-wise level; relative error that the run had to reject.
    rows : tuple of Row
        The ladder, for shuffled epochs the law of independent batches, the stationary law, the two mutants.
    balance : Balance or None
        None from a start other than W*: the transient is faster than the records that F0 is averaged over; and where
        the measurement has none.
    identity, provenance : dict
        Recipe, seed, versions: what repeats the numbers.
    excess_loss, excess_loss_error, optimum_loss : float
        Measured mean over the recorded steps, its standard error, and L(W*).
    diverged_at : int or None
        First recorded step at which a replica overflowed.
    arrays : dict of str to ndarray
        The points and lines of the figures, and a survey for the report's explorer where one was made.
    data : dict
        Name and hash of the data, where `about` attached them.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=32, rng=1)
    >>> verdict.passed == (verdict.consistent and verdict.sharp)
    True
    >>> [row.name for row in verdict.rows][:5]
    ['equilibrium', 'hessian', 'langevin', 'discrete', 'exact']
    """

    KIND, STEM = "verdict", "result"
    NOUN, MADE_BY = "verdict", "fluctua verify --out"

    theory: Rung | LocalRung
    level: float
    resolution: float
    rows: tuple[Row, ...]
    balance: Balance | None
    identity: Header
    provenance: Mapping[str, str]
    excess_loss: float
    excess_loss_error: float
    optimum_loss: float
    diverged_at: int | None
    arrays: Arrays = field(repr=False)
    data: Header = field(default_factory=dict)

    @cached_property
    def run(self) -> EqualTimeRun:
        """The identity, read: recipe, steps, replicas, seed and the rest."""
        return EqualTimeRun.of(self.identity)

    def off(self, row: Row) -> float:
        """Return the relative error of a row's excess loss against the measured one.

        Parameters
        ----------
        row : Row
            One of `rows`.

        Returns
        -------
        float
            0 where nothing was predicted and nothing measured, infinite where nothing was measured alone.
        """
        if self.excess_loss:
            return row.excess_loss / self.excess_loss - 1
        return math.copysign(math.inf, row.excess_loss) if row.excess_loss else 0.0

    @property
    def tested(self) -> Row:
        """The row of the rung under test."""
        return self.claims[0]

    @property
    def consistent(self) -> bool:
        """Whether no deviation is beyond sampling."""
        return self.diverged_at is None and super().consistent

    @property
    def detectable(self) -> float:
        """Smallest relative error of all variances that this run would have caught with probability 0.95."""
        return self.tested.comparison.detectable

    @property
    def replicas(self) -> tuple[int, int]:
        """How many replicas there were; they are not gathered in groups."""
        return self.run.replicas, 0

    @property
    def words(self) -> str:
        """The verdict in one sentence."""
        if self.diverged_at is not None:
            return f"diverged: a replica overflowed by step {self.diverged_at}; there is nothing to compare."
        level = f"(family-wise level {100 * self.level:.3g} %)"
        said = self._said(f"the deviation has p = {self.tested.comparison.p_value:.2g} {level}")
        return "; ".join(filter(None, [*said, heavy_tails(self.identity), self._own_error])) + "."

    @property
    def replicas_needed(self) -> int | None:
        """About how many replicas of as many steps would be sharp; None if these are, or if no number would be."""
        own = self._own
        if self.sharp or self._blunt:
            return None
        count, groups = self.replicas
        return replicas_for(self.detectable - own, self.resolution - own, count, self.level / FAMILY, groups)

    @property
    def loss(self) -> str:
        """The loss that was trained on: "squares", "softmax" or "logistic"."""
        return str(self.identity.get("loss", "squares"))

    @property
    def _own_error(self) -> str:
        """What the theory states of itself, as a clause; empty where it is exact."""
        own, u = self._own, self.identity.get("anharmonicity")
        if not own:
            return ""
        if not math.isfinite(own) or u is None:
            return "the local theory has no floor at this rate, and no error of its own that could be allowed for"
        allowed = f"{100 * own:.2g} %, which is allowed for"
        if own >= 1:
            allowed = f"{own:.2g} times what it predicts, so that it predicts nothing that these runs could refute"
        beyond = "; no number of replicas would be sharp" if self._blunt and own < 1 else ""
        return f"the local theory may itself be off by {allowed}{beyond} (anharmonicity {100 * u:.2g} %)"

    @property
    def _own(self) -> float:
        """What the theory states of itself, relative; where it has no floor infinite, in the identity None."""
        own = self.identity.get("own_error", 0.0)
        return math.inf if own is None else float(own)

    @property
    def _blunt(self) -> bool:
        """Whether no runs would be sharp, however many: the theory states more of itself than was asked for."""
        return self.resolution <= self._own

    @property
    def _remedy(self) -> str:
        return "" if self._blunt else super()._remedy

    @property
    def table(self) -> str:
        """The ladder against the measurement, as plain text."""
        head = "theory", "excess loss", "off by", "z-rms", "Frobenius", "verdict"
        return text_table([head, *self.cells], ("<20", ">12", ">8", ">7", ">10", "<"))

    @property
    def cells(self) -> list[tuple[str, str, str, str, str, str]]:
        """The same, cell by cell: name, excess loss, its error, z-rms over modes, Frobenius error, verdict."""
        return [
            (
                row.name,
                shown(row.excess_loss, ".6g"),
                shown(self.off(row), "+.1%"),
                f"{row.comparison.z_rms:.2f}",
                f"{row.comparison.frobenius_error:.3g}",
                "consistent" if row.consistent else "rejected",
            )
            for row in self.rows
        ]

    def _tables(self) -> Tables:
        return equal_time_tables(self)

    @property
    def _attributes(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in ("excess_loss", "excess_loss_error", "optimum_loss", "words")}
        return {"recipe": self.run.recipe.words, **said}

    def to_dict(self) -> JsonObject:
        """Return everything but the figures' arrays as plain JSON types (schema: `fluctua schema verdict`)."""
        out = {key: value for key, value in asdict(replace(self, arrays={})).items() if key != "arrays"}
        summary = {name: getattr(self, name) for name in SUMMARY}
        plain: dict[str, Any] = finite(
            {"kind": self.KIND, **summary, **out, "rows": [asdict(row) for row in self.rows]}
        )
        return plain

    _hold = staticmethod(hold_equal_time)

    @classmethod
    def _role_of(cls, name: str, header: Header) -> Role:
        if name == header["theory"]:
            return "claim"
        if name.startswith(f"{header['theory']} x "):
            return "mutant"
        return "rung" if name in (*RUNGS, *SAMPLER_RUNGS) else "reference"

    @classmethod
    def _read(cls, header: Header, arrays: Arrays) -> Verdict:
        rows = [
            Row(**{**with_nan(row), "comparison": Comparison(**with_nan(row["comparison"]))}) for row in header["rows"]
        ]
        names = (
            "theory",
            "level",
            "resolution",
            "identity",
            "provenance",
            "excess_loss",
            "excess_loss_error",
            "optimum_loss",
            "diverged_at",
            "data",
        )
        return cls(
            rows=tuple(rows),
            balance=header["balance"] and Balance(**with_nan(header["balance"])),
            arrays=arrays,
            **with_nan({name: header[name] for name in names}, keep=("diverged_at",)),
        )
