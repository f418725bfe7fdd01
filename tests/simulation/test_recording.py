"""When a run is looked at: every position of an epoch, as evenly as the run allows, and as before without epochs."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.simulation.records import Window

RUNS = [
    (2000, 32, 60),
    (2000, 32, 225),
    (2000, 32, 57),
    (2000, 32, 7),
    (8000, 32, 1875),
    (2000, 16, 1875),
    (1000, 7, 112),
]


def positions(window, epoch):
    return np.unique(window.recorded % epoch)


def longest_way(window, epoch):
    seen = positions(window, epoch)
    return np.diff(seen, append=seen[0] + epoch).max()


def test_a_gap_of_one_epoch_would_see_one_position():
    assert len(positions(Window(2000, 32), 60)) == 1
    assert len(positions(Window.of(2000, None, 61, 60), 60)) > 16


@pytest.mark.parametrize(("steps", "records", "epoch"), RUNS)
def test_records_cover_the_positions_of_an_epoch(steps, records, epoch):
    window = Window.of(steps, records, 61, epoch)
    assert longest_way(window, epoch) <= max(1, 2 * epoch // records)
    assert 0.75 * Window(steps, records).gap <= window.gap <= Window(steps, records).gap
    assert window.recorded[-1] == steps
    assert window.opened >= 0
    assert set(np.diff(window.recorded)) == {window.gap}


def test_a_run_shorter_than_an_epoch_is_seen_from_start_to_end():
    assert Window.of(64, None, 61, 225).recorded.tolist() == Window.of(64, None, 61).recorded.tolist()


@pytest.mark.parametrize("steps", [1, 5, 100, 600, 1000, 8000])
def test_without_epochs_the_records_are_where_they_were(steps):
    window = Window.of(steps, None, 61)
    assert window.gap == max(1, steps // (window.records + 1))


@pytest.mark.any_seed
def test_a_simulation_records_there(small_problem):
    run = fl.simulate(small_problem, fl.SGD(0.02, 6, sampling="shuffle"), steps=330, replicas=2, rng=1)
    assert Window(330, 32).gap == 10
    assert run.recorded.tolist() == Window.of(330, None, 12, 10).recorded.tolist()
    assert set(run.recorded % 10) == set(range(10))
    independent = fl.simulate(small_problem, fl.SGD(0.02, 6), steps=330, replicas=2, rng=1)
    assert set(independent.recorded % 10) == {0}
