"""Where tests of tensors run: on the CPU, and on a GPU where there is one."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def devices():
    if find_spec("torch") is None:
        return ["cpu"]
    import torch

    return ["cpu", *["cuda"] * torch.cuda.is_available()]


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors here are small, and there is a worker to a core."""
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(params=devices())
def device(request):
    return request.param
