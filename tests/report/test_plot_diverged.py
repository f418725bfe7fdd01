"""Figures of runs of which little is left to draw: diverged, at rest, alone; no warning, and no error."""

from __future__ import annotations

import io

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnstableRates
from fluctua.report.figures import draw

pytestmark = pytest.mark.any_seed


def drawn(verdict):
    figures = draw(verdict)
    assert {"modes", "curve"} <= set(figures)
    for figure in figures.values():
        saved = io.BytesIO()
        figure.savefig(saved, format="svg")
        assert saved.getvalue().endswith(b"</svg>\n")
        ends = [axes.get_xlim() + axes.get_ylim() for axes in figure.axes]
        assert ends
        assert np.isfinite(ends).all()


@pytest.mark.parametrize("factor", [1e10, 1e149])
def test_a_schedule_that_diverges(small_problem, factor):
    sgd = fl.SGD(0.02, 4, schedule=[factor] * 8)
    with pytest.warns(UnstableRates):
        verdict = fl.verify(small_problem, sgd, steps=8, replicas=8, rng=1, threads=1, level=1e-6)
    assert not verdict.passed
    drawn(verdict)


def test_a_theory_alone(small_problem):
    sgd = fl.SGD(0.02, 4, schedule=[1.0] * 8)
    drawn(fl.verify(small_problem, sgd, steps=8, replicas=8, rng=1, threads=1, theory="discrete", level=1e-6))


def test_a_schedule_that_rests_for_the_whole_run(small_problem):
    rests = fl.SGD(0.02, 4, schedule=np.repeat([0.0, 1.0], 8))
    with pytest.raises(InvalidInput, match="rate is 0 at each of the 8 steps"):
        fl.verify(small_problem, rests, steps=8, replicas=8)
    drawn(fl.verify(small_problem, rests, steps=12, replicas=8, rng=1, threads=1, level=1e-6))
