"""A transformer of scikit-learn's kind, or a whole Pipeline, in front of a preparation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .._arrays import AnyArray
from .._validate.values import as_array, real_array, shown
from ..errors import InvalidInput

__all__ = ["Text", "Transformer", "floats", "hold_transformer", "state_of", "text_of"]


def hold_transformer(pipeline: object) -> None:
    """Refuse what has no fit and transform: a class in the place of an object, a Pipeline that ends in a classifier."""
    if isinstance(pipeline, type):
        raise InvalidInput(f"pipeline must be a transformer and not its class: {pipeline.__name__}(), got {pipeline}.")
    lacking = [name for name in ("fit", "transform") if not callable(_attribute(pipeline, name))]
    if lacking:
        raise InvalidInput(
            f"pipeline must be a transformer as scikit-learn has them, and {shown(pipeline)} has no "
            f"{' and no '.join(lacking)}. A Pipeline that ends in a classifier or a regressor is none: leave its last "
            f"step out."
        )


def _attribute(value: object, name: str) -> object:
    try:
        return getattr(value, name, None)
    except Exception:  # a Pipeline asks its last step, which may be a stranger's
        return None


def text_of(pipeline: object) -> str:
    """Return a transformer in one line."""
    try:
        return " ".join(repr(pipeline).split())
    except Exception:  # a stranger's own
        return type(pipeline).__name__


class Text(str):
    """Words that stand without quotation marks in a line that says what an object is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def state_of(value: Any) -> Any:
    """Return a transformer as values that are compared: its class, its parameters and what it has learned."""
    if isinstance(value, list | tuple):
        return [state_of(each) for each in value]
    if isinstance(value, dict):
        return {name: state_of(each) for name, each in value.items()}
    if hasattr(value, "toarray"):
        return value.toarray()
    if callable(_attribute(value, "transform")) and hasattr(value, "__dict__"):
        return {"class": type(value).__qualname__, "state": state_of(vars(value))}
    return value


def floats(name: str, inputs: object) -> AnyArray:
    """Return finite numbers, (N, d), float32 or float64; float16 is widened to float32."""
    array = as_array(name, inputs)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return real_array(name, array, ndim=2, shape="(samples, features)")


class Transformer:
    """A copy of a user's transformer, fitted on the training inputs and on nothing else."""

    def __init__(self, given: Any) -> None:
        self.given, self.fitted = given, _copied(given)

    def fit(self, inputs: Any, targets: AnyArray | None) -> AnyArray:
        """Fit the copy and return what it makes of the training inputs."""
        given, known = _readable(inputs), () if targets is None else (targets,)
        if callable(_attribute(self.fitted, "fit_transform")):
            return self._checked("training", given, lambda: self.fitted.fit_transform(given, *known))
        return self._checked("training", given, lambda: self._fitted(given, known).transform(given))

    def transform(self, inputs: Any) -> AnyArray:
        """Return what it makes of other inputs."""
        given = _readable(inputs)
        return self._checked("given", given, lambda: self.fitted.transform(given))

    def _fitted(self, given: Any, known: tuple[AnyArray, ...]) -> Any:
        self.fitted.fit(given, *known)
        return self.fitted

    def _checked(self, which: str, given: Any, call: Any) -> AnyArray:
        try:
            made = call()
        except Exception as error:
            raise InvalidInput(
                f"the pipeline {shown(self.given)} does not take the {which} inputs ({type(error).__name__}: "
                f"{' '.join(str(error).split())}). Give inputs that it can be fitted on, or another pipeline."
            ) from error
        _refuse_sparse(self.given, made)
        rows = floats(f"the pipeline's output for the {which} inputs", made)
        there = given.shape[0] if hasattr(given, "shape") else len(given)
        if len(rows) != there:
            raise InvalidInput(
                f"the pipeline {shown(self.given)} made {len(rows):,} rows of {there:,}: each sample needs its own, "
                f"beside its target. Leave samples out before, in inputs and targets alike."
            )
        return rows


def _copied(given: Any) -> Any:
    from sklearn.base import clone

    try:
        return clone(given)
    except Exception:  # a transformer without get_params
        try:
            return copy.deepcopy(given)
        except Exception as error:
            raise InvalidInput(
                f"the pipeline {shown(given)} can be neither cloned nor copied ({type(error).__name__}: {error}), and "
                f"a fit must not change yours. Give it get_params, as scikit-learn's BaseEstimator has it."
            ) from error


def _readable(inputs: Any) -> Any:
    """Return what a transformer can read: tensors as arrays, float16 as float32; frames and text as they are."""
    if hasattr(inputs, "detach") or isinstance(inputs, np.ma.MaskedArray):
        inputs = as_array("inputs", inputs)
    if isinstance(inputs, np.ndarray) and inputs.dtype == np.float16:
        return inputs.astype(np.float32)
    return inputs if hasattr(inputs, "shape") or isinstance(inputs, list | tuple) else as_array("inputs", inputs)


def _refuse_sparse(given: object, made: object) -> None:
    if not isinstance(made, np.ndarray) and (hasattr(made, "toarray") or hasattr(made, "todense")):
        raise InvalidInput(
            f"the pipeline {shown(given)} gives a sparse {type(made).__name__}, of shape "
            f"{getattr(made, 'shape', '?')}, and the moments of its samples need all entries. Ask its encoder for a "
            f"dense array (sparse_output=False), or end it with a step that makes one, such as TruncatedSVD."
        )
