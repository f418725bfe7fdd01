"""What gives the features: a model in eval mode, one of its layers, any callable, or nothing where they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from .._validate.values import choice, shown
from ..errors import InvalidInput
from .batches import entry_of_inputs

__all__ = ["Extractor", "extracting", "name_of"]

Extractor = Callable[[Any, int], Any]
"""From the inputs of a batch, and its number, to what holds its features."""


@contextmanager
def extracting(source: Any, layer: str | None) -> Iterator[Extractor]:
    """Give what makes features, with the model in eval mode and without gradients; afterwards all is as it was.

    Raises
    ------
    InvalidInput
        For what cannot be called, a layer without a module, and a layer that the module does not have.
    """
    if isinstance(source, type) and issubclass(source, torch.nn.Module):
        raise InvalidInput(f"features_or_model is the class {source.__name__}: give an instance, the trained model.")
    if source is None or isinstance(source, torch.nn.Module) or callable(source):
        module = _module_of(source)
    else:
        raise InvalidInput(
            f"features_or_model must be a torch.nn.Module, another callable, an array of features, or None where the "
            f"loader yields features; got {shown(source)}."
        )
    if layer is not None and not isinstance(source, torch.nn.Module):
        raise InvalidInput(f"layer = {layer!r} is a layer of a torch.nn.Module, got {shown(source)}.")
    with torch.no_grad(), _in_eval_mode(module):
        if source is None:
            yield entry_of_inputs
        elif layer is None:
            yield _Called(source, module)
        else:
            with _tapped(source, layer) as extract:
                yield extract


def name_of(source: Any, layer: str | None) -> str:
    """Return what the features are called."""
    if source is None:
        return "features"
    name = type(source).__name__ if isinstance(source, torch.nn.Module) else getattr(source, "__qualname__", "features")
    return f"{name}.{layer}" if layer else str(name)


def _module_of(source: Any) -> torch.nn.Module | None:
    """The module itself, or the one whose method it is."""
    owner = source if isinstance(source, torch.nn.Module) else getattr(source, "__self__", None)
    return owner if isinstance(owner, torch.nn.Module) else None


@contextmanager
def _in_eval_mode(module: torch.nn.Module | None) -> Iterator[None]:
    """Every part in eval mode, and each as it was afterwards."""
    if module is None:
        yield
        return
    before = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in before:
            part.training = training


class _Called:
    """The output of a call."""

    def __init__(self, source: Callable[..., Any], module: torch.nn.Module | None) -> None:
        self.source, self.module = source, module
        self.device = None if module is None else _device_of(module)

    def __call__(self, inputs: Any, number: int) -> Any:
        """Call with the inputs of a batch, on the model's device; a dictionary becomes keywords of a module."""
        inputs = inputs if self.device is None else _moved(inputs, self.device)
        if not isinstance(inputs, Mapping) or not isinstance(self.source, torch.nn.Module):
            return self.source(inputs)
        known = _keywords(self.source)
        if known is None or all(name in known for name in inputs):
            return self.source(**inputs)
        if len(inputs) == 1:
            return self.source(next(iter(inputs.values())))
        more = [str(name) for name in inputs if name not in known]
        raise InvalidInput(
            f"batch {number} of the loader holds {', '.join(map(str, inputs))} beside the labels, and the model takes "
            f"no {' and no '.join(more)}. Say which entry it takes, inputs_key=..., or give a function of the "
            f"dictionary: lambda batch: model(...)."
        )


@contextmanager
def _tapped(model: torch.nn.Module, layer: str) -> Iterator[Extractor]:
    """What a named layer puts out while the model runs; the hook is removed whatever happens."""
    plain = getattr(model, "_orig_mod", model)  # a compiled model may run without the hooks of its parts
    parts = dict(plain.named_modules())
    parts.pop("")
    call, seen = _Called(plain, plain), list[Any]()

    def extract(inputs: Any, number: int) -> Any:
        seen.clear()
        call(inputs, number)
        if len(seen) != 1:
            often = "did not run" if not seen else f"ran {len(seen)} times"
            raise InvalidInput(
                f"layer {layer!r} {often} in batch {number}, and its output is to be the features: name a layer that "
                f"runs once, or give a function of the inputs."
            )
        return seen[0]

    part = parts[choice("layer", layer, parts)]
    hook = part.register_forward_hook(lambda _part, _inputs, out: seen.append(_copied(out)))
    try:
        yield extract
    finally:
        hook.remove()
        seen.clear()


def _copied(output: Any) -> Any:
    """A layer's output, which the part behind it may write into, as nn.ReLU(inplace=True) does."""
    if isinstance(output, torch.Tensor):
        return output.detach().clone()
    if hasattr(output, "keys"):
        return {name: _copied(output[name]) for name in output.keys()}  # noqa: SIM118  (what has keys may be no mapping)
    return tuple(map(_copied, output)) if isinstance(output, tuple | list) else output


def _keywords(module: torch.nn.Module) -> set[str] | None:
    """Names that the module's forward takes; None where it takes any."""
    parameters = inspect.signature(module.forward).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return None
    return {each.name for each in parameters if each.kind is not inspect.Parameter.VAR_POSITIONAL}


def _device_of(module: torch.nn.Module) -> torch.device | None:
    for held in (module.parameters(), module.buffers()):
        for tensor in held:
            return tensor.device
    return None


def _moved(value: Any, device: torch.device) -> Any:
    """The tensors in a batch on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {name: _moved(item, device) for name, item in value.items()}
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(_moved(item, device) for item in value)
    return value
