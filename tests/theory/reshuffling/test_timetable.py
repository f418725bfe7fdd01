"""F43's m^t, sigma(t) and P_u, and sums over the steps of an epoch, against loops over all of them."""

import numpy as np
import pytest

from fluctua.theory.reshuffling.timetable import Epoch
from helpers.agreement import close
from helpers.reshuffled import RECIPES, Reshuffled

RTOL = 1e-12


@pytest.fixture(scope="module", params=RECIPES)
def epoch(request):
    reference = Reshuffled(RECIPES[request.param])
    return reference, reference.law.epoch


def test_powers_and_responses_are_those_of_the_kernel(epoch):
    reference, found = epoch
    for time in range(len(reference.sizes) + 1):
        assert close(found.powers[time], reference.m**time, rtol=RTOL)
        assert np.abs(found.sums[time] - reference.sigma(time)).max() <= RTOL * np.abs(found.sums).max()
        assert np.abs(found.response_sum(time) - np.diag(reference.y(time))).max() <= RTOL * np.abs(found.sums).max()
        assert close(found.response(time), np.diag(reference.response(time)), rtol=RTOL)


def test_sums_over_lags_and_positions(epoch):
    reference, found = epoch
    steps, regular = len(reference.sizes), found.regular
    lags, positions = np.random.default_rng(0).normal(size=(2, steps))
    for time in range(1, steps):
        powers = sum(reference.m**u * lags[u] for u in range(time))
        assert close(found.lag_counts(time) @ lags[: steps - 1], lags[:time].sum(), rtol=RTOL)
        carried = sum(reference.m ** (time - 1 - v) * positions[v] for v in range(min(time, regular)))
        assert close(found.position_powers(time) @ positions[:regular], carried, rtol=RTOL)
        assert close(found.lag_responses(time) @ lags[: steps - 1], reference.f * powers, rtol=RTOL)
        assert close(found.position_responses(time) @ positions[:regular], reference.f * carried, rtol=RTOL)
        products = sum(lags[time - 1 - v] * positions[v] for v in range(time))
        assert close(lags[: steps - 1] @ found.lag_positions(time) @ positions[:regular], products, rtol=RTOL)
        along = sum(reference.f * reference.m**u * lags[u] * positions[time - 1 - u] for u in range(time))
        assert close(found.lag_responses(time, positions) @ lags[: steps - 1], along, rtol=RTOL)
        along = sum(lags[u] * positions[time - 1 - u] for u in range(time))
        assert found.lag_counts(time, positions) @ lags[: steps - 1] == pytest.approx(along, rel=RTOL)
        assert found.history(time).nodes.tolist() == list(range(time))
        for lag in range(time):
            assert found.earlier(positions, time, lag) == pytest.approx(positions[time - 1 - lag], rel=RTOL)
    assert found.average(positions) == pytest.approx(positions.mean(), rel=RTOL)
    assert np.array_equal(found.spread(positions), positions)


def test_a_march_is_step_by_step(epoch):
    """F43's recursion, from any step to any other."""
    reference, found = epoch
    rng, size, steps = np.random.default_rng(1), len(reference.m), len(reference.sizes)
    added, states = rng.normal(size=(steps, size, size)), [rng.normal(size=(size, size))]
    for each in added:
        states.append(np.outer(reference.m, reference.m) * states[-1] + each)
    assert close(found.march(states[0], added), np.array(states), rtol=RTOL)
    assert close(found.advance(states[1], added, 1, 4), states[4], rtol=RTOL)


@pytest.mark.parametrize("last", [16, 5])
def test_nodes_stand_for_a_long_epoch(last):
    """Sums of what is smooth over 113 steps, with 12 nodes, to the 1e-3 of its range that a `Grid` promises."""
    law = Reshuffled(RECIPES["nesterov"]).law
    found = Epoch(law.kernel, np.array([16] * 112 + [last]), 12)
    smooth, m = np.exp(-np.arange(113) / 30), law.kernel.decay.real
    for time in (1, 7, 60, 112):
        weights = m ** np.arange(time)[:, None]
        lags = found.lag_responses(time) @ smooth[found.lags.nodes] / found.drive.real - weights.T @ smooth[:time]
        carried = found.position_powers(time) @ smooth[found.positions.nodes] - weights[::-1].T @ smooth[:time]
        assert (np.abs([lags, carried]) <= 1e-3 * weights.sum(axis=0)).all()
