"""The precision of a simulation: float64 where float32 loses steps, and then the runs follow the law."""

from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem.start import Start
from fluctua.simulation.precision import simulation_dtype

FLAT = 0.01


def flat_problem(noise=1e-3, samples=60):
    """A steep feature and one with h = 1e-4, both of which the targets know."""
    rng = np.random.default_rng(0)
    flat = FLAT * rng.choice([0.8, 1, 1.2], size=samples) * rng.choice([-1, 1], size=samples)
    x = np.c_[rng.normal(size=samples), flat]
    return fl.LeastSquares(x, x @ [1.0, 1.5] + noise * rng.normal(size=samples))


FAR = np.array([[1.0, 0.0]])
LOST = {"steps": 5000, "replicas": 16, "start": FAR, "level": 1e-6}


@pytest.mark.statistical(alpha=1e-6)
def test_the_law_of_a_flat_direction_from_afar_is_consistent_by_default():
    verdict = fl.verify(flat_problem(), fl.SGD(1e-4, 4), rng=1, **LOST)
    assert verdict.consistent
    assert verdict.identity["dtype"] == "float64"


@pytest.mark.statistical(alpha=1e-6)
def test_in_float32_every_step_of_it_is_lost():
    """The flat direction stays where it began; the verdict says that a run in float32 cannot tell so little."""
    for dtype, lost in (("float32", True), ("float64", False)):
        verdict = fl.verify(flat_problem(), fl.SGD(1e-4, 4), rng=1, dtype=dtype, **LOST)
        a = verdict.arrays
        off = a["measured_variances"][1] / a["predicted_exact"][1] - 1
        assert (abs(off) > 5e-5) == lost
        assert (verdict.detectable > 1e-4) == lost


def drift(problem, lr, steps, start):
    """E V at the end of plain SGD without weight decay, (c, r), from the definition and in long double."""
    x = np.asarray(problem.inputs, np.longdouble)
    v = np.asarray(start - problem.minimum().weights, np.longdouble)
    h = x.T @ x / len(x)
    motion, power = np.eye(len(h), dtype=np.longdouble), np.eye(len(h), dtype=np.longdouble) - lr * h
    while steps:
        motion = motion @ power if steps % 2 else motion
        power, steps = power @ power, steps // 2
    return (v @ motion).astype(float)


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["sgd", "gd"])
def test_the_mean_is_where_the_law_has_it(dynamics):
    problem, sgd, steps = flat_problem(), fl.SGD(1e-4, 4), 5000
    run = fl.simulate(problem, sgd, steps=steps, replicas=4, rng=1, start=FAR, dynamics=dynamics)
    expected = drift(problem, sgd.lr, steps, FAR) @ problem.modes
    moved = abs(expected[0, 1] - (FAR - problem.minimum().weights)[0] @ problem.modes[:, 1])
    assert run.identity["dtype"] == "float64"
    assert abs(run.mode_means[-1][0, 1] - expected[0, 1]) < 0.05 * moved  # the noise of 4 runs is 2 % of the way


def chosen(problem, sgd, steps, start="optimum", average=None, dynamics="sgd"):
    begin = Start.at(problem.minimum(sgd.weight_decay), start)
    return simulation_dtype(None, problem, sgd, steps, begin, average, dynamics).name


def null_problem():
    """Its second input is never on: only weight decay moves that weight."""
    rng = np.random.default_rng(1)
    return fl.LeastSquares(np.c_[rng.normal(size=40), np.zeros(40)], rng.normal(size=40))


def offset_problem():
    """Two columns whose difference is lost, by two per cent, when float32 rounds them."""
    rng = np.random.default_rng(2)
    x = 1e6 + rng.normal(size=(60, 2))
    return fl.LeastSquares(x, x @ [1.0, 0.5] + rng.normal(size=60))


NEEDED = {
    "flat direction": (flat_problem(), fl.SGD(3e-4, 4), 1_000_000, "zero"),
    "flat direction, momentum": (flat_problem(), fl.SGD(3e-5, 4, momentum=0.9), 1_000_000, "zero"),
    "full batch": (flat_problem(), fl.SGD(3e-4, 60, sampling="without_replacement"), 10_000, "zero"),
    "shuffled": (flat_problem(), fl.SGD(3e-4, 4, sampling="shuffle"), 1_000_000, "zero"),
    "late rates": (flat_problem(), fl.SGD(0.5, 4, schedule=[1.0] * 100 + [1e-8] * 20_000), 20_100, "zero"),
    "late rates from W*": (
        flat_problem(),
        fl.SGD(0.5, 4, schedule=[1.0] * 1000 + [1e-10] * 2_000_000),
        2_001_000,
        "optimum",
    ),
    "weight decay alone": (null_problem(), fl.SGD(1e-3, 4, weight_decay=1e-5), 100_000, np.array([[0.0, 1.0]])),
    "inputs that float32 rounds": (offset_problem(), fl.SGD(1e-13, 4), 10_000, "optimum"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_float64_is_taken_where_steps_would_be_lost(name):
    problem, sgd, steps, start = NEEDED[name]
    assert chosen(problem, sgd, steps, start) == "float64"


def test_an_average_that_follows_a_way_is_taken_in_float64(small_problem):
    assert chosen(small_problem, fl.SGD(0.02, 4), 100, "zero", fl.EMA(0.99)) == "float64"
    assert chosen(small_problem, fl.SGD(0.02, 4), 100, "optimum", fl.EMA(0.99)) == "float32"


def test_float32_is_enough_elsewhere(small_problem, digits_problem):
    assert chosen(flat_problem(), fl.SGD(3e-4, 4), 1_000_000) == "float32"
    assert chosen(flat_problem(), fl.SGD(3e-4, 4), 5, "zero") == "float32"  # nothing has to move yet
    assert chosen(small_problem, fl.SGD(0.02, 4), 1000, "zero") == "float32"
    assert chosen(digits_problem, fl.SGD(0.05, 8), 2000, "zero") == "float32"
    assert chosen(digits_problem, fl.SGD(0.05, 8, weight_decay=0.01), 2000, "zero") == "float32"


@pytest.mark.any_seed
def test_weight_decay_alone_moves_what_it_should():
    problem, sgd = null_problem(), fl.SGD(1e-3, 4, weight_decay=1e-5)
    options = {"steps": 100_000, "replicas": 2, "rng": 1, "start": np.array([[0.0, 1.0]]), "records": 1}
    ends = [fl.simulate(problem, sgd, dtype=dtype, **options) for dtype in (None, "float64", "float32")]
    assert (ends[0].replica_losses == ends[1].replica_losses).all()
    assert not (ends[0].replica_losses == ends[2].replica_losses).all()


@pytest.mark.statistical(alpha=1e-6)
def test_inputs_that_float32_rounds_fluctuate_as_predicted_by_default():
    problem, sgd, options = offset_problem(), fl.SGD(1e-13, 4), {"steps": 10_000, "replicas": 64, "rng": 1}
    verdict = fl.verify(problem, sgd, level=1e-6, **options)
    assert verdict.consistent
    single, double = (
        fl.simulate(problem, sgd, dtype=dtype, **options).mode_variances for dtype in ("float32", "float64")
    )
    assert (verdict.arrays["measured_variances"] == double).all()
    assert single[1] > 1.3 * double[1]


@pytest.mark.any_seed
def test_a_rehearsal_trains_in_the_precision_that_its_runs_need(monkeypatch):
    kinds = []

    def watched(*arguments, **options):
        run = fl.simulate(*arguments, **options)
        kinds.append(run.identity["dtype"])
        return run

    monkeypatch.setattr("fluctua.planning.rehearsal.simulate", watched)
    problem = flat_problem()
    found = fl.plan(problem, steps=300, batch_size=4, schedules=["constant"], momenta=[0.0], start=FAR)
    slow = replace(found, candidates=(replace(found.best, sgd=fl.SGD(1e-4, 4)),), steps=5000)
    fl.rehearse(problem, slow, replicas=16, rng=1, start=FAR)
    assert kinds
    assert set(kinds) == {"float64"}
