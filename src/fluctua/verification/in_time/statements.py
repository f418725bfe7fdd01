"""The statements of a dynamic verdict, and those that are wrong on purpose: expectation against finding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Array
from ...simulation.agenda import Found
from ..crossed import crossed_p_values, crossed_score
from ..significance import bands, detectable_error, p_values
from .contrasts import ELEMENT, Family, even, odd, standard_error, z_rms
from .expectation import Expectation
from .findings import CURRENT, FDT, NO_CURRENT, NONE, TURNED, Circulation, Statement

__all__ = ["Statements"]

_STATEMENTS = 4  # that should hold
_RESOLVED = 3.0  # error bars from which an element of the circulation counts as seen
_NONE = 1e-12  # of the covariance: a current below it is none
_UNMOVED = 1e-12  # of a kick: what rounding leaves where a step moves no weight, as the first of SGHMC


@dataclass(frozen=True)
class Statements:
    """What was expected against what was found, statement by statement."""

    expected: Expectation
    found: Found
    level: float
    resolution: float

    def rows(self) -> list[Statement]:
        """The four claims, then the mutants; those about the current are such where these runs can tell them."""
        wrong, theory, found = self.resolution, odd(self.expected.lagged[0]), self.circulation
        return [
            self._by_responses(FDT, 0.0),
            self._correlation(),
            self._answers(),
            self._current(CURRENT, theory),
            _mutant(self._by_responses(f"{FDT} x {1 + wrong:.3g}", wrong)),
            _mutant(self._by_responses(f"{FDT} x {1 - wrong:.3g}", -wrong)),
            _mutant(self._equilibrium(), found.resolvable),
            _mutant(self._current(NONE, np.zeros_like(theory)), found.tells_none),
            _mutant(self._current(TURNED, self._turned(theory)), found.tells_turned),
        ]

    @cached_property
    def circulation(self) -> Circulation:
        """J, measured and predicted."""
        measured, expected = odd(self.found.lagged[:, 0]), odd(self.expected.lagged[0])
        upper, size = self._upper, np.sqrt(self._products)
        mean, error = measured.mean(axis=0)[upper], standard_error(measured)[upper]
        with np.errstate(all="ignore"):
            seen = np.abs(expected[upper]) > _RESOLVED * error
            correlation = np.corrcoef(mean[seen], expected[upper][seen])[0, 1] if seen.sum() > 2 else float("nan")
        ratio = self._current_ratio(self.found.lagged[:, 0], expected)
        known, turned = ratio is not None, self._turned(expected)
        return Circulation(
            elements=len(mean),
            resolved=int(seen.sum()),
            correlation=float(correlation),
            z_rms=z_rms((measured - expected)[:, *upper]),
            ratio=float(ratio.mean()) if ratio is not None else float("nan"),
            ratio_error=float(standard_error(ratio)) if ratio is not None else float("nan"),
            resolvable=bool(self._currents(self.expected.lagged[None], self.found.lagged)),
            predicted=float(np.abs(expected / size).max()) if known else 0.0,
            tells_none=known and self._tells(np.zeros_like(expected)),
            tells_turned=known and self._tells(turned),
        )

    @cached_property
    def by_response(self) -> Array:
        """S R(k) (F21, F32) with the answers of another group, so that their errors are independent, (g, k, m, m)."""
        others = np.roll(self.found.responses, 1, axis=0)
        return np.asarray(np.einsum("gspq,gskqr->gkpr", self.found.now, others, optimize=True))

    @cached_property
    def now(self) -> Array:
        """E[V(t)^T V(t)], (g, 1, m, m)."""
        return self.found.now[:, :1]

    @property
    def _upper(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return np.triu_indices(self.expected.agenda.modes, 1)

    @property
    def _products(self) -> Array:
        """S_pp S_qq, (m, m): the natural size of a squared correlation."""
        variances = np.diag(self.expected.covariance)
        return np.asarray(np.multiply.outer(variances, variances))

    @property
    def _share(self) -> float:
        """Of the family-wise level, for each of the four statements."""
        return self.level / _STATEMENTS

    @property
    def _bands(self) -> list[slice]:
        return bands(self.expected.agenda.modes)

    @property
    def _lost(self) -> Array:
        """What theory's correlations have lost, (k, m, m)."""
        return np.asarray(self.expected.covariance - self.expected.lagged)

    def _statement(self, name: str, deviations: Array, sizes: Array, family: Family, crossed: Array) -> Statement:
        """From contrasts that theory names, and from elements, (g, ...) of natural `sizes`, that need no naming.

        `crossed`: those of the deviations among which to look, of the same sizes.
        """
        floor = ELEMENT * np.broadcast_to(sizes, deviations.shape[1:])
        among = crossed_p_values(crossed.reshape(len(crossed), -1), floor.ravel())
        values, caught = np.empty(0), float("inf")
        count = len(family.columns) + len(among)
        if family.columns:
            columns, floors, relative = np.stack(family.columns, axis=1), np.array(family.floors), family.relative
            values = p_values(columns - 1, floors, relative)
            caught = detectable_error(columns, self._share * len(family.columns) / count, floors, relative)
        every = np.concatenate([values, among])
        p = float(min(1.0, count * every.min())) if count else 1.0
        return Statement(name, "claim", p, z_rms(deviations, floor), caught, self._share)

    def _by_responses(self, name: str, wrong: float) -> Statement:
        """What correlations have lost after k steps against S (1 - R(k)), made `wrong` by a share."""
        lost = (1 + wrong) * (self.now - self.by_response)
        deviations, family = self.now - self.found.lagged - lost, Family()
        self._add_ratios(family, deviations + self._lost, relative=False)
        family.add(self._currents(self.now - lost, self.found.lagged))
        return self._statement(name, deviations, np.sqrt(self._products), family, deviations)

    def _correlation(self) -> Statement:
        """Correlations, and what they have lost, against theory."""
        found, expected, family = self.found.lagged, self.expected, Family()
        variances = np.diagonal(self.now[:, 0], axis1=1, axis2=2) / np.diag(expected.covariance)
        family.add((variances[:, band].mean(axis=1) for band in self._bands), relative=True)
        self._add_ratios(family, self.now - found, relative=True)
        family.add(self._currents(expected.lagged[None], found))
        deviations = found - expected.lagged
        return self._statement("correlation", deviations, np.sqrt(self._products), family, deviations)

    def _add_ratios(self, family: Family, lost: Array, relative: bool) -> None:
        """Of each group, `lost` over the predicted one, in bands of modes and at every lag."""
        variances = np.diag(self.expected.covariance)
        for k, each in enumerate(self._lost):
            measured, expected = np.diagonal(lost[:, k], axis1=1, axis2=2) / variances, np.diag(each) / variances
            for band in self._bands:
                left = float(expected[band].mean())
                family.add([measured[:, band].mean(axis=1) / left], relative=relative, left=left)

    def _currents(self, expected: Array, found: Array) -> list[Array]:
        """One more than what `found` has of the predicted current beyond `expected`, at every lag that resolves it."""
        columns = []
        for k, theory in enumerate(map(odd, self.expected.lagged)):
            ratio, other = self._current_ratio(found[:, k], theory), self._current_ratio(expected[:, k], theory)
            if ratio is not None and other is not None and self._resolves(ratio):
                columns.append(1 + ratio - other)
        return columns

    def _current_ratio(self, lagged: Array, theory: Array) -> Array | None:
        """Overlap of each group's current with theory's over its own; None where theory has none."""
        weights = theory / self._products
        norm = float(np.sum(weights * theory))
        if norm <= 0 or np.abs(theory).max() < _NONE * np.abs(self.expected.covariance).max():
            return None
        return np.asarray(np.einsum("pq,gpq->g", weights, odd(lagged)) / norm)

    def _resolves(self, ratio: Array) -> bool:
        """Whether no current would be told from the predicted one, from the spread of `ratio` alone."""
        about_one = (ratio - ratio.mean() + 1)[:, None]
        return detectable_error(about_one, self._share / len(self.expected.agenda.lags)) < 1

    def _answers(self) -> Statement:
        """Kicks and pushes against their laws."""
        expected, own, family = self.expected, self.found.responses[:, 0], Family()
        modes, sizes = expected.agenda.modes, expected.agenda.sizes[: expected.agenda.modes]
        kick = expected.agenda.direction[:, :modes]
        for k, answer in enumerate(expected.responses):
            lost = 1 - np.diagonal(own[:, k], axis1=1, axis2=2)
            for band in self._bands:
                left = float((1 - answer[band]).mean())
                if abs(left) > _UNMOVED:
                    family.add([lost[:, band].mean(axis=1) / left], left=left)
            kicked, pushed = kick - expected.kicked[k], expected.pushed[k]
            for answered, told in ((kick - self.found.kicked[:, k], kicked), (self.found.pushed[:, k], pushed)):
                if np.abs(told).max() > _UNMOVED * np.abs(kick).max():
                    family.add([_along(answered, told)], left=_share_of(told, sizes))
        flat, natural = self._answer_elements(own, sizes)
        return self._statement("response", flat, natural, family, flat)

    def _answer_elements(self, own: Array, sizes: Array) -> tuple[Array, Array]:
        """All elements of what was answered less what should be, (g, n), and their natural sizes, (n,)."""
        expected, found = self.expected, self.found
        deviations = [
            own - np.eye(len(sizes)) * expected.responses[:, None],
            found.kicked - expected.kicked,
            found.pushed - expected.pushed,
        ]
        natural = [np.maximum(sizes / sizes[:, None], 1.0), sizes, sizes]
        spread = [np.broadcast_to(size, each.shape[1:]) for size, each in zip(natural, deviations, strict=True)]
        return (
            np.concatenate([each.reshape(len(own), -1) for each in deviations], axis=1),
            np.concatenate([size.ravel() for size in spread]),
        )

    def _current(self, name: str, theory: Array) -> Statement:
        """The measured circulation against `theory`: along it, and wherever it deviates."""
        ratio, upper, family = self._current_ratio(self.found.lagged[:, 0], theory), self._upper, Family()
        if ratio is not None:
            family.add([ratio])
        deviations = (odd(self.found.lagged[:, 0]) - theory)[:, *upper]
        return self._statement(name, deviations, np.sqrt(self._products)[upper], family, deviations)

    def _turned(self, theory: Array) -> Array:
        """(J + Q)/2 with Q at a right angle to J: its overlap with J is its own with itself, so that no ratio tells.

        In units of sqrt(S_pp S_qq) the elements are taken two by two, in the order of their size, and turned by a
        right angle; one that is left over, the smallest, is dropped.
        """
        upper, size = self._upper, np.sqrt(self._products)[self._upper]
        scaled = theory[upper] / size
        order = np.argsort(-np.abs(scaled), kind="stable")
        first, second = order[0:-1:2], order[1::2]
        turned = np.zeros_like(scaled)
        turned[first], turned[second] = -scaled[second], scaled[first]
        out = np.zeros_like(theory)
        out[upper] = 0.5 * (scaled + turned) * size
        return np.asarray(out - out.T)

    def _tells(self, wrong: Array) -> bool:
        """Whether the spread alone lets the current of a `wrong` theory be told from the predicted one."""
        upper, shift = self._upper, odd(self.expected.lagged[0]) - wrong
        columns = 2 if not wrong.any() else 3  # both halves, and theory's ratio
        return crossed_score(odd(self.found.lagged[:, 0])[:, *upper], shift[upper], self._share / columns) >= 1

    def _equilibrium(self) -> Statement:
        """S R(k) without its antisymmetric part: the measured current should then be none."""
        still, family = even(self.by_response), Family()
        family.add(self._currents(still, self.found.lagged))
        deviations = self.found.lagged - still
        return self._statement(NO_CURRENT, deviations, np.sqrt(self._products), family, odd(deviations))


def _mutant(statement: Statement, told: bool = True) -> Statement:
    """The same, wrong on purpose; `told`: whether these runs can tell that it is."""
    return replace(statement, role="mutant" if told else "unresolved")


def _along(measured: Array, expected: Array) -> Array:
    """Part of each group's answer along the expected one, over it, (g,)."""
    return np.asarray(np.einsum("gkp,kp->g", measured, expected) / np.vdot(expected, expected))


def _share_of(answer: Array, sizes: Array) -> float:
    """Size of an expected answer, (c, m), over that of the largest kick."""
    return float(np.sqrt(np.mean(answer**2)) / sizes.max())
