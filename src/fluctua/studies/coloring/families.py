"""Graphs by name, and graphs with a planted colouring."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from ..._arrays import Ints
from ..._validate.sizes import refuse_bytes
from ..._validate.values import choice, positive_int, real_number
from ...errors import InvalidInput, UnknownName
from ...simulation.batches import Rng, seed_sequence
from .graph import Graph

__all__ = ["NAMES", "named", "planted"]

NAMES = ("K4", "K33", "K222", "C6", "C9(1,2)", "P5", "Q3")
"""One of each kind."""
_FEW, _DIMENSIONS = 3000, 12  # vertices and dimensions of a named graph, at most


def named(name: str, *, colors: int = 3) -> Graph:
    """Return a graph by its name.

    ==========  ================================================================
    K4, K10     complete: all pairs of vertices; a number with a 0 is one number
    K33, K222   complete in parts: no edges within a part; K2,10 with commas
    C6          a cycle
    C9(1,2)     circulant: i is joined to i + 1 and to i + 2, modulo 9
    P5          a path
    Q3          a hypercube of 2^3 vertices
    ==========  ================================================================

    Parameters
    ----------
    name : str
        From the table, with other numbers.
    colors : int
        Colours q.

    Returns
    -------
    Graph
        Vertices are in the order of the parts.

    Raises
    ------
    UnknownName
        For another name.
    InvalidInput
        For a graph without edges, or of more than 3,000 vertices.

    Notes
    -----
    Cost: memory of its edges.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> coloring.named("K222")
    Graph(name='K222', colors=3, vertices=6, edges=12)
    """
    text = name.replace(" ", "") if isinstance(name, str) else ""
    for pattern, maker in _KINDS.items():
        if re.fullmatch(pattern, text, re.IGNORECASE):
            return _made(text, maker, colors)
    raise _unknown(name)


def _unknown(name: object) -> InvalidInput:
    """The error for a name that no kind has."""
    try:
        choice("graph", name, NAMES)
    except UnknownName as error:
        return error
    return InvalidInput(f"graph must be a name such as {', '.join(NAMES)}.")


def _made(name: str, maker: Callable[[Sequence[int]], Ints], colors: int) -> Graph:
    sizes = [int(each) for each in re.findall(r"\d+", _split(name))]
    if max(sizes) > _FEW or sum(sizes) > _FEW:
        raise InvalidInput(f"graph {name!r} is larger than {_FEW:,} vertices: give its edges instead.")
    edges = maker(sizes)
    if not len(edges):
        raise InvalidInput(f"graph {name!r} has no edges.")
    count = 2 ** sizes[0] if maker is _cube else sum(sizes) if maker is _complete else sizes[0]
    return Graph(edges, colors, vertices=count, name=name)


def _split(name: str) -> str:
    """K222 is of three parts; K10, with a zero, and K2,10 are as they stand."""
    by_digit = name[0] in "kK" and name[1:].isdigit() and "0" not in name
    return " ".join(name[1:]) if by_digit else name[1:]


def _complete(sizes: Sequence[int]) -> Ints:
    """All pairs of one part, or all pairs between several."""
    part = np.arange(sizes[0]) if len(sizes) == 1 else np.repeat(np.arange(len(sizes)), sizes)
    low, high = np.triu_indices(len(part), 1)
    apart = part[low] != part[high]
    return np.stack([low[apart], high[apart]], axis=1)


def _circulant(sizes: Sequence[int]) -> Ints:
    """A vertex joined to those that follow it by each of the steps; to the next alone where none are given."""
    count, steps, place = sizes[0], sizes[1:] or [1], np.arange(sizes[0])
    pairs = [np.stack([place, (place + step) % count], axis=1) for step in steps if step % max(count, 1)]
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0) if pairs else np.empty((0, 2), np.int64)


def _path(sizes: Sequence[int]) -> Ints:
    return np.stack([np.arange(sizes[0] - 1), np.arange(1, sizes[0])], axis=1) if sizes[0] else _circulant([0])


def _cube(sizes: Sequence[int]) -> Ints:
    if sizes[0] > _DIMENSIONS:
        raise InvalidInput(f"a hypercube has at most {_DIMENSIONS} dimensions here, got {sizes[0]}: give its edges.")
    place = np.arange(2 ** sizes[0])
    pairs = [np.stack([place, place ^ (1 << k)], axis=1)[place & (1 << k) == 0] for k in range(sizes[0])]
    return np.concatenate(pairs) if pairs else _circulant([0])


_KINDS: dict[str, Callable[[Sequence[int]], Ints]] = {
    r"K\d+(,\d+)*": _complete,
    r"C\d+(\(\d+(,\d+)*\))?": _circulant,
    r"P\d+": _path,
    r"Q\d+": _cube,
}


def planted(vertices: int, *, colors: int, degree: float, rng: Rng = None) -> Graph:
    """Return a random graph with a planted colouring: M = c N/2 edges, each between two of q equal groups.

    Both ends of an edge are drawn anew where they lie in one group; the same edge may be drawn twice and then counts
    twice. The planted colouring has energy 0.

    Parameters
    ----------
    vertices : int
        N, a multiple of q.
    colors : int
        Colours q, at least 2.
    degree : float
        Mean number c of edges of a vertex.
    rng : numpy.random.Generator, int or None
        The seed of the graph.

    Returns
    -------
    Graph
        With `.groups`, the planted colouring: vertex i has colour i // (N/q).

    Raises
    ------
    InvalidInput
        For numbers out of range, for vertices that are no multiple of q, and for a graph without edges.

    Notes
    -----
    Cost: memory of 100 bytes an edge.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> graph = coloring.planted(1000, colors=5, degree=19, rng=1)
    >>> graph.energy(graph.groups), len(graph.edges)
    (0, 9500)
    """
    count, q = positive_int("vertices", vertices), positive_int("colors", colors, minimum=2)
    c = real_number("degree", degree, above=0.0)
    if count % q:
        raise InvalidInput(
            f"vertices = {count:,} is no multiple of colors = {q}: planted groups are equal. Give "
            f"{max(q, count - count % q):,} or {count + q - count % q:,}."
        )
    edges = round(c * count / 2)
    if edges < 1:
        raise InvalidInput(f"degree = {c:g} gives a graph of {count:,} vertices no edge: give more of either.")
    refuse_bytes(f"degree = {c:g} of {count:,} vertices", 100.0 * edges, "Give less of either.")
    groups = np.arange(count) // (count // q)
    random = np.random.Generator(np.random.PCG64DXSM(seed_sequence(rng)))
    ends = random.integers(count, size=(edges, 2))
    while len(same := np.flatnonzero(groups[ends[:, 0]] == groups[ends[:, 1]])):
        ends[same] = random.integers(count, size=(len(same), 2))
    name = f"planted, {count:,} vertices of degree {c:g}"
    return Graph(ends, q, vertices=count, groups=groups, name=name, ensemble_degree=2 * edges / count)
