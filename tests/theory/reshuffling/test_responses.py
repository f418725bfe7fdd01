"""K of the responses, and F47, against sums over the steps and the samples."""

import numpy as np
import pytest

from helpers.agreement import close
from helpers.reshuffled import RECIPES, Reshuffled

RTOL = 1e-12


@pytest.fixture(scope="module", params=RECIPES)
def epoch(request):
    reference = Reshuffled(RECIPES[request.param])
    return reference, reference.law.memory.responses


def test_a_response_is_met_by_a_sample_s_curvature_twice(epoch):
    reference, responses = epoch
    for lag, (x, found) in enumerate(zip(responses.at_lags, responses.feedbacks, strict=True)):
        assert close(np.diag(x), reference.response(lag), rtol=RTOL)
        assert close(found, reference.k(reference.response(lag)), rtol=RTOL)


def test_samples_in_between_change_the_sum_of_the_responses(epoch):
    """F47: from the third batch on."""
    reference, responses = epoch
    for time in range(1, len(reference.sizes)):
        expected = reference.correction(time)
        assert bool(expected.any()) == (time > 2)
        assert np.abs(responses.correction(time) - expected).max() <= RTOL * np.abs(expected).max()
        total = reference.y(time) + reference.rows(expected).T
        assert close(responses.total(time), total, rtol=RTOL)
