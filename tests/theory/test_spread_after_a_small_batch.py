"""The spread of the loss at the end of shuffled epochs, after a last batch of half the size, away from W*."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import UncertainSpread
from fluctua.theory.output_pairs import pairs_of


@pytest.fixture(scope="module")
def problem():
    """Samples whose epochs of 12 batches end with one of 16."""
    rng = np.random.default_rng(0)
    inputs = np.column_stack([rng.normal(size=(400, 16)), np.ones(400)])
    labels = np.argmax(inputs[:, :16] @ rng.normal(size=(16, 4)) + 2 * rng.normal(size=(400, 4)), axis=1)
    return fl.LeastSquares(inputs, np.eye(4)[labels])


@pytest.mark.parametrize("steps", [13, 58, 65])
def test_the_variances_of_all_outputs_are_those_of_the_law(problem, steps):
    """Nearly half of what the small batch adds was missing before, and a tenth elsewhere."""
    prediction = fl.predict(problem, fl.SGD(0.3 * 1.27, 32, sampling="shuffle")).after(steps, start="zero")
    looks = pairs_of(prediction, 1e-2)
    variance = sum(blocks[0].diagonal() for (k, m), blocks in looks.pairs if k == m)
    loss = 0.5 * prediction.curvatures @ (variance + (looks.means[0] ** 2).sum(axis=0))
    assert loss == pytest.approx(prediction.excess_loss, rel=0.01)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)  # half the spread is 16 standard errors off
@pytest.mark.parametrize("steps", [65, 64])
def test_real_runs_differ_as_predicted(problem, steps):
    """1,024 runs tell their standard deviation to 3 %; at the end of an epoch half of it was predicted before."""
    sgd = fl.SGD(0.3 * 1.27, 32, sampling="shuffle")
    run = fl.simulate(problem, sgd, steps=steps, replicas=1024, records=1, rng=31, start="zero")
    found = fl.loss_spread(fl.predict(problem, sgd).after(steps, start="zero"))
    assert found.std == pytest.approx(run.replica_losses[:, -1].std(ddof=1), rel=0.2)


@pytest.mark.parametrize("sampling", ["shuffle", "without_replacement"])
def test_near_the_limit_it_is_said_to_be_uncertain(problem, sampling):
    """At 0.8 of the limit real runs differ twice as much, whatever the covariances: the closure has no heavy tails."""
    near = fl.predict(problem, fl.SGD(1.0, 32, sampling=sampling), check_stability=False).after(13, start="zero")
    with pytest.warns(UncertainSpread, match="more than 1.5 times too small"):
        assert fl.loss_spread(near).uncertain
    assert "or more between runs" in fl.torch_code(problem, near.law.sgd, 13, prediction=near)
    calm = fl.predict(problem, fl.SGD(0.3, 32, sampling=sampling)).after(13, start="zero")
    assert not fl.loss_spread(calm).uncertain
    assert " or more" not in fl.torch_code(problem, calm.law.sgd, 13, prediction=calm)
