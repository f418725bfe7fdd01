"""Graphs whose vertices have colours: the energy is the number of edges whose ends have the same one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array, Ints
from ..._results import Brief, ByValue
from ..._validate.arrays import plain_array
from ..._validate.sizes import refuse_bytes
from ..._validate.values import instance, positive_int, real_number
from ...errors import InvalidInput
from .edge_files import read_edges

__all__ = ["Graph"]

_MOST_COLORS = 2**15
_FROM = "0, 1, 2, ..."


@dataclass(frozen=True, eq=False, repr=False)
class Graph(Brief, ByValue):
    """A graph to be coloured: E is the number of edges whose two ends have the same of q colours (F121).

    Parameters
    ----------
    edges : array_like, (M, 2), or path
        The vertices at both ends of each edge, counted from 0; or a file of them, of any format that `fluctua.load`
        reads: an array of two columns, or a table with two columns. Edges that are repeated count as often as they are
        given, and `repeated` says how many.
    colors : int
        Colours q, at least 2.
    vertices : int, optional
        N; by default one more than the largest number of a vertex.
    groups : array_like, (N,), optional
        A planted colouring, which no edge may offend.
    name : str
        What the graph is called.
    ensemble_degree : float, optional
        Mean degree c, where the graph is one of a random ensemble: the tree closure takes degrees from Poisson's law.

    Raises
    ------
    InvalidInput
        For fewer than two colours, edges that are no pairs of vertices, without an edge, for an edge from a vertex to
        itself, and for one within a planted group.
    DataUnavailable, CorruptData, MissingPackage
        For a file that is not there, that holds no edges, or whose format needs a package that is not installed.

    Notes
    -----
    Cost: memory of 16 bytes for each end of an edge.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> triangle = coloring.Graph([[0, 1], [1, 2], [2, 0]], colors=2)
    >>> triangle.energy([0, 1, 1])
    1
    """

    edges: Any
    colors: int
    vertices: Any = None
    groups: Any = None
    name: str = ""
    ensemble_degree: float | None = None

    def __post_init__(self) -> None:
        """Read and check what was given."""
        positive_int("colors", self.colors, minimum=2, maximum=_MOST_COLORS)
        instance("name", self.name, str, "text")
        if self.ensemble_degree is not None:
            real_number("ensemble_degree", self.ensemble_degree, above=0.0)
        found = isinstance(self.edges, str | os.PathLike)
        edges = _checked(read_edges(self.edges) if found else self.edges)
        least = int(edges.max()) + 1
        count = least if self.vertices is None else positive_int("vertices", self.vertices)
        if count < least:
            raise InvalidInput(
                f"vertices = {count:,} is too few: an edge ends at vertex {least - 1:,}, counted from 0."
            )
        refuse_bytes(f"a graph of {count:,} vertices and {len(edges):,} edges", 16.0 * (count + 2 * len(edges)), "")
        name = self.name or (os.path.basename(os.fspath(self.edges)) if found else "graph")  # noqa: PTH119
        for field, value in {"edges": edges, "vertices": count, "name": name}.items():
            object.__setattr__(self, field, value)
        if self.groups is not None:
            object.__setattr__(self, "groups", self.coloring(self.groups, "groups"))
            self._refuse_offended()

    @property
    def degree(self) -> float:
        """Mean number of edges that end at a vertex, 2 M/N."""
        return 2 * len(self.edges) / int(self.vertices)

    @cached_property
    def degrees(self) -> Ints:
        """Edges that end at each vertex, (N,)."""
        return np.bincount(self.edges.ravel(), minlength=self.vertices)

    @cached_property
    def repeated(self) -> int:
        """Edges beyond the first between the same two vertices."""
        low, high = np.sort(self.edges, axis=1).T
        return len(low) - len(np.unique(low * np.int64(self.vertices) + high))

    @cached_property
    def neighbours(self) -> tuple[Ints, Ints, Ints]:
        """Where the neighbours of each vertex begin, (N + 1,); the neighbours; the edge that leads to each, (2 M,)."""
        ends = self.edges.ravel(order="F")
        order = np.argsort(ends, kind="stable")
        others = self.edges[:, ::-1].ravel(order="F")[order]
        starts = np.concatenate([[0], np.cumsum(self.degrees)])
        return starts, others.astype(np.int64), order % len(self.edges)

    def energy(self, coloring: Any) -> int:
        """Return how many edges have ends of one colour.

        Parameters
        ----------
        coloring : array_like, (N,)
            A colour of each vertex, from 0 to q - 1.

        Returns
        -------
        int
            E.

        Raises
        ------
        InvalidInput
            For what is no colouring of the graph.
        """
        colours = self.coloring(coloring, "coloring")
        return int((colours[self.edges[:, 0]] == colours[self.edges[:, 1]]).sum())

    def overlap(self, coloring: Any) -> float:
        """Return the overlap with the planted groups, 1 where they are found and about 0 where nothing is.

        Parameters
        ----------
        coloring : array_like, (N,)
            A colour of each vertex.

        Returns
        -------
        float
            (q a - N)/((q - 1) N), with a the vertices that agree under the best exchange of the colours' names.

        Raises
        ------
        InvalidInput
            For what is no colouring, and for a graph without planted groups.
        """
        from scipy.optimize import linear_sum_assignment

        if self.groups is None:
            raise InvalidInput("overlap needs planted groups: give groups=, or draw the graph by coloring.planted.")
        q, count = self.colors, int(self.vertices)
        pairs = np.bincount(self.groups * q + self.coloring(coloring, "coloring"), minlength=q * q).reshape(q, q)
        agree = int(pairs[linear_sum_assignment(-pairs)].sum())
        return (q * agree - count) / ((q - 1) * count)

    def coloring(self, given: Any, name: str = "coloring") -> Ints:
        """Return a checked colouring.

        Parameters
        ----------
        given : array_like, (N,)
            A colour of each vertex.
        name : str
            What errors call it.

        Returns
        -------
        ndarray, (N,)
            Whole numbers.

        Raises
        ------
        InvalidInput
            For what is no colouring.
        """
        colours = np.asarray(plain_array(name, given))
        if colours.shape != (self.vertices,):
            raise InvalidInput(
                f"{name} must have one colour for each of the {self.vertices:,} vertices, got shape {colours.shape}."
            )
        return _whole(name, colours, f"colours from 0 to {self.colors - 1}", self.colors)

    def _refuse_offended(self) -> None:
        inside = np.flatnonzero(self.groups[self.edges[:, 0]] == self.groups[self.edges[:, 1]])
        if len(inside):
            ends = self.edges[inside[0]]
            raise InvalidInput(
                f"groups are no planted colouring: {len(inside):,} of {len(self.edges):,} edges lie within a group, "
                f"the first is edge {inside[0]:,} between vertices {ends[0]:,} and {ends[1]:,}. The planted energy "
                f"must be 0: remove these edges, or leave groups out."
            )

    def _shown(self) -> dict[str, Any]:
        said = {"name": self.name, "colors": self.colors, "vertices": self.vertices, "edges": len(self.edges)}
        return said | ({"repeated": self.repeated} if self.repeated else {})


def _checked(given: Any) -> Ints:
    """Pairs of vertices."""
    edges = np.asarray(plain_array("edges", given))
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        hint = " Give its transpose." if edges.ndim == 2 and edges.shape[0] == 2 else ""
        raise InvalidInput(
            f"edges must be pairs of vertices, shape (edges, 2) with at least one, got {edges.shape}.{hint}"
        )
    edges = _whole("edges", edges, f"numbers of vertices, {_FROM}")
    loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
    if len(loops):
        raise InvalidInput(
            f"edge {loops[0]:,} leads from vertex {edges[loops[0], 0]:,} to itself, and {len(loops) - 1:,} more do so: "
            f"a vertex has always its own colour. Remove them."
        )
    return edges


def _whole(name: str, values: Array | Ints, what: str, below: float = 2.0**31) -> Ints:
    """Whole numbers from 0 to below a limit."""
    good = values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
    if good and values.dtype.kind == "f":
        good = bool((values == np.floor(values)).all())
    if not good or values.min() < 0 or values.max() >= below:
        worst = values.min() if good and values.min() < 0 else values.max() if good else values.dtype
        raise InvalidInput(f"{name} must be whole numbers, {what}; got {worst}.")
    return np.array(values, np.int64)
