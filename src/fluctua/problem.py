"""The problem: least squares on one data set, and every moment of it that the theory needs.

All matrices of size d x d live in the *modes*, the eigenvectors of A = <x x^T> with non-zero curvature, because
every law is elementwise there (theory.md, F2). Directions outside the range of A are never moved by data.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._sizes import refuse_bytes
from ._validate import as_array, real_array, real_number
from .errors import InvalidInput

__all__ = ["LeastSquares", "Minimum"]

Array = NDArray[np.float64]
_LARGEST = {8: 1e70, 4: 1e8}  # magnitude by bytes: fourth powers, and sums of many, stay finite and normal
_EXACT_FIT = 1e-9  # residual over target below which it is the rounding of W*, eps sqrt(h_max/h_min) at most
_BLOCK_ELEMENTS = 2**23  # elements of one block of samples: 32 MB in float32, enough for GEMM to run at full speed


class LeastSquares:
    r"""L(W) = 1/(2N) sum_i |W x_i - y_i|^2: sum over outputs, mean over samples (theory.md section 1).

    Parameters
    ----------
    inputs : array_like, (N, d)
        Any real type. float32 data keep the products over samples in float32 (relative error about 1e-6, half
        the memory); everything of size d x d is float64 always, and so are the curvatures.
    targets : array_like, (N, c) or (N,)

    Raises
    ------
    InvalidInput
        For NaN, wrong shapes, unequal lengths, fewer than two samples or constant inputs.

    Notes
    -----
    Cost: the curvatures take N d^2 flops and one eigendecomposition; `feedback` and `Minimum.source` take 4 N r^2
    each, r the rank. Memory: inputs are not copied when they are float32 or float64; their projection on the modes
    (N, r), in the same precision, is made at first use and kept.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> print(problem.samples, problem.features, problem.outputs, problem.rank)
    1797 64 10 61
    >>> print(f"{problem.curvatures[0]:.9f}")
    10.455299687
    >>> print(f"{problem.minimum().loss:.11f}")
    0.15494089737
    """

    def __init__(self, inputs: ArrayLike, targets: ArrayLike) -> None:
        self.inputs = real_array("inputs", inputs, ndim=2, shape="(samples, features)")
        given = as_array("targets", targets)
        self.targets = real_array(
            "targets", given[:, None] if given.ndim == 1 else given, ndim=2, shape="(samples, outputs)"
        )
        _refuse_scale("inputs", self.inputs)
        _refuse_scale("targets", self.targets)
        _refuse_degenerate(self.inputs, self.targets)
        _refuse_large(self.features, self.outputs)
        self._minima: dict[float, Minimum] = {}

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return int(self.inputs.shape[0])

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from; N, also where sums are over some of them only."""
        return self.samples

    @property
    def features(self) -> int:
        """Number of inputs of a sample, d."""
        return int(self.inputs.shape[1])

    @property
    def outputs(self) -> int:
        """Number of outputs, c."""
        return int(self.targets.shape[1])

    @cached_property
    def _spectrum(self) -> tuple[Array, Array]:
        gram = np.zeros((self.features, self.features))
        for rows in self.blocks(self.features):
            x = self.inputs[rows].astype(np.float64)
            gram += x.T @ x  # one operand twice: BLAS computes one triangle only
        curvatures, modes = np.linalg.eigh(gram / self.samples)
        # An eigenvalue of A carries an error of about eps h_max; below it a mode cannot be told from a null direction.
        rank_floor = max(self.features, 10) * np.finfo(float).eps * curvatures[-1]
        kept = np.flatnonzero(curvatures > rank_floor)[::-1]
        return curvatures[kept], np.ascontiguousarray(modes[:, kept])

    @property
    def curvatures(self) -> Array:
        """Non-zero eigenvalues of A = <x x^T>, largest first, (r,); weight decay adds gamma to each."""
        return self._spectrum[0]

    @property
    def modes(self) -> Array:
        """Eigenvectors of A for `curvatures`, the columns of U, (d, r)."""
        return self._spectrum[1]

    @property
    def rank(self) -> int:
        """r, the number of directions that the data can move."""
        return len(self.curvatures)

    @cached_property
    def projections(self) -> NDArray[Any]:
        """Inputs in the modes, z_i = U^T x_i, (N, r), in the precision of `inputs`."""
        out = np.empty((self.samples, self.rank), self.inputs.dtype)
        for rows in self.blocks(self.features):
            out[rows] = self.inputs[rows].astype(np.float64) @ self.modes
        return out

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples: 1e-12 for float64 inputs, 1e-6 for float32."""
        return 1e-12 if self.inputs.dtype == np.float64 else 1e-6

    def minimum(self, weight_decay: float = 0.0) -> Minimum:
        """Return the minimiser of L(W) + gamma/2 |W|^2 and the gradient noise there; computed once per gamma."""
        gamma = real_number("weight_decay", weight_decay, minimum=0.0)
        if gamma not in self._minima:
            self._minima[gamma] = Minimum(self, gamma)
        return self._minima[gamma]

    def combined(self, weights: Array) -> LeastSquares:
        """Return the problem of one output, the sum of all with `weights`, (c,); what it knows of the inputs is shared.

        Its W*, residuals and fluctuation are the same sums of this problem's.
        """
        self.projections  # noqa: B018  (made now, so that the copy has them)
        out = copy(self)
        out.targets, out._minima = (self.targets @ weights.astype(self.targets.dtype))[:, None], {}
        return out

    def feedback(self, covariance: Array) -> Array:
        """Return K[S] = <x (x^T S x) x^T> - A S A in the modes, (r, r): how the fluctuation feeds the noise."""
        curvatures = self.curvatures
        return self.scatter(quadratic=covariance) - curvatures[:, None] * covariance * curvatures

    def scatter(self, weights: Array | None = None, quadratic: Array | None = None) -> Array:
        """Return <q_i z_i z_i^T>, (r, r), with q_i = weights_i + z_i^T quadratic z_i; the one pass over the samples.

        4 N r^2 flops with `quadratic`, half of it when every q_i is positive (BLAS then computes one triangle).
        """
        out = np.zeros((self.rank, self.rank))
        for rows in self.blocks(self.rank):
            z = self.projections[rows]
            q = np.zeros(len(z)) if weights is None else weights[rows]
            out += _weighted_square(z, q if quadratic is None else q + _form(z, quadratic))
        return out / self.samples

    def blocks(self, width: int) -> Iterator[slice]:
        """Yield slices of samples whose rows of `width` elements fit a block."""
        rows = max(_BLOCK_ELEMENTS // width, 256)
        for start in range(0, self.samples, rows):
            yield slice(start, start + rows)


class Minimum:
    """The minimiser W* of the regularised loss and the gradient noise there, all of it in the modes.

    Made by `LeastSquares.minimum`. With gamma > 0 the curvatures are those of H = A + gamma I.

    Attributes
    ----------
    weights : ndarray, (c, d)
        W*; the minimiser of least norm where A is singular.
    loss : float
        L(W*), with the weight-decay term.
    residuals : ndarray, (N, c)
        r_i = W* x_i - y_i.
    squared_residuals : ndarray, (N,)
    """

    def __init__(self, problem: LeastSquares, weight_decay: float) -> None:
        self.problem, self.weight_decay = problem, weight_decay
        cross = np.zeros((problem.outputs, problem.features))
        for rows in problem.blocks(problem.features):
            cross += problem.targets[rows].astype(np.float64).T @ problem.inputs[rows].astype(np.float64)
        self.mode_weights: Array = cross @ problem.modes / problem.samples / self.curvatures
        self.weights: Array = self.mode_weights @ problem.modes.T
        self._measure_residuals()

    def _measure_residuals(self) -> None:
        problem = self.problem
        self.residuals = np.empty((problem.samples, problem.outputs), problem.inputs.dtype)
        self.squared_residuals: Array = np.empty(problem.samples)
        for rows in problem.blocks(problem.features):
            r = problem.inputs[rows].astype(np.float64) @ self.weights.T - problem.targets[rows]
            self.residuals[rows], self.squared_residuals[rows] = r, np.einsum("ij,ij->i", r, r)
        if self.interpolates:
            self.residuals[:] = self.squared_residuals[:] = 0.0
        decay = self.weight_decay * float(np.sum(self.weights**2))
        self.loss = 0.5 * (float(self.squared_residuals.mean()) + decay)

    @property
    def interpolates(self) -> bool:
        """Whether W* fits every sample to within rounding: then no batch gradient fluctuates there."""
        return bool(self.squared_residuals.mean() <= _EXACT_FIT**2 * np.mean(np.square(self.problem.targets)))

    def refuse_interpolation(self) -> None:
        """Raise `InvalidInput` where there is no fluctuation about W* to measure."""
        if self.interpolates:
            n, r = self.problem.samples, self.problem.rank
            raise InvalidInput(
                f"the model fits all {n} samples exactly ({r} modes, weight_decay {self.weight_decay:g}): every batch "
                f"gradient vanishes at W* and SGD comes to rest there, so no fluctuation can be measured from W*. Use "
                f"weight_decay > 0, more samples, or start='zero' to follow the approach."
            )

    @property
    def curvatures(self) -> Array:
        """Eigenvalues h_p of H = A + gamma I on the range of A, largest first, (r,)."""
        return self.problem.curvatures + self.weight_decay

    @cached_property
    def noise(self) -> Array:
        """C = <|r|^2 x x^T> - gamma^2 W*^T W*, the per-sample gradient covariance at W*, (r, r)."""
        decay = self.weight_decay * self.mode_weights
        return self.problem.scatter(weights=self.squared_residuals) - decay.T @ decay

    def output_noise(self, k: int, l: int) -> Array:  # noqa: E741  (k, l are theory.md's output indices)
        """C_kl = <r_k r_l x x^T> - gamma^2 w*_k w*_l^T, symmetrised in the two outputs, (r, r)."""
        product = self.residuals[:, k].astype(np.float64) * self.residuals[:, l]
        decay = self.weight_decay**2 * np.outer(self.mode_weights[k], self.mode_weights[l])
        return self.problem.scatter(weights=product) - 0.5 * (decay + decay.T)

    def source(self, covariance: Array, mean: Array | None = None) -> Array:
        """C + K[S] + X(E V), the per-sample gradient covariance averaged over the law of W (theory.md F0), (r, r).

        Parameters
        ----------
        covariance : ndarray, (r, r)
            S = E[V^T V], about W*, the mean's own square included.
        mean : ndarray, (c, r), optional
            E V; None means zero.
        """
        if mean is None and not covariance.any():
            return self.noise  # at W*: known, and saves a pass over the samples
        weights = self.squared_residuals if mean is None else self.squared_residuals + self._crossed(mean)
        return self.problem.scatter(weights, covariance) - self.squared_mean(covariance, mean)

    def felt(self, covariance: Array, mean: Array | None) -> Array:
        """<(z^T S z + 2 r . E V z) z z^T>, what the fluctuation adds to <|W x - y|^2 x x^T>, (r, r)."""
        return self.problem.scatter(None if mean is None else self._crossed(mean), covariance)

    def squared_mean(self, covariance: Array, mean: Array | None) -> Array:
        """E[p^T p] of the mean gradient p = V A - gamma W*, (r, r)."""
        a, decay = self.problem.curvatures, self.weight_decay * self.mode_weights
        out = a[:, None] * covariance * a + decay.T @ decay
        if mean is not None:
            cross = decay.T @ (mean * a)
            out -= cross + cross.T
        return np.asarray(out)

    def residual_products(self, form: Array | None) -> Array:
        """<r r^T z^T form z>, (c, c); None stands for a form that is 1 on every sample."""
        out = np.zeros((self.problem.outputs,) * 2)
        for rows in self.problem.blocks(self.problem.rank):
            r = self.residuals[rows].astype(np.float64)
            out += r.T @ (r if form is None else r * _form(self.problem.projections[rows], form)[:, None])
        return out / self.problem.samples

    def _crossed(self, mean: Array) -> Array:
        """2 r_i . E V x_i, (N,): what neither |r|^2 nor S carries of E|W x_i - y_i|^2."""
        out, shift = np.empty(self.problem.samples), mean.T.astype(self.problem.projections.dtype)
        for rows in self.problem.blocks(self.problem.rank):
            out[rows] = 2 * np.einsum("ij,ij->i", self.problem.projections[rows] @ shift, self.residuals[rows])
        return out


def _form(z: NDArray[Any], matrix: Array) -> NDArray[Any]:
    """z_i^T matrix z_i for each row, in the precision of z."""
    return np.asarray(np.einsum("ij,ij->i", z @ matrix.astype(z.dtype), z))


def _weighted_square(z: NDArray[Any], q: Array) -> Array:
    """sum_i q_i z_i z_i^T of one block; the symmetric BLAS route needs q >= 0."""
    if q.min() >= 0:
        root = z * np.sqrt(q).astype(z.dtype)[:, None]
        return np.asarray(root.T @ root, dtype=np.float64)
    product = (z * q.astype(z.dtype)[:, None]).T @ z
    return np.asarray(0.5 * (product + product.T), dtype=np.float64)


def _refuse_scale(name: str, values: NDArray[Any]) -> None:
    """Fourth powers of the inputs enter K, products of both the noise: they must stay inside the range of floats."""
    largest, most = max(float(values.max()), -float(values.min())), _LARGEST[values.dtype.itemsize]
    if largest > most or 0 < largest < 1 / most:
        raise InvalidInput(
            f"{name} have a largest magnitude of {largest:.3g}, outside {1 / most:.0e} to {most:.0e}: products of four "
            f"such {values.dtype} numbers leave the range of floats. Rescale them, to about 1."
        )


def _refuse_large(features: int, outputs: int) -> None:
    """Refuse what could not be solved: the curvature and its modes are d x d, in float64, whatever N is."""
    needed = 8.0 * features * (4.0 * features + outputs)
    refuse_bytes(f"the curvature of {features:,} inputs", needed, "Use fewer inputs, such as their leading components.")


def _refuse_degenerate(inputs: NDArray[Any], targets: NDArray[Any]) -> None:
    if len(inputs) != len(targets):
        raise InvalidInput(
            f"inputs hold {len(inputs)} samples and targets {len(targets)}: every sample needs its target. "
            f"Check that both were filtered alike."
        )
    if len(inputs) < 2:
        raise InvalidInput(
            "a single sample has no gradient noise: every batch is the same and nothing fluctuates. "
            "Give at least two samples."
        )
    if np.array_equal(inputs[0], inputs[-1]) and bool((inputs == inputs[0]).all()):
        raise InvalidInput(
            f"the inputs are constant: all {len(inputs)} samples are equal, so nothing can be learned from them. "
            f"Check how the features were made."
        )
