"""Kernels of torch.optim.SGD's options, without a recipe."""

from fluctua.kernels.momentum import step_kernel
from fluctua.recipe.step import with_momentum

__all__ = ["momentum_step"]


def momentum_step(curvatures, lr, momentum, dampening, nesterov):
    """The kernel of SGD with momentum (F10, F11)."""
    return step_kernel(curvatures, with_momentum(momentum, dampening, nesterov), lr)
