"""Estimates of a dynamic verdict: entropy production, Yaida's relations, and what its figures show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...simulation.agenda import BINS, EDGE, Found
from ...theory.entropy import path_entropy
from ...theory.yaida import RELATIONS, sides
from ..left_out import pseudo_values
from .contrasts import odd, standard_error, z_rms
from .expectation import Expectation
from .findings import Entropy, Trace
from .statements import Statements

__all__ = ["Estimates"]

_STEPS_A_WEIGHT = 10  # that a plug-in needs at least


@dataclass(frozen=True)
class Estimates:
    """Of what the statements found."""

    statements: Statements

    @property
    def expected(self) -> Expectation:
        """What theory says."""
        return self.statements.expected

    @property
    def found(self) -> Found:
        """What was measured."""
        return self.statements.found

    def entropy(self) -> list[Entropy]:
        """Of all outputs together and of each, by areas with theory's weights and by plugging in what was measured."""
        if not self.expected.entropic:
            return []
        predicted, arrived = self.expected.entropies, self.expected.arrived
        errors = self.expected.sweeping_errors / np.sqrt(len(self.found.areas))
        names = ["all outputs", *(f"output {k}" for k in range(len(predicted) - 1))]
        areas, found = self.found.areas, []
        for name, value, error, column in zip(names, predicted, errors, areas.T, strict=True):
            found.append(
                Entropy(name, "areas", value * arrived, float(column.mean()), float(standard_error(column)), error, 0.0)
            )
        for name, value, cut in zip(names, predicted, self._cuts, strict=True):
            found.append(self._plug_in(name, value, cut))
        return found

    def relations(self) -> list[Trace]:
        """Yaida's relations of the modes looked at, group by group."""
        sgd, h = self.expected.stationary.law.sgd, self.expected.stationary.curvatures[: self.expected.agenda.modes]
        found = []
        for relation in RELATIONS if sgd.step.autoregressive else ():
            left, right = (
                np.array(side)
                for side in zip(*(sides(relation, each, h, sgd.step, sgd.lr) for each in self.found.joint), strict=True)
            )
            upper = np.triu_indices(left.shape[-1])
            work, steps = (np.trace(side, axis1=1, axis2=2) for side in (left, right))
            found.append(
                Trace(
                    relation.name,
                    relation.symbol,
                    float(work.mean()),
                    float(steps.mean()),
                    float(standard_error(work - steps)),
                    z_rms((left - right)[:, *upper]),
                )
            )
        return found

    @property
    def _cuts(self) -> list[slice]:
        m, whole = self.expected.agenda.modes, self.found.kicked.shape[-2] * self.expected.agenda.modes
        return [slice(whole), *(slice(k, k + m) for k in range(0, whole, m))]

    def _plug_in(self, name: str, predicted: float, cut: slice) -> Entropy:
        """From measured moments alone; its bias, about d (d - 1)/n, is removed by leaving groups out in turn."""
        size = cut.stop - (cut.start or 0)
        transitions = len(self.found.areas) * len(self.expected.agenda.origins)
        bias = size * (size - 1) / transitions
        if bias > predicted or transitions < _STEPS_A_WEIGHT * size:  # nothing to be seen, perhaps not even a rank
            return Entropy(name, "plug-in", predicted, float("nan"), float("nan"), float("nan"), bias)
        times = np.arange(self.found.joint.shape[-1]).reshape(-1, self._cuts[0].stop)[:, cut].ravel()
        joint = self.found.joint[:, times[:, None], times]
        found = pseudo_values((joint,), lambda mean: path_entropy(mean, size))
        value, error = float(found.mean()), float(standard_error(found))
        return Entropy(name, "plug-in", predicted, value, error, float("nan"), bias)

    def arrays(self) -> dict[str, Array]:
        """What the figures show."""
        found, expected = self.found, self.expected
        own = np.diagonal(found.responses[:, 0], axis1=2, axis2=3)
        return {
            "curvatures": expected.stationary.curvatures[: expected.agenda.modes],
            "lags": np.array(expected.agenda.lags),
            "covariance": expected.covariance,
            "measured_covariance": found.now[:, 0].mean(axis=0),
            "covariance_error": standard_error(found.now[:, 0]),
            "lagged": expected.lagged,
            "measured_lagged": found.lagged.mean(axis=0),
            "lagged_error": standard_error(found.lagged),
            "share_error": self._share_error,
            "by_response": self.statements.by_response.mean(axis=0),
            "by_response_error": standard_error(self.statements.by_response),
            "fdt_error": standard_error(found.lagged - self.statements.by_response),
            "responses": expected.responses,
            "measured_responses": own.mean(axis=0),
            "response_error": standard_error(own),
            "current_errors": standard_error(odd(found.lagged[:, 0])),
            "decay": expected.decay,
            "dense_responses": expected.answers,
            "plane": np.array(expected.agenda.plane),
            **self._flow(),
        }

    @property
    def _share_error(self) -> Array:
        """Standard error of the modes' correlations over their variances, which vary together, (k, m)."""
        lagged, now = (np.diagonal(each, axis1=2, axis2=3) for each in (self.found.lagged, self.statements.now))
        share = lagged.mean(axis=0) / now.mean(axis=0)
        return standard_error((lagged - share * now) / now.mean(axis=0))

    def _flow(self) -> dict[str, Array]:
        """The plane's density and current, measured in its fields and predicted at their centres."""
        if not self.expected.entropic:
            return {}
        centres = EDGE * ((2 * np.arange(BINS) + 1) / BINS - 1)
        places = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)
        field = (2 * EDGE / BINS) ** 2
        density, current = self.expected.flow(places)
        return {
            "places": places,
            "density": density,
            "current": current,
            "measured_density": self.found.density.mean(axis=0).ravel() / field,
            "measured_current": self.found.flow.mean(axis=0).reshape(-1, 2) / field,
            "current_error": standard_error(self.found.flow).reshape(-1, 2) / field,
        }
