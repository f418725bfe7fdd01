"""The steps: what moves the weights of a group of replicas once. Everything is about V = W - W*.

Minibatch descent acts on V with the residuals of W* as targets: the same update as on W in exact arithmetic, and in
float32 the rounding is relative to the small V instead of to W, which keeps the flattest modes clean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np

from .._arrays import AnyArray, DType, Ints
from .._half import HalfArray, Rows
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.moments import blocks
from ..problem.rows import rows_times
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .batches import Draws, thermal_parts
from .compiling import compiled_module
from .sparse import SparseRows, without_zeros
from .thermal import factors_of, root_rows

__all__ = [
    "DYNAMICS",
    "Dynamics",
    "Setting",
    "Stepper",
    "in_modes",
    "minibatch_in_modes",
    "minibatches",
    "pushed_in_modes",
    "slots",
    "stepper",
]

Dynamics = Literal["sgd", "gd", "langevin", "langevin_state_dependent"]
Floats = AnyArray
Stepper = Callable[[Floats, Draws, int, int], None]
"""(state, the replicas' randomness, steps, the number of the first of them): advances the state in place.

A state is (`slots`, replicas, c, d): V; with momentum its buffer; with an average of the weights that, about W*.
"""

_PART_FLOPS = 1e9  # of a step, beyond which it can be stopped between two replicas
_QUADRATURE = np.polynomial.legendre.leggauss(6)  # exact to 1e-9 for eta h <= 2


def slots(sgd: Recipe, average: Average | None = None) -> int:
    """Return how many arrays of the weights' shape a state holds."""
    return sgd.step.slots + (average is not None)


def stepper(
    problem: LeastSquares,
    sgd: Recipe,
    dynamics: Dynamics,
    dtype: DType,
    average: Average | None = None,
    look_up: Callable[[], None] = lambda: None,
) -> Stepper:
    """Return the function that advances a group of replicas under `dynamics`.

    Before each replica of a step that takes long it calls `look_up`, which may raise to end the run.
    """
    setting = Setting(problem, sgd, dtype, average)
    setting.look_up = look_up
    return DYNAMICS[dynamics](setting)


def minibatch_in_modes(problem: LeastSquares, sgd: Recipe) -> Stepper:
    """Return the minibatch stepper for a state in the modes, (1 or 2, replicas, c, r), in float64."""
    return minibatches(in_modes(problem, sgd))


def pushed_in_modes(problem: LeastSquares, sgd: Recipe, push: Floats) -> tuple[Stepper, Stepper]:
    """Return that stepper, and the one whose targets are `push`, (N, c), more; V stays about the W* of the first."""
    setting, pushed = in_modes(problem, sgd), in_modes(problem, sgd)
    pushed.residuals = setting.residuals - push.astype(np.float64)
    return minibatches(setting), minibatches(pushed)


def in_modes(problem: LeastSquares, sgd: Recipe) -> Setting:
    """Return data and constants of the minibatch steppers in the modes."""
    setting = Setting(problem, sgd, np.dtype(np.float64))
    if sgd.batch_size is None:
        setting.inputs, setting.constant = setting.inputs @ problem.modes, setting.constant @ problem.modes
        return setting
    setting.inputs = np.ascontiguousarray(setting.problem.projections, np.float64)
    setting.constant = sgd.weight_decay * setting.problem.minimum(sgd.weight_decay).mode_weights
    return setting


class Setting:
    """Data and constants of one recipe in the precision of the simulation."""

    def __init__(self, problem: LeastSquares, sgd: Recipe, dtype: DType, average: Average | None = None) -> None:
        problem = sgd.seen(problem)
        minimum = problem.minimum(sgd.weight_decay)
        self.problem, self.sgd, self.dtype = problem, sgd, dtype
        self.average = None if average is None else average.in_steps(sgd, problem.population)
        self.residuals: Floats = np.ascontiguousarray(minimum.residuals, dtype)
        self.constant: Floats = (sgd.weight_decay * minimum.weights).astype(dtype)
        if sgd.batch_size is None:  # the gradient of all samples is (A + gamma) V
            self.residuals, self.constant = np.zeros((problem.rank, problem.outputs), dtype), 0 * self.constant
        self.kappa = sgd.sampling_factor(problem.samples)
        self.look_up: Callable[[], None] = lambda: None

    @cached_property
    def inputs(self) -> Rows:
        """The samples, in the precision of the simulation; those of 16 bits as they are.

        Of full batches as many rows as there are modes, with the same mean of x x^T.
        """
        if self.sgd.batch_size is None:
            return np.ascontiguousarray(root_rows(self.problem.curvatures, self.problem.modes), self.dtype)
        rows = self.problem.inputs
        return rows if isinstance(rows, HalfArray) else np.ascontiguousarray(rows, self.dtype)

    @property
    def drawn(self) -> tuple[Rows | SparseRows, Floats]:
        """Rows and residuals times sqrt(rho): the gradient (V x + r) x^T of one of them is what its draw adds."""
        rows, residuals = self.inputs, self.residuals
        if self.problem.importance is not None and self.sgd.batch_size is not None:
            root = np.sqrt(self.problem.importance).astype(self.dtype)[:, None]
            rows = rows_times(self.problem.importance, rows) if isinstance(rows, HalfArray) else rows * root
            residuals = residuals * root
        return without_zeros(rows, residuals.shape[1]), residuals

    def summed(self, weights: Floats, shares: Floats) -> Floats:
        """Sum over all samples of the gradients (V x + r) x^T, each with its share; samples of 16 bits in blocks."""
        x, r = self.inputs, self.residuals
        if not isinstance(x, HalfArray):
            return np.asarray(((x @ weights.T + r) * shares[:, None]).T @ x)
        out = np.zeros_like(weights)
        for rows in blocks(*x.shape):
            z = x[rows].astype(self.dtype, copy=False)
            out += ((z @ weights.T + r[rows]) * shares[rows, None]).T @ z
        return out

    def move(self, state: Floats, gradient: Floats, step: int) -> None:
        """Step number `step` of one replica, (slots, c, d), given the data's part of the gradient."""
        sgd, number = self.sgd, state.dtype.type
        g = gradient + number(sgd.weight_decay) * state[0] + self.constant
        (motion,), (push,) = sgd.step.along(np.atleast_1d(sgd.rates(step)), step)
        kept = state[: len(push)]
        kept[:] = np.tensordot(motion.astype(number), kept, 1) + np.multiply.outer(push.astype(number), g)
        if self.average is not None:
            state[-1] += number(self.average.weights(step)) * (state[0] - state[-1])


def minibatches(setting: Any) -> Stepper:
    """SGD on real batches: rows and answers, a constant part of the gradient, the recipe and the average."""
    descend, (inputs, answers) = compiled_module("compiled").descend, setting.drawn

    def advance(state: Floats, draws: Draws, steps: int, begin: int) -> None:
        for batches in draws.batches(steps):
            factors = factors_of(setting.sgd, begin, len(batches), state.dtype)
            for part in _parts(state, batches):
                setting.look_up()
                few = np.ascontiguousarray(batches[:, part])  # no copy of the whole
                for now, kicks in thermal_parts(draws, factors, part, len(few), state.shape[2:]):
                    descend(
                        state[:, part],
                        inputs,
                        answers,
                        few[now],
                        setting.constant,
                        setting.sgd,
                        setting.average,
                        begin + now.start,
                        kicks,
                    )
            begin += len(batches)

    return advance


def _parts(state: Floats, batches: Ints) -> Iterator[slice]:
    """Cut the replicas so that each part of this run of steps is quick enough to be stopped in between."""
    replicas = state.shape[1]
    flops = 4 * batches.size * state.shape[2] * state.shape[3]
    size = max(1, int(replicas * min(1, _PART_FLOPS / max(flops, 1))))
    return (slice(first, first + size) for first in range(0, replicas, size))


def _full_batch(setting: Setting) -> Stepper:
    """Gradient descent: the same step on all samples; 4 N d c flops."""
    shares = np.full(len(setting.residuals), 1 / len(setting.residuals), setting.dtype)

    def advance(state: Floats, draws: Draws, steps: int, begin: int) -> None:
        del draws
        for step in range(begin, begin + steps):
            for replica in state.swapaxes(0, 1):
                setting.look_up()
                setting.move(replica, setting.summed(replica[0], shares), step)

    return advance


def _langevin_state_dependent(setting: Setting) -> Stepper:
    """SGD with Gaussian noise: covariance kappa times that of the per-sample gradients at the present V.

    Sample i enters the gradient with weight 1/N + sqrt(kappa/N) (n_i - mean n), n standard normal: the mean is the
    full gradient and the covariance exact, at the cost of a full pass a step.
    """
    _refuse_epochs(setting.sgd)

    def advance(state: Floats, draws: Draws, steps: int, begin: int) -> None:
        for step in range(begin, begin + steps):
            for replica, rng in zip(state.swapaxes(0, 1), draws.rngs, strict=True):
                setting.look_up()
                shares = 1 / len(setting.residuals) + _gaussian_shares(rng, setting)
                setting.move(replica, setting.summed(replica[0], shares), step)

    return advance


def _langevin(setting: Setting) -> Stepper:
    r"""Ornstein-Uhlenbeck process dV = -V H dt + noise of covariance eta kappa C dt, exact at every lr of time.

    One step multiplies by exp(-eta H) and adds the integral of exp(-H u) noise over 0 < u < eta, whose covariance is
    a sum of separable terms by Gauss-Legendre quadrature: one draw of the gradient noise at W* per node.
    """
    problem, sgd = setting.problem, setting.sgd
    _refuse_epochs(sgd)
    if sgd.step.slots > 1 or sgd.schedule is not None or setting.average is not None:
        raise InvalidInput(
            "dynamics='langevin' is overdamped, in continuous time: no momentum, and no steps to schedule or average. "
            "Use 'langevin_state_dependent', which makes SGD's own steps with Gaussian noise."
        )
    h = problem.minimum(sgd.weight_decay).curvatures
    nodes, weights = _QUADRATURE
    flows = np.exp(-np.outer(0.5 * (nodes + 1) * sgd.lr, h)) * sgd.lr * np.sqrt(0.5 * weights)[:, None]
    x = problem.projections.astype(setting.dtype, copy=False)
    modes = problem.modes.astype(x.dtype)
    decay, null = np.exp(-sgd.lr * h).astype(x.dtype), x.dtype.type(np.exp(-sgd.lr * sgd.weight_decay))

    def advance(state: Floats, draws: Draws, steps: int, begin: int) -> None:
        del begin
        (v,) = state
        inside = v @ modes
        outside = v - inside @ modes.T
        for _ in range(steps):
            for each, rng in zip(inside, draws.rngs, strict=True):
                setting.look_up()
                np.multiply(each, decay, out=each)
                for flow in flows.astype(x.dtype):
                    share = _gaussian_shares(rng, setting)
                    np.add(each, ((setting.residuals * share[:, None]).T @ x) * flow, out=each)
            outside *= null
        v[:] = inside @ modes.T + outside

    return advance


def _refuse_epochs(sgd: Recipe) -> None:
    sgd.refuse_epochs("a Langevin process has noise that is independent from step to step")


def _gaussian_shares(rng: np.random.Generator, setting: Setting) -> Floats:
    n, rho = rng.standard_normal(len(setting.residuals)), setting.problem.importance
    if rho is None:
        shares = n - n.mean()
    else:  # what the mean gradient is of them, sqrt(p), is taken out
        root = np.sqrt(np.divide(1 / len(n), rho, out=np.zeros_like(rho), where=rho > 0))
        shares = (n - root * (root @ n)) * np.sqrt(rho)
    return np.asarray(shares * np.sqrt(setting.kappa / len(n)), dtype=setting.dtype)


DYNAMICS: dict[str, Callable[[Setting], Stepper]] = {
    "sgd": minibatches,
    "gd": _full_batch,
    "langevin": _langevin,
    "langevin_state_dependent": _langevin_state_dependent,
}
