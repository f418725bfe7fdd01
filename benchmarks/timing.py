"""What the scripts share: engines that take their turn, ratios within a round, and a file that keeps them.

A rate is per second of the process's own CPU time on one thread, so that other programs on the machine do not enter,
except through the caches and the memory that they share. Ratios are of two engines in one round.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

Engine = Callable[[int], None]
"""Does that many pieces of work."""
Rates = dict[str, list[float]]


def cpu_seconds(engine: Engine, count: int) -> float:
    began = time.process_time()
    engine(count)
    return time.process_time() - began


def count_for(engine: Engine, seconds: float, unit: int) -> int:
    """Return a multiple of `unit` that takes about `seconds`, found on two short turns after one that warms up."""
    engine(unit)
    one, three = cpu_seconds(engine, unit), cpu_seconds(engine, 3 * unit)
    each = max((three - one) / 2, 0.1 * one, 1e-6)  # without what it takes to begin
    return max(1, round((seconds - one + each) / each)) * unit


def in_turns(engines: dict[str, tuple[Engine, int]], rounds: int) -> Rates:
    """Return pieces of work a second of each engine, (engine, count), in every round."""
    rates: Rates = {name: [] for name in engines}
    for _, (name, (engine, count)) in itertools.product(range(rounds), engines.items()):
        rates[name].append(count / cpu_seconds(engine, count))
    return rates


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """Return the median and the range."""
    numbers = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: float(f"{each:.{digits}g}") for name, each in numbers.items()}


def ratios(over: list[float], under: list[float]) -> dict[str, float]:
    return spread([mine / other for mine, other in zip(over, under, strict=True)])


def machine() -> str:
    """Return the processor's name as the system tells it, and the cores that the process may use."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{(names or [platform.processor() or platform.machine()])[0]}, {cores} cores"


def instruction_set() -> str:
    """Return what compiled code is made for: the name of its vector registers."""
    from fluctua.simulation.compiled_vectors import register_bytes

    return {64: "AVX-512", 32: "AVX2"}.get(register_bytes(), "128-bit vectors")


def keep(name: str, found: dict[str, object]) -> None:
    """Write results with the machine's name, one file a script, kind of data and instruction set."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **found}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"kept in {RESULTS / name}.json")
