"""Expectation against finding: the statements of a dynamic verdict, its mutants and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dynamic_verdict import CURRENT, FDT, NO_CURRENT, Circulation, DynamicVerdict, Entropy, Statement, Trace
from .entropy import path_entropy
from .expectation import Expectation
from .relations import RELATIONS, sides
from .results import provenance
from .significance import bands, detectable_error, family_p_value, unit_scores
from .two_times import BINS, EDGE, Found

__all__ = ["Trial"]

Array = NDArray[np.float64]
_STATEMENTS = 4  # that should hold
_RESOLVED = 3.0  # error bars from which an element of the circulation counts as seen
_STEPS_A_WEIGHT = 10  # that a plug-in needs at least
_ROUNDING = 1e-12  # of the covariance: a current below it is none


@dataclass(frozen=True)
class Trial:
    """What was expected against what was found."""

    expected: Expectation
    found: Found
    level: float
    resolution: float

    def verdict(self, identity: Mapping[str, Any]) -> DynamicVerdict:
        """Every statement, the mutants, the circulation and the entropy production."""
        wrong = self.resolution
        rows = [
            self._by_responses(FDT, 0.0),
            self._correlation(),
            self._answers(),
            self._current(),
            self._by_responses(f"{FDT} x {1 + wrong:.3g}", wrong),
            self._by_responses(f"{FDT} x {1 - wrong:.3g}", -wrong),
            self._equilibrium(),
        ]
        return DynamicVerdict(
            level=self.level, resolution=wrong, rows=tuple(rows), circulation=self._circulation(),
            entropy=tuple(self._entropy()), relations=tuple(self._relations()), identity=identity,
            provenance=provenance(), arrays=self._arrays(),
        )  # fmt: skip

    @cached_property
    def _now(self) -> Array:
        """E[V(t)^T V(t)], (g, 1, m, m)."""
        return self.found.now[:, :1]

    @cached_property
    def _by_response(self) -> Array:
        """S R(k) with the answers of another group, so that their errors are independent, (g, k, m, m)."""
        others = np.roll(self.found.responses, 1, axis=0)
        return np.asarray(np.einsum("gspq,gskqr->gkpr", self.found.now, others, optimize=True))

    def _by_responses(self, name: str, wrong: float) -> Statement:
        """What correlations have lost after k steps against S (1 - R(k)), made `wrong` by a share."""
        lost = (1 + wrong) * (self._now - self._by_response)
        deviations = self._now - self.found.lagged - lost
        family = self._ratios(deviations + self._lost) + self._currents(self._now - lost, self.found.lagged)
        return self._statement(name, deviations, np.stack(family, axis=1))

    def _correlation(self) -> Statement:
        """Correlations, and what they have lost, against theory."""
        found, expected = self.found.lagged, self.expected
        variances = np.diagonal(self._now[:, 0], axis1=1, axis2=2) / np.diag(expected.covariance)
        family = [variances[:, band].mean(axis=1) for band in self._bands]
        family += self._ratios(self._now - found) + self._currents(expected.lagged[None], found)
        return self._statement("correlation", found - expected.lagged, np.stack(family, axis=1))

    @property
    def _lost(self) -> Array:
        """What theory's correlations have lost, (k, m, m)."""
        return np.asarray(self.expected.covariance - self.expected.lagged)

    def _statement(self, name: str, deviations: Array, family: Array) -> Statement:
        return Statement(
            name, family_p_value(family - 1), _z_rms(deviations), detectable_error(family, self._share), self._share
        )

    @property
    def _share(self) -> float:
        """Of the family-wise level, for each of the four statements."""
        return self.level / _STATEMENTS

    def _ratios(self, lost: Array) -> list[Array]:
        """Of each group, `lost` over the predicted one, in bands of modes and at every lag."""
        variances, columns = np.diag(self.expected.covariance), []
        for k, each in enumerate(self._lost):
            measured, expected = np.diagonal(lost[:, k], axis1=1, axis2=2) / variances, np.diag(each) / variances
            columns += [measured[:, band].mean(axis=1) / expected[band].mean() for band in self._bands]
        return columns

    @property
    def _bands(self) -> list[slice]:
        return bands(self.expected.agenda.modes)

    def _currents(self, expected: Array, found: Array) -> list[Array]:
        """One more than what `found` has of the predicted current beyond `expected`, at every lag that resolves it."""
        columns = []
        for k in range(found.shape[1]):
            ratio, other = self._current_ratio(found[:, k], k), self._current_ratio(expected[:, k], k)
            if ratio is not None and other is not None and self._resolves(ratio):
                columns.append(1 + ratio - other)
        return columns

    def _current_ratio(self, lagged: Array, k: int) -> Array | None:
        expected, variances = _odd(self.expected.lagged[k]), np.diag(self.expected.covariance)
        weights = expected / np.multiply.outer(variances, variances)
        norm = float(np.sum(weights * expected))
        if norm <= 0 or np.abs(expected).max() < _ROUNDING * np.abs(self.expected.covariance).max():
            return None
        return np.asarray(np.einsum("pq,gpq->g", weights, _odd(lagged)) / norm)

    def _resolves(self, ratio: Array) -> bool:
        """Whether no current would be told from the predicted one, from the spread of `ratio` alone."""
        about_one = (ratio - ratio.mean() + 1)[:, None]
        return detectable_error(about_one, self._share / len(self.expected.agenda.lags)) < 1

    def _answers(self) -> Statement:
        """Kicks and pushes against their laws."""
        responses, turned, pushed = self.expected.responses, self.expected.turned, self.expected.pushed
        own, columns = self.found.responses[:, 0], []
        kick = self.expected.agenda.direction[:, : self.expected.agenda.modes]
        for k, answer in enumerate(responses):
            lost = 1 - np.diagonal(own[:, k], axis1=1, axis2=2)
            columns += [lost[:, band].mean(axis=1) / (1 - answer[band]).mean() for band in self._bands]
            columns.append(_along(kick - self.found.turned[:, k], kick - turned[k]))
            columns.append(_along(self.found.pushed[:, k], pushed[k]))
        identity = np.eye(self.expected.agenda.modes)
        deviations = [own - identity * responses[:, None], self.found.turned - turned, self.found.pushed - pushed]
        flat = np.concatenate([each.reshape(len(own), -1) for each in deviations], axis=1)
        return self._statement("response", flat, np.stack(columns, axis=1))

    def _current(self) -> Statement:
        ratio = self._current_ratio(self.found.lagged[:, 0], 0)
        deviations = _odd(self.found.lagged[:, 0]) - _odd(self.expected.lagged[0])
        upper = np.triu_indices(self.expected.agenda.modes, 1)
        if ratio is None:
            return Statement(CURRENT, 1.0, float("nan"), float("inf"), self._share)
        return self._statement(CURRENT, deviations[:, *upper], ratio[:, None])

    def _equilibrium(self) -> Statement:
        """S R(k) without its antisymmetric part: the measured current should then be none."""
        even = _even(self._by_response)
        columns = self._currents(even, self.found.lagged)
        family = np.stack(columns, axis=1) if columns else np.ones((self.found.groups, 1))
        return self._statement(NO_CURRENT, self.found.lagged - even, family)

    def _circulation(self) -> Circulation:
        measured, expected = _odd(self.found.lagged[:, 0]), _odd(self.expected.lagged[0])
        upper = np.triu_indices(self.expected.agenda.modes, 1)
        mean, error = measured.mean(axis=0)[upper], _error(measured)[upper]
        with np.errstate(all="ignore"):
            seen = np.abs(expected[upper]) > _RESOLVED * error
            correlation = np.corrcoef(mean[seen], expected[upper][seen])[0, 1] if seen.sum() > 2 else float("nan")
        ratio = self._current_ratio(self.found.lagged[:, 0], 0)
        return Circulation(
            elements=len(mean), resolved=int(seen.sum()), correlation=float(correlation),
            z_rms=_z_rms((measured - expected)[:, *upper]),
            ratio=float("nan") if ratio is None else float(ratio.mean()),
            ratio_error=float("nan") if ratio is None else float(_error(ratio)),
            resolvable=bool(self._currents(self.expected.lagged[None], self.found.lagged)),
        )  # fmt: skip

    def _entropy(self) -> list[Entropy]:
        """Of all outputs together and of each, by areas with theory's weights and by plugging in what was measured."""
        if not self.expected.entropic:
            return []
        predicted, arrived = self.expected.entropies, self.expected.arrived
        errors = self.expected.sweeping_errors / np.sqrt(len(self.found.areas))
        names = ["all outputs", *(f"output {k}" for k in range(len(predicted) - 1))]
        areas, found = self.found.areas, []
        for name, value, error, column in zip(names, predicted, errors, areas.T, strict=True):
            found.append(
                Entropy(name, "areas", value * arrived, float(column.mean()), float(_error(column)), error, 0.0)
            )
        for name, value, cut in zip(names, predicted, self._cuts, strict=True):
            found.append(self._plug_in(name, value, cut))
        return found

    def _relations(self) -> list[Trace]:
        """Yaida's relations of the modes looked at, group by group."""
        sgd, h = self.expected.stationary.law.sgd, self.expected.stationary.curvatures[: self.expected.agenda.modes]
        found = []
        for relation in () if sgd.nesterov else RELATIONS:
            left, right = (np.array(side) for side in zip(*(sides(relation, each, h, sgd) for each in self.found.joint),
                                                          strict=True))  # fmt: skip
            upper = np.triu_indices(left.shape[-1])
            work, steps = (np.trace(side, axis1=1, axis2=2) for side in (left, right))
            found.append(Trace(relation.name, relation.symbol, float(work.mean()), float(steps.mean()),
                               float(_error(work - steps)), _z_rms((left - right)[:, *upper])))  # fmt: skip
        return found

    @property
    def _cuts(self) -> list[slice]:
        m, whole = self.expected.agenda.modes, self.found.turned.shape[-2] * self.expected.agenda.modes
        return [slice(whole), *(slice(k, k + m) for k in range(0, whole, m))]

    def _plug_in(self, name: str, predicted: float, cut: slice) -> Entropy:
        """From measured moments alone; its bias, about d (d - 1)/n, is removed by leaving groups out in turn."""
        groups, weights = self.found.groups, cut.stop - (cut.start or 0)
        transitions = len(self.found.areas) * len(self.expected.agenda.origins)
        bias = weights * (weights - 1) / transitions
        if bias > predicted or transitions < _STEPS_A_WEIGHT * weights:  # nothing to be seen, perhaps not even a rank
            return Entropy(name, "plug-in", predicted, float("nan"), float("nan"), float("nan"), bias)
        times = np.arange(self.found.joint.shape[-1]).reshape(-1, self._cuts[0].stop)[:, cut].ravel()
        joint = self.found.joint[:, times[:, None], times]
        whole = path_entropy(joint.mean(axis=0), weights)
        left = np.array([path_entropy((joint.sum(axis=0) - part) / (groups - 1), weights) for part in joint])
        value = groups * whole - (groups - 1) * float(left.mean())
        error = float(np.sqrt((groups - 1) / groups * np.sum((left - left.mean()) ** 2)))
        return Entropy(name, "plug-in", predicted, value, error, float("nan"), bias)

    def _arrays(self) -> dict[str, Array]:
        """What the figures show."""
        found, expected = self.found, self.expected
        own = np.diagonal(found.responses[:, 0], axis1=2, axis2=3)
        return {
            "curvatures": expected.stationary.curvatures[: expected.agenda.modes],
            "lags": np.array(expected.agenda.lags),
            "covariance": expected.covariance,
            "measured_covariance": found.now[:, 0].mean(axis=0),
            "covariance_error": _error(found.now[:, 0]),
            "lagged": expected.lagged,
            "measured_lagged": found.lagged.mean(axis=0),
            "lagged_error": _error(found.lagged),
            "share_error": self._share_error,
            "by_response": self._by_response.mean(axis=0),
            "by_response_error": _error(self._by_response),
            "fdt_error": _error(found.lagged - self._by_response),
            "responses": expected.responses,
            "measured_responses": own.mean(axis=0),
            "response_error": _error(own),
            "current_errors": _error(_odd(found.lagged[:, 0])),
            "decay": expected.decay,
            "dense_responses": expected.answers,
            "plane": np.array(expected.agenda.plane),
            **self._flow(),
        }

    @property
    def _share_error(self) -> Array:
        """Standard error of the modes' correlations over their variances, which vary together, (k, m)."""
        lagged, now = (np.diagonal(each, axis1=2, axis2=3) for each in (self.found.lagged, self._now))
        share = lagged.mean(axis=0) / now.mean(axis=0)
        return _error((lagged - share * now) / now.mean(axis=0))

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
            "current_error": _error(self.found.flow).reshape(-1, 2) / field,
        }


def _odd(matrices: Array) -> Array:
    return np.asarray(0.5 * (matrices - np.swapaxes(matrices, -1, -2)))


def _even(matrices: Array) -> Array:
    return np.asarray(0.5 * (matrices + np.swapaxes(matrices, -1, -2)))


def _error(groups: Array) -> Array:
    return np.asarray(groups.std(axis=0, ddof=1) / np.sqrt(len(groups)))


def _z_rms(deviations: Array) -> float:
    scores = unit_scores(deviations.reshape(len(deviations), -1))
    if not len(scores):
        return float("nan")  # one mode has no pairs
    return float(np.sqrt(np.mean(scores**2)))


def _along(measured: Array, expected: Array) -> Array:
    """Part of each group's answer along the expected one, over it, (g,)."""
    return np.asarray(np.einsum("gkp,kp->g", measured, expected) / np.vdot(expected, expected))
