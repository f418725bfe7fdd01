"""Whether centring or standardising the inputs would help: the curvatures before and after, without doing either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._arrays import Array
from .._results import ByValue, Tables, Tabular, clipped
from .._validate.arguments import door
from .._validate.plain import JsonObject
from .._validate.values import positive_int
from ..errors import InvalidInput
from ..kernels.constant import Kernel
from ..kernels.momentum import step_kernel
from ..problem.least_squares import LeastSquares
from ..problem.subsample import part
from ..recipe.sgd import Recipe
from ..storage.results import finite
from ..theory.readings import kernel_relaxation
from ..theory.source import Source
from ..theory.stability import independent_batches
from .input_moments import InputMoments, growth

__all__ = ["Conditioned", "Conditioning", "conditioning", "counted"]

SAMPLES = 8192
"""Samples that are looked at, at most."""
FACTOR = 2.0
"""How many times shorter the median mode's relaxation must become before anything is advised."""
_PREPARED = ("given", "centred", "standardised")
_MANY = 10**6
_HALVINGS = 50
_LOOKED_AT = 16  # modes of all sizes, the steepest and the flattest among them


@dataclass(frozen=True, eq=False, repr=False)
class Conditioned(ByValue, Tabular):
    """The curvatures of inputs as they are, or as a preparation would make them; made by `conditioning`.

    Attributes
    ----------
    bias, center, standardize : bool
        What `Preparation` would do; all False for the inputs as they are.
    curvatures : ndarray, (r,)
        Largest first, that of the bias among them, without weight decay.
    lr : float
        The learning rate that is, by estimate, the same share of the limit of stability as the recipe's.
    median_relaxation_steps : float
        Steps in which the median mode relaxes at that rate.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> centred = fl.conditioning(problem, fl.SGD(lr=0.02, batch_size=8)).centred
    >>> centred.options, f"{centred.curvatures[0]:.3f}"
    ('--bias --center', '1.000')
    """

    bias: bool
    center: bool
    standardize: bool
    curvatures: Array
    lr: float
    median_relaxation_steps: float

    def _tables(self) -> Tables:
        return {"modes": lambda: {"mode": range(1, len(self.curvatures) + 1), "curvature": self.curvatures}}

    @property
    def _attributes(self) -> dict[str, str | float]:
        return {"options": self.options, **self._numbers}

    def __repr__(self) -> str:
        said = f"condition number {self.condition:.2g}, lr {self.lr:.2g}"
        steps = counted(self.median_relaxation_steps)
        return clipped(f"Conditioned({self.options or 'as given'}: {said}, median relaxation {steps} steps)")

    @property
    def condition(self) -> float:
        """Condition number, the largest curvature over the smallest."""
        return float(self.curvatures[0] / self.curvatures[-1])

    @property
    def options(self) -> str:
        """The options of the command line that ask for it."""
        return " ".join(f"--{name}" for name in ("bias", "center", "standardize") if getattr(self, name))

    @property
    def _numbers(self) -> dict[str, float]:
        """What tells one preparation from another."""
        h = self.curvatures
        found = {"largest_curvature": h[0], "median_curvature": np.median(h), "smallest_curvature": h[-1]}
        told = {"condition": self.condition, "lr": self.lr, "median_relaxation_steps": self.median_relaxation_steps}
        return {name: float(value) for name, value in {**found, **told}.items()}

    def to_dict(self) -> JsonObject:
        """Return the numbers as plain JSON types."""
        switches: JsonObject = {name: getattr(self, name) for name in ("bias", "center", "standardize")}
        numbers: JsonObject = finite(self._numbers)
        return switches | numbers


@dataclass(frozen=True, eq=False, repr=False)
class Conditioning(ByValue, Tabular):
    """What centring and standardising would do to the curvatures and to the time of training; made by `conditioning`.

    Attributes
    ----------
    given, centred, standardised : Conditioned
        The inputs as they are, centred beside a bias, and standardised beside one.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> found = fl.conditioning(problem, fl.SGD(lr=0.02, batch_size=8))
    >>> found.advised is found.centred
    True
    """

    given: Conditioned
    centred: Conditioned
    standardised: Conditioned

    def _tables(self) -> Tables:
        rows = [getattr(self, name) for name in _PREPARED]
        numbers = [row._numbers for row in rows]
        return {
            "inputs": lambda: {
                "inputs": _PREPARED,
                "options": [row.options for row in rows],
                **{name: [each[name] for each in numbers] for name in numbers[0]},
            }
        }

    @property
    def _attributes(self) -> dict[str, str | float]:
        return {"advised": self._advice, "factor": FACTOR}

    @property
    def _advice(self) -> str:
        return "none" if self.advised is None else self.advised.options

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name} {getattr(self, name).condition:.2g}" for name in _PREPARED)
        return clipped(f"Conditioning(advised: {self._advice}; condition number: {numbers})")

    @property
    def advised(self) -> Conditioned | None:
        """The least preparation that makes the median mode relax in half the steps or less; None where none does.

        The condition number must not grow: beside inputs in the hundreds a bias would be the slowest mode of all.
        """
        best = self.given
        for other in (self.centred, self.standardised):
            steps = other.median_relaxation_steps
            shorter = np.isfinite(steps) and FACTOR * steps <= best.median_relaxation_steps
            if shorter and other.condition <= self.given.condition:
                best = other
        return None if best is self.given else best

    @property
    def words(self) -> str:
        """What is advised, in three lines; nothing where nothing is."""
        best, now = self.advised, self.given
        if best is None:
            return ""
        return (
            f"{best.options} would help, at a rate that is by estimate as near to the limit:\n"
            f"largest curvature {now.curvatures[0]:.3g} -> {best.curvatures[0]:.3g}, condition number "
            f"{now.condition:.2g} -> {best.condition:.2g},\n"
            f"relaxation in the median mode {counted(now.median_relaxation_steps)} -> "
            f"{counted(best.median_relaxation_steps)} steps, lr {now.lr:.2g} -> {best.lr:.2g}"
        )

    def to_dict(self) -> JsonObject:
        """Return the numbers as plain JSON types."""
        best = self.advised
        rows = {name: getattr(self, name).to_dict() for name in _PREPARED}
        return {"factor": FACTOR, "advised": None if best is None else best.options, **rows}


def conditioning(problem: LeastSquares, sgd: Recipe, *, samples: int = SAMPLES) -> Conditioning:
    """Return the curvatures of the inputs as they are, centred and standardised, and the relaxation of a median mode.

    The inputs less their mean have the curvatures of their covariance, diag(sigma) R diag(sigma) with the correlations
    R; standardised inputs have those of R; a column of ones beside either has the curvature 1, and no part in another
    mode. The preparations are compared at one share of the rate that is stable for certain, 2/(h_max + kappa R^2) with
    the least R^2 such that <|x|^2 x x^T> <= R^2 <x x^T>, and its like for momentum. It bounds the limit from below, and
    the ratio of two such bounds estimates that of the limits; on digits and on features behind a ReLU it is within a
    factor of two.

    Parameters
    ----------
    problem : LeastSquares
        The inputs as they are.
    sgd : SGD
        The recipe, at its learning rate; a schedule is not looked at.
    samples : int
        So many of the samples, chosen at random and always the same, are looked at; all if there are fewer. The
        curvatures of the inputs as they are come from all.

    Returns
    -------
    Conditioning
        `advised` is what would make the median mode relax in half the steps or less.

    Raises
    ------
    InvalidInput
        For a problem with sample weights and samples drawn by weight: their means are weighted too.

    Notes
    -----
    Cost: 2 d^2 flops a sample that is looked at, the eigenvalues of two d x d matrices, and some dozens of products of
    the samples with a vector; a copy of these samples. `predict` in Python does without; the command says the advice.
    Directions in which the correlations are zero to within rounding are left out, and curvatures of the centred inputs
    that are rounding beside the largest.

    Examples
    --------
    >>> import numpy as np
    >>> import fluctua as fl
    >>> rng = np.random.default_rng(0)
    >>> inputs = 3 + rng.normal(size=(500, 4))
    >>> problem = fl.LeastSquares(inputs, inputs @ rng.normal(size=4) + rng.normal(size=500))
    >>> print(fl.conditioning(problem, fl.SGD(lr=0.001, batch_size=4)).advised.options)
    --bias --center
    """
    door(problem, sgd)
    if problem.sample_weight is not None or not isinstance(sgd.sampling, str):
        raise InvalidInput(
            "samples that count unequally have weighted means, and a preparation learns plain ones: ask about the "
            "problem without sample weights, with a sampling that draws all samples alike."
        )
    problem, _ = part(problem, problem.minimum(sgd.weight_decay), positive_int("samples", samples, minimum=2))
    rates = _Rates(sgd, Source.of(problem, independent_batches(sgd)).kappa)
    limit = rates.bound(problem.curvatures, growth(problem))
    given = Conditioned(False, False, False, problem.curvatures, sgd.lr, rates.relaxation(problem.curvatures, sgd.lr))
    found = InputMoments.of(problem.inputs)
    centred, standardised = (rates.prepared(scaled, *found.spectrum(scaled), limit) for scaled in (False, True))
    return Conditioning(given, centred, standardised)


@dataclass(frozen=True)
class _Rates:
    """Learning rates at which preparations are compared."""

    sgd: Recipe
    kappa: float

    def bound(self, curvatures: Array, square: float) -> float:
        """The largest rate that is stable for certain: each mode contracts, and kappa R^2 max h Phi is at most 1."""
        some = curvatures[np.unique(np.linspace(0, len(curvatures) - 1, _LOOKED_AT).astype(int))]
        low, high = 0.0, 1.01 * self.sgd.step.mean_limit(float(some[0]) + self.sgd.weight_decay)
        for _ in range(_HALVINGS):
            lr = 0.5 * (low + high)
            low, high = (lr, high) if self._is_stable(some, square, lr) else (low, lr)
        return low

    def _is_stable(self, curvatures: Array, square: float, lr: float) -> bool:
        kernel = self._kernel(curvatures, lr)
        with np.errstate(all="ignore"):  # two components that coincide: what is not a number is not stable for certain
            grown = float(np.max(curvatures * kernel.stationary_variances)) * self.kappa * square
        return kernel.contracts and grown <= 1

    def relaxation(self, curvatures: Array, lr: float) -> float:
        """Steps in which the median mode relaxes."""
        return float(np.median(kernel_relaxation(self._kernel(curvatures, lr))))

    def _kernel(self, curvatures: Array, lr: float) -> Kernel:
        return step_kernel(curvatures + self.sgd.weight_decay, self.sgd.step, lr, diagonal=True)

    def prepared(self, scaled: bool, curvatures: Array, square: float, before: float) -> Conditioned:
        """Return prepared inputs at the share of their bound that the recipe's lr is of the one before."""
        lr = self.sgd.lr * self.bound(curvatures, square) / before
        return Conditioned(True, True, scaled, curvatures, lr, self.relaxation(curvatures, lr))


def counted(steps: float) -> str:
    """Return a number of steps, as exact as a reader wants it."""
    return f"{steps:.1f}" if steps < 100 else f"{steps:,.0f}" if steps < _MANY else f"{steps:.1e}"
