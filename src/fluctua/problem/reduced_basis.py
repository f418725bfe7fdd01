"""The fluctuation source of many similar states, with few passes over the samples."""

from __future__ import annotations

import numpy as np

from .._arrays import AnyArray, Array, Bools
from .least_squares import Minimum

__all__ = ["Sources"]

_FEW = 256  # samples, up to which asking them costs no more than finding what is new


class Sources:
    r"""C + K[S] + X(E V), and K[X] of matrices like S, each found from those asked for before, or on the samples.

    What a pass finds, <q z z^T> with q_i = z_i^T S z_i + 2 r_i . E V z_i, is linear in (S, E V), and the states of one
    run are nearly all sums of a few of them. So every state is split into what the states asked for before span and
    a rest; the samples are asked again only where the rest is more than `rtol`. Its size is the root mean square of q,
    as for Gaussian z: |q|^2 = 2 |A^1/2 S A^1/2|^2 + tr(A S)^2 + 4 <|r|^2> |E V A^1/2|^2 / c.

    Parameters
    ----------
    minimum : Minimum
    rtol : float

    Notes
    -----
    Cost: 4 N r^2 flops for a state that is new, 6 m r^2 for others, m the states asked of the samples so far. Memory:
    2 m matrices (r, r), in the precision of the inputs.
    """

    def __init__(self, minimum: Minimum, rtol: float) -> None:
        self.minimum, self.problem, self.rtol = minimum, minimum.problem, rtol
        a, kind = self.problem.curvatures, self.problem.inputs.dtype
        power = float(minimum.squared_residuals.mean()) / len(minimum.mode_weights)
        self._weights = np.sqrt(2 * np.outer(a, a)), np.sqrt(4 * power * a)
        decay = minimum.weight_decay * minimum.mode_weights
        self._constant = decay.T @ decay
        width = a.size**2 + 1 + minimum.mode_weights.size
        self.spanned = 0  # dimensions
        self._states, self._found = np.empty((0, width), kind), np.empty((0, a.size**2), kind)

    def feedback(self, matrix: Array) -> Array:
        """K[X], (r, r)."""
        a, symmetric = self.problem.curvatures, 0.5 * (matrix + matrix.T)
        return self._scattered(symmetric, None) - a[:, None] * matrix * a

    def feedbacks(self, matrices: Array) -> Array:
        """K of each of some matrices, (k, r, r): states that are sums of those asked are told at once."""
        a, symmetric = self.problem.curvatures, 0.5 * (matrices + matrices.swapaxes(1, 2))
        if self.problem.samples <= _FEW:
            felt = np.array([self.minimum.fed_back(form, None) for form in symmetric])
        else:
            states = np.array([self._coordinates(form, None) for form in symmetric])
            shares, rests = self._told(states)
            felt = np.asarray(shares @ self._found[: self.spanned], dtype=np.float64).reshape(matrices.shape)
            for k in np.flatnonzero(~self._known(states, rests)):
                felt[k] = self._scattered(symmetric[k], None)
        return np.asarray(felt - a[:, None] * matrices * a)

    def source(self, covariance: Array, mean: Array) -> Array:
        """C + K[S] + X(E V), (r, r)."""
        felt = self._scattered(covariance, mean if mean.any() else None)
        return np.asarray(self.minimum.noise + self._constant + felt - self.minimum.squared_mean(covariance, mean))

    def _scattered(self, form: Array, mean: Array | None) -> Array:
        """<(z^T form z + 2 r . mean z) z z^T> for a symmetric form, (r, r)."""
        if self.problem.samples <= _FEW:
            return self.minimum.fed_back(form, mean)
        state = self._coordinates(form, mean)
        shares, rest = self._told(state)
        if self._known(state, rest):
            return np.asarray(shares @ self._found[: self.spanned], dtype=np.float64).reshape(form.shape)
        found = self.minimum.fed_back(form, mean)
        self._learn(rest, shares, found.ravel())
        return found

    def _told(self, states: AnyArray) -> tuple[AnyArray, AnyArray]:
        """States as sums of those that are kept, and what that leaves of them."""
        shares = states @ self._states[: self.spanned].T
        return shares, states - shares @ self._states[: self.spanned]  # squares would lose it: float32 holds 7 digits

    def _known(self, states: AnyArray, rests: AnyArray) -> Bools:
        """Whether so little is left that what was found for those kept tells what the samples would."""
        return np.asarray(np.linalg.norm(rests, axis=-1) <= self.rtol * np.linalg.norm(states, axis=-1))

    def _coordinates(self, form: Array, mean: Array | None) -> Array:
        """(S, E V) as a vector whose square is |q|^2, in the precision of the inputs."""
        scale, slope = self._weights
        shift = np.zeros((len(self.minimum.mode_weights), len(slope))) if mean is None else mean * slope
        trace = self.problem.curvatures @ np.diag(form)
        out = np.concatenate([(form * scale).ravel(), [trace], shift.ravel()])
        return out.astype(self._states.dtype)

    def _learn(self, state: Array, shares: Array, found: Array) -> None:
        """Keep what is new, the rest of a state beside its shares, and what was found for it, of unit size."""
        states = self._states[: self.spanned]
        again = states @ state  # what rounding left
        state, shares = state - again @ states, shares + again
        rest = np.linalg.norm(state)
        if self.spanned == len(self._states):
            more = max(8, self.spanned // 2)
            self._states, self._found = (
                np.concatenate([each, np.empty((more, each.shape[1]), each.dtype)])
                for each in (self._states, self._found)
            )
        new = (found - shares @ self._found[: self.spanned]) / rest
        self._states[self.spanned], self._found[self.spanned] = state / rest, new
        self.spanned += 1
