"""Sizes before work: what would not fit into this machine's memory is refused at the door."""

from __future__ import annotations

import os

from .errors import InvalidInput

__all__ = ["refuse_bytes"]


def refuse_bytes(what: str, needed: float, remedy: str) -> None:
    """Raise `InvalidInput` if `what`, the subject of the sentence, needs more bytes than this process may still take.

    Parameters
    ----------
    what : str
    needed : float
        Bytes.
    remedy : str
        A sentence.
    """
    there = min(_of_the_machine(), _of_the_process())
    if needed > there:
        sizes = f"{needed / 2**30:.3g} GiB of memory, and this machine has {there / 2**30:.3g} GiB"
        raise InvalidInput(f"{what} would take about {sizes}. {remedy}")


def _of_the_machine() -> float:
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _of_the_process() -> float:
    try:
        import resource
    except ImportError:  # not on Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else float(limit)
