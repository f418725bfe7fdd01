"""What a detector costs a step and how much it keeps, in torch, timed side by side in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fluctua.torch import EquilibriumMonitor

Step = Callable[[], None]
MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear 784-10, b 32": lambda: nn.Linear(784, 10, bias=False),
    "MLP of 1 million weights, b 32": lambda: nn.Sequential(
        nn.Linear(784, 800), nn.ReLU(), nn.Linear(800, 450), nn.ReLU(), nn.Linear(450, 10)
    ),
}


def _bare(optimizer: torch.optim.Optimizer) -> Step:
    return lambda: optimizer.step() and None


def _ours(optimizer: torch.optim.Optimizer) -> Step:
    optimizer.kept = EquilibriumMonitor(optimizer)  # type: ignore[attr-defined]
    return lambda: optimizer.step() and None


def _ours_every_step(optimizer: torch.optim.Optimizer) -> Step:
    optimizer.kept = EquilibriumMonitor(optimizer, every=1)  # type: ignore[attr-defined]
    return lambda: optimizer.step() and None


def _physfdt(optimizer: torch.optim.Optimizer) -> Step:
    from physfdt import FDRConfig, FDRMonitor

    monitor = FDRMonitor(optimizer, FDRConfig(warn_nonstationary=False))

    def step() -> None:
        with monitor.measure():
            optimizer.step()

    return step


def _thermoclaw(optimizer: torch.optim.Optimizer) -> Step:
    from thermoclaw import Observer

    observer = Observer(nn.ParameterList(_weights(optimizer)), optimizer)

    def step() -> None:
        optimizer.step()
        observer.step()

    return step


def _weights(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [each for group in optimizer.param_groups for each in group["params"]]


def _relation(optimizer: torch.optim.Optimizer) -> Step:
    """Yaida's two sums, and what SASA+ keeps of a step, written plainly."""
    weights = _weights(optimizer)
    sums = [torch.zeros(()), torch.zeros(())]

    @torch.no_grad()
    def step() -> None:
        for each in weights:
            sums[0] += torch.sum(each * each.grad)
            sums[1] += torch.sum(each.grad * each.grad)
        optimizer.step()

    return step


def _neighbours(optimizer: torch.optim.Optimizer) -> Step:
    weights = _weights(optimizer)
    last = [torch.zeros_like(each) for each in weights]
    total = torch.zeros(())

    @torch.no_grad()
    def step() -> None:
        for each, before in zip(weights, last, strict=True):
            total.add_(torch.sum(each.grad * before))
            before.copy_(each.grad)
        optimizer.step()

    return step


ENGINES: dict[str, Callable[[torch.optim.Optimizer], Step]] = {
    "no detector": _bare,
    "ours": _ours,
    "ours, every = 1": _ours_every_step,
    "physfdt": _physfdt,
    "thermoclaw": _thermoclaw,
    "Yaida, SASA+": _relation,
    "Pflug": _neighbours,
}


def _loop(build: Callable[[], nn.Module], engine: Callable[[torch.optim.Optimizer], Step]) -> Callable[[int], float]:
    torch.manual_seed(0)
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    step, x, y = engine(optimizer), torch.randn(64, 32, 784), torch.randint(10, (64, 32))

    def run(steps: int) -> float:
        began = time.process_time()
        for place in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[place % 64]), y[place % 64]).backward()
            step()
        return (time.process_time() - began) / steps

    return run


def costs(rounds: int, steps: int) -> dict[str, dict[str, Any]]:
    """Return seconds of the processor a step, and the share that a detector adds: the median over rounds of both."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for name, build in MODELS.items():
        loops = {}
        for engine, make in ENGINES.items():
            try:
                loops[engine] = _loop(build, make)
            except ModuleNotFoundError as missing:
                print(f"{engine} is left out: pip install {missing.name}")
        for loop in loops.values():
            loop(steps)
        times: dict[str, list[float]] = {engine: [] for engine in loops}
        for _ in range(rounds):
            for engine, loop in loops.items():
                times[engine].append(loop(steps))
        bare = times["no detector"]
        found[name] = {
            engine: {
                "microseconds": 1e6 * statistics.median(mine),
                "added": statistics.median(a / b - 1 for a, b in zip(mine, bare, strict=True)),
                "added_min": min(a / b - 1 for a, b in zip(mine, bare, strict=True)),
                "added_max": max(a / b - 1 for a, b in zip(mine, bare, strict=True)),
            }
            for engine, mine in times.items()
        }
    return found


def memory() -> dict[str, float]:
    """Return what the monitor keeps after its first looks, in copies of the weights."""
    found = {}
    for name, build in MODELS.items():
        model = build()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        monitor = EquilibriumMonitor(optimizer, every=1)
        for _ in range(300):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(8, 784)), torch.randint(10, (8,))).backward()
            optimizer.step()
        weights = sum(each.numel() * each.element_size() for each in model.parameters())
        found[name] = _bytes(monitor.state_dict()) / weights
    return found


def _bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(_bytes(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return sum(_bytes(each) for each in value)
    return int(getattr(value, "nbytes", 0))
