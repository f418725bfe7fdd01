"""What is known of a move on a graph before any run: energy, temperatures, and how far from equilibrium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..._results import ByValue, Tables, Tabular
from ..._tables import Columns
from .closure import Closure, energy_per_edge
from .exact import ExactLaw, law_of
from .graph import Graph
from .moves import Metropolis, Move
from .proposals import Proposals
from .states import Boltzmann, States, fits

__all__ = ["THEORIES", "ColoringPrediction", "Theory"]

Theory = Literal["zero", "tree", "exact"]
THEORIES = "zero", "tree", "exact"


@dataclass(frozen=True, eq=False, repr=False)
class ColoringPrediction(ByValue, Tabular):
    """The stationary state of a move on a graph; made by `fluctua.predict`.

    Attributes
    ----------
    graph : Graph
        What is coloured.
    move : SGDLike or Metropolis
        The dynamics.
    theory : str
        "zero": exp(-E/T0). "tree": the closure on trees (F123). "exact": all colourings are listed (F122).

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import coloring
    >>> law = fl.predict(coloring.named("K222"), coloring.SGDLike(batch=0.8))
    >>> print(f"<E> {law.energy:.10f}, T_E {law.temperature:.8f}, T0 {law.zero_temperature:.8f}")
    <E> 1.3131981775, T_E 0.64721842, T0 0.62133493
    >>> print(f"{law.entropy_production:.8e} a proposal; reversible: {law.reversible}")
    2.41234536e-03 a proposal; reversible: False
    """

    graph: Graph
    move: Move
    theory: Theory

    @property
    def energy(self) -> float:
        """<E>, at the ends of sweeps where vertices are visited in order."""
        if self.theory == "exact":
            return self.law.energy
        if self._listed is not None:
            return self._listed.mean(self._inverse)
        return len(self.graph.edges) * energy_per_edge(self._inverse, self.graph.colors)

    @property
    def energy_per_vertex(self) -> float:
        """<E>/N."""
        return self.energy / int(self.graph.vertices)

    @property
    def temperature(self) -> float:
        """T_E, at which exp(-E/T) has this energy; it is also the nearest in Kullback-Leibler divergence (F125)."""
        with np.errstate(divide="ignore"):
            return float(np.divide(1.0, self._inverse))

    @property
    def zero_temperature(self) -> float:
        """T0 = -1/ln(1 - B), or Metropolis' T (F121)."""
        return self.move.zero_temperature

    @property
    def variance(self) -> float:
        """Var E; NaN where the closure does not know it."""
        if self.theory == "exact":
            return self.law.variance
        return self._listed.variance(self._inverse) if self._listed is not None else float("nan")

    @property
    def fluctuation_ratio(self) -> float:
        """X = Var E over that of exp(-E/T_E): 1 in equilibrium; NaN where the closure does not know it (F125)."""
        if self.theory == "exact":
            return self.law.fluctuation_ratio
        return 1.0 if self.reversible else float("nan")

    @cached_property
    def entropy_production(self) -> float:
        """In nats per proposal (F124), of the closure with P(n, m) of the tree; infinite where a batch is kept."""
        if self.theory == "exact":
            return self.law.entropy_production
        if self.theory == "zero" or isinstance(self.move, Metropolis):
            return 0.0
        return float(self.proposals.entropy(self._closure.table(self.move))) + 0.0

    @property
    def reversible(self) -> bool:
        """Whether the stationary state is an equilibrium: no currents, to rounding."""
        if self.theory == "exact":
            return self.law.reversible
        return self.theory == "zero" or isinstance(self.move, Metropolis) or int(self.graph.degrees.max()) <= 2

    @property
    def divergence(self) -> float:
        """Kullback-Leibler divergence from exp(-E/T_E), in nats; NaN where the closure does not know it (F125)."""
        if self.theory == "exact":
            return self.law.divergence(self.law.inverse_temperature)
        return 0.0 if self.reversible else float("nan")

    @property
    def temperatures(self) -> dict[int, float]:
        """T_k = k/ln(a(-k)/a(k)) for changes k that are accepted both ways: all equal in equilibrium (F125)."""
        return self.proposals.temperatures

    @property
    def truncation_error(self) -> float:
        """Bound of the share of the edges that the sums of the closure leave out (F123)."""
        return self._closure.left_out if self.theory == "tree" else 0.0

    @cached_property
    def law(self) -> ExactLaw:
        """The exact law, with all its states."""
        return law_of(self.graph, self.move)

    @cached_property
    def proposals(self) -> Proposals:
        """Proposals by their conflicts now and then, and how many are accepted."""
        if self.theory == "exact":
            return self.law.proposals
        if self.theory == "zero":
            return self._closure.proposals(self._inverse, Metropolis(self.zero_temperature))
        return self._closure.proposals(self._inverse, self.move)

    @cached_property
    def _inverse(self) -> float:
        """1/T."""
        if self.theory == "exact":
            return self.law.inverse_temperature
        return 1 / self.zero_temperature if self.theory == "zero" else self._closure.inverse_temperature(self.move)

    @cached_property
    def _closure(self) -> Closure:
        return Closure.of(self.graph)

    @cached_property
    def _listed(self) -> Boltzmann | None:
        """exp(-E/T) of all colourings, for the lowest rung, where they can be listed."""
        return Boltzmann(States(self.graph).energies) if self.theory == "zero" and fits(self.graph) else None

    def _compared(self) -> Mapping[str, Any]:
        return {"graph": self.graph, "move": self.move, "theory": self.theory}

    def _tables(self) -> Tables:
        return {"temperatures": self._columns, "summary": self._summary}

    def _columns(self) -> Columns:
        changes = list(self.temperatures)
        rises, falls = ([float(self.proposals.acceptance(sign * k)) for k in changes] for sign in (1, -1))
        return {"change": changes, "rises": rises, "falls": falls, "temperature": list(self.temperatures.values())}

    def _summary(self) -> Columns:
        return {"quantity": list(self._attributes), "value": list(self._attributes.values())}

    @property
    def _attributes(self) -> dict[str, float]:
        names = ("energy", "temperature", "zero_temperature", "entropy_production", "fluctuation_ratio", "divergence")
        return {name: float(getattr(self, name)) for name in names}

    def __repr__(self) -> str:
        said = f"energy {self.energy:.6g}, temperature {self.temperature:.6g}, T0 {self.zero_temperature:.6g}"
        return f"ColoringPrediction({self.theory}: {said})"
