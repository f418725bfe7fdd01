"""A scheduler with two workers, for all tests that lose none."""

from __future__ import annotations

import pytest

from helpers.loopback import Loopback


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    pytest.importorskip("distributed")
    found = Loopback(tmp_path_factory.mktemp("dask"))
    try:
        for _ in range(2):
            found.worker()
        found.ready(2)
        yield found
    finally:
        found.close()


@pytest.fixture
def alone(tmp_path):
    """A scheduler of one's own, to lose."""
    pytest.importorskip("distributed")
    found = Loopback(tmp_path)
    try:
        yield found
    finally:
        found.close()
