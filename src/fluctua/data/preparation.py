"""`Preparation`: a bias, centring and standardising, learned from the training data and applied to any other alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, overload

from numpy.typing import ArrayLike

from .._arrays import AnyArray, Array
from .._validate.targets import KINDS, Label, TargetsAre
from .._validate.values import choice, flag
from ..errors import InvalidInput
from .dataset import Dataset
from .fitted import Fitted, learn, refuse_prepared
from .learned import Learned
from .outputs import label_list
from .selection import class_list
from .transformers import hold_transformer

__all__ = ["Preparation"]


class Preparation(Learned):
    r"""What is done to inputs before a problem is posed: learned from the training data, the same for all others.

    The prepared inputs are (x - mean)/deviation, then a column of ones:

    x' = (D (x - mu), 1), D = diag(1/sigma), mu and sigma of the training inputs.

    The column comes last and after centring, so that it stays a column of ones. Weight decay acts on it as torch's acts
    on a bias. Targets are never centred: the column takes up their mean, and without it the outputs at mu are 0.

    Parameters
    ----------
    bias : bool
        Append a column of ones.
    center : bool
        Subtract the mean of each column.
    standardize : bool
        Subtract the mean of each column and divide by its standard deviation, as scikit-learn's StandardScaler does. A
        column that is constant in the training inputs becomes 0 there.
    classes : sequence of int or str, optional
        The label of each output, in this order; by default the distinct labels of the training targets, sorted as
        scikit-learn's LabelEncoder sorts them. Every training label must be among them, and each of them among these.
    pipeline : transformer, optional
        Of scikit-learn, or anything with fit and transform; a whole Pipeline too. A copy is fitted on the training
        inputs alone, and what it gives is then centred, standardised and given a bias as asked.
    targets_are : {"labels", "values"}, optional
        How the training targets are to be read, where the rule of `LeastSquares` would have it otherwise.

    Attributes
    ----------
    mean_, scale_ : ndarray, (d,), or None
        Of the training inputs, after the pipeline; None where they are not used.
    classes_ : tuple of int or str, or None
        The label of each output.
    n_features_in_ : int
        Columns of the training inputs, after the pipeline.

    Raises
    ------
    InvalidInput
        For a switch that is neither True nor False, labels that are none, and a pipeline without fit and transform.

    Examples
    --------
    >>> import numpy as np
    >>> import fluctua as fl
    >>> rng = np.random.default_rng(0)
    >>> train, test = rng.normal(5, 1, (200, 3)), rng.normal(5, 1, (50, 3))
    >>> preparation = fl.Preparation(bias=True, center=True).fit(train, rng.choice(["cat", "dog"], 200))
    >>> bool(abs(preparation.transform(train)[:, :3].mean(axis=0)).max() < 1e-15), preparation.transform(test).shape
    (True, (50, 4))
    >>> preparation.encode(["dog", "cat"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    def __init__(
        self,
        *,
        bias: bool = False,
        center: bool = False,
        standardize: bool = False,
        classes: Sequence[Label] | None = None,
        pipeline: Any = None,
        targets_are: TargetsAre = None,
    ) -> None:
        if targets_are is not None:
            choice("targets_are", targets_are, KINDS)
        if pipeline is not None:
            hold_transformer(pipeline)
        self.bias, self.standardize = flag("bias", bias), flag("standardize", standardize)
        self.center = flag("center", center) or self.standardize
        self.classes, self.pipeline, self.targets_are = label_list(class_list(classes)), pipeline, targets_are
        self._fitted: Fitted | None = None

    def fit(self, inputs: ArrayLike | Dataset, targets: ArrayLike | None = None) -> Self:
        """Learn means, deviations and labels from the training data.

        Parameters
        ----------
        inputs : array_like, (N, d), or Dataset
            Whatever `LeastSquares` takes; with a pipeline whatever that takes. A `Dataset` has its own targets.
        targets : array_like, (N,) or (N, c), optional
            Read as `LeastSquares` reads them; `encode` needs them.

        Returns
        -------
        Self
            The same object, fitted.

        Raises
        ------
        InvalidInput
            For inputs that are not finite or all constant, or not as many as targets; for labels that `classes` lacks,
            or has for nothing; where the pipeline raises, or gives sparse, infinite or missing numbers, or fewer rows.

        Notes
        -----
        Cost: three passes over the inputs where they are centred; memory is a block's.
        """
        self._learned(inputs, targets)
        return self

    @overload
    def transform(self, inputs: Dataset) -> Dataset: ...

    @overload
    def transform(self, inputs: ArrayLike) -> AnyArray: ...

    def transform(self, inputs: ArrayLike | Dataset) -> AnyArray | Dataset:
        """Return inputs as the training's are prepared.

        Parameters
        ----------
        inputs : array_like, (n, d), or Dataset
            Of any samples, with the training's columns.

        Returns
        -------
        ndarray, (n, d) or (n, d + 1), or Dataset
            In float32 where the inputs are float16 or float32, else in float64; a `Dataset` with its targets as the
            training's outputs, and with a record of what was done.

        Raises
        ------
        InvalidInput
            Before `fit`; for other columns, labels that the training data lack, and data that are prepared already.

        Notes
        -----
        Cost: one pass and one copy.
        """
        if not isinstance(inputs, Dataset):
            return self._known.rows(inputs)
        refuse_prepared(inputs.name, inputs.preparation)
        return self._known.dataset(inputs, self._known.rows(inputs.inputs))

    @overload
    def fit_transform(self, inputs: Dataset, targets: None = None) -> Dataset: ...

    @overload
    def fit_transform(self, inputs: ArrayLike, targets: ArrayLike | None = None) -> AnyArray: ...

    def fit_transform(self, inputs: ArrayLike | Dataset, targets: ArrayLike | None = None) -> AnyArray | Dataset:
        """Fit on the training data and return them prepared.

        Parameters
        ----------
        inputs, targets : array_like or Dataset
            As for `fit`.

        Returns
        -------
        ndarray or Dataset
            As of `transform`.

        Raises
        ------
        InvalidInput
            As of `fit` and of `transform`.

        Notes
        -----
        Cost: that of both; a pipeline runs once.
        """
        known, given = self._learned(inputs, targets)
        rows = known.applied(given)
        return known.dataset(inputs, rows) if isinstance(inputs, Dataset) else rows

    def encode(self, targets: ArrayLike) -> AnyArray:
        """Return targets as the training's outputs: one-hot for labels, columns of numbers for values.

        Parameters
        ----------
        targets : array_like, (n,) or (n, c)
            Of any samples. A label without a sample here keeps its column.

        Returns
        -------
        ndarray, (n, c)
            In the precision of the prepared inputs.

        Raises
        ------
        InvalidInput
            Where `fit` was given no targets; for labels that the training data lack, by name, and for other outputs.

        Notes
        -----
        Cost: one array of the outputs' size.
        """
        if (outputs := self._known.outputs) is None:
            raise InvalidInput("fit was given no targets, so that no outputs are known. Give fit(inputs, targets).")
        return outputs.encode(targets, self._known.dtype)

    def unprepared(self, weights: ArrayLike, bias: ArrayLike | None = None) -> tuple[Array, Array]:
        r"""Return the weights and the bias that give the same outputs from the inputs before preparation.

        W' x' = W x + b with W = W'_x D and b = W'_1 - W mu. With a pipeline x is what that gives.

        Parameters
        ----------
        weights : array_like, (..., c, d) or (..., c, d + 1)
            Trained on prepared inputs, with the column of ones last where the preparation has one.
        bias : array_like, (..., c), optional
            The bias, where it stands apart from the weights, as in `torch.nn.Linear`; these have then no such column.

        Returns
        -------
        weights : ndarray, (..., c, d)
            Of the inputs before preparation, in float64.
        bias : ndarray, (..., c)
            What is added to each output.

        Raises
        ------
        InvalidInput
            Before `fit`, and for weights or a bias of another shape.

        Notes
        -----
        Cost: c d.

        Examples
        --------
        >>> import fluctua as fl
        >>> data = fl.load("digits")
        >>> preparation = fl.Preparation(bias=True, center=True)
        >>> prepared = preparation.fit_transform(data)
        >>> trained = fl.LeastSquares(prepared.inputs, prepared.targets).minimum().weights
        >>> weights, bias = preparation.unprepared(trained)
        >>> float(abs(data.inputs @ weights.T + bias - prepared.inputs @ trained.T).max()) < 1e-12
        True
        """
        return self._known.unprepared(weights, bias)

    def _learned(self, inputs: Any, targets: Any) -> tuple[Fitted, AnyArray]:
        self._fitted, rows = learn(self._asked, inputs, targets)
        return self._fitted, rows
