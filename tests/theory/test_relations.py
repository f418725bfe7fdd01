"""Yaida's relations in matrix form against a list of all batches, and against runs."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.theory.yaida import RELATIONS, sides
from helpers.enumeration import TINY, Enumeration, away_from, error, tiny

OPTIMISERS = {"plain": {}, "heavy ball": {"momentum": 0.9}, "dampened": {"momentum": 0.8, "dampening": 0.4}}


def path_of(truth, problem, moment):
    """Second moments of V at two or three successive times, in the modes, from the enumerated mean map."""
    size, times = truth.optimum.size, 3 if truth.momentum else 2
    turn = np.kron(np.eye(problem.outputs), problem.modes.T) @ np.eye(size, len(moment))
    moments, mean = [moment], truth.maps.mean(axis=0)
    for _ in range(times - 1):
        moments.append(np.einsum("iajb,ab->ij", truth._pairs, moments[-1], optimize=True))
    after = [turn @ np.linalg.matrix_power(mean, lag) for lag in range(times)]
    return np.block(
        [
            [after[max(i - j, 0)] @ moments[min(i, j)] @ after[max(j - i, 0)].T for j in range(times)]
            for i in range(times)
        ]
    )


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", TINY)
def test_both_sides_agree_over_all_batches(name, optimiser, relation):
    """In the stationary state, where nothing is stored, and on the way there from any start."""
    options, (inputs, targets) = OPTIMISERS[optimiser], tiny(name)
    problem, size = fl.LeastSquares(inputs, targets), min(2, len(inputs) - 1)
    lr = 0.5 * fl.max_stable_lr(problem, fl.SGD(1.0, size, weight_decay=0.2, **options))
    sgd = fl.SGD(lr, size, weight_decay=0.2, **options)
    truth = Enumeration(inputs, targets, lr, size, "with_replacement", 0.2, **options)
    h = problem.minimum(0.2).curvatures
    *_, fresh = truth.moments(away_from(truth), 3)
    for moment in (truth.stationary(), fresh):
        path = path_of(truth, problem, moment)
        left, right = sides(relation, path, h, sgd.step, sgd.lr)
        scale = np.abs(np.diag(path)).max()
        assert error((scale * np.eye(len(left)) + left) / scale, (scale * np.eye(len(left)) + right) / scale) <= 10
        assert np.abs(1.01 * left - right).max() > 1e-6 * scale * np.abs(left / scale).max()


def test_traced_they_are_the_relations_of_the_paper():
    """2 <V . grad> = eta <|g|^2> and 2 <|grad|^2> = eta <g . H g>, from S and the enumerated gradient alone."""
    inputs, targets = tiny("general")
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.05, 2)
    truth = Enumeration(inputs, targets, 0.05, 2)
    moment, h, s = truth.stationary(), problem.curvatures, fl.predict(problem, sgd).mode_covariance
    path = path_of(truth, problem, moment)
    found = {relation.name: sides(relation, path, h, sgd.step, sgd.lr)[0].trace() for relation in RELATIONS}
    for space in ("modes", "outputs"):
        assert found[f"FDR1, {space}"] == pytest.approx(sgd.lr * 2 * np.sum(h * np.diag(s)), rel=1e-11)
        assert found[f"FDR2, {space}"] == pytest.approx(sgd.lr * 2 * np.sum(h**2 * np.diag(s)), rel=1e-11)
    assert found["FDR1, modes"] == pytest.approx(sgd.lr**2 * truth.gradient_square(moment), rel=1e-10)


def test_nesterov_s_step_is_refused():
    with pytest.raises(InvalidInput, match="Use momentum without nesterov"):
        sides(RELATIONS[0], np.eye(3), np.ones(1), fl.SGD(0.1, 2, momentum=0.5, nesterov=True).step, 0.1)


def test_the_register_has_names_symbols_and_meanings():
    assert len({relation.name for relation in RELATIONS}) == len(RELATIONS) == 4
    assert all(relation.symbol and relation.meaning for relation in RELATIONS)
