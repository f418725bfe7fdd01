"""Least squares with thousands of inputs, in its leading modes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import AnyArray, Array
from ..._half import stored_as
from ..._results import Brief, ByValue, clipped
from ..._validate.arguments import is_another
from ..._validate.plain import Keywords
from ..._validate.sizes import refuse_bytes
from ..._validate.targets import TargetsAre
from ..._validate.values import positive_int, real_number
from ...errors import Unconverged
from ..least_squares import LeastSquares, Progress
from ..modes import Spectrum, rounding
from ..projected import ProjectedRows
from .curvature import Curvature
from .filtered import SteepestModes, steepest_modes
from .tail import LeadingMinimum

__all__ = ["LeadingModes"]

_MODES = 256
_HELD = 2**30  # bytes of projections up to which they are made once and kept
_PROBES = 8
_BLOCKS = 4.0  # of d times the block of modes, that are held at once


class Inside(LeastSquares):
    """Least squares of which the leading modes are all that there is; what is outside is `LeadingModes`'."""

    SQUARES: ClassVar[bool] = False
    wanted: int

    def _refuse_size(self) -> None:
        """No matrix of all inputs is made."""

    @cached_property
    def operator(self) -> Curvature:
        """A of all inputs."""
        return Curvature(self.inputs, self.gram)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The steepest curvatures and their modes."""
        h, modes = self.steepest[:2]
        return Spectrum(h, modes, np.empty((self.features, 0)), np.zeros(self.features))

    @cached_property
    def steepest(self) -> SteepestModes:
        """The same, and how they were found."""
        found = steepest_modes(self.operator, min(self.wanted, self.features), rounding(self.features))
        if found.missing:
            advice = (
                "Bounds are wider for it, and hold. Modes as steep as each other converge late: ask for more modes."
            )
            what = f"the search for {self.wanted:,} modes, of which {len(found.curvatures):,} are kept,"
            warnings.warn(Unconverged(what, found.rounds, found.residual, advice), stacklevel=2)
        return found

    @cached_property
    def projections(self) -> AnyArray:
        """Inputs in the modes, made once where they are few and in each pass where they are many."""
        lazy = ProjectedRows(self.inputs, self.modes)
        return np.asarray(lazy) if lazy.nbytes <= _HELD else cast(Any, lazy)


class LeadingModes(Brief, ByValue):
    r"""Least squares with thousands of inputs: its k steepest modes, and what all others may cost each number.

    For 4,096 to 16,384 inputs, where `LeastSquares` would decompose a d x d matrix and average over N r^2 numbers.
    Modes come from a block of vectors and products with A, the optimum from conjugate gradients, and what is beyond the
    k modes enters by its traces. Every number that `predict` and `max_stable_lr` give of it is an interval that holds
    the exact one (F150 to F154): narrow where the leading modes have nearly all of mean |x|^2.

    Parameters
    ----------
    inputs : array_like, (N, d)
        As in `LeastSquares`.
    targets : array_like, (N, c) or (N,)
        As in `LeastSquares`.
    modes : int
        How many, k. More make the intervals narrower, and cost N k^2. Fewer are kept where the last ones were not
        found to 1e-7.
    targets_are : {"labels", "values"}, optional
        As in `LeastSquares`.

    Raises
    ------
    InvalidInput
        For what `LeastSquares` refuses, and where k vectors of d numbers do not fit into memory.

    Warns
    -----
    AmbiguousTargets
        For labels of which some are negative, and floats that look like labels.
    IndexColumn
        For a frame of inputs with a column that is called as an index is.
    Unconverged
        Where modes are first needed and fewer than asked for were found, and where W* was not found to what its bounds
        need.

    Notes
    -----
    Cost: some 30 products of A with 1.25 k vectors, 4 N d k flops each, or 2 d^2 k where A is made, up to 8,192 inputs;
    then 6 N k^2 for each of 10 to 30 rounds. Memory: the inputs, N k numbers, or a block of them where they
    are more than 1 GiB, and 5 d k; A where it is made.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeadingModes(data.inputs, data.targets, modes=40)
    >>> sgd = fl.SGD(lr=0.05, batch_size=8)
    >>> low, high = fl.predict(problem, sgd).excess_loss_bounds
    >>> exact = fl.predict(fl.LeastSquares(data.inputs, data.targets), sgd).excess_loss
    >>> low <= exact <= high, high < 1.1 * low
    (True, True)
    """

    def __init__(
        self, inputs: ArrayLike, targets: ArrayLike, modes: int = _MODES, *, targets_are: TargetsAre = None
    ) -> None:
        wanted = positive_int("modes", modes)
        self._pose(Inside(inputs, targets, targets_are=targets_are), wanted)

    @classmethod
    def from_batches(
        cls,
        batches: Any,
        modes: int = _MODES,
        *,
        classes: Sequence[int | str] | None = None,
        progress: Progress | None = None,
    ) -> LeadingModes:
        """Return the same of samples that come in chunks; `LeastSquares.from_batches` says what those are.

        Parameters
        ----------
        batches : callable or iterable
            Gives pairs (inputs, targets), the same ones in each pass.
        modes : int
            How many.
        classes : sequence of int or str, optional
            The labels, where targets are labels.
        progress : callable, optional
            Is called with what is done, a text, and its share.

        Returns
        -------
        LeadingModes
            Of samples that are never all in memory.

        Raises
        ------
        InvalidInput
            For what `LeastSquares.from_batches` refuses.

        Notes
        -----
        Cost: a pass over the samples for each product with A, some 30 of them and as many as conjugate gradients take.
        """
        from ..chunked import in_chunks  # noqa: PLC0415  (which is made of least squares)

        wanted = positive_int("modes", modes)
        found = cls.__new__(cls)
        found._pose(in_chunks(Inside, batches, classes, progress), wanted)
        return found

    def _pose(self, inside: Inside, wanted: int) -> None:
        self.inside, inside.wanted = inside, wanted
        width = 8.0 * inside.features * min(wanted, inside.features) * _BLOCKS
        refuse_bytes(f"modes = {wanted:,} of {inside.features:,} inputs", width, "Ask for fewer modes.")
        self._minima: dict[float, LeadingMinimum] = {}

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return self.inside.samples

    @property
    def features(self) -> int:
        """Number of inputs of a sample, d."""
        return self.inside.features

    @property
    def outputs(self) -> int:
        """Number of outputs, c."""
        return self.inside.outputs

    @property
    def modes(self) -> Array:
        """The leading modes, columns, (d, k)."""
        return self.inside.modes

    @property
    def curvatures(self) -> Array:
        """Their curvatures, eigenvalues of <x x^T>, largest first, (k,)."""
        return self.inside.curvatures

    @property
    def steepest(self) -> SteepestModes:
        """The modes and how they were found: rounds, how many that were asked for are missing, and the residual."""
        return self.inside.steepest

    @cached_property
    def lengths_left(self) -> Array:
        """|x|^2 less what the leading modes have of it, of every sample, (N,)."""
        out = np.empty(self.samples)
        for rows in self.inside.blocks(self.features):
            x, z = self.inside.inputs[rows], self.inside.projections[rows]
            out[rows] = np.einsum("ij,ij->i", x, x, dtype=np.float64) - np.einsum("ij,ij->i", z, z, dtype=np.float64)
        return np.maximum(out, 0.0)

    @property
    def share_left(self) -> float:
        """What the leading modes leave out of mean |x|^2, as a share of it."""
        left = float(self.lengths_left.mean())
        return left / (left + float(self.curvatures.sum()))

    @cached_property
    def curvature_left(self) -> float:
        """What stands for the curvatures beyond the leading modes: <h^2>/<h> of them, from eight random vectors."""
        probes = np.random.default_rng(0).standard_normal((self.features, _PROBES))
        probes -= self.modes @ (self.modes.T @ probes)
        image = self.inside.operator.times(probes)
        image -= self.modes @ (self.modes.T @ image)
        total = float(np.sum(probes * image))
        return float(np.sum(image**2)) / total if total > 0 else 0.0

    def minimum(self, weight_decay: float = 0.0) -> LeadingMinimum:
        """Return the minimiser and what is known of the noise there; found once per weight decay.

        Parameters
        ----------
        weight_decay : float
            The gamma of the recipe, at least 0.

        Returns
        -------
        LeadingMinimum
            W*, the loss with its bounds, and the noise.

        Raises
        ------
        InvalidInput
            For a negative weight decay, or one that is no number.
        """
        gamma = real_number("weight_decay", weight_decay, minimum=0.0)
        if gamma not in self._minima:
            self._minima[gamma] = LeadingMinimum(self, gamma)
        return self._minima[gamma]

    def __repr__(self) -> str:
        sizes = f"{self.samples:,} samples, {self.features:,} inputs, {self.outputs:,} output{'s' * (self.outputs > 1)}"
        kept = f"{self.inside.wanted:,} leading modes"
        return clipped(f"LeadingModes({sizes} from {self.inside.coding.kind}, {stored_as(self.inside.inputs)}; {kept})")

    def _shown(self) -> Keywords:
        sizes = {name: getattr(self, name) for name in ("samples", "features", "outputs")}
        return {**sizes, "modes": self.inside.wanted, "targets": self.inside.coding.kind}

    def _compared(self) -> Keywords:
        return {"inside": self.inside, "modes": self.inside.wanted}


is_another("problem", LeadingModes)
