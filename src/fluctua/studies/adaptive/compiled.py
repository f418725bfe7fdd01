"""Chains, compiled: one replica at a time, its places never stored."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array, Ints
from ...simulation.compiled_cache import compiled

__all__ = ["march", "march_underdamped"]

_TURNS = 100  # of the fixed point
_CLOSE = 1e-13


@compiled
def _at(table: Array, i: int, k: int, u: float) -> float:
    """Function k of the piece i, at u within it."""
    c = table[i, k]
    return float(c[0] + u * (c[1] + u * (c[2] + u * c[3])))


@compiled
def march(
    x: float, rng: np.random.Generator, steps: int, table: Array, span: tuple[float, float], sums: Array, counts: Ints
) -> float:
    """Take steps from x, add what is seen at their beginnings to `sums`, and return the last place.

    `table`: the mean and the standard deviation of the next place. `sums`: x, x^2, v, v x, v x^2 with v the square of
    that deviation. NaN where the chain leaves the table.
    """
    pieces, bins, low = len(table), len(counts), span[0]
    inverse, share = pieces / (span[1] - low), bins / (pieces * 1.0)
    s0 = s1 = s2 = s3 = s4 = 0.0
    for _ in range(steps):
        t = (x - low) * inverse
        if not 0.0 <= t < pieces:
            return np.nan
        i = int(t)
        u = t - i
        deviation = _at(table, i, 1, u)
        v = deviation * deviation
        s0 += x
        s1 += x * x
        s2 += v
        s3 += v * x
        s4 += v * x * x
        counts[int(t * share)] += 1
        x = _at(table, i, 0, u) + deviation * rng.standard_normal()
    sums[0], sums[1], sums[2], sums[3], sums[4] = s0, s1, s2, s3, s4
    return x


@compiled
def _advanced(q: float, p: float, half: float, table: Array, low: float, inverse: float) -> float:
    """Solve q1 = q + half p g((q + q1)/2) by its fixed point; NaN where that is not found, or outside the table."""
    pieces, new = len(table), q
    for _ in range(_TURNS):
        t = (0.5 * (q + new) - low) * inverse
        if not 0.0 <= t < pieces:
            return np.nan
        i = int(t)
        last, new = new, q + half * p * _at(table, i, 1, t - i)
        if abs(new - last) <= _CLOSE * (1.0 + abs(new)):
            return float(new)
    return float(np.inf)


@compiled
def march_underdamped(
    state: Array,
    rng: np.random.Generator,
    steps: int,
    asked: Array,
    table: Array,
    span: tuple[float, float],
    sums: Array,
) -> int:
    """Take steps B A O A B from (q, p), add q, q^2, p^2, g, g q, g q^2 at their ends to `sums`.

    `table`: V', g and g' of the place; `asked`: h, friction, temperature, and the
    shares of T g' in B and in O. Returns how many steps were taken; fewer where
    the chain leaves the table or, with p infinite, where A's fixed point was not found.
    """
    pieces, low, q, p = len(table), span[0], state[0], state[1]
    h, friction, temperature = asked[0], asked[1], asked[2]
    inverse, in_b, in_o = pieces / (span[1] - low), asked[3] * temperature, asked[4] * temperature
    t = (q - low) * inverse
    if not 0.0 <= t < pieces:
        return 0
    i = int(t)
    force = -_at(table, i, 1, t - i) * _at(table, i, 0, t - i) + in_b * _at(table, i, 2, t - i)
    for done in range(steps):
        p += 0.5 * h * force
        new = _advanced(q, p, 0.5 * h, table, low, inverse)
        t = (new - low) * inverse
        if not 0.0 <= t < pieces:
            state[0], state[1] = q, p if np.isnan(new) or np.isfinite(new) else np.inf
            return done
        q, i = new, int(t)
        g = _at(table, i, 1, t - i)
        c = np.exp(-friction * g * h)
        p = c * p + np.sqrt(temperature * (1.0 - c * c)) * rng.standard_normal()
        if in_o != 0.0:
            p += in_o * _at(table, i, 2, t - i) * (1.0 - c) / (friction * g)
        new = _advanced(q, p, 0.5 * h, table, low, inverse)
        t = (new - low) * inverse
        if not 0.0 <= t < pieces:
            state[0], state[1] = q, p if np.isnan(new) or np.isfinite(new) else np.inf
            return done
        q, i = new, int(t)
        g = _at(table, i, 1, t - i)
        force = -g * _at(table, i, 0, t - i) + in_b * _at(table, i, 2, t - i)
        p += 0.5 * h * force
        sums[0] += q
        sums[1] += q * q
        sums[2] += p * p
        sums[3] += g
        sums[4] += g * q
        sums[5] += g * q * q
    state[0], state[1] = q, p
    return steps
