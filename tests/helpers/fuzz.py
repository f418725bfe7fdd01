"""Seeded ways to spoil files, headers and arguments, and what may come of it: an answer or a `FluctuaError`."""

from __future__ import annotations

import copy
import warnings

import numpy as np

from fluctua.errors import FluctuaError

__all__ = ["answer", "flipped", "hostile_headers", "hostile_values", "places"]


def answer(call, *arguments, **options):
    """Return what a call answers or the `FluctuaError` it raises; anything else, a warning included, gets out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call(*arguments, **options)
        except FluctuaError as error:
            found = error
    assert str(found), "an error without a text"
    return found


def flipped(whole, count, seed):
    """Yield `count` copies of the bytes, each with one byte changed: in turn anywhere, and among the first 300."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        place = int(rng.integers(len(whole) if k % 2 else min(len(whole), 300)))
        spoiled = bytearray(whole)
        spoiled[place] ^= int(rng.integers(1, 256))
        yield place, bytes(spoiled)


def places(value, path=()):
    """Yield the path of every key and item of a JSON value, deepest first, itself last."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))
        yield (*path, key)


def hostile_values():
    """What a header may hold instead of what it should."""
    nested = []
    for _ in range(40):
        nested = [nested]
    return ["drop", "text", [1, 2], 10**400, None, True, -7, 0, {}, nested, 1e308, "extra"]


def hostile_headers(header, rng=None, count=None):
    """Yield the place, the value put there, and the header: all of them, or `count` drawn at random."""
    every = [(place, value) for place in places(header) for value in hostile_values()]
    if count is not None:
        every = [every[i] for i in rng.permutation(len(every))[:count]]
    for place, value in every:
        changed = copy.deepcopy(header)
        inside = changed
        for key in place[:-1]:
            inside = inside[key]
        if value == "drop":
            del inside[place[-1]]
        elif value == "extra" and isinstance(inside, dict):
            inside["extra"] = 1
        else:
            inside[place[-1]] = value
        yield place, value, changed
