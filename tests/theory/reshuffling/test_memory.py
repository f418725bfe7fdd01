"""Every term of N1 and N2, F44 to F51, F65 and F66, against its sum over steps and samples; and what each is worth.

Eleven samples in six batches: every step is a node, so that nothing is interpolated.
"""

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.law import Law
from fluctua.theory.reshuffling import mean_path
from fluctua.theory.reshuffling.expansion import Shuffle
from fluctua.theory.reshuffling.mean import MeanMotion
from fluctua.theory.reshuffling.memory import NoiseMemory
from fluctua.theory.reshuffling.path_cumulants import PathCumulants
from helpers.agreement import close
from helpers.enumeration import EpochEnumeration, tiny
from helpers.reshuffled import RECIPES, Reshuffled, ReshuffledHead

RTOL = 1e-12
CORRELATION = {
    "anticorrelated_feedback": "F45",
    "anticorrelated_curvature": "F46",
    "corrected_response": "F47",
    "third_cumulant": "F48",
    "shifted_mean": "F49",
}
NOISE = {"noise_third_cumulant": "F50", "noise_fourth_cumulant": "F51"}


class Felt:
    """K of all samples, in the place of `Sources`."""

    def __init__(self, reference):
        self.reference = reference

    def feedbacks(self, matrices):
        return np.array([self.reference.k(matrix) for matrix in matrices])


@pytest.fixture(scope="module", params=[*RECIPES, "a head, plain", "a head, oscillating"])
def epoch(request):
    """An epoch, summed step by step, and its memory, on a path of which nothing is left out."""
    kind, name = (ReshuffledHead if "head" in request.param else Reshuffled), request.param.removeprefix("a head, ")
    reference = kind(RECIPES[name])
    law = reference.law
    assert law.epoch.times.tolist() == list(range(len(reference.sizes)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mean_path, "LEFT_OUT", 1e-15)
        found = NoiseMemory(law.memory, reference.moments, reference.average_source, Felt(reference))
        assert len(found.path.path.parts) == min(reference.outputs * 3, len(law.epoch.times))
    return reference, found


@pytest.mark.parametrize("term", [*CORRELATION, *NOISE])
def test_a_term_is_its_sum_over_steps_and_samples(epoch, term):
    reference, memory = epoch
    for time in range(1, len(reference.sizes)):
        expected = getattr(reference, term)(time)
        found = getattr(memory, term)(time)
        assert found.shape == expected.shape
        assert close(found, expected, rtol=RTOL)
        if term != "corrected_response" or time > 2:
            assert np.abs(expected).max() > 1e-6
    assert memory.variance(2).shape == (3, 3)


def test_noise_that_is_taken_back_changes_with_the_source(epoch):
    """F44."""
    reference, memory = epoch
    for time in range(1, len(reference.sizes)):
        change = reference.source(time) - reference.average_source
        assert close(memory.anticorrelated_noise(time, change), reference.anticorrelated_noise(time), rtol=RTOL)


def test_all_terms_are_summed(epoch):
    reference, memory = epoch
    for time in range(1, len(reference.sizes)):
        change = reference.source(time) - reference.average_source
        average = -reference.eps * reference.sigma(time)[:, None] * reference.tiled(reference.average_source)
        assert close(memory.correlation(time, change) + average, reference.correlation(time), rtol=RTOL)
        noise = reference.noise_third_cumulant(time) + reference.noise_fourth_cumulant(time)
        assert close(memory.variance(time), noise, rtol=RTOL)


WORTH = {
    # what the expansion's stationary excess loss changes by without a term, in per cent of the true one:
    # six samples, b 1, lr 0.1 of the limit, decay 0.2; the table of docs/shuffle.md
    "F44, average source": (Shuffle, "anticorrelation", 760.48),
    "F44": (NoiseMemory, "anticorrelated_noise", 0.63),
    "F45": (NoiseMemory, "anticorrelated_feedback", -2.59),
    "F46": (NoiseMemory, "anticorrelated_curvature", 1.70),
    "F47": (NoiseMemory, "corrected_response", -0.55),
    "F48": (NoiseMemory, "third_cumulant", 4.70),
    "F49": (NoiseMemory, "shifted_mean", -5.78),
    "F50": (NoiseMemory, "noise_third_cumulant", -6.22),
    "F51": (NoiseMemory, "noise_fourth_cumulant", -0.11),
    "F52": (MeanMotion, "noise_curvature", -4.02),
    "F53": (MeanMotion, "third_cumulant", -0.66),
    "F54": (MeanMotion, "drift", 0.20),
    "F65": (PathCumulants, "separate", 13.46),
}


def excess_loss(problem, sgd):
    """The expansion's."""
    law = Law(problem, sgd, "exact")
    return 0.5 * law.minimum.curvatures @ np.diag(law.cycle.settled_at(None)[0])


@pytest.fixture(scope="module")
def setting():
    """The problem and the recipe of `WORTH`, the expansion's excess loss and the true one."""
    problem = fl.LeastSquares(*tiny("six samples"))
    limit = fl.max_stable_lr(problem, fl.SGD(1.0, 1, weight_decay=0.2, sampling="without_replacement"))
    sgd = fl.SGD(0.1 * limit, 1, weight_decay=0.2, sampling="shuffle")
    truth = EpochEnumeration(*tiny("six samples"), sgd.lr, 1, weight_decay=0.2)
    losses = [truth.excess_loss(moment) for moment in truth.within(truth.stationary())[:-1]]
    return problem, sgd, excess_loss(problem, sgd), np.mean(losses)


@pytest.mark.parametrize("number", WORTH)
def test_each_term_is_worth_what_the_page_says(monkeypatch, setting, number):
    kind, name, change = WORTH[number]
    problem, sgd, whole, expected = setting
    term = getattr(kind, name)
    monkeypatch.setattr(kind, name, lambda *given: 0 * term(*given))
    assert 100 * (excess_loss(problem, sgd) - whole) / expected == pytest.approx(change, abs=0.01)
