"""Chance in the tests, accounted for: nothing is simulated without a marker that says how often it may fail.

A test that simulates carries one of two markers. `statistical(alpha=..., miss=...)`: what it asserts can fail by
chance. It fails with probability alpha although nothing is wrong, and with probability miss it does not reject a mutant
that it must reject; both sums are bounded. `any_seed`: what it asserts does not depend on chance, or it compares one
seed's numbers with those kept.

Every stream of fluctua is a PCG64DXSM, so a test simulates if one is made in it, in a fixture that it uses, or in a
command that it starts.
"""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

BUDGET = {"alpha": 0.02, "miss": 0.02}
"""Bounds on the probabilities that a run of the whole suite fails although nothing is wrong, and misses a mutant."""
SIMULATING = ("verify", "noise", "reproduce", "study", "--check", "--orders", "--measure")
"""What a command line has in it if it simulates."""

_streams = 0
_simulating = set()  # fixtures, by their definition


def count_what_simulates():
    """Count streams, and commands that make some, from now on."""
    count_calls(np.random, "PCG64DXSM", lambda *_args, **_options: True)
    count_calls(subprocess, "Popen", lambda command, *_args, **_options: not set(SIMULATING).isdisjoint(command))


def count_calls(module, name, counts):
    """Count a call as a stream where `counts` says so."""
    original = getattr(module, name)

    class Counted(original):  # type: ignore[valid-type]  # a class made at run time
        def __init__(self, *args, **options):
            global _streams  # noqa: PLW0603  (a count of the whole session)
            _streams += bool(counts(*args, **options))
            super().__init__(*args, **options)

    Counted.__name__ = Counted.__qualname__ = original.__name__  # a stream's state carries it,
    Counted.__module__ = module.__name__  # and pickle finds it there
    setattr(module, name, Counted)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    before = _streams
    value = yield
    if _streams > before:
        _simulating.add(fixturedef)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = _streams
    value = yield
    fixtures = {one for some in item._fixtureinfo.name2fixturedefs.values() for one in some}
    if (_streams > before or fixtures & _simulating) and not {"statistical", "any_seed"} & set(item.keywords):
        pytest.fail("it simulates: mark it statistical(alpha=..., miss=...), or any_seed if chance has no part in it")
    return value


def refuse_overspent(items):
    """Refuse a suite whose tests may fail by chance, or miss their mutants, more often than is allowed."""
    marks = [(item.nodeid, mark.kwargs) for item in items for mark in item.iter_markers("statistical")]
    for name, bound in BUDGET.items():
        spent = sum(_probability(where, name, stated) for where, stated in marks)
        if spent > bound:
            raise pytest.UsageError(f"the statistical tests' {name} adds up to {spent:.3g} > {bound}")


def _probability(where, name, stated):
    """Return what a marker states; alpha must be stated, and 0 stands for a test without a mutant."""
    value = stated.get(name, 0.0 if name == "miss" else None)
    if not isinstance(value, float) or not 0 <= value < 1 or (name == "alpha" and value == 0):
        raise pytest.UsageError(f"{where}: statistical needs {name}, a probability, got {value!r}")
    return value
