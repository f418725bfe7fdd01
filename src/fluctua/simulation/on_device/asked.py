"""What `simulate` and `verify` were asked of a device, refused at the door where it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._validate.devices import Device, device_of
from ..._validate.values import choice, shown
from ...errors import InvalidInput
from .draws import DeviceDraws, NumpyDraws, TorchDraws

__all__ = ["BATCHES", "asked_device"]

BATCHES: dict[str, Callable[..., DeviceDraws]] = {"torch": TorchDraws, "numpy": NumpyDraws}
"""Where the batches come from."""
_DYNAMICS = ("sgd", "gd")


def asked_device(
    device: Any, batches: str | None, threads: int | None, dynamics: str
) -> tuple[Device | None, str | None]:
    """Return the device that was asked for, and where its batches are drawn; None is the compiled loop.

    Raises
    ------
    InvalidInput
        For a device that is not there, for threads beside it, for dynamics that it does not run, and for `batches`
        without it.
    MissingPackage
        Where torch is not installed.
    """
    if device is None:
        _refuse_batches(batches)
        return None, None
    place = device_of(device)
    if threads is not None:
        raise InvalidInput(
            f"threads={shown(threads)} are workers of the compiled loop, and device={shown(device)} has its own. Leave "
            f"one of them out."
        )
    if dynamics not in _DYNAMICS:
        raise InvalidInput(
            f"dynamics={dynamics!r} runs in the compiled loop alone, and on a device {' and '.join(_DYNAMICS)} do. "
            f"Leave device out."
        )
    return place, choice("batches", "torch" if batches is None else batches, BATCHES)


def _refuse_batches(batches: str | None) -> None:
    if batches is not None:
        raise InvalidInput(
            f"batches={shown(batches)} says where those of a device are drawn, and without one they are NumPy's. "
            f"Give a device, or leave batches out."
        )
