"""What theory says of runs that are looked at twice: everything that a dynamic verdict compares with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...simulation.agenda import Agenda, Forms
from ...theory.answers import Prediction
from ...theory.entropy import Chain, gaussian_entropy, inverse_on_range, joint_noise, sweeping_error

__all__ = ["Expectation"]

_FLAT = 1e-12  # smallest variance in a plane over their sum, up to which a Gaussian there has no density
_THEORY_RTOL = 1e-2  # of the worst mode's variance, as in `verify`


@dataclass(frozen=True)
class Expectation:
    """What theory says of an agenda."""

    stationary: Prediction
    agenda: Agenda
    entropic: bool
    """Whether entropy production is asked for, and the weights are the chain that it is of."""

    @cached_property
    def now(self) -> Prediction:
        """The law averaged over the origins."""
        return self.stationary.after(self.agenda.origins.tolist(), rtol=_THEORY_RTOL)

    @cached_property
    def covariance(self) -> Array:
        """S of the modes looked at, (m, m)."""
        return self._seen(self.now.mode_covariance)

    @cached_property
    def lagged(self) -> Array:
        """Correlations, (k, m, m)."""
        return np.array([self._seen(self.now.lagged_covariance(lag)) for lag in self.agenda.lags])

    @cached_property
    def responses(self) -> Array:
        """Answers to a unit kick, (k, m)."""
        return np.array([self.stationary.response(lag)[: self.agenda.modes] for lag in self.agenda.lags])

    @cached_property
    def kicked(self) -> Array:
        """Answers to the kick in a random direction, (k, c, m)."""
        return np.asarray(self.agenda.direction[:, : self.agenda.modes] * self.responses[:, None])

    @cached_property
    def pushed(self) -> Array:
        """Answers to the step force, (k, c, m)."""
        m = self.agenda.modes
        force = (self.agenda.optimum * self.stationary.law.problem.curvatures)[:, :m]
        return np.array([force * self.stationary.step_response(lag)[:m] for lag in self.agenda.lags])

    @cached_property
    def chain(self) -> Chain:
        """The motion of the modes looked at."""
        chain, m = Chain.of(self.stationary.law.kernel), self.agenda.modes
        return Chain(chain.total[:m], chain.product[:m], chain.gaps[:m, :m])

    @cached_property
    def noise(self) -> Array:
        """Covariance of the chain's noise, (c m, c m)."""
        law = self.stationary.law
        _, push = law.sgd.step.at(law.sgd.lr)
        return float(push[0]) ** 2 * joint_noise(law, self.agenda.modes, _THEORY_RTOL**2)

    @cached_property
    def entropies(self) -> Array:
        """Entropy production of the stationary state: all outputs together, then each, (1 + c,)."""
        back = self.chain.irreversibility
        return np.array([gaussian_entropy(part, back) for part in (self.noise, *self.rows(self.noise))])

    def rows(self, joint: Array) -> Array:
        """Diagonal blocks, (c, m, m)."""
        m = self.agenda.modes
        return np.array([joint[k : k + m, k : k + m] for k in range(0, len(joint), m)])

    @cached_property
    def forms(self) -> Forms:
        """Of the areas whose sum is the entropy production (F28): inverse noise times force; zero if not asked for."""
        if not self.entropic:
            c, m = self.stationary.law.problem.outputs, self.agenda.modes
            return Forms(np.zeros((c * m, c * m)), np.zeros((c, m, m)))
        force = self.chain.forces[0]
        weigh = [inverse_on_range(part)[0] for part in (self.noise, *self.rows(self.noise))]
        tiles = len(self.noise) // self.agenda.modes
        return Forms(weigh[0] * np.tile(force, (tiles, tiles)), np.array(weigh[1:]) * force)

    @property
    def sweeping_errors(self) -> Array:
        """Standard deviation between replicas of the entropy production that their areas give, (1 + c,)."""
        looks, gap = len(self.agenda.origins), self.agenda.gap
        pairs = [(self.noise, self.forms.total), *zip(self.rows(self.noise), self.forms.outputs, strict=True)]
        return np.array([sweeping_error(self.chain, noise, form, looks, gap) for noise, form in pairs])

    def flow(self, places: Array) -> tuple[Array, Array]:
        """Density and current (F25) at `places` of the plane, (n, 2) in standard deviations: (n,) and (n, 2), per step.

        Each output's own Gaussian, whose weights drift by -J S^-1 x; means over the outputs that fluctuate in all of
        the plane.
        """
        plane = list(self.agenda.plane)
        unit, overlaps = self.agenda.sizes[plane], self.chain.overlaps(1)
        now, one = (self.rows(self.noise) * overlap for overlap in (next(overlaps), next(overlaps)))
        cut = np.ix_(plane, plane)
        density, current = np.zeros(len(places)), np.zeros((len(places), 2))
        planes = [
            [each[cut] / np.multiply.outer(unit, unit) for each in (s, 0.5 * (lagged - lagged.T))]
            for s, lagged in zip(now, one, strict=True)
        ]
        spread = [(s, j) for s, j in planes if np.linalg.eigvalsh(s)[0] > _FLAT * np.trace(s)]
        for s, j in spread:
            pulled = np.linalg.solve(s, places.T)
            here = np.exp(-0.5 * np.sum(places.T * pulled, axis=0)) / (2 * np.pi * np.sqrt(np.linalg.det(s)))
            density += here / len(spread)
            current -= here[:, None] * (j @ pulled).T / len(spread)
        return density, current

    @cached_property
    def decay(self) -> Array:
        """Correlation of each mode with itself, at all lags up to the longest, (reach + 1, m)."""
        lagged = [np.diag(self._seen(self.now.lagged_covariance(lag))) for lag in range(self.agenda.reach + 1)]
        return np.array(lagged) / np.diag(self.covariance)

    @property
    def answers(self) -> Array:
        """Answers to a unit kick at all lags up to the longest, (reach + 1, m)."""
        return np.array([self.stationary.response(lag)[: self.agenda.modes] for lag in range(self.agenda.reach + 1)])

    @property
    def arrived(self) -> float:
        """Current times force at the origins over that of the stationary state, for the noise summed over outputs."""
        m = self.agenda.modes
        weight = inverse_on_range(self._seen(self.stationary._source))[0] * self.chain.forces[0]
        then, ever = (self._seen(each.lagged_covariance(1)) for each in (self.now, self.stationary))
        full = float(np.sum(weight * ever))
        return float(np.sum(weight * then)) / full if full and m > 1 else 1.0

    def _seen(self, matrix: Array) -> Array:
        return matrix[: self.agenda.modes, : self.agenda.modes]
