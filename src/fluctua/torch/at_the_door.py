"""What a network, its loss and its data have to be for a local picture: refused by name, before any work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

from .._validate.sizes import refuse_bytes
from .._validate.values import choice, shown
from ..errors import InvalidInput
from .objective import LossFunction, Objective, flat_parameters

__all__ = ["objective_of"]


def _mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """torch's, without its broadcasting of outputs (b, 1) and targets (b,) to b^2 pairs."""
    if outputs.shape != targets.shape:
        raise ValueError(f"the outputs are {tuple(outputs.shape)} and the targets {tuple(targets.shape)}.")
    return nn.functional.mse_loss(outputs, targets)


LOSSES: dict[str, LossFunction] = {"mse": _mean_square, "cross_entropy": nn.functional.cross_entropy}
_BatchNorm = nn.modules.batchnorm._BatchNorm
_RANDOM = (nn.modules.dropout._DropoutNd, _BatchNorm, nn.RReLU)
_COMPARED, _BLOCK = 64, 1024
"""Samples whose mean loss is compared with the loss of their batch: of the first group, and of each that follows."""
_ROUNDING = 1e3  # epsilons within which two ways to compute a loss agree


def objective_of(
    model: nn.Module, loss: LossFunction | str, loader: Iterable[Any], weight_decay: float, dtype: torch.dtype | None
) -> Objective:
    """Return the loss as a function of the parameters, after all that can be wrong was refused."""
    _hold_model(model)
    device, kind = next(model.parameters()).device, _arithmetic(model, dtype)
    inputs, targets = (_typed(each, kind, device) for each in _read(loader))
    weights, fixed, shapes = flat_parameters(model, kind)
    found = Objective(model, _loss(loss), weights, fixed, shapes, inputs, targets, weight_decay)
    _hold_loss(found)
    _hold_again(found, loader)
    return found


def _arithmetic(model: nn.Module, dtype: torch.dtype | None) -> torch.dtype:
    """What is asked for, or that of the parameters; eight or eleven bits are too few for second derivatives."""
    if dtype is not None and dtype not in (torch.float32, torch.float64):
        raise InvalidInput(f"dtype must be torch.float64, torch.float32 or None, got {shown(dtype)}.")
    kind = dtype or next(value.dtype for value in model.parameters() if value.requires_grad)
    if kind not in (torch.float32, torch.float64):
        raise InvalidInput(
            f"the parameters of the model are in {str(kind).removeprefix('torch.')}, whose rounding is above most "
            f"curvatures. Use model.float(), or better model.double()."
        )
    return kind


def _hold_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"model must be a torch.nn.Module, got {shown(model)}.")
    if any(isinstance(value, nn.UninitializedParameter) or value.is_meta for value in model.parameters()):
        raise InvalidInput("a parameter has no values yet: run a batch through the model first, on a device.")
    trained = [value for value in model.parameters() if value.requires_grad]
    if not trained:
        raise InvalidInput("the model has no parameter that trains (requires_grad): nothing of it fluctuates.")
    if any(not value.is_floating_point() for value in trained):
        raise InvalidInput("the parameters of the model must be real numbers: complex ones have no curvature here.")
    places = {value.device for value in (*model.parameters(), *model.buffers())}
    if len(places) > 1:
        raise InvalidInput(
            f"the model is spread over {sorted(map(str, places))}: move it to one device, model.to(...)."
        )
    for name, module in model.named_modules():
        _hold_module(f"{name or 'the model'} is a {type(module).__name__}", module)


def _hold_module(said: str, module: nn.Module) -> None:
    """Refuse what makes the loss of a sample random, or depend on the other samples of its batch."""
    if module.training and _changes(module):
        raise InvalidInput(
            f"{said} in training mode: the loss of a sample would be random or depend on the others in its batch. Call "
            f"model.eval() first."
        )
    if isinstance(module, _BatchNorm) and not module.track_running_stats:
        raise InvalidInput(
            f"{said} without running statistics: in eval mode too the loss of a sample depends on the others in its "
            f"batch. Use track_running_stats=True."
        )


def _changes(module: nn.Module) -> bool:
    """Whether a module does something else while it is in training mode."""
    return isinstance(module, _RANDOM) or bool(
        isinstance(module, nn.MultiheadAttention | nn.RNNBase) and getattr(module, "dropout", 0.0)
    )


def _loss(loss: LossFunction | str) -> LossFunction:
    if isinstance(loss, str):
        return LOSSES[choice("loss", loss, LOSSES)]
    if not callable(loss) or isinstance(loss, type):
        raise InvalidInput(
            f"loss must be a function of (outputs, targets), a module of torch.nn's such as nn.CrossEntropyLoss(), or "
            f"one of {', '.join(LOSSES)}; got {shown(loss)}."
        )
    reduction = getattr(loss, "reduction", "mean")
    if reduction != "mean":
        raise InvalidInput(
            f"the loss has reduction = {reduction!r}: the picture is that of the mean over samples, whose gradient is "
            f"the one a learning rate multiplies. Use reduction='mean'."
        )
    return loss


def _read(loader: Iterable[Any]) -> tuple[Tensor, Tensor]:
    """All samples of a loader, in its order."""
    if isinstance(loader, Tensor | str | bytes) or not isinstance(loader, Iterable):
        raise InvalidInput(f"loader must yield batches (inputs, targets), as a DataLoader does; got {shown(loader)}.")
    held: list[tuple[Tensor, Tensor]] = []
    size = 0
    for number, batch in enumerate(loader):
        held.append(_pair(number, batch))
        size += sum(each.nbytes for each in held[-1])
        refuse_bytes(f"{number + 1:,} batches of the loader", 2.0 * size, "Use a subset: torch.utils.data.Subset.")
    if not held:
        raise InvalidInput("the loader is empty: it yielded no batch. A one-shot iterator that was read once is so.")
    try:
        x, y = (torch.cat(each) for each in zip(*held, strict=True))
    except (RuntimeError, TypeError) as problem:
        raise InvalidInput(f"the batches of the loader do not fit together: {problem}.") from problem
    if not len(x):
        raise InvalidInput("the loader is empty: its batches hold no sample.")
    return x, y


def _pair(number: int, batch: Any) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a batch, finite and equally many."""
    if not isinstance(batch, tuple | list) or len(batch) != 2 or not all(isinstance(each, Tensor) for each in batch):
        raise InvalidInput(f"batch {number} of the loader must be two tensors, (inputs, targets), got {shown(batch)}.")
    x, y = (each.detach() for each in batch)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise InvalidInput(
            f"batch {number} of the loader has inputs {tuple(x.shape)} and targets {tuple(y.shape)}: both need the "
            f"samples along their first axis."
        )
    for name, values in (("inputs", x), ("targets", y)):
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise InvalidInput(f"the {name} of batch {number} of the loader hold what is not finite (NaN or infinity).")
    return x, y


def _typed(values: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return values.to(device, dtype) if values.is_floating_point() else values.to(device)


def _hold_loss(found: Objective) -> None:
    """Refuse a loss that is not a number, not finite, random, or no mean over samples."""
    (x, y), *others = _groups(found)
    with torch.no_grad():
        first, second = (_attempt("the loss of a batch", lambda: found.of_batch(found.weights, x, y)) for _ in range(2))
        if not isinstance(first, Tensor) or first.ndim or not first.is_floating_point():
            raise InvalidInput(
                f"the loss must be one real number, the mean over the samples of a batch; got {_told(first)}. "
                f"Use reduction='mean'."
            )
        if not torch.isfinite(first):
            raise InvalidInput(f"the loss of the first {len(x)} samples is {float(first)}: the model has diverged.")
        tolerance = _ROUNDING * found.precision * max(abs(float(first)), 1e-30)
        if abs(float(first - second)) > tolerance:
            raise InvalidInput(
                f"the loss is random: the same {len(x)} samples gave {float(first):.9g} and {float(second):.9g}. A "
                f"minimum needs one loss; take out dropout and other random parts."
            )
        single = partial(vmap(found.of_sample, (None, 0, 0)), found.weights)
        _hold_mean(float(first), _attempt("the loss of single samples", lambda: single(x, y)).double(), tolerance)
        for more in others:
            batch = float(_attempt("the loss of a batch", partial(found.of_batch, found.weights, *more)))
            _hold_mean(batch, single(*more).double(), _ROUNDING * found.precision * abs(batch))
    try:
        found.along_of_batch(found.weights, found.weights, x, y)
    except RuntimeError as problem:
        reason = " ".join(str(problem).split())[:200]
        raise InvalidInput(
            f"torch has no second derivative of this loss: {reason}. Attention has one inside `with "
            f"torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):`, around all calls."
        ) from problem


def _groups(found: Objective) -> Iterator[tuple[Tensor, Tensor]]:
    """All samples in groups at random: data often lie in the order of their classes. The first group is small."""
    order = torch.as_tensor(np.random.default_rng(0).permutation(found.samples), device=found.inputs.device)
    first = order[:_COMPARED]
    later = [order[start : start + _BLOCK] for start in range(_COMPARED, len(order), _BLOCK)]
    for some in (first.repeat(2) if len(first) == 1 else first, *later):
        yield found.inputs[some], found.targets[some]


def _hold_mean(batch: float, single: Tensor, tolerance: float) -> None:
    """Refuse a batch's loss that is not the mean of its samples' losses."""
    mean, count = float(single.mean()), len(single)
    if abs(batch - mean) <= tolerance + _ROUNDING * 1e-16:
        return
    why = (
        "it is no mean over samples (class weights, ignore_index and batch statistics make it so), and then the noise "
        "of a batch is not that of its samples."
    )
    if abs(batch / count - mean) <= tolerance:
        why = "it is a sum over samples. Use reduction='mean'."
    raise InvalidInput(
        f"the loss of {count} samples together is {batch:.9g}, and the mean of their losses is {mean:.9g}: {why}"
    )


def _hold_again(found: Objective, loader: Iterable[Any]) -> None:
    """Refuse a loader whose samples are others the next time: random augmentation, a dropped rest."""
    if iter(loader) is loader:  # read once
        return
    x, y = (_typed(each, found.weights.dtype, found.weights.device) for each in _read(loader))
    one = found.value(found.weights)
    two = replace(found, inputs=x, targets=y).value(found.weights)
    if len(x) != found.samples or abs(one - two) > _ROUNDING * found.precision * abs(one):
        raise InvalidInput(
            f"the loader is random: a first pass gave {found.samples} samples of mean loss {one:.9g}, a second one "
            f"{len(x)} of {two:.9g}. Leave out random augmentation, and drop_last where the order is shuffled."
        )


def _attempt(what: str, compute: Callable[[], Any]) -> Any:
    """Compute, or say what torch said."""
    try:
        return compute()
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as problem:
        reason = " ".join(str(problem).split())[:300]
        raise InvalidInput(
            f"{what} could not be computed: {reason} The model must take a batch of inputs, its outputs and the "
            f"targets must fit the loss, and torch.func must be able to follow it (no .item(), no branches on values)."
        ) from problem


def _told(value: Any) -> str:
    return f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else shown(value)
