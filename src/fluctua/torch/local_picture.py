"""Find the local picture of a network: the function that users call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from .._validate.values import positive_int, real_number
from .at_the_door import objective_of
from .networks import LocalNetwork
from .objective import LossFunction
from .picture import hold_sizes, picture_of

__all__ = ["local"]


def local(
    model: nn.Module,
    loss: LossFunction | str,
    loader: Iterable[Any],
    *,
    top: int = 20,
    weight_decay: float = 0.0,
    dtype: torch.dtype | None = None,
    hessians: int | None = None,
) -> LocalNetwork:
    r"""Return the local quadratic picture of a small network at its weights, in the `top` directions of curvature.

    Parameters
    ----------
    model : torch.nn.Module
        At a minimum of the loss, in eval mode (see `minimise`). It is left as it is.
    loss : callable or str
        (outputs, targets) to the mean over the samples of a batch; "cross_entropy" and "mse" are torch's.
    loader : iterable of tuple
        Batches (inputs, targets), as a `DataLoader` yields them. All samples are read once, and held.
    top : int
        Directions, k.
    weight_decay : float
        The coefficient gamma of `torch.optim.SGD`, on every parameter that trains.
    dtype : torch.dtype, optional
        Arithmetic, torch.float64 for double precision; that of the parameters otherwise.
    hessians : int, optional
        Samples whose Hessians are kept for K, drawn without replacement; as many as fit into 128 MiB otherwise.

    Returns
    -------
    LocalNetwork
        Curvatures, modes, noise and feedback, and how far the weights are from a minimum.

    Raises
    ------
    InvalidInput
        For modules in training mode, losses that are random or no mean over samples, loaders that are empty, random or
        hold what is not finite, more directions than parameters, and weights that are at no minimum.
    TooLarge
        Where the samples or the modes do not fit into memory.
    NotConverged
        If the directions were not found as accurately as the arithmetic allows.

    Notes
    -----
    Cost: about 100 to 300 Hessian-vector products over all samples (`torch.func`, `scipy.sparse.linalg.eigsh`), the
    gradient of every sample, and k Hessian-vector products for each of the samples whose Hessians are kept.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> model = torch.nn.Linear(1, 1, bias=False).double()
    >>> _ = fluctua.torch.minimise(model, "mse", [(x, 0.5 * x + 1)])
    >>> network = fluctua.torch.local(model, "mse", [(x, 0.5 * x + 1)], top=1)
    >>> print(f"{network.curvatures[0]:.4f} {network.noise_trace:.4f}")
    14.0000 3.5556
    """
    decay = real_number("weight_decay", weight_decay, minimum=0.0)
    count = positive_int("top", top)
    kept = None if hessians is None else positive_int("hessians", hessians, minimum=2)
    objective = objective_of(model, loss, loader, decay, dtype)
    hold_sizes(objective, count)
    return LocalNetwork(**vars(picture_of(objective, count, kept)), objective=objective)
