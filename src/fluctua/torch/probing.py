"""From a model and a loader to floor, limit, plan and loop of a linear probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from .._validate.targets import TargetsAre
from .._validate.values import function, positive_int
from ..data import Dataset, load
from ..errors import InvalidInput
from ..planning.probed import Probe, Streamed
from ..planning.probes import probe_on, reading_targets
from ..planning.wanted import Wanted
from ..recipe.sampling import Sampling
from .batches import Key, Keys
from .features import name_of
from .noticed import is_shuffled
from .streaming import Stream, streamed
from .telling import told

__all__ = ["Probe", "probe"]

_ONE_BATCH = 32  # samples of a batch where the loader gives all samples at once


def probe(
    features_or_model: Any,
    loader: Any,
    *,
    loss: Literal["mse", "cross_entropy"] = "mse",
    budget: int | None = None,
    epochs: int | None = None,
    layer: str | None = None,
    batch_size: int | None = None,
    weight_decay: float = 0.0,
    sampling: Sampling = "shuffle",
    momenta: Sequence[float] = (0.0, 0.9),
    schedules: Sequence[str] | None = None,
    bias: bool = True,
    center: bool = False,
    standardize: bool = False,
    targets_are: TargetsAre = None,
    inputs_key: Key = None,
    targets_key: Key = None,
    limit: int | None = None,
    progress: Callable[[float], None] | bool = True,
) -> Probe:
    """Stream frozen features once, and predict the training of a linear probe on them: floor, limit, plan and loop.

    Parameters
    ----------
    features_or_model : torch.nn.Module, callable, array or None
        What makes features of the inputs of a batch. A module is put into eval mode, runs without gradients on its own
        device, and is afterwards as it was. Of a dictionary a module gets the entries but the labels as keywords, any
        other callable the dictionary itself. None where the loader yields features; an array of features, (N, ...),
        where `loader` is the array of their labels.
    loader : iterable
        Batches (inputs, labels), or dictionaries with labels: a DataLoader, a list. Each batch is taken once. Labels
        and values are told apart as by `LeastSquares`.
    loss : "mse" or "cross_entropy"
        Of the probe.
    budget : int, optional
        Steps of the run that is planned.
    epochs : int, optional
        The budget in epochs instead; 10 where neither is given.
    layer : str, optional
        Name of the module's layer whose output is the features, as `named_modules` has it.
    batch_size : int, optional
        Of the probe's training; by default that of the loader's first batch, and 32 where the loader gives only one.
    weight_decay : float
        Of the probe, as in `SGD`.
    sampling : "shuffle", "with_replacement" or "without_replacement"
        How the probe's training draws batches.
    momenta, schedules : sequence
        That are tried, as in `plan`.
    bias, center, standardize : bool
        How the features are prepared, as by `Preparation`. The bias is a column of ones; weight decay acts on it too.
    targets_are : {"labels", "values"}, optional
        What the labels are, where the rule would have it otherwise.
    inputs_key, targets_key : str or int, optional
        Which entry of a batch are the inputs, and the labels, where that is not plain.
    limit : int, optional
        Use the first so many samples.
    progress : bool or callable
        True says on stderr how far it is, where it takes longer than two seconds. A function is called with the
        fraction done.

    Returns
    -------
    Probe
        Its `.words` are the report, `.torch_code()` is the loop, `.problem` what all other verbs take.

    Raises
    ------
    InvalidInput
        For features that are not finite or of changing width, batches without labels, an empty loader, a layer that
        the model does not have or that runs twice, arguments out of range, and what `plan` refuses.
    TooLarge
        Where the features would not fit into memory; said at the first batch.
    NotConverged
        As of `plan`.

    Notes
    -----
    Cost: one pass of the loader through the model, and then `plan`. Memory: the features in their own precision, a
    copy as they are prepared, and their projections. Features come to the CPU batch by batch. What a loader shuffles,
    repeats, drops or augments is told in `.streamed.notes`.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())
    >>> loader = [(torch.randn(20, 6), torch.randint(3, (20,))) for _ in range(5)]
    >>> found = fluctua.torch.probe(model, loader, budget=20, momenta=[0.0], schedules=["constant"])
    >>> found.samples, found.features, found.dtype, found.best.shape
    (100, 4, 'float32', 'constant')
    """
    wanted = Wanted(
        loss, budget, epochs, 1 if batch_size is None else batch_size, weight_decay, sampling, momenta, schedules,
        bias, center, standardize,
    )  # fmt: skip
    most = None if limit is None else positive_int("limit", limit, minimum=2)
    if not isinstance(progress, bool):
        function("progress", progress, ["fraction"])
    with told(progress) as report:
        source, batches, name = _given(features_or_model, loader, layer)
        stream = streamed(source, batches, layer, Keys(inputs_key, targets_key), most, partial(report, "features"))
        data = _dataset(stream, name, targets_are, loss)
        usual = stream.batch_size if stream.batch_size < len(data.inputs) else min(_ONE_BATCH, len(data.inputs))
        wanted = replace(wanted, batch_size=usual if batch_size is None else batch_size)
        came = Streamed(stream.seconds, stream.shape, tuple(stream.notes))
        return probe_on(data, wanted, came, progress=partial(report, "plan"))


def _dataset(stream: Stream, name: str, targets_are: TargetsAre, loss: str) -> Dataset:
    """The features and the labels as `load` reads a pair of arrays."""
    with reading_targets(loss):
        data = load((stream.kept.whole, stream.targets), targets_are=targets_are)
    return replace(data, name=name)


def _given(source: Any, loader: Any, layer: str | None) -> tuple[Any, Any, str]:
    """What makes features, the batches, and a name; an array of features beside its labels is one batch."""
    if not _is_array(source):
        return source, loader, name_of(source, layer)
    labels = loader
    if is_shuffled(loader) or not (_is_array(loader) or isinstance(loader, list | tuple)):
        raise InvalidInput(
            "features are given as an array, and then their labels must be an array too, in the same order: "
            "probe(features, labels). Give a model, or None where the loader yields features and labels."
        )
    if len(source) != len(labels):
        raise InvalidInput(
            f"there are {len(source):,} samples of features and {len(labels):,} labels: row i of both must belong to "
            f"the same sample."
        )
    return None, [(source, labels)], "features"


def _is_array(value: Any) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray) or hasattr(value, "__array__")
