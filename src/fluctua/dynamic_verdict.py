"""What a dynamic verification concluded, with the evidence that its figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .results import finite
from .saved import Saved, named, with_nan
from .significance import POWER

__all__ = ["CURRENT", "FDT", "NO_CURRENT", "Circulation", "DynamicVerdict", "Entropy", "Statement", "Trace"]

FDT, CURRENT, NO_CURRENT = "correlation = S x response", "circulation", "equilibrium FDT, no current"


@dataclass(frozen=True)
class Statement:
    """One statement held against the measurement.

    Attributes
    ----------
    name : str
    p_value : float
        Family-wise, over bands of modes, lags and the current.
    z_rms : float
        Over elements one by one: root mean square of the normal scores.
    detectable : float
        Smallest relative error that these runs would reject with probability `significance.POWER`.
    level : float
        Below which it is rejected: a quarter of the verdict's family-wise level, because four statements should hold.
    """

    name: str
    p_value: float
    z_rms: float
    detectable: float
    level: float

    @property
    def consistent(self) -> bool:
        """Not rejected."""
        return bool(self.p_value >= self.level)


@dataclass(frozen=True)
class Circulation:
    """J, the area swept per step, measured and predicted.

    Attributes
    ----------
    elements, resolved : int
        Pairs of modes, and those whose predicted J exceeds three error bars.
    correlation : float
        Of measured and predicted J over the resolved ones; NaN for fewer than three.
    z_rms : float
        Over all pairs.
    ratio, ratio_error : float
        Measured over predicted, all pairs weighted as J is seen best, and its standard error.
    resolvable : bool
        Whether these runs would tell the predicted J from none.
    """

    elements: int
    resolved: int
    correlation: float
    z_rms: float
    ratio: float
    ratio_error: float
    resolvable: bool


@dataclass(frozen=True)
class Entropy:
    """Entropy production per step, in nats, in the modes looked at: one estimate.

    Attributes
    ----------
    of : str
        "all outputs", or one.
    estimator : str
        "areas": the measured areas one step apart, weighted by theory's force over theory's noise; linear in what is
        measured, so it has no bias. "plug-in": of the Gaussian process with the measured moments, nothing of theory in
        it, its bias removed by leaving groups of replicas out in turn.
    predicted : float
        "areas": averaged over the times looked at; "plug-in": stationary.
    measured, error : float
        And its standard error; NaN where nothing can be resolved.
    resolution : float
        Standard error that was to be expected before the runs; for "plug-in" NaN, it is not known beforehand.
    bias : float
        Expected before the runs, d (d - 1)/n for d weights and n steps seen, and removed.
    """

    of: str
    estimator: str
    predicted: float
    measured: float
    error: float
    resolution: float
    bias: float

    @property
    def resolves(self) -> bool:
        """Whether the expected error is below a fifth, and the expected bias below a twentieth, of the prediction.

        What is left of a bias when it has been removed is of the order of its square.
        """
        known = self.measured == self.measured
        return bool(known and not self.resolution > 0.2 * self.predicted and self.bias < 0.05 * self.predicted)


@dataclass(frozen=True)
class Trace:
    """One of Yaida's relations, `fluctua.relations`, measured from the trajectory alone.

    Attributes
    ----------
    name, symbol : str
    work, steps, error : float
        Traces of its two sides, and the standard error of their difference.
    z_rms : float
        Of the difference, over the elements of the matrix.
    """

    name: str
    symbol: str
    work: float
    steps: float
    error: float
    z_rms: float


@dataclass(frozen=True)
class DynamicVerdict(Saved):
    """Consistent? Sharp? And the statements behind it; made by `verify_dynamic`.

    Attributes
    ----------
    level, resolution : float
        Family-wise level; relative error of the correlations that the runs had to reject.
    rows : tuple of Statement
        The four statements, and the three mutants that have to be rejected.
    circulation : Circulation
    entropy : tuple of Entropy
        Empty if not asked for, and with Nesterov's step, whose weights are not the chain that it is of.
    relations : tuple of Trace
        Yaida's; empty with Nesterov's step.
    identity, provenance : dict
        Recipe, seed, versions: what repeats the numbers.
    arrays : dict of str to ndarray
        The points and lines of the figures.
    data : dict
        Name and hash of the data.
    """

    KIND, STEM = "dynamic", "dynamic"
    NOUN, MADE_BY = "dynamic verdict", "fluctua verify --dynamic --out"

    level: float
    resolution: float
    rows: tuple[Statement, ...]
    circulation: Circulation
    entropy: tuple[Entropy, ...]
    relations: tuple[Trace, ...]
    identity: Mapping[str, Any]
    provenance: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    data: Mapping[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> Statement:
        """Return the statement of that name; raises `UnknownRow`."""
        return named(self.rows, name)

    @property
    def mutants(self) -> tuple[Statement, ...]:
        """Statements that are wrong on purpose; that of no current only where a current can be resolved."""
        wrong = tuple(row for row in self.rows if row.name.startswith(f"{FDT} x "))
        return (*wrong, self.row(NO_CURRENT)) if self.circulation.resolvable else wrong

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Those that should hold."""
        return tuple(row for row in self.rows if row.name != NO_CURRENT and not row.name.startswith(f"{FDT} x "))

    @property
    def consistent(self) -> bool:
        """No statement deviates beyond sampling."""
        return all(row.consistent for row in self.statements)

    @property
    def detectable(self) -> float:
        """Smallest relative error of the correlations that these runs would have caught with probability 0.95."""
        return self.row(FDT).detectable

    @property
    def sharp(self) -> bool:
        """The runs resolve `resolution`, and reject every mutant."""
        return bool(self.detectable <= self.resolution) and not any(row.consistent for row in self.mutants)

    @property
    def passed(self) -> bool:
        """Consistent and sharp: a pass without sharpness means nothing."""
        return self.consistent and self.sharp

    @property
    def words(self) -> str:
        """The verdict in a few clauses."""
        wrong = [row.name for row in self.statements if not row.consistent]
        first = (
            f"NOT consistent: {', '.join(wrong)} at family-wise level {100 * self.level:.3g} %" if wrong
            else f"consistent: no deviation beyond sampling at family-wise level {100 * self.level:.3g} %"
        )  # fmt: skip
        caught = f"would have caught {100 * self.detectable:.2g} % (with probability {POWER:g})"
        second = f"sharp: {caught}" if self.sharp else f"NOT sharp: {caught}, asked was {100 * self.resolution:.3g} %"
        third = (
            "rejected" if self.circulation.resolvable and not self.row(NO_CURRENT).consistent
            else "NOT rejected" if self.circulation.resolvable else "not told apart: the current is below what is seen"
        )  # fmt: skip
        return f"{first}; {second}; the equilibrium theorem, without a current, is {third}."

    @property
    def currents(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """J predicted and measured, (m, m): the odd part of correlations at the first lag."""
        predicted, measured = (self.arrays[name][0] for name in ("lagged", "measured_lagged"))
        return 0.5 * (predicted - predicted.T), 0.5 * (measured - measured.T)

    @property
    def shares(self) -> NDArray[Any]:
        """Measured correlation of every mode with itself at every lag, over its variance, (k, m)."""
        lagged = self.arrays["measured_lagged"].diagonal(axis1=1, axis2=2)
        return np.asarray(lagged / self.arrays["measured_covariance"].diagonal())

    @property
    def table(self) -> str:
        """The statements and the mutants, as plain text."""
        lines = [f"{'statement':<34} {'z-rms':>7} {'p':>9} {'would catch':>12}  verdict"]
        for row in self.rows:
            verdict = "consistent" if row.consistent else "rejected"
            caught = f"{row.detectable:.2%}" if row in self.statements else ""
            lines.append(f"{row.name:<34} {row.z_rms:>7.2f} {row.p_value:>9.2g} {caught:>12}  {verdict}")
        return "\n".join(lines)

    @property
    def entropy_table(self) -> str:
        """The entropy production, each estimate beside its prediction and what it could resolve."""
        lines = [f"{'nats per step':<13} {'estimator':<10} {'predicted':>10} {'measured':>10} {'error':>9} "
                 f"{'expected':>9} {'bias off':>9}"]  # fmt: skip
        for each in self.entropy:
            measured = f"{each.measured:>10.4g} {each.error:>9.2g}" if each.resolves else f"{'unresolved':>20}"
            expected = f"{each.resolution:>9.2g}" if each.resolution == each.resolution else f"{'unknown':>9}"
            lines.append(
                f"{each.of:<13} {each.estimator:<10} {each.predicted:>10.4g} {measured} {expected} {each.bias:>9.2g}"
            )
        return "\n".join(lines)

    @property
    def relations_table(self) -> str:
        """Yaida's relations: the work of the gradient beside what the steps do."""
        head = f"{'relation':<15} {'work':>11} {'steps':>11} {'error':>9} {'z-rms':>7}"
        lines = (
            f"{each.name:<15} {each.work:>11.5g} {each.steps:>11.5g} {each.error:>9.2g} {each.z_rms:>7.2f}"
            for each in self.relations
        )
        return "\n".join([head, *lines])

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the figures' arrays as plain JSON types (schema: `fluctua schema dynamic`)."""
        out = {key: value for key, value in asdict(replace(self, arrays={})).items() if key != "arrays"}
        summary = {name: getattr(self, name) for name in ("consistent", "sharp", "passed", "detectable", "words")}
        rows = [{**asdict(row), "consistent": row.consistent} for row in self.rows]
        entropy = [{**asdict(each), "resolves": each.resolves} for each in self.entropy]
        plain: dict[str, Any] = finite({"kind": self.KIND, **summary, **out, "rows": rows, "entropy": entropy})
        return plain

    @classmethod
    def _read(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> DynamicVerdict:
        rows, entropy = (
            [{key: value for key, value in with_nan(one).items() if key != derived} for one in header[name]]
            for name, derived in (("rows", "consistent"), ("entropy", "resolves"))
        )
        names = ("level", "resolution", "identity", "provenance", "data")
        return cls(
            rows=tuple(Statement(**row) for row in rows), circulation=Circulation(**with_nan(header["circulation"])),
            entropy=tuple(Entropy(**one) for one in entropy), arrays=arrays,
            relations=tuple(Trace(**with_nan(one)) for one in header["relations"]),
            **{name: header[name] for name in names},
        )  # fmt: skip
