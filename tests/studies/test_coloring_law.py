"""Laws of colouring: enumeration of every batch, the tables of other code, and closed forms.

F121 to F127 (docs/studies/coloring.md). The tables are of code that shares nothing with this one.
"""

from __future__ import annotations

import copy
import math
from itertools import product

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import CorruptData, DataUnavailable, InvalidInput, TooLarge, UnknownName
from fluctua.studies import coloring
from fluctua.studies.coloring import closure, exact, families
from fluctua.theory.markov import MarkovChain
from helpers import colorings as brute

B3 = {  # graph, colours, batch: <E>, T_E, T0, divergence, X, entropy production, <E> in order
    ("C6", 3, 0.5): (1.1990785179, 1.44269504, 1.44269504, 0.0, 1.0, 0.0, 1.1990785179),
    ("K4", 3, 0.8): (1.1427354176, 0.63655376, 0.62133493, 5.285e-4, 1.04098763, 8.51038516e-4, 1.1427354176),
    ("K222", 3, 0.5): (2.7620218815, 1.52116554, 1.44269504, 5.777e-4, 1.03358814, 1.13111998e-3, 2.7654813124),
    ("K222", 3, 0.8): (1.3131981775, 0.64721842, 0.62133493, 4.263e-3, 1.07576379, 2.41234536e-3, 1.3282829466),
    ("K222", 3, 0.9): (0.4250267386, 0.44382116, 0.43429448, 2.190e-3, 1.05087356, 6.84827292e-4, 0.4303643453),
    ("K33", 2, 0.5): (2.5264641675, 1.50569729, 1.44269504, 1.014e-3, 1.02962454, 9.78768177e-4, 2.5354241821),
}
CIRCULANT = 2.5933646400, 0.66412385, 3.07214924e-3
SHARED = {0.5: (1.209263, 1.489527), 0.8: (0.588544, 0.646477), 0.9: (0.419522, 0.445533)}
"""T_E of one batch for a sweep, and of a batch for every visit in the same order."""
NINE_EDGES = [(0, 2), (1, 2), (0, 3), (0, 4), (2, 4), (0, 5), (1, 5), (2, 5), (3, 5)]
B4 = {0.2: 5.12542682, 0.5: 1.98600978, 0.8: 0.85779985, 0.85: 0.70385, 0.9: 0.54796665}
ENERGIES = {0.2: 1.62067426, 0.5: 1.24702118, 0.8: 0.68673328, 0.85: 0.540975, 0.9: 0.36808}


def law(name, colors, batch, **options):
    return fl.predict(coloring.named(name, colors=colors), coloring.SGDLike(batch, **options), theory="exact")


@pytest.mark.parametrize("case", B3, ids=str)
def test_small_graphs_have_the_exact_numbers_of_the_table(case):
    energy, temperature, zero, divergence, ratio, entropy, ordered = B3[case]
    found = law(*case)
    assert found.energy == pytest.approx(energy, rel=1e-8, abs=1e-10)
    assert found.temperature == pytest.approx(temperature, rel=1e-8)
    assert found.zero_temperature == pytest.approx(zero, rel=1e-8)
    assert found.divergence == pytest.approx(divergence, rel=2e-4, abs=1e-14)
    assert found.fluctuation_ratio == pytest.approx(ratio, rel=1e-8)
    assert found.entropy_production == pytest.approx(entropy, rel=1e-8, abs=1e-20)
    assert found.reversible == (case[0] == "C6")
    assert law(*case, order="sequential").energy == pytest.approx(ordered, rel=1e-8, abs=1e-10)


def test_nearly_twenty_thousand_states_have_the_numbers_of_the_table():
    found = law("C9(1,2)", 3, 0.8)
    assert (found.energy, found.temperature, found.entropy_production) == pytest.approx(CIRCULANT, rel=1e-8)


@pytest.mark.parametrize(
    "share", [pytest.param(0.5, marks=pytest.mark.slow), 0.8, pytest.param(0.9, marks=pytest.mark.slow)]
)
def test_one_batch_for_a_sweep_is_colder(share):
    """F127, and the sweeps' vectors are those of the visits one after another."""
    graph = coloring.Graph(NINE_EDGES, colors=3)
    shared, fresh = SHARED[share]
    move = coloring.SGDLike(share, "sweep", "sequential")
    found = fl.predict(graph, move)
    assert found.temperature == pytest.approx(shared, abs=5e-7)
    assert (found.entropy_production, found.reversible) == (math.inf, False)
    assert fl.predict(graph, coloring.SGDLike(share, order="sequential")).temperature == pytest.approx(fresh, abs=5e-7)


@pytest.mark.parametrize("share", [0.3, 0.85])
def test_laws_are_those_of_every_batch_listed(share):
    """81 states, 32 batches: stationary vectors, entropy production in both orders, and one batch for a sweep."""
    edges, colors, vertices = brute.PENDANT, 3, 4
    graph = coloring.Graph(edges, colors=colors)
    visits = brute.fresh_visits(edges, colors, vertices, share)
    every = np.array([brute.energy(each, edges) for each in brute.states_of(vertices, colors)])
    mixed, turn = sum(visits) / vertices, np.linalg.multi_dot(visits)
    swept = brute.shared_sweep(edges, colors, vertices, share)
    moves = {
        coloring.SGDLike(share): mixed,
        coloring.SGDLike(share, order="sequential"): turn,
        coloring.SGDLike(share, "sweep", "sequential"): swept,
    }
    for move, matrix in moves.items():
        found, wanted = exact.law_of(graph, move), brute.stationary(matrix)
        assert found.stationary == pytest.approx(wanted, abs=1e-12)
        assert found.energy == pytest.approx(wanted @ every, rel=1e-12)
        assert found.states.energies.tolist() == every.tolist()
    one = fl.predict(graph, coloring.SGDLike(share))
    assert one.entropy_production == pytest.approx(MarkovChain.of(mixed).entropy_production, rel=1e-10)
    by_conflicts = one.proposals.entropy(one.move.acceptance(4))
    assert one.entropy_production == pytest.approx(float(by_conflicts), rel=1e-10)  # F124, of moves alone
    ordered = fl.predict(graph, coloring.SGDLike(share, order="sequential"))
    assert ordered.entropy_production == pytest.approx(MarkovChain.of(*visits).entropy_production, rel=1e-10)


def test_energies_in_time_are_those_of_every_batch_listed():
    edges, share = brute.PENDANT, 0.7
    states = exact.States(coloring.Graph(edges, colors=3))
    visits, law = brute.fresh_visits(edges, 3, 4, share), np.full(81, 1 / 81)
    sweeps = {
        coloring.SGDLike(share): np.linalg.matrix_power(sum(visits) / 4, 4),
        coloring.SGDLike(share, order="sequential"): np.linalg.multi_dot(visits),
        coloring.SGDLike(share, "sweep", "sequential"): brute.shared_sweep(edges, 3, 4, share),
    }
    for move, matrix in sweeps.items():
        wanted = [law @ np.linalg.matrix_power(matrix, k) @ states.energies for k in (1, 2, 3)]
        assert exact.relaxation(states, move, 3) == pytest.approx(wanted, rel=1e-12)


def test_temperatures_by_conflicts_are_those_of_the_chain_of_states():
    """F125: a(k) gathered from proposals by conflicts, and from the flows between states."""
    edges = brute.PENDANT
    one = fl.predict(coloring.Graph(edges, colors=3), coloring.SGDLike(0.7))
    chain = MarkovChain.of(sum(brute.fresh_visits(edges, 3, 4, 0.7)) / 4)
    always = MarkovChain.of(sum(brute.fresh_visits([], 3, 4, 0.7)) / 4)  # without edges all is accepted
    told = chain.temperatures(np.array([float(each) for each in one.law.states.energies]), always.matrices[0])
    assert one.temperatures == pytest.approx({int(k): value for k, value in told.items()}, rel=1e-10)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.8, 0.99])
def test_acceptances_are_sums_over_both_batches(share):
    """F121: acc(n, m), and the laws that follow from it."""
    move = coloring.SGDLike(share)
    table = move.acceptance(6)
    for n, m in product(range(7), repeat=2):
        assert table[n, m] == pytest.approx(brute.accepted(n, m, share), rel=1e-12)
    steps = np.arange(7)
    assert table[0] == pytest.approx(np.exp(-steps / move.zero_temperature), rel=1e-12)
    assert table[:, 0] == pytest.approx(np.ones(7), rel=1e-14)
    b = share
    ratio = ((1 - b) ** 3 + b * (1 - b**2)) / (1 - b * (1 - b) ** 2)
    assert table[1, 2] / table[2, 1] == pytest.approx(ratio, rel=1e-12)
    assert ratio > 1 - b
    strict = coloring.SGDLike(share, strict=True).acceptance(3)
    assert strict[2, 1] == pytest.approx(1 - table[1, 2], rel=1e-12)  # P[Bin(1) < Bin(2)]


@pytest.mark.any_seed
@pytest.mark.parametrize("batch", B4)
def test_the_tree_closure_has_the_temperatures_of_the_table(batch):
    graph = coloring.planted(1000, colors=5, degree=19, rng=1)
    found = fl.predict(graph, coloring.SGDLike(batch), theory="tree")
    digits = 1e-6 if batch != 0.85 else 1e-5  # as many as the table has
    assert found.temperature == pytest.approx(B4[batch], abs=digits)
    assert found.energy_per_vertex == pytest.approx(ENERGIES[batch], abs=1e-5 if batch > 0.8 else 1e-6)
    assert 0 < found.truncation_error < 1e-16


def test_the_tree_closure_solves_its_equation():
    """F123 by its terms: sum over n and m of P(n) P(m) acc(n, m) (m - n) is nothing at T."""
    c, q, share = 7.0, 4, 0.7
    found = closure.Closure.random(q, c)
    x = math.exp(-found.inverse_temperature(coloring.SGDLike(share)))

    def poisson(k, mean):
        return math.exp(-mean) * mean**k / math.factorial(k)

    terms = [
        poisson(n, c * x / (x + q - 1)) * poisson(m, c / (x + q - 1)) * brute.accepted(n, m, share) * (m - n)
        for n, m in product(range(24), range(24))
    ]
    assert math.fsum(terms) == pytest.approx(0, abs=1e-11)


def test_the_closure_of_a_graph_takes_its_own_degrees():
    """A regular graph: n of 4 neighbours, m of the others; where no vertex has more than 2 edges it is exact (T0)."""
    graph = coloring.named("C50(1,2)", colors=3)
    found = fl.predict(graph, coloring.SGDLike(0.8), theory="tree")
    x = math.exp(-1 / found.temperature)
    p = x / (x + 2)
    total = 0.0
    for n, m in product(range(5), repeat=2):
        if n + m <= 4:
            ways = math.comb(4, n) * math.comb(4 - n, m)
            total += ways * p**n * ((1 - p) / 2) ** (4 - n) * brute.accepted(n, m, 0.8) * (m - n)
    assert total == pytest.approx(0, abs=1e-13)
    assert found.truncation_error == 0
    for batch in (1e-3, 0.5, 0.999):
        path = fl.predict(coloring.named("P300"), coloring.SGDLike(batch))
        assert path.temperature == pytest.approx(path.zero_temperature, rel=1e-10)
        assert path.reversible
        assert path.entropy_production == pytest.approx(0, abs=1e-13)


def test_small_batches_have_temperature_one_over_b():
    found = closure.Closure.random(5, 19.0).inverse_temperature(coloring.SGDLike(1e-5))
    assert 1 / found == pytest.approx(1e5, rel=1e-4)


def test_the_paramagnet_gives_way_at_the_critical_temperature_and_the_best_batch_is_there():
    """F126."""
    assert coloring.critical_temperature(5, 25) == pytest.approx(0.855, abs=5e-4)
    assert coloring.critical_temperature(5, 19) == pytest.approx(0.491, abs=5e-4)
    batch = coloring.best_batch(colors=5, degree=25)
    assert batch == pytest.approx(0.83, abs=5e-3)
    found = closure.Closure.random(5, 25.0).inverse_temperature(coloring.SGDLike(batch))
    assert 1 / found == pytest.approx(coloring.critical_temperature(5, 25), rel=1e-9)
    with pytest.raises(InvalidInput, match=r"degree = 16 is not above \(colors - 1\)\^2 = 16"):
        coloring.best_batch(colors=5, degree=16)


@pytest.mark.parametrize("order", ["random", "sequential"])
def test_metropolis_is_in_equilibrium_in_any_order(order):
    found = fl.predict(coloring.named("K4"), coloring.Metropolis(0.6, order))
    weights = np.exp(-found.law.states.energies / 0.6)
    assert found.law.stationary == pytest.approx(weights / weights.sum(), rel=1e-11)
    assert found.temperature == pytest.approx(0.6, rel=1e-12)
    assert found.entropy_production < 1e-25
    assert found.reversible
    assert list(found.temperatures.values()) == pytest.approx([0.6] * 3, rel=1e-12)


def test_the_rungs_below_say_what_they_know():
    graph, move = coloring.named("K222"), coloring.SGDLike(0.8)
    zero, tree, best = (fl.predict(graph, move, theory=each) for each in ("zero", "tree", "exact"))
    assert zero.temperature == zero.zero_temperature == tree.zero_temperature
    assert zero.energy < best.energy
    assert zero.temperature < best.temperature < tree.temperature
    assert (zero.entropy_production, zero.fluctuation_ratio, zero.reversible) == (0, 1, True)
    weights = np.exp(-best.law.states.energies / zero.temperature)
    assert zero.energy == pytest.approx(weights @ best.law.states.energies / weights.sum(), rel=1e-12)
    assert zero.variance < best.variance
    assert math.isnan(tree.fluctuation_ratio)
    assert tree.entropy_production > 0
    assert fl.predict(graph, move) == best
    assert fl.predict(graph, move).theory == "exact"
    shared = coloring.SGDLike(0.8, "sweep")
    assert fl.predict(graph, shared).theory == "zero"


def test_what_a_user_holds_is_a_line_and_a_table():
    graph, move = coloring.named("K4"), coloring.SGDLike(0.8)
    for one in (graph, move, coloring.Metropolis(1.0), fl.predict(graph, move)):
        assert len(repr(one)) <= 120
        assert type(one).__name__ in one._repr_html_()
        assert one == copy.deepcopy(one)
    assert fl.predict(graph, move).columns()["change"] == [1, 2, 3]
    assert fl.predict(graph, move).columns("summary")["quantity"][0] == "energy"
    assert graph != coloring.named("K33")


@pytest.mark.parametrize(
    ("name", "vertices", "edges"),
    [
        ("K4", 4, 6),
        ("K10", 10, 45),
        ("K33", 6, 9),
        ("K222", 6, 12),
        ("K2,10", 12, 20),
        ("C6", 6, 6),
        ("c9(1, 2)", 9, 18),
        ("C4(2)", 4, 2),
        ("P5", 5, 4),
        ("Q3", 8, 12),
    ],
)
def test_graphs_by_name(name, vertices, edges):
    graph = coloring.named(name)
    assert (graph.vertices, len(graph.edges), graph.repeated) == (vertices, edges, 0)


def test_every_kind_of_name_is_known():
    assert all(len(coloring.named(name).edges) for name in families.NAMES)


@pytest.mark.any_seed
def test_a_planted_graph_keeps_its_colouring_and_its_seed():
    graph = coloring.planted(600, colors=3, degree=5.5, rng=4)
    assert graph.energy(graph.groups) == 0
    assert len(graph.edges) == 1650
    assert graph.overlap(graph.groups) == 1
    assert graph.overlap((graph.groups + 1) % 3) == 1
    assert graph.overlap(np.zeros(600, int)) == 0
    assert graph == coloring.planted(600, colors=3, degree=5.5, rng=4)
    assert graph != coloring.planted(600, colors=3, degree=5.5, rng=5)
    assert (np.bincount(graph.groups) == 200).all()
    crowded = coloring.planted(10, colors=2, degree=30, rng=1)
    assert crowded.repeated == 150 - len(set(map(tuple, np.sort(crowded.edges, axis=1).tolist())))


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "tsv", "csv.gz"])
def test_edges_from_a_file_are_those_of_an_array(ending, tmp_path):
    edges = np.array(NINE_EDGES)
    path = tmp_path / f"edges.{ending}"
    if ending == "npy":
        np.save(path, edges)
    elif ending == "npz":
        np.savez(path, edges=edges, other=np.zeros(3))
    else:
        np.savetxt(path, edges, fmt="%d", delimiter="\t" if ending == "tsv" else ",")
    graph = coloring.Graph(path, colors=3)
    assert graph.edges.tolist() == edges.tolist()
    assert graph.name == f"edges.{ending}"


def test_repeated_edges_count_and_are_said():
    twice = coloring.Graph([[0, 1], [1, 0], [1, 2]], colors=2)
    assert twice.repeated == 1
    assert "repeated=1" in repr(twice)
    assert twice.energy([0, 0, 1]) == 2


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"edges": [[0, 0], [1, 2]]}, "edge 0 leads from vertex 0 to itself"),
        ({"edges": [[0, 1, 2]]}, r"shape \(edges, 2\)"),
        ({"edges": []}, "must be pairs of vertices"),
        ({"edges": np.empty((0, 2))}, "with at least one"),
        ({"edges": [[0, 1.5]]}, "must be whole numbers"),
        ({"edges": [[0, -1]]}, "got -1"),
        ({"edges": [[0, np.nan]]}, "must be whole numbers"),
        ({"edges": [["a", "b"]]}, "must be whole numbers"),
        ({"edges": [[0, 2**40]]}, "must be whole numbers"),
        ({"edges": np.zeros((2, 5), int)}, "Give its transpose"),
        ({"name": 3}, "name must be text"),
        ({"ensemble_degree": -1.0}, "ensemble_degree must be greater than 0"),
        ({"colors": 1}, "colors must be at least 2"),
        ({"colors": 2.5}, "colors must be a whole number"),
        ({"vertices": 2}, "vertices = 2 is too few: an edge ends at vertex 2"),
        ({"groups": [0, 0, 1]}, "1 of 2 edges lie within a group, the first is edge 0 between vertices 0 and 1"),
        ({"groups": [0, 1]}, "one colour for each of the 3 vertices"),
        ({"groups": [0, 1, 3]}, "colours from 0 to 2; got 3"),
    ],
)
def test_what_is_no_graph_is_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        coloring.Graph(**{"edges": [[0, 1], [1, 2]], "colors": 3, **asked})


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"vertices": 101}, "vertices = 101 is no multiple of colors = 5.* Give 100 or 105"),
        ({"vertices": 3}, "Give 5 or 5"),
        ({"colors": 1}, "colors must be at least 2"),
        ({"degree": 0}, "degree must be greater than 0"),
        ({"degree": 1e-9}, "gives a graph of 100 vertices no edge"),
        ({"degree": 1e12}, "degree = 1e\\+12 of 100 vertices would take"),
    ],
)
def test_what_cannot_be_planted_is_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        coloring.planted(**{"vertices": 100, "colors": 5, "degree": 4.0, **asked})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: coloring.SGDLike(0), "batch must be greater than 0"),
        (lambda: coloring.SGDLike(1.2), "batch must be at most 1"),
        (lambda: coloring.SGDLike(math.nan), "batch must be a finite number"),
        (lambda: coloring.Metropolis(0), "temperature must be greater than 0"),
        (lambda: coloring.Metropolis(-1), "temperature must be greater than 0"),
        (lambda: fl.predict(coloring.named("K4"), coloring.SGDLike(1.0)), "T = 0, where .* fluctua.simulate runs it"),
        (lambda: fl.predict(coloring.named("C40"), coloring.SGDLike(0.5), theory="exact"), r"3\^40 .* 11 vertices fit"),
        (lambda: fl.predict(coloring.named("K4"), 0.8), r"move must be coloring.SGDLike\(batch=...\)"),
        (
            lambda: fl.predict(coloring.named("K4"), coloring.SGDLike(0.5, "sweep"), theory="tree"),
            "drawn anew at every visit",
        ),
        (
            lambda: fl.predict(coloring.named("K4"), coloring.SGDLike(0.5, "sweep"), theory="exact"),
            "order='sequential'",
        ),
        (lambda: coloring.named("K1"), "has no edges"),
        (lambda: coloring.named("C99999"), "larger than 3,000 vertices"),
        (lambda: coloring.named("Q20"), "at most 12 dimensions"),
        (lambda: fl.sweep(coloring.named("K4"), fl.SGD(0.1, 8), lr=[0.1], batch_size=[8]), "Graph is taken by"),
    ],
)
def test_what_has_no_law_is_refused(make, match):
    with pytest.raises(InvalidInput, match=match):
        make()


def test_a_vertex_with_too_many_edges_is_refused():
    star = coloring.Graph([[0, k] for k in range(1, 4000)], colors=3)
    with pytest.raises(TooLarge, match="a vertex with 3,999 edges"):
        fl.predict(star, coloring.SGDLike(0.5))


@pytest.mark.parametrize(
    ("make", "near"),
    [
        (lambda: coloring.named("K22x"), "K222"),
        (lambda: coloring.SGDLike(0.5, batches="sweeps"), "sweep"),
        (lambda: coloring.SGDLike(0.5, order="randm"), "random"),
        (lambda: fl.predict(coloring.named("K4"), coloring.SGDLike(0.5), theory="exct"), "exact"),
    ],
)
def test_names_are_refused_with_the_nearest(make, near):
    with pytest.raises(UnknownName, match=f"Did you mean '{near}'"):
        make()


def test_files_that_hold_no_edges_are_refused(tmp_path):
    with pytest.raises(DataUnavailable, match="does not exist"):
        coloring.Graph(tmp_path / "none.csv", colors=3)
    three = tmp_path / "three.csv"
    three.write_text("0,1,2\n1,2,3\n")
    with pytest.raises(InvalidInput, match="a table of two columns"):
        coloring.Graph(three, colors=3)
    cut = tmp_path / "cut.npy"
    np.save(cut, np.array(NINE_EDGES))
    cut.write_bytes(cut.read_bytes()[:-9])
    with pytest.raises(CorruptData, match=r"cut\.npy"):
        coloring.Graph(cut, colors=3)
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(InvalidInput, match="called edges or edge_index"):
        coloring.Graph(tmp_path / "two.npz", colors=3)


def test_lonely_vertices_that_change_in_step_are_named():
    """Of two colours, visits in order keep two vertices without an edge alike, or unlike, for ever."""
    in_order = coloring.SGDLike(batch=0.5, order="sequential")
    with pytest.raises(fl.errors.InvalidInput, match=r"2 vertices have no edge \(3, 4\).*leave them out"):
        fl.predict(coloring.Graph([[0, 1], [1, 2]], colors=2, vertices=5), in_order, theory="exact")
    one = fl.predict(coloring.Graph([[0, 1], [1, 2]], colors=2, vertices=4), in_order, theory="exact")
    without = fl.predict(coloring.Graph([[0, 1], [1, 2]], colors=2), in_order, theory="exact")
    assert one.energy == pytest.approx(without.energy, abs=1e-12)
