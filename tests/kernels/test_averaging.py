"""Averages of the weights: against all batches of tiny problems, against torch's own average, in their limits."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.kernels.averaged import beside
from fluctua.kernels.constant import gradient_step
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.steppers import slots, stepper
from helpers.agreement import close
from helpers.enumeration import Enumeration, away_from, tiny
from helpers.kernels import momentum_step

OPTIMISERS = {
    "plain": {},
    "heavy ball": {"momentum": 0.8},
    "dampened": {"momentum": 0.8, "dampening": 0.4},
    "Nesterov": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
}
optimiser_case = pytest.mark.parametrize("optimiser", OPTIMISERS)
decay_case = pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.995])


class Averaged:
    """All batches of a tiny problem, with the average beside the state: (vec w - W*, state, 1)."""

    def __init__(self, truth, decay):
        self.truth, self.decay, self.size = truth, decay, truth.optimum.size

    def flow(self, first):
        maps = self.truth._maps(first)
        whole = np.zeros((len(maps), *(np.array(maps.shape[1:]) + self.size)))
        whole[:, self.size :, self.size :] = maps
        kept = 0.0 if first else self.decay  # the first update copies the weights
        whole[:, : self.size, : self.size] = kept * np.eye(self.size)
        whole[:, : self.size, self.size :] = (1 - kept) * maps[:, : self.size]
        length = whole.shape[1]
        pairs = np.einsum("nia,njb->ijab", whole, whole, optimize=True) / len(whole)
        return pairs.reshape(length**2, length**2)

    def moments(self, start, steps):
        state = np.append((start - self.truth.optimum).ravel(), np.zeros(len(self.truth.maps[0]) - 1 - self.size))
        vector = np.concatenate([state[: self.size], state, [1.0]])
        flat = np.outer(vector, vector).ravel()
        for step in range(steps + 1):
            yield flat.reshape(len(vector), -1)
            flat = self.flow(first=step == 0) @ flat

    def stationary(self, start):
        flow, first = self.flow(first=False), next(iter(self.moments(start, 0))).ravel()
        for _ in range(14):
            flow = flow @ flow
        length = int(np.sqrt(len(first)))
        return (flow @ (self.flow(first=True) @ first)).reshape(length, length)


def setting(optimiser):
    inputs, targets = tiny("general")
    sgd = fl.SGD(0.05, 2, **OPTIMISERS[optimiser])
    truth = Enumeration(inputs, targets, 0.05, 2, **OPTIMISERS[optimiser])
    return fl.LeastSquares(inputs, targets), sgd, truth


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@decay_case
@optimiser_case
def test_the_average_of_all_batches_at_every_step(optimiser, decay):
    problem, sgd, truth = setting(optimiser)
    start = away_from(truth)
    prediction = fl.predict(problem, sgd, average=fl.EMA(decay))
    losses = []
    for t, moment in enumerate(Averaged(truth, decay).moments(start, 6)):
        now = prediction.after(t, start=start, rtol=1e-15)
        assert relative(now.covariance, truth.covariance(moment)) < 1e-12
        assert relative(now.mean, truth.mean(moment)) < 1e-12
        losses.append(truth.excess_loss(moment))
        assert now.excess_loss == pytest.approx(losses[-1], rel=1e-12)
    curve = fl.learning_curve(problem, sgd, 6, start=start, average=fl.EMA(decay), rtol=1e-15)
    np.testing.assert_allclose(curve, losses, rtol=1e-12)


@decay_case
@optimiser_case
def test_the_stationary_average_is_where_all_batches_lead(optimiser, decay):
    problem, sgd, truth = setting(optimiser)
    found = fl.predict(problem, sgd, average=fl.EMA(decay)).covariance
    expected = truth.covariance(Averaged(truth, decay).stationary(truth.optimum))
    assert relative(found, expected) < 1e-11
    assert relative(1.01 * found, expected) > 1e-3


@pytest.mark.parametrize("decay", [0.5, 0.9])
@pytest.mark.torch
def test_the_average_is_the_one_torch_keeps(decay):
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    draw = torch.Generator().manual_seed(3)
    model = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)
    torch.nn.init.normal_(model.weight, generator=draw)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    optimizer, kept = torch.optim.SGD(model.parameters(), lr=0.1), None
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(4, 3, dtype=torch.float64, generator=draw)).square().sum().backward()
        optimizer.step()
        average.update_parameters(model)
        now = model.weight.detach().numpy().copy()
        kept = now if kept is None else decay * kept + (1 - decay) * now
    # torch rounds avg + (1 - decay)(W - avg), relative to its terms: the largest element is the measure
    assert close(average.module.weight.detach().numpy(), kept, 1e-14)


@optimiser_case
def test_an_average_that_forgets_at_once_is_the_weights(digits_problem, optimiser):
    sgd = fl.SGD(0.02, 4, **OPTIMISERS[optimiser])
    weights, average = (fl.predict(digits_problem, sgd, average=a) for a in (None, fl.EMA(0.0)))
    np.testing.assert_allclose(average.mode_variances, weights.mode_variances, rtol=1e-9)
    np.testing.assert_allclose(
        average.after(40, start="zero").mode_variances, weights.after(40, start="zero").mode_variances, rtol=1e-5
    )


def test_averaging_quiets_steep_modes_and_leaves_flat_ones(digits_problem):
    sgd = fl.SGD(0.05, 8)
    ratio = fl.predict(digits_problem, sgd, average=fl.EMA(0.99)).mode_variances
    ratio = ratio / fl.predict(digits_problem, sgd).mode_variances
    assert ratio[0] < 0.1
    assert ratio[-1] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("distance", [0.0, 1e-14, 1e-10, 1e-7, 1e-3])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_mode_that_relaxes_as_fast_as_the_average_forgets(distance, momentum):
    """x = y makes both components diverge; against the answer to an impulse, step by step."""
    h = np.array([0.1 * (1 + distance), 0.02])
    kernel = gradient_step(h, 1.0) if not momentum else momentum_step(h, 1.0, momentum, 0.0, False)
    rate = float(np.min(np.abs(kernel.rate.reshape(-1, 2)[:, 0])))
    decay = 1 - rate / (1 + distance)
    v, u, average, answers = np.zeros(2), np.zeros(2), np.zeros(2), []
    for t in range(3000):
        u = momentum * u + h * v + (t == 0)
        v = v - u
        average = decay * average + (1 - decay) * v
        answers.append(average)
    found = beside(kernel, fl.EMA(decay)).phi(observed=True)
    np.testing.assert_allclose(found, np.transpose(answers) @ answers, rtol=3e-5)


@pytest.mark.parametrize("decay", [1.0, -0.1, np.nan, "0.9"])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(InvalidInput, match="decay"):
        fl.EMA(decay)


def test_what_an_average_does_not_have_is_refused(digits_problem):
    sgd, average = fl.SGD(0.05, 8), fl.EMA(0.9)
    with pytest.raises(InvalidInput, match="continuous time"):
        fl.predict(digits_problem, sgd, theory="langevin", average=average)
    with pytest.raises(InvalidInput, match="not of an average"):
        _ = fl.predict(digits_problem, sgd, average=average).output_covariance


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["sgd", "gd", "langevin_state_dependent"])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_the_simulator_keeps_that_average_beside_the_weights(small_problem, dynamics, momentum):
    sgd, average = fl.SGD(0.01, 4, momentum=momentum), fl.EMA(0.8)
    state = np.zeros((slots(sgd, average), 3, 3, 12))
    state[0] = state[-1] = 1.0
    advance = stepper(small_problem, sgd, dynamics, np.dtype(float), average)
    draws, kept = Draws(generators(seed_sequence(2), 3), 60, sgd), None
    for step in range(9):
        advance(state, draws, 1, step)
        kept = state[0].copy() if kept is None else 0.8 * kept + 0.2 * state[0]
        np.testing.assert_allclose(state[-1], kept, rtol=1e-13)


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.8, "nesterov": True}], ids=["plain", "Nesterov"])
def test_real_runs_average_as_predicted(digits_problem, options):
    sgd = fl.SGD(0.02, 8, **options)
    verdict = fl.verify(digits_problem, sgd, steps=400, replicas=256, rng=17, average=fl.EMA(0.95), level=1e-4)
    assert verdict.consistent
    assert verdict.sharp
    assert not verdict.row("exact x 1.05").consistent
    assert verdict.balance is None
    assert [row.name for row in verdict.rows][:3] == ["equilibrium", "discrete", "exact"]


def test_the_overdamped_process_has_no_average(small_problem):
    with pytest.raises(InvalidInput, match="no steps to schedule or average"):
        fl.simulate(small_problem, fl.SGD(0.01, 4), steps=2, replicas=2, dynamics="langevin", average=fl.EMA(0.9))
