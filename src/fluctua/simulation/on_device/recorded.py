"""A sequence of operations on fixed buffers, launched one by one or, on CUDA, recorded once and launched as a whole."""

from __future__ import annotations

from collections.abc import Callable

from ..._validate.devices import Device

__all__ = ["recorded"]

_WARM_UPS = 2  # runs before the recording: libraries choose their algorithms and take their workspaces then


def recorded(work: Callable[[], None], restore: Callable[[], None], device: Device) -> Callable[[], None]:
    """Return what does `work` again, on whatever its buffers then hold.

    A GPU does a step of a few hundred replicas faster than Python asks for one: a graph asks once for many. `restore`
    undoes what the runs before the recording did to the buffers.
    """
    if device.kind != "cuda":
        return work
    torch = device.torch
    beside = torch.cuda.Stream(device.handle)
    beside.wait_stream(torch.cuda.current_stream(device.handle))
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):
            work()
    torch.cuda.current_stream(device.handle).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    restore()
    replay: Callable[[], None] = graph.replay
    return replay
