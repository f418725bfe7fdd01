"""A few steps that stand for many: exact where they can be, and as close as they say elsewhere."""

import numpy as np
import pytest

from fluctua.theory.interpolation import Grid, lagrange

LENGTHS = [(length, count) for length in (1, 2, 3, 7, 12, 13, 55, 112, 1875, 60_000) for count in (6, 12, 16)]


def carried(grid, values):
    """What the nodes make of values at every step."""
    return grid.basis @ values[grid.nodes]


def coordinate(length):
    """The x in which the nodes are evenly spaced."""
    steps = np.arange(length)
    return np.log1p(steps) + steps / length


@pytest.mark.parametrize(("length", "count"), LENGTHS)
def test_nodes_are_steps_in_order_from_the_first_to_the_last_and_not_too_many(length, count):
    nodes = Grid(length, count).nodes
    assert nodes[0] == 0
    assert nodes[-1] == length - 1
    assert (np.diff(nodes) > 0).all()
    assert len(nodes) == min(length, count)


@pytest.mark.parametrize("length", [1, 2, 5, 12])
def test_where_steps_are_few_all_are_nodes_and_nothing_is_interpolated(length):
    grid = Grid(length, 12)
    assert grid.nodes.tolist() == list(range(length))
    assert (grid.basis == np.eye(length)).all()


@pytest.mark.parametrize(("length", "count"), LENGTHS)
def test_a_node_is_its_own_value_and_a_constant_stays_one(length, count):
    grid = Grid(length, count)
    assert np.abs(grid.basis[grid.nodes] - np.eye(len(grid.nodes))).max() < 1e-12
    assert np.abs(carried(grid, np.ones(length)) - 1).max() < 1e-12


@pytest.mark.parametrize("degree", range(6))
@pytest.mark.parametrize(("length", "count"), [case for case in LENGTHS if min(case) >= 6])
def test_polynomials_of_the_fifth_degree_are_met(length, count, degree):
    x = coordinate(length)
    values = (x / x[-1]) ** degree
    assert np.abs(carried(Grid(length, count), values) - values).max() < 1e-12


def test_one_of_the_sixth_degree_is_not():
    x = coordinate(112)
    values = (x / x[-1]) ** 6
    assert np.abs(carried(Grid(112, 12), values) - values).max() > 1e-6


@pytest.mark.parametrize(("length", "count", "fastest"), [(112, 12, 1.2), (1875, 16, 0.4)])
def test_exponentials_and_parabolas_are_met_to_a_thousandth_of_their_range(length, count, fastest):
    """At every rate up to `fastest` a step (1.29 and 0.44 are the limits): faster ones fall between the first nodes."""
    grid, steps = Grid(length, count), np.arange(length)
    shapes = [np.exp(-rate * steps) for rate in np.geomspace(1e-6, fastest, 200)]
    shapes += [steps * (length - steps) / length**2, (steps / length) ** 2, steps / length]
    for values in shapes:
        assert np.abs(carried(grid, values) - values).max() < 1e-3 * np.ptp(values)
    sudden = np.exp(-5.0 * steps)
    assert 1e-3 < np.abs(carried(grid, sudden) - sudden).max() < 2e-2


def test_lagrange_s_weights_are_those_of_the_polynomial_through_the_places():
    rng = np.random.default_rng(0)
    places, at = np.sort(rng.normal(size=5)), rng.normal(size=9)
    values = rng.normal(size=5)
    found = lagrange(places, at) @ values
    assert np.allclose(found, np.polyval(np.polyfit(places, values, 4), at), rtol=1e-9)
