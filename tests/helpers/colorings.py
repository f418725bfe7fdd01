"""Colouring on graphs of four vertices: every state, every batch of the edges, every proposal, one by one."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np

PENDANT = [(0, 1), (1, 2), (2, 0), (0, 3), (0, 3)]
"""A triangle with a vertex that hangs on it by two edges."""


def states_of(vertices, colors):
    """All colourings; vertex 0 is the last digit, as the library counts."""
    return [tuple(reversed(each)) for each in product(range(colors), repeat=vertices)]


def energy(state, edges, batch=None):
    """Edges with ends of one colour, of those in the batch."""
    return sum(state[i] == state[j] for k, (i, j) in enumerate(edges) if batch is None or batch[k])


def batches_of(edges, share):
    """Every batch with its probability."""
    for batch in product((0, 1), repeat=len(edges)):
        yield batch, share ** sum(batch) * (1 - share) ** (len(edges) - sum(batch))


def visit(vertex, edges, colors, vertices, batch):
    """The matrix of a visit with one batch: a proposal is accepted if the energy of the batch does not rise."""
    every = states_of(vertices, colors)
    place = {state: k for k, state in enumerate(every)}
    matrix = np.zeros((len(every), len(every)))
    for state in every:
        for colour in set(range(colors)) - {state[vertex]}:
            new = (*state[:vertex], colour, *state[vertex + 1 :])
            accepted = energy(new, edges, batch) <= energy(state, edges, batch)
            matrix[place[state], place[new if accepted else state]] += 1 / (colors - 1)
    return matrix


def fresh_visits(edges, colors, vertices, share):
    """The matrix of a visit of each vertex, with a batch of its own."""
    return [
        sum(chance * visit(v, edges, colors, vertices, batch) for batch, chance in batches_of(edges, share))
        for v in range(vertices)
    ]


def shared_sweep(edges, colors, vertices, share):
    """The matrix of a sweep in order with one batch."""
    total = 0
    for batch, chance in batches_of(edges, share):
        matrix = np.eye(colors**vertices)
        for v in range(vertices):
            matrix = matrix @ visit(v, edges, colors, vertices, batch)
        total = total + chance * matrix
    return total


def stationary(matrix):
    """The left eigenvector of eigenvalue one."""
    values, vectors = np.linalg.eig(matrix.T)
    found = vectors[:, np.argmin(np.abs(values - 1))].real
    return found / found.sum()


def accepted(n, m, share):
    """P[Bin(m, B) <= Bin(n, B)], by its terms (F121)."""

    def mass(k, count):
        return comb(count, k) * share**k * (1 - share) ** (count - k)

    return sum(mass(j, n) * mass(i, m) for j in range(n + 1) for i in range(m + 1) if i <= j)
