"""A sequence of operations on fixed buffers, launched one by one or, on CUDA, recorded once and launched as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._validate.devices import Device

__all__ = ["recorded"]

_WARM_UPS = 2  # runs before the recording: libraries choose their algorithms and take their workspaces then


def recorded(work: Callable[[], None], changed: Any, device: Device) -> Callable[[], None]:
    """Return what does `work` on whatever its buffers hold when it is called; of these `work` changes one.

    A GPU makes a step of a few hundred replicas sooner than Python asks for the next: a graph asks once for many.
    """
    if device.kind != "cuda":
        return work
    torch, before = device.torch, changed.clone()
    beside, now = torch.cuda.Stream(device.handle), torch.cuda.current_stream(device.handle)
    beside.wait_stream(now)
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):
            work()
    now.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):  # others may allocate meanwhile
        work()
    changed.copy_(before)
    replay: Callable[[], None] = graph.replay
    return replay
