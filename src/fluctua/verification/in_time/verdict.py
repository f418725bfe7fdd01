"""What a dynamic verification concluded, with the evidence that its figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import AnyArray, Arrays
from ..._results import Tables
from ..._tables import text_table
from ..._validate.plain import Header, JsonObject
from ...simulation.identity import InTimeRun
from ...storage.results import finite
from ...storage.saved import with_nan
from ..formats import caught, shown
from ..judgement import SUMMARY, Judgement, Role
from ..near_limit import heavy_tails
from ..promised import hold_in_time
from .findings import CURRENT, FDT, GROUPS, NO_CURRENT, NONE, TURNED, Circulation, Entropy, Statement, Trace
from .tabulated import in_time_tables

__all__ = ["CURRENT", "FDT", "NO_CURRENT", "Circulation", "DynamicVerdict", "Entropy", "Statement", "Trace"]


@dataclass(frozen=True, eq=False, repr=False)
class DynamicVerdict(Judgement[Statement]):
    """What `verify_dynamic` found: consistent or not, sharp or not, and its statements; made by `verify_dynamic`.

    Attributes
    ----------
    level, resolution : float
        Family-wise level; relative error of the correlations that the runs had to reject.
    rows : tuple of Statement
        The four statements, and the mutants that have to be rejected where these runs can tell them.
    circulation : Circulation
        Predicted and measured current J, and whether these runs can tell it.
    entropy : tuple of Entropy
        Empty if not asked for, and with Nesterov's step, whose weights are not the chain that it is of.
    relations : tuple of Trace
        Yaida's; empty with Nesterov's step.
    identity, provenance : dict
        Recipe, seed, versions: what repeats the numbers.
    arrays : dict of str to ndarray
        The points and lines of the figures.
    data : dict
        Name and hash of the data, where `about` attached them.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify_dynamic(problem, fl.SGD(lr=0.02, batch_size=8), steps=40, replicas=32, modes=3, rng=1)
    >>> verdict.passed == (verdict.consistent and verdict.sharp)
    True
    >>> [row.name for row in verdict.statements]
    ['correlation = S x response', 'correlation', 'response', 'circulation']
    """

    KIND, STEM = "dynamic", "dynamic"
    NOUN, MADE_BY = "dynamic verdict", "fluctua verify --dynamic --out"

    level: float
    resolution: float
    rows: tuple[Statement, ...]
    circulation: Circulation
    entropy: tuple[Entropy, ...]
    relations: tuple[Trace, ...]
    identity: Header
    provenance: Mapping[str, str]
    arrays: Arrays = field(repr=False)
    data: Header = field(default_factory=dict)

    @cached_property
    def run(self) -> InTimeRun:
        """The identity, read: recipe, steps, replicas, seed and the rest."""
        return InTimeRun.of(self.identity)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Those that should hold: the claims."""
        return self.claims

    @property
    def detectable(self) -> float:
        """Smallest relative error of the correlations that these runs would have caught with probability 0.95."""
        return self.row(FDT).detectable

    @property
    def replicas(self) -> tuple[int, int]:
        """How many replicas there were, and into how many groups they were gathered at most."""
        return self.run.replicas, GROUPS

    @property
    def words(self) -> str:
        """The verdict in a few clauses."""
        wrong = [row.name for row in self.claims if not row.consistent]
        said = self._said(f"{', '.join(wrong)} at family-wise level {100 * self.level:.3g} %")
        return "; ".join(filter(None, [*said, self._of_equilibrium, heavy_tails(self.identity)])) + "."

    @property
    def _of_equilibrium(self) -> str:
        """What the runs say of the equilibrium theorem."""
        found, rejected = self.circulation, not self.row(NO_CURRENT).consistent
        told = f"the equilibrium theorem, without a current, is {'rejected' if rejected else 'NOT rejected'}"
        if found.resolvable or rejected:
            return told if found.predicted else f"{told}, and theory predicts none"
        why = "the current is below what is seen" if found.predicted else "theory predicts none"
        return f"the equilibrium theorem, without a current, is not told apart: {why}"

    @property
    def currents(self) -> tuple[AnyArray, AnyArray]:
        """Currents J predicted and measured, (m, m): the odd part of correlations at the first lag."""
        predicted, measured = (self.arrays[name][0] for name in ("lagged", "measured_lagged"))
        return 0.5 * (predicted - predicted.T), 0.5 * (measured - measured.T)

    @property
    def shares(self) -> AnyArray:
        """Measured correlation of every mode with itself at every lag, over its variance, (k, m)."""
        lagged = self.arrays["measured_lagged"].diagonal(axis1=1, axis2=2)
        return np.asarray(lagged / self.arrays["measured_covariance"].diagonal())

    @property
    def table(self) -> str:
        """The statements and the mutants, as plain text."""
        lines = [("statement", "z-rms", "p", "would catch", "verdict")]
        for row in self.rows:
            verdict = "consistent" if row.consistent else "rejected"
            least = caught(row.detectable) if row.role == "claim" else ""
            rms = "-" if np.isnan(row.z_rms) else f"{row.z_rms:.2f}"  # of no pair of modes
            lines.append((row.name, rms, f"{row.p_value:.2g}", least, verdict))
        return text_table(lines, ("<34", ">7", ">9", ">12", "<"))

    @property
    def entropy_table(self) -> str:
        """The entropy production, each estimate beside its prediction and what it could resolve."""
        lines = [("nats per step", "estimator", "predicted", "measured", "error", "expected", "bias off")]
        for each in self.entropy:
            measured, error = (
                (shown(each.measured, ".4g"), f"{each.error:.2g}") if each.resolves else ("unresolved", "")
            )
            expected = f"{each.resolution:.2g}" if each.resolution == each.resolution else "unknown"
            predicted = shown(each.predicted, ".4g")
            lines.append((each.of, each.estimator, predicted, measured, error, expected, f"{each.bias:.2g}"))
        return text_table(lines, ("<14", "<9", ">10", ">10", ">9", ">9", ">9"))

    @property
    def relations_table(self) -> str:
        """Yaida's relations: the work of the gradient beside what the steps do."""
        lines = [("relation", "work", "steps", "error", "z-rms")]
        for each in self.relations:
            numbers = shown(each.work, ".5g"), shown(each.steps, ".5g"), f"{each.error:.2g}", f"{each.z_rms:.2f}"
            lines.append((each.name, *numbers))
        return text_table(lines, ("<15", ">11", ">11", ">9", ">7"))

    def _tables(self) -> Tables:
        return in_time_tables(self)

    @property
    def _attributes(self) -> dict[str, Any]:
        return {"recipe": self.run.recipe.words, "words": self.words}

    def to_dict(self) -> JsonObject:
        """Return everything but the figures' arrays as plain JSON types (schema: `fluctua schema dynamic`)."""
        out = {key: value for key, value in asdict(replace(self, arrays={})).items() if key != "arrays"}
        summary = {name: getattr(self, name) for name in SUMMARY}
        rows = [{**asdict(row), "consistent": row.consistent} for row in self.rows]
        entropy = [{**asdict(each), "resolves": each.resolves} for each in self.entropy]
        plain: dict[str, Any] = finite({"kind": self.KIND, **summary, **out, "rows": rows, "entropy": entropy})
        return plain

    _hold = staticmethod(hold_in_time)

    @classmethod
    def _role_of(cls, name: str, header: Header) -> Role:
        found = header["circulation"]
        told = {NO_CURRENT: found["resolvable"], NONE: found["tells_none"], TURNED: found["tells_turned"]}
        if name in told:
            return "mutant" if told[name] else "unresolved"
        return "mutant" if name.startswith(f"{FDT} x ") else "claim"

    @classmethod
    def _read(cls, header: Header, arrays: Arrays) -> DynamicVerdict:
        rows, entropy = (
            [{key: value for key, value in with_nan(one).items() if key != derived} for one in header[name]]
            for name, derived in (("rows", "consistent"), ("entropy", "resolves"))
        )
        names = ("level", "resolution", "identity", "provenance", "data")
        return cls(
            rows=tuple(Statement(**row) for row in rows),
            circulation=Circulation(**with_nan(header["circulation"])),
            entropy=tuple(Entropy(**one) for one in entropy),
            arrays=arrays,
            relations=tuple(Trace(**with_nan(one)) for one in header["relations"]),
            **{name: header[name] for name in names},
        )
