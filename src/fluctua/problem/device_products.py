"""The products over all samples on a device of torch's: the Gram matrix, its modes, and K."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .._arrays import AnyArray, Array
from .._half import HalfArray
from .._validate.devices import Device, device_of, refuse_device
from .modes import Spectrum, spectrum
from .moments import blocks
from .products import Products
from .samples import Samples

__all__ = ["DeviceProducts", "on_device"]

P = TypeVar("P", bound=Any)


def on_device(problem: P, device: object) -> P:
    """Return a problem whose products over the samples are made on a device; None leaves it as it is.

    What is known of its curvatures already stays. It is kept beside the problem, so that it is made once.

    Parameters
    ----------
    problem : LeastSquares
        The data; one of another loss is refused.
    device : str, torch.device, Device or None
        Where its products are made.

    Raises
    ------
    InvalidInput
        For a device that is not there, for another loss, and for samples that do not lie in memory.
    MissingPackage
        Where torch is not installed.
    """
    if device is None:
        return problem
    place = device if isinstance(device, Device) else device_of(device)
    if not isinstance(problem, Samples):
        refuse_device(str(place.handle), f"the laws and the runs of {type(problem).__name__}")
    if not isinstance(problem.inputs, np.ndarray | HalfArray):
        refuse_device(str(place.handle), "problems of samples that come in chunks")
    if isinstance(problem.products, DeviceProducts) and problem.products.device.handle == place.handle:
        return problem
    known: dict[str, P] = problem.__dict__.setdefault("_placed", {})
    if str(place.handle) not in known:
        known[str(place.handle)] = _placed(problem, place)
    return known[str(place.handle)]


def _placed(problem: P, device: Device) -> P:
    found = copy(problem)
    found.products = DeviceProducts(device)
    found.__dict__.update(_minima={}, _drawn={}, _placed={})
    alike = found.__dict__.get("_alike")  # whose modes are the same
    found.__dict__.update({} if alike is None else {"_alike": on_device(alike, device)})
    return found


class DeviceProducts(Products):
    """Made by torch. Samples are sent in blocks; their projections are sent once and stay.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._sent: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"device": self.device, "_sent": None}

    def spectrum(self, samples: Samples) -> Spectrum:
        """Curvatures and modes, in float64."""
        d = samples.features
        self.device.refuse_bytes(f"the curvature of {d:,} inputs", 8.0 * d * (4.0 * d), "Leave device out.")
        with self.device.at_work():
            gram = self._gram(samples)
            return spectrum(samples.inputs, gram.cpu().numpy(), self._eigh)

    def _gram(self, samples: Samples) -> Any:
        gram = self._zeros(samples.features)
        for rows in blocks(*samples.inputs.shape):
            x = self.device.sent(samples.inputs[rows]).double()
            gram.addmm_(x.T, x)
        return gram.div_(samples.samples)

    def _zeros(self, width: int) -> Any:
        torch = self.device.torch
        return torch.zeros(width, width, dtype=torch.float64, device=self.device.handle)

    def _eigh(self, matrix: Array) -> tuple[Array, Array]:
        found = self.device.torch.linalg.eigh(self.device.sent(matrix))
        values, vectors = (each.cpu().numpy() for each in found)
        return values, vectors

    def projections(self, samples: Samples) -> AnyArray:
        """Inputs in the modes, (N, r), products in float64."""
        out = np.empty((samples.samples, samples.rank), samples.inputs.dtype)
        with self.device.at_work():
            modes = self.device.sent(samples.modes)
            for rows in samples.blocks(samples.features):
                out[rows] = (self.device.sent(samples.inputs[rows]).double() @ modes).cpu().numpy()
        return out

    def scattered(self, samples: Samples, weights: Array | None, form: Array | None) -> Array:
        """Sum of rho_i q_i z_i z_i^T; products in the precision of the inputs, sums of blocks in float64."""
        with self.device.at_work():
            z, send = self._projected(samples), partial(self.device.sent, dtype=np.dtype(np.float64))
            given = send(np.zeros(samples.samples) if weights is None else weights)
            symmetric, often = (None if each is None else send(each) for each in (form, samples.importance))
            out = self._zeros(samples.rank)
            for rows in samples.blocks(samples.rank):
                q = given[rows] if symmetric is None else given[rows] + self._form(z[rows], symmetric)
                out += self._square(z[rows], q if often is None else q * often[rows])
            return np.asarray((0.5 * (out + out.T)).cpu().numpy())

    def _projected(self, samples: Samples) -> Any:
        if self._sent is None:
            z = samples.projections
            self.device.refuse_bytes(
                f"{z.shape[0]:,} samples in {z.shape[1]:,} modes", float(z.nbytes), "Leave device out."
            )
            self._sent = self.device.sent(z)
        return self._sent

    def _form(self, z: Any, form: Any) -> Any:
        unit = self._unit(form)
        return ((z @ (form / unit).to(z.dtype)) * z).sum(1).double() * unit

    def _square(self, z: Any, q: Any) -> Any:
        unit = self._unit(q)
        return ((z * (q / unit).to(z.dtype)[:, None]).T @ z).double() * unit

    def _unit(self, values: Any) -> Any:
        """A power of four near the largest, as of NumPy's products; found where the values are."""
        torch, largest = self.device.torch, values.abs().max()
        power = torch.exp2(2 * torch.round(0.5 * torch.log2(largest)).clamp(-511, 511))
        return torch.where((largest > 0) & torch.isfinite(largest), power, 1.0)
