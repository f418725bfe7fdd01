"""Sizes before work: what would not fit into this machine's memory, or not end in its time, is refused at the door."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import TooLarge

__all__ = ["available_bytes", "gib", "refuse_bytes", "refuse_work"]

_SMALL = 2.0**26  # bytes below which nobody asks
_FLOPS = 5e9  # of one core in a second, about
_DAY, _LONGEST = 86_400.0, 30.0  # days of a run that is still begun
_INFO, _STATUS, _CGROUP = Path("/proc/meminfo"), Path("/proc/self/status"), Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # version 2, version 1


def refuse_bytes(what: str, needed: float, remedy: str) -> None:
    """Raise `TooLarge` if `what` needs more bytes than there are.

    Parameters
    ----------
    what : str
        The subject of the sentence, with its number: "replicas = 1099511627776".
    needed : float
        Bytes; an estimate may leave out what is small beside it.
    remedy : str
        A sentence.
    """
    if needed < _SMALL:
        return
    there = available_bytes()
    if needed > there:
        raise TooLarge(
            f"{what} would take about {gib(needed)} of memory, and this machine has {gib(there)} free. {remedy}",
            needed,
            there,
        )


def refuse_work(what: str, flops: float, remedy: str, rate: float | None = None, where: str = "") -> None:
    """Raise `TooLarge` if `what` would take longer than 30 days.

    Parameters
    ----------
    what : str
        The subject of the sentence.
    flops : float
        Operations.
    remedy : str
        A sentence.
    rate : float, optional
        Operations a second; by default 5e9 on each core.
    where : str
        What makes them at that rate.
    """
    cores = _cores()
    days = flops / ((_FLOPS * cores if rate is None else rate) * _DAY)
    if days > _LONGEST:
        raise TooLarge(
            f"{what} would take about {flops:.1e} operations, {_days(days)} on {where or f'{cores} cores'}, and what "
            f"takes longer than {_LONGEST:g} days is not begun. {remedy}",
            days,
            _LONGEST,
        )


def available_bytes() -> float:
    """Return the bytes that this process may still take: the least of the machine's, its control group's, its limit's.

    Infinite where the system does not tell.
    """
    return max(0.0, min(_of_the_machine(), _of_the_group(), _of_the_process()))


def _of_the_machine() -> float:
    if known := _fields(_INFO):
        return known.get("MemAvailable", known.get("MemFree", 0.0)) + known.get("SwapFree", 0.0)
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _of_the_group() -> float:
    """What the control groups above this process leave it; pages of files they give back when asked."""
    least = float("inf")
    for folder in _groups():
        for limit, usage in _FILES:
            most, used = _number(folder / limit), _number(folder / usage)
            if most is not None and used is not None:
                stat = dict(line.split()[:2] for line in _lines(folder / "memory.stat") if len(line.split()) > 1)
                least = min(least, most - max(0.0, used - float(stat.get("inactive_file", 0))))
    return least


def _groups() -> Iterator[Path]:
    """The folders of this process's control groups, and of those that hold them."""
    for line in ("0::/", *_lines(_CGROUP)):
        _, controllers, name = (*line.split(":", 2), "", "")[:3]
        root = _GROUPS / "memory" if "memory" in controllers.split(",") else _GROUPS
        place = root / name.lstrip("/")
        yield from (place, *(parent for parent in place.parents if parent.is_relative_to(_GROUPS)))


def _of_the_process() -> float:
    try:
        import resource  # noqa: PLC0415  (it is not everywhere)
    except ImportError:  # not on Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit - _fields(_STATUS).get("VmSize", 0.0)


def _fields(path: Path) -> dict[str, float]:
    """Lines such as "MemAvailable:  12 kB", in bytes."""
    parts = (line.split() for line in _lines(path))
    return {each[0].rstrip(":"): 1024.0 * int(each[1]) for each in parts if len(each) == 3 and each[2] == "kB"}


def _number(path: Path) -> float | None:
    try:
        return float(next(iter(_lines(path)), ""))
    except ValueError:  # "max", or no such file
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gib(size: float) -> str:
    """Return bytes as they are told."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**28 else f"{size / 2**20:.3g} MiB"


def _days(days: float) -> str:
    return f"{days:.0f} days" if days < 1000 else f"{days / 365.25:.2g} years"
