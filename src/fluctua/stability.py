"""The largest stable learning rate, in the mean-square sense (theory.md section 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .problem import LeastSquares
from .sgd import SGD

__all__ = ["max_stable_lr"]

Array = NDArray[np.float64]


def max_stable_lr(problem: LeastSquares, sgd: SGD) -> float:
    r"""Return the learning rate above which the variance of the weights grows without bound.

    eta_max = 1 / spectral radius of T[S]_pq = (h_p h_q S_pq + kappa K[S]_pq) / (h_p + h_q), theory.md section 6:
    necessary and sufficient for independent batches, at any batch size, and never above 2/h_max.

    Parameters
    ----------
    problem : LeastSquares
    sgd : SGD
        Its batch_size, sampling and weight_decay matter; its lr does not.

    Notes
    -----
    T is similar to a self-adjoint operator, so its largest eigenvalue comes from a Lanczos iteration started at
    S = I, which converges in a few rounds: about ten passes over the data at 4 N r^2 flops, never a
    d^2 x d^2 matrix. Relative accuracy 1e-9 for float64 inputs, 1e-6 for float32.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> print(f"{fl.max_stable_lr(problem, fl.SGD(lr=0.01, batch_size=4)):.7f}")
    0.1834962
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    h = problem.minimum(sgd.weight_decay).curvatures
    kappa = sgd.sampling_factor(problem.samples)
    if kappa == 0.0 or problem.rank < 2:  # one mode leaves Lanczos nothing to iterate on
        return float(1.0 / _growth(problem, h, kappa, np.ones((problem.rank, problem.rank)))[0, 0])
    scale = np.sqrt(np.add.outer(h, h))

    def symmetrised(flat: Array) -> Array:
        s = flat.reshape(scale.shape) / scale
        return ((np.outer(h, h) * s + kappa * problem.feedback(s)) / scale).ravel()

    operator = LinearOperator((scale.size, scale.size), matvec=symmetrised, dtype=np.float64)
    start = (np.eye(problem.rank) * scale).ravel()
    top = eigsh(operator, k=1, which="LA", v0=start, ncv=min(8, scale.size), tol=1e3 * problem.precision,
                return_eigenvectors=False)  # fmt: skip
    return float(1.0 / top[0])


def _growth(problem: LeastSquares, h: Array, kappa: float, s: Array) -> Array:
    """T[S] where no feedback mixes the modes: the leading element decides."""
    feedback = problem.feedback(s) if kappa else np.zeros_like(s)
    return (np.outer(h, h) * s + kappa * feedback) / np.add.outer(h, h)
