"""A verdict of statements: each has a role, and the roles alone say what the verdict concludes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, Literal, Protocol, TypeVar

from .._results import ByValue, Tabular, clipped
from .._validate.plain import Header
from ..storage.saved import Saved, named
from .formats import caught
from .outcome import Concluded, remedy, replicas_for, steps_for
from .significance import POWER

__all__ = ["FAMILY", "SUMMARY", "Judgement", "Role", "Stated"]

SUMMARY = "consistent", "sharp", "passed", "outcome", "replicas_needed", "detectable", "words"
"""What a verdict says in short, in its JSON first."""

FAMILY = 8
"""Contrasts that share the level, about."""

Role = Literal["claim", "mutant", "unresolved", "rung", "reference"]
"""What a statement is there for.

==========  ==================================================================================
claim       It should hold: one that is rejected makes the verdict inconsistent.
mutant      It is wrong on purpose: one that is not rejected makes the verdict blunt.
unresolved  It is wrong on purpose by less than these runs can tell: nothing follows from it.
rung        Another theory of the ladder, held against the same runs: nothing follows from it.
reference   Other numbers to compare with, such as the stationary law: nothing follows from them.
==========  ==================================================================================
"""


class Ran(Protocol):
    """What was run."""

    @property
    def steps(self) -> int:
        """How long each run was."""


class Stated(Protocol):
    """One statement held against a measurement."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def role(self) -> Role:
        """What it is there for."""

    @property
    def consistent(self) -> bool:
        """Whether it is not rejected."""


Statement = TypeVar("Statement", bound=Stated)


class Judgement(ByValue, Tabular, Concluded, Saved, Generic[Statement]):
    """What the verdicts at equal times, in time, and of the studies share."""

    rows: tuple[Statement, ...]
    level: float
    resolution: float
    data: Header

    @property
    @abstractmethod
    def words(self) -> str:
        """The verdict in words."""

    @property
    @abstractmethod
    def detectable(self) -> float:
        """Smallest relative error that the runs would have caught with probability 0.95."""

    def row(self, name: str) -> Statement:
        """Return the statement of that name.

        Parameters
        ----------
        name : str
            Such as "langevin" or "exact, stationary", and in time "response" or "circulation".

        Returns
        -------
        Row or Statement
            What was held against the runs.

        Raises
        ------
        UnknownRow
            If there is none; it carries the nearest name.
        """
        return named(self.rows, name)

    def having(self, role: Role) -> tuple[Statement, ...]:
        """Return the statements with that role.

        Parameters
        ----------
        role : str
            Such as "claim" or "mutant".

        Returns
        -------
        tuple
            In the order of the rows.
        """
        return tuple(row for row in self.rows if row.role == role)

    @property
    def claims(self) -> tuple[Statement, ...]:
        """Statements that should hold."""
        return self.having("claim")

    @property
    def mutants(self) -> tuple[Statement, ...]:
        """Statements that are wrong on purpose, by no less than these runs can tell."""
        return self.having("mutant")

    @property
    def consistent(self) -> bool:
        """Whether no claim deviates beyond sampling."""
        return all(row.consistent for row in self.claims)

    @property
    def sharp(self) -> bool:
        """Whether the runs resolve `resolution`, and reject every mutant."""
        return bool(self.detectable <= self.resolution) and not any(row.consistent for row in self.mutants)

    @property
    @abstractmethod
    def run(self) -> Ran:
        """The identity, read: recipe, steps, replicas, seed and the rest."""

    @property
    @abstractmethod
    def replicas(self) -> tuple[int, int]:
        """How many replicas there were, and into how many groups they were gathered at most; 0 if not."""

    @property
    def replicas_needed(self) -> int | None:
        """About how many replicas of as many steps would be sharp; None if these are, or if no number would be."""
        if self.sharp:
            return None
        count, groups = self.replicas
        return replicas_for(self.detectable, self.resolution, count, self.level / FAMILY, groups)

    @property
    def _lengthened(self) -> bool:
        """Whether runs of more steps would answer the same question."""
        return True

    def __repr__(self) -> str:
        name = f"{self.data['name']}: " if "name" in self.data else ""
        return clipped(f"{type(self).__name__}({name}{self.outcome}, would catch {caught(self.detectable)})")

    def _said(self, fault: str) -> tuple[str, str]:
        """Whether it is consistent, else its `fault`; and whether it is sharp, else what was asked and would do."""
        level = f"family-wise level {100 * self.level:.3g} %"
        least = (
            "sampling" if self.replicas[0] else "rounding"
        )  # without replicas two calculations were held against each other
        first = f"consistent: no deviation beyond {least} at {level}" if self.consistent else f"NOT consistent: {fault}"
        second = f"sharp: would have caught {caught(self.detectable)} (with probability {POWER:g})"
        if self.sharp:
            return first, second
        do = self._remedy if self.consistent else ""
        return first, f"NOT {second}, asked was {100 * self.resolution:.3g} %{do}"

    @property
    def _remedy(self) -> str:
        """What would make the runs sharp, as a clause."""
        count, groups = self.replicas
        found = self.detectable, self.resolution, count, self.run.steps, groups
        return remedy(self.replicas_needed, count, steps_for(*found) if self._lengthened else None)

    @classmethod
    def _updated(cls, header: Header) -> dict[str, Any]:
        """A header with the roles that files did not hold at first: there they follow from the names."""
        rows = [{"role": cls._role_of(row["name"], header), **row} for row in header["rows"]]
        return {**header, "rows": rows}

    @classmethod
    @abstractmethod
    def _role_of(cls, name: str, header: Header) -> Role:
        """Role of the row of that name in a file that holds none."""
