"""Sweeps and plans of softmax heads: the path of full batches and the noise about W*, against real runs."""

from itertools import islice

import numpy as np
import pytest

import fluctua as fl
from fluctua._validate.starts import start_weights
from fluctua.errors import InvalidInput
from fluctua.theory.local.approach import descent, noise_along
from fluctua.theory.local.balance import Balance

GAMMA = 1e-2


@pytest.fixture(scope="module")
def problem():
    data = fl.load("digits", classes=[0, 3, 8], limit=400)
    return fl.Softmax(data.inputs, data.labels)


@pytest.mark.any_seed
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_path_is_that_of_full_batches(problem, momentum):
    sgd = fl.SGD(
        lr=0.3, batch_size=problem.samples, weight_decay=GAMMA, momentum=momentum, sampling="without_replacement"
    )
    start = np.random.default_rng(1).standard_normal((3, 64))
    run = fl.simulate(problem, sgd, steps=40, replicas=2, rng=1, start=start, records=4)
    path = np.array(list(islice(descent(problem.minimum(GAMMA), sgd, start), 41)))
    assert run.replica_losses[0] == pytest.approx(path[run.watched], rel=1e-9)


def test_noise_settles_to_the_floor(problem):
    sgd = fl.SGD(lr=0.3, batch_size=8, weight_decay=GAMMA)
    noise = noise_along(Balance(problem, sgd), 3000)
    assert noise[0] == 0
    assert noise[-1] == pytest.approx(fl.predict(problem, sgd).excess_loss, rel=1e-3)
    assert start_weights("optimum", problem.minimum(GAMMA).weights.shape) is None


@pytest.mark.statistical(alpha=1e-6)
@pytest.mark.parametrize("start", ["optimum", "zero"])
def test_a_sweep_is_measured_as_predicted(problem, start, tmp_path):
    sgd = fl.SGD(lr=0.1, batch_size=8, weight_decay=GAMMA)
    asked = {"lr": [0.1, 0.4, 500.0], "steps": 150, "measure": True, "start": start, "replicas": 64}
    sweep = fl.sweep(problem, sgd, rng=3, checkpoint=tmp_path, **asked)
    near = list(sweep.scores.values())
    assert len(near) == 2
    assert max(map(abs, near)) < 6  # of errors that hold what the estimate states of itself: t of 63, 2e-7 for two
    assert sweep.cells[0].limit.method == "local"
    assert "outside" in sweep.table.splitlines()[3]
    assert sweep.cells[2].measured is None
    assert fl.sweep(problem, sgd, rng=3, checkpoint=tmp_path, **asked) == sweep
    sweep.save(tmp_path / "kept")
    assert type(sweep).load(tmp_path / "kept") == sweep


def test_a_sweep_says_when_a_target_is_reached(problem):
    sgd = fl.SGD(lr=0.1, batch_size=8, weight_decay=GAMMA)
    minimum = problem.minimum(GAMMA)
    target = minimum.loss + 0.3
    (cell,) = fl.sweep(problem, sgd, lr=[0.1], steps=50, target=target).cells
    path = np.array(list(islice(descent(minimum, sgd, np.zeros((3, 64))), 200)))
    expected = minimum.loss + path + noise_along(Balance(problem, sgd), 199)
    first = int(np.argmax(expected <= target))
    assert first - 1 <= cell.steps_to_target <= first


@pytest.mark.statistical(alpha=1e-6)
def test_a_plan_is_the_best_of_its_neighbours_and_ends_as_predicted(problem):
    plan = fl.plan(problem, 150, batch_size=8, weight_decay=GAMMA, momenta=[0.0])
    best = plan.best
    assert best.shape == "constant"
    assert not best.exact

    def end(lr):
        sgd = fl.SGD(lr=lr, batch_size=8, weight_decay=GAMMA)
        found = fl.simulate(problem, sgd, steps=150, replicas=64, rng=2, start="zero", records=1).replica_losses[:, -1]
        return plan.optimum_loss + found.mean(), found.std(ddof=1) / 8

    loss, error = end(best.sgd.lr)
    assert abs(loss - best.loss) < 0.03 * loss + 8 * error
    assert loss < min(end(best.sgd.lr / 4)[0], end(best.sgd.lr * 4)[0])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda p: fl.plan(p, 10, schedules=["cosine"]), "constant rate"),
        (lambda p: fl.plan(p, 10, start="optimum", weight_decay=GAMMA), "the start is the optimum"),
        (lambda p: fl.plan(p, 10, held_out=(np.eye(64), np.zeros(64))), "held_out"),
        (lambda p: fl.plan(p, 0), "steps"),
        (lambda p: fl.sweep(p, fl.SGD(0.1, 8, GAMMA), lr=[0.1], average=fl.EMA(0.9)), "averages"),
        (lambda p: fl.sweep(p, fl.SGD(0.1, 8, GAMMA), lr=[0.1], start=np.zeros((2, 2))), "shape"),
        (lambda p: fl.sweep(p, fl.SGD(0.1, 8, GAMMA), lr=[0.1], target=0.0), "optimum"),
    ],
)
def test_what_no_local_theory_covers_is_refused(problem, ask, words):
    with pytest.raises(InvalidInput, match=words):
        ask(problem)
