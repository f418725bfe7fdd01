"""The setting of the study: a network that holds the classes of a data set as memories, in one order or in none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, Ints
from ..._validate.targets import read_labels
from ..._validate.values import as_array, real_array, real_number
from ...errors import InvalidInput

__all__ = ["memories", "pairs"]

_NONE = 1e-12  # of the spread of the samples: a class whose mean is nearer to that of all has no pattern


def memories(inputs: ArrayLike, labels: ArrayLike, asymmetry: float = 0.0) -> tuple[Array, Array]:
    r"""Return a unit pattern for each class, and the coupling that holds them: memories, or a cycle of them.

    n_k is the unit vector along the mean of class k less the mean of all samples, and W = (1 - a) sum n_k n_k^T
    + a sum n_(k+1) n_k^T, divided by its spectral norm. With a = 0 the coupling is symmetric and every class a memory;
    a > 0 drives the activity from each class to the next.

    Parameters
    ----------
    inputs : array_like, (samples, neurons)
        A neuron for each feature.
    labels : array_like, (samples,)
        At least two classes.
    asymmetry : float
        a, from 0 to 1.

    Returns
    -------
    patterns : ndarray, (classes, neurons)
        In the order of the labels.
    coupling : ndarray, (neurons, neurons)
        W.

    Raises
    ------
    InvalidInput
        For labels that are none, for a single class, and for a class whose mean is that of all samples.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import learning
    >>> data = fl.load("digits")
    >>> patterns, coupling = learning.memories(data.inputs, data.labels, asymmetry=0.5)
    >>> net = learning.RateNetwork(coupling, gain=0.8, noise=0.05, dt=0.1)
    >>> print(f"{learning.speed(net, patterns[0], patterns[1])[0]:.9f}")
    1.196271222
    """
    samples = real_array("inputs", inputs, ndim=2, shape="(samples, neurons)").astype(np.float64)
    share = real_number("asymmetry", asymmetry, minimum=0.0, maximum=1.0)
    known = read_labels("labels", as_array("labels", labels))
    if len(known) != len(samples):
        raise InvalidInput(f"labels must be one for each of the {len(samples)} samples, got {len(known)}.")
    classes, which = np.unique(known, return_inverse=True)
    if len(classes) < 2:
        raise InvalidInput(f"labels must be of at least two classes to make tasks of, and all are {classes[0]!r}.")
    patterns = np.array([samples[which == k].mean(axis=0) for k in range(len(classes))]) - samples.mean(axis=0)
    lengths = np.linalg.norm(patterns, axis=1)
    lost = np.flatnonzero(lengths <= _NONE * np.abs(samples).max())
    if len(lost):
        raise InvalidInput(
            f"the mean of class {classes[lost[0]]} is that of all samples: it has no pattern. Leave the class out."
        )
    patterns /= lengths[:, None]
    coupling = (1 - share) * patterns.T @ patterns + share * np.roll(patterns, -1, axis=0).T @ patterns
    if not share:
        coupling = 0.5 * (coupling + coupling.T)  # symmetric to the last digit
    norm = float(np.linalg.norm(coupling, 2))
    if norm <= _NONE:
        raise InvalidInput(
            f"with asymmetry = {share:g} the patterns of the classes cancel in the coupling, as those of two classes "
            f"do. Use asymmetry = 0, or more classes."
        )
    return patterns, coupling / norm


def pairs(classes: int) -> tuple[Ints, Ints]:
    """Return input and target of every task from one class to another."""
    given, target = (each.ravel() for each in np.indices((classes, classes)))
    apart = given != target
    return given[apart], target[apart]
