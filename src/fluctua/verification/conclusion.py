"""The verdict of a study: statements with roles, what follows from them, and the numbers behind the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from .._arrays import Arrays
from .._results import Tables
from .._tables import Columns, text_table
from .._validate.plain import Header, JsonObject
from .._validate.values import false_alarm_level, resolution_share
from ..errors import InvalidInput
from ..storage.layout import hold_arrays
from ..storage.results import finite, provenance
from ..storage.saved import with_nan
from .formats import shown
from .judgement import SUMMARY, Judgement, Role
from .statements import Quantity, Statement

__all__ = ["StatementVerdict", "StudyRun", "conclude"]

_STATED = ("name", "role", "predicted", "measured", "error", "z", "p_value", "detectable", "consistent")
_DERIVED = ("p_value", "z_rms", "detectable", "consistent")


@dataclass(frozen=True)
class StudyRun:
    """What repeats the numbers of a study, as far as all studies have it.

    Attributes
    ----------
    steps, replicas : int
        Of the runs; 0 replicas where their number is of no use.
    entropy : str
        Of the root of the randomness, the seed.
    """

    steps: int
    replicas: int
    entropy: str


@dataclass(frozen=True, eq=False, repr=False)
class StatementVerdict(Judgement[Statement]):
    """What a study found: consistent or not, sharp or not, and its statements; made by `conclude`.

    Attributes
    ----------
    study : str
        Name of the study, `fluctua.studies.NAME`.
    title : str
        What was looked at, in a few words.
    level, resolution : float
        Family-wise level; relative error of the claims' numbers that the runs had to reject.
    rows : tuple of Statement
        Claims, mutants that have to be rejected, and rungs, from which nothing follows.
    identity, provenance : dict
        What was asked, with steps, replicas and the seed; versions.
    arrays : dict of str to ndarray
        The points and lines of the figures.
    tables : dict of str to list of str
        Names of the arrays that make the columns of each table behind a figure.
    facts : dict of str to str
        What else the page and the terminal say of the run.
    data : dict
        Name and hash of the data, where `about` attached them.

    Examples
    --------
    >>> from fluctua.verification.conclusion import conclude
    >>> from fluctua.verification.statements import Measured, stated
    >>> fair = stated("fair", "claim", {"heads": 0.5}, {"heads": Measured(0.501, 0.002)})
    >>> biased = stated("biased", "mutant", {"heads": 0.55}, {"heads": Measured(0.501, 0.002)})
    >>> run = {"steps": 62_500, "replicas": 1, "entropy": "1"}
    >>> conclude("coin", "a coin", [fair, biased], level=0.01, resolution=0.05, **run)
    StatementVerdict(passed, would catch 1.7 %)
    """

    KIND, STEM = "study", "study"
    NOUN, MADE_BY = "verdict of a study", "fluctua study NAME --out"

    study: str
    title: str
    level: float
    resolution: float
    rows: tuple[Statement, ...]
    identity: Header
    provenance: Mapping[str, str]
    arrays: Arrays = field(default_factory=dict, repr=False)
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    data: Header = field(default_factory=dict)

    @property
    def run(self) -> StudyRun:
        """Steps, replicas and seed."""
        return StudyRun(**{each.name: self.identity[each.name] for each in fields(StudyRun)})

    @property
    def replicas(self) -> tuple[int, int]:
        """How many replicas there were; they are not gathered into groups."""
        return self.run.replicas, 0

    @property
    def _lengthened(self) -> bool:
        return not self.identity.get("steps_are_asked", False)

    @property
    def detectable(self) -> float:
        """Smallest relative error that every claim would have caught with probability 0.95, where it can catch any."""
        found = [row.detectable for row in self.claims if np.isfinite(row.detectable)]
        return max(found, default=float("inf"))

    @property
    def sharp(self) -> bool:
        """Whether every claim that predicts a number resolves `resolution`, and every mutant is rejected."""
        nothing = all(not each.predicted for row in self.claims for each in row.quantities)
        return (nothing or self.detectable <= self.resolution) and not any(row.consistent for row in self.mutants)

    @property
    def words(self) -> str:
        """The verdict in a few clauses."""
        wrong = [row.name for row in self.claims if not row.consistent]
        said = self._said(f"{', '.join(wrong)} at family-wise level {100 * self.level:.3g} %")
        blunt = [row.name for row in self.mutants if row.consistent]
        left = f"NOT rejected though wrong: {', '.join(blunt)}" if blunt else ""
        return "; ".join(filter(None, [*said, left])) + "."

    @property
    def table(self) -> str:
        """The statements, each with the quantity that deviates most, as plain text."""
        head = "statement", "of", "predicted", "measured", "error", "z", "verdict"
        return text_table([head, *map(_cells, self.rows)], ("<34", "<10", ">13", ">13", ">9", ">7", "<"))

    def _tables(self) -> Tables:
        made: dict[str, Any] = {"statements": self._statements, "quantities": self._quantities}
        for name, columns in self.tables.items():
            made[name] = lambda columns=columns: {each: self.arrays[each] for each in columns}
        return made

    def _statements(self) -> Columns:
        told = {name: [getattr(row, name) for row in self.rows] for name in _STATED}
        return {
            "statement": told.pop("name"),
            "role": told.pop("role"),
            "of": [r.worst.name for r in self.rows],
            **told,
        }

    def _quantities(self) -> Columns:
        each = [(row, one) for row in self.rows for one in row.quantities]
        names = ("predicted", "measured", "error", "z", "p_value")
        return {
            "statement": [row.name for row, _ in each],
            "of": [one.name for _, one in each],
            **{name: [getattr(one, name) for _, one in each] for name in names},
        }

    @property
    def _attributes(self) -> dict[str, Any]:
        return {"study": self.study, "title": self.title, "words": self.words}

    def to_dict(self) -> JsonObject:
        """Return everything but the figures' arrays as plain JSON types (schema: `fluctua schema study`)."""
        out = {key: value for key, value in asdict(replace(self, arrays={})).items() if key != "arrays"}
        rows = [{**asdict(row), **{name: getattr(row, name) for name in _DERIVED}} for row in self.rows]
        tables = {name: list(columns) for name, columns in self.tables.items()}
        summary = {name: getattr(self, name) for name in SUMMARY}
        plain: JsonObject = finite({"kind": self.KIND, **summary, **out, "rows": rows, "tables": tables})
        return plain

    @staticmethod
    def _hold(header: Header, arrays: Arrays) -> None:
        hold_arrays(arrays, {}, {})
        for name, columns in header["tables"].items():
            found = [arrays[each] for each in columns if each in arrays]
            if len(found) < len(columns) or len({each.shape for each in found}) != 1 or found[0].ndim != 1:
                raise ValueError(f"its table {name} has no columns of one length")

    @classmethod
    def _updated(cls, header: Header) -> dict[str, Any]:
        return dict(header)

    @classmethod
    def _role_of(cls, name: str, header: Header) -> Role:
        raise ValueError(f"its row {name} of {header['study']} has no role")

    @classmethod
    def _read(cls, header: Header, arrays: Arrays) -> StatementVerdict:
        names = ("study", "title", "level", "resolution", "identity", "provenance", "tables", "facts", "data")
        rows = tuple(
            Statement(row["name"], row["role"], tuple(Quantity(**with_nan(q)) for q in row["quantities"]), row["level"])
            for row in header["rows"]
        )
        return cls(rows=rows, arrays=arrays, **{name: header[name] for name in names})


def _cells(row: Statement) -> tuple[str, ...]:
    """Return a line of the table, cell by cell."""
    worst = row.worst
    numbers = shown(worst.predicted, ".6g"), shown(worst.measured, ".6g"), f"{worst.error:.2g}", shown(worst.z, "+.1f")
    return row.name, worst.name, *numbers, "consistent" if row.consistent else "rejected"


def conclude(
    study: str,
    title: str,
    rows: Sequence[Statement],
    *,
    level: float,
    resolution: float,
    steps: int,
    replicas: int,
    entropy: str,
    steps_are_asked: bool = False,
    asked: Header | None = None,
    arrays: Arrays | None = None,
    tables: Mapping[str, Sequence[str]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> StatementVerdict:
    """Return the verdict of statements, each at its share of the family-wise level: all claims share it.

    `asked` is what repeats the run beside steps, replicas and seed, as plain JSON types. `steps_are_asked` says that
    another number of steps is another question, so that only more replicas make the verdict sharp. The others are the
    fields of `StatementVerdict`.

    Raises
    ------
    InvalidInput
        Without a claim, for two statements of one name, and for a level or resolution out of range.
    """
    names = [row.name for row in rows]
    claims = sum(row.role == "claim" for row in rows)
    if not claims or len(set(names)) < len(names):
        raise InvalidInput(f"a verdict needs a claim, and statements of different names; got {', '.join(names)}.")
    share = false_alarm_level(level) / claims
    fixed = {"steps_are_asked": True} if steps_are_asked else {}
    return StatementVerdict(
        study=study,
        title=title,
        level=level,
        resolution=resolution_share(resolution),
        rows=tuple(replace(row, level=share) for row in rows),
        identity={"steps": steps, "replicas": replicas, "entropy": entropy, **fixed, **(asked or {})},
        provenance=provenance(),
        arrays=dict(arrays or {}),
        tables={name: list(columns) for name, columns in (tables or {}).items()},
        facts=dict(facts or {}),
    )
