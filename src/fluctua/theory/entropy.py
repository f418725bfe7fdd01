r"""Entropy production: how much likelier a run is than the same run backwards, per step.

In the modes a run is a chain of second order, w(t+1) = a w(t) - b w(t-1) + noise (F34), the same for every output: a is
the sum of the optimiser's decays, b their product, zero for plain SGD. With Gaussian noise of covariance Q the two
likelihoods differ, per step, by

    sigma = E log p(w(t+1) | w(t), w(t-1)) / p(w(t-1) | w(t), w(t+1)) = -sum_ij Q_ij (Q^-1)_ij B_ij,

where i and j run over modes (and outputs) and B, like the dissipation kernel, knows the optimiser and the curvature
only (F27). For plain SGD B_pq = (m_p - m_q)^2/(2 (1 - m_p m_q)), and sigma = tr[(kappa (C + K[S]))^-1 (H S H - H^2 S)]
(F26); that form holds with heavy-ball momentum, dampened or not, too. B is the mean of sin^2 of the difference of the
modes' phase lags over all frequencies: modes that lag differently behind noise that they share tell the direction of
time.

The noise of a minibatch is not Gaussian, but discrete: sigma is that of the Gaussian process with the same second
moments, which are exact. It is the Kullback-Leibler divergence of paths of that process, in nats per step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .._arrays import Array, Bools
from .._results import ByValue, Tables, Tabular
from ..kernels.constant import Kernel
from .coloured import Coloured
from .law import Law
from .outputs import joint_source

__all__ = [
    "Chain",
    "EntropyProduction",
    "entropy_production",
    "gaussian_entropy",
    "inverse_on_range",
    "joint_noise",
    "path_entropy",
    "sweeping_error",
]

_SINGULAR = 1e-11  # eigenvalue of the noise's correlations, over the largest, below which it is rounding
_FADED = 1e-4  # share of a sum over lags below which the rest is left out
_ROUNDING = 100.0  # times eps sqrt(h_max/h_min): a residual over its target, below which it is rounding
_KEPT = 1e-6  # share of B that a range may lose to rounding


@dataclass(frozen=True, eq=False, repr=False)
class EntropyProduction(ByValue, Tabular):
    """Entropy production of the stationary state in nats per step, of the Gaussian process with SGD's second moments.

    It is made by `Prediction.entropy_production_in`, where the formula and its cost stand.

    Attributes
    ----------
    total : float
        Of all outputs together. Their noise is correlated, so it is at least each row's, and not their sum.
    outputs : ndarray, (c,)
        Of each row of the weights alone.
    modes : int
        How many of the steepest modes are seen; what they do alone is itself such a process, and its entropy production
        a lower bound of that of all modes.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> found = fl.predict(problem, fl.SGD(lr=0.02, batch_size=8)).entropy_production_in(5)
    >>> print(f"{found.total:.4f}", found.outputs.round(4))
    0.0566 [0.0154 0.0285]
    """

    total: float
    outputs: Array
    modes: int

    def _tables(self) -> Tables:
        return {"outputs": lambda: {"output": range(len(self.outputs)), "entropy_production": self.outputs}}

    @property
    def _attributes(self) -> dict[str, float]:
        return {"total": self.total, "modes": self.modes}

    def __repr__(self) -> str:
        said = f"{self.total:.6g} nats per step, {len(self.outputs)} outputs, {self.modes} modes"
        return f"EntropyProduction({said})"


@dataclass(frozen=True)
class Chain:
    """w(t+1) = a w(t) - b w(t-1) + noise in each mode; for plain SGD b = 0.

    Attributes
    ----------
    total : ndarray, (r,)
        x_1 + x_2, the sum of the rates 1 - m: a = 2 - total.
    product : ndarray, (r,)
        x_1 x_2, so that b = 1 - total + product.
    gaps : ndarray, (r, r)
        Product over components i, j of 1 - m_ip m_jq.
    """

    total: Array
    product: Array
    gaps: Array

    @classmethod
    def of(cls, kernel: Kernel) -> Chain:
        """Read the chain off a kernel of one or two components."""
        rates = (-np.expm1(-kernel.rate) if kernel.continuous else kernel.rate).reshape(-1, kernel.modes)
        gaps = kernel.gap().reshape((kernel.components, kernel.modes) * 2).prod(axis=(0, 2)).real
        if len(rates) == 1:
            rates = np.vstack([rates, np.ones_like(rates)])  # a component that forgets at once
        return cls(rates.sum(axis=0).real, rates.prod(axis=0).real, gaps)

    @property
    def _coefficients(self) -> tuple[Array, Array]:
        """The coefficients a and b, (r,)."""
        return 2 - self.total, 1 - self.total + self.product

    @property
    def currents(self) -> tuple[Array, Array]:
        """Antisymmetric parts J1, J2 of the covariance at lag 1 and 2, (r, r), per unit of that of the noise."""
        (a, b), p = self._coefficients, self.product
        one = np.multiply.outer(p, a) - np.multiply.outer(a, p)
        two = np.subtract.outer(b, b) * (1 + np.multiply.outer(a, a) - np.multiply.outer(b, b))
        two -= np.subtract.outer(a, a) * np.add.outer(a, a)
        return one / (2 * self.gaps), two / (2 * self.gaps)

    @property
    def forces(self) -> tuple[Array, Array]:
        """Weights f1, f2, (r, r), of these currents in sigma = sum_ij (Q^-1)_ij (f1 J1 + f2 J2)_ij (F28)."""
        (a, _), p, s = self._coefficients, self.product, self.total
        first = 2 * np.subtract.outer(a, a) - np.multiply.outer(a, p) + np.multiply.outer(p, a)
        return first, np.subtract.outer(s, s) - np.subtract.outer(p, p)

    def overlaps(self, steps: int) -> Iterator[Array]:
        """Yield the covariance of p at t and q at t, t + 1, ... per unit of that of the noise, (r, r) each."""
        (a, b), norm = self._coefficients, 1 / self.gaps
        now, before = (1 - np.multiply.outer(b, b)) * norm, (a[:, None] - b[:, None] * a) * norm
        for _ in range(steps + 1):
            yield now
            now, before = a * now - b * before, now

    @property
    def irreversibility(self) -> Array:
        """B, (r, r), the same for every data set."""
        return np.asarray(-sum(force * current for force, current in zip(self.forces, self.currents, strict=True)))


def entropy_production(law: Law, modes: int) -> EntropyProduction:
    """Return that of the stationary state, as seen in the `modes` steepest modes.

    Zero where the weights rest, without noise: with a full batch, and in an output that is fitted exactly. With a full
    batch and thermal noise it is zero, too: modes do not meet, and one alone looks the same backwards.
    """
    kernel, outputs = law.kernel, law.problem.outputs
    if law.source.kappa == 0:
        return EntropyProduction(0.0, np.zeros(outputs), modes)
    noise, entropy = joint_noise(law, modes), _entropy_of(law, kernel, modes)
    rows = [noise[k * modes : (k + 1) * modes, k * modes : (k + 1) * modes] for k in range(outputs)]
    return EntropyProduction(entropy(noise), np.array([entropy(row) for row in rows]), modes)


def _entropy_of(law: Law, kernel: Kernel, modes: int) -> Callable[[Array], float]:
    """What noise of the gradient, (n r, n r), produces: beside thermal noise of another colour, over frequencies."""
    if law.heat_as_source is None:
        return Coloured.of(kernel, law.sgd.step, law.sgd.lr, modes).entropy
    backwards = Chain.of(kernel).irreversibility[:modes, :modes]
    return lambda noise: gaussian_entropy(noise, backwards)


def sweeping_error(chain: Chain, noise: Array, form: Array, looks: int, gap: int) -> float:
    """Return the standard deviation of the mean of x(t)^T form x(t+1) over `looks` times, `gap` steps apart.

    For the Gaussian chain driven by `noise`, (n r, n r), by pairing (Isserlis): the error bar that a replica's entropy
    production will have, known before it runs. `form` are antisymmetric, (n r, n r).
    """
    tiles = len(noise) // len(chain.total)
    overlaps, total = chain.overlaps(gap * looks + 1), 0.0
    lagged = [noise * np.tile(next(overlaps), (tiles,) * 2)]
    for step in range(gap * looks):
        lagged.append(noise * np.tile(next(overlaps), (tiles,) * 2))
        now, later = lagged[-2:]
        earlier = lagged[-3] if step else later.T
        if step % gap == 0:
            pair = now.T @ form @ now - earlier.T @ form @ later
            found = float(np.sum(form * pair)) * (looks - step // gap) * (2 if step else 1)
            total += found
            if abs(found) < _FADED * abs(total):
                break
        lagged = lagged[-2:]
    return float(np.sqrt(total)) / looks


def path_entropy(moments: Array, dimensions: int) -> float:
    """Return the entropy production of the Gaussian chain with these `moments`, of (x(0), ..., x(n)) one after another.

    F29; the chain is of order n, `dimensions` are those of one x. Nothing of SGD is in it but that it is stationary: of
    the moments' change under time reversal only the antisymmetric blocks count. From N transitions of d weights it
    comes out too large by about d (d - 1)/N, because every pair seems to circulate a little.
    """
    d = dimensions
    coefficients = np.linalg.solve(moments[:-d, :-d], moments[:-d, -d:]).T
    last = np.hstack([-coefficients, np.eye(d)])  # of x(n), what the past does not tell
    noise = last @ moments @ last.T
    odd, count = np.zeros_like(moments), len(moments) // d
    blocks, odd_blocks = moments.reshape(count, d, count, d), odd.reshape(count, d, count, d)
    for lag in range(1, count):
        mean = np.mean([blocks[i, :, i + lag] for i in range(count - lag)], axis=0)
        for i in range(count - lag):
            odd_blocks[i, :, i + lag] = 0.5 * (mean - mean.T)
            odd_blocks[i + lag, :, i] = -odd_blocks[i, :, i + lag]
    return float(-np.trace(np.linalg.solve(noise, last @ odd @ last.T)))


def joint_noise(law: Law, modes: int, rtol: float = 0.0) -> Array:
    """Return the covariance of the chain's noise in units of (eta tau)^2, all outputs, (c modes, c modes)."""
    source, rests = joint_source(law, modes, rtol), np.repeat(_resting(law), modes)
    source[rests], source[:, rests] = 0.0, 0.0
    source += (law.heat_as_source or 0.0) * np.eye(len(source))
    if not law.kernel.continuous:
        return source
    gathered = np.asarray(law.kernel.injection())[:modes, :modes]  # noise that has decayed since it came
    return np.asarray(source * np.tile(gathered, (law.problem.outputs,) * 2))


def _resting(law: Law) -> Bools:
    """Which outputs are fitted to within rounding: what noise they seem to have is that rounding, (c,)."""
    h = law.problem.curvatures
    rounding = _ROUNDING * np.finfo(float).eps * np.sqrt(h[0] / h[-1])  # of W* on the samples
    left = np.mean(np.square(law.minimum.residuals, dtype=np.float64), axis=0)
    size = np.mean(np.square(law.problem.targets, dtype=np.float64), axis=0)
    return np.asarray(left <= rounding**2 * size)


def gaussian_entropy(noise: Array, irreversibility: Array) -> float:
    """Return -sum_ij Q_ij (Q^-1)_ij B_ij (F27) for Q, (n r, n r), and B, (r, r).

    Targets that sum to one over the outputs can make the residuals do so too: then their sum does not fluctuate, and
    Q^-1 is taken on the range of Q. That needs a range that the motion keeps. If it does not, a step backwards asks
    for noise that no batch makes, and the entropy production is infinite.
    """
    if not noise.any():
        return 0.0
    tiles = len(noise) // len(irreversibility)
    back = np.tile(irreversibility, (tiles, tiles))
    weight, null = inverse_on_range(noise)
    if np.sum(null**2 * back) > _KEPT * back.max():
        return float("inf")
    return float(-np.sum(noise * weight * back)) + 0.0  # no minus zero


def inverse_on_range(noise: Array) -> tuple[Array, Array]:
    """Return Q^-1 on the range of Q, and the projector on the rest in units of the modes' own noise, (n, n) each."""
    scale = np.sqrt(np.diag(noise))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(noise / np.multiply.outer(scale, scale))
    kept = values > _SINGULAR * values[-1]
    within, without = vectors[:, kept], vectors[:, ~kept]
    return (within / values[kept]) @ within.T / np.multiply.outer(scale, scale), without @ without.T
