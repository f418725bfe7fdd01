"""The local picture of a network (F87, F89): against finite differences, enumeration, least squares, and real runs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import fluctua as fl

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
torch.set_num_threads(1)

import fluctua.torch as ft  # noqa: E402  (needs torch)
from fluctua.simulation.batches import Draws, generators, seed_sequence  # noqa: E402
from fluctua.torch.network_runs import trajectory  # noqa: E402
from fluctua.torch.noise_meter import noise_deviations  # noqa: E402

DECAY = 0.02


def half(outputs, targets):
    """The loss of `LeastSquares`."""
    return 0.5 * (outputs - targets).square().sum(1).mean()


def tiny(samples=6, hidden=2, seed=0):
    """A network with 2 inputs, `hidden` units and 2 outputs at its minimum, and its data."""
    torch.manual_seed(seed)
    x, y = torch.randn(samples, 2).double(), torch.randint(2, (samples,))
    model = torch.nn.Sequential(torch.nn.Linear(2, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 2)).double()
    ft.minimise(model, "cross_entropy", [(x, y)], weight_decay=DECAY)
    return model, [(x, y)]


@pytest.fixture(scope="module")
def small():
    """A network of 62 parameters with 300 samples, and the whole of its picture."""
    torch.manual_seed(1)
    x = torch.randn(300, 5).double()
    y = (x @ torch.randn(5, 4).double() + torch.randn(300, 4)).argmax(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4)).double()
    ft.minimise(model, "cross_entropy", [(x, y)], weight_decay=DECAY)
    return model, [(x, y)]


def flat(model):
    return torch.cat([value.detach().reshape(-1) for value in model.parameters()])


def loss_at(model, data, weights):
    """L at flat weights, by putting them into a copy."""
    from copy import deepcopy

    other = deepcopy(model)
    torch.nn.utils.vector_to_parameters(weights, other.parameters())
    with torch.no_grad():
        value = torch.nn.functional.cross_entropy(other(data[0][0]), data[0][1])
    return float(value + 0.5 * DECAY * weights @ weights)


def gradient_at(model, data, weights, samples=None, decay=DECAY):
    """The gradient by plain autograd, of all samples or of some."""
    from copy import deepcopy

    other = deepcopy(model)
    torch.nn.utils.vector_to_parameters(weights, other.parameters())
    x, y = data[0] if samples is None else (data[0][0][samples], data[0][1][samples])
    torch.nn.functional.cross_entropy(other(x), y).backward()
    return torch.cat([value.grad.reshape(-1) for value in other.parameters()]) + decay * weights


def hessian_by_differences(model, data, weights, samples=None, decay=DECAY, step=1e-5):
    rows = []
    for direction in torch.eye(len(weights)).double():
        ends = [gradient_at(model, data, weights + sign * step * direction, samples, decay) for sign in (1, -1)]
        rows.append((ends[0] - ends[1]) / (2 * step))
    return torch.stack(rows).numpy()


def test_curvatures_and_modes_are_those_of_the_hessian_by_finite_differences(small):
    model, data = small
    network = ft.local(model, "cross_entropy", data, top=10, weight_decay=DECAY)
    hessian = hessian_by_differences(model, data, flat(model))
    assert network.curvatures == pytest.approx(np.linalg.eigvalsh(hessian)[::-1][:10], rel=1e-7)
    assert np.abs(hessian @ network.modes - network.modes * network.curvatures).max() < 1e-7
    assert network.lowest_curvature == pytest.approx(np.linalg.eigvalsh(hessian)[0], abs=1e-7)
    assert not network.saddle


def test_large_networks_take_arpack_and_give_the_same(small, monkeypatch):
    model, data = small
    dense = ft.local(model, "cross_entropy", data, top=10, weight_decay=DECAY)
    monkeypatch.setattr("fluctua.torch.spectrum._DENSE", 0)
    krylov = ft.local(model, "cross_entropy", data, top=10, weight_decay=DECAY)
    assert krylov.curvatures == pytest.approx(dense.curvatures, rel=1e-10)
    assert np.abs(np.abs(krylov.modes.T @ dense.modes) - np.eye(10)).max() < 1e-6


def test_noise_and_hessians_are_those_of_single_samples():
    model, data = tiny()
    network = ft.local(model, "cross_entropy", data, top=12, weight_decay=DECAY)
    weights, u = flat(model), network.modes
    gradients = np.array([gradient_at(model, data, weights, [i], 0.0).numpy() for i in range(6)])
    centred = gradients - gradients.mean(axis=0)
    assert network.noise == pytest.approx((centred @ u).T @ (centred @ u) / 6, abs=1e-12)
    assert network.noise_trace == pytest.approx(float((centred**2).sum() / 6), rel=1e-12)
    for i, found in enumerate(network.hessians):
        by_differences = u.T @ hessian_by_differences(model, data, weights, [i], 0.0) @ u
        assert found == pytest.approx(by_differences, abs=1e-8)


@pytest.mark.parametrize(
    ("sampling", "size"), [("with_replacement", 1), ("with_replacement", 2), ("without_replacement", 3)]
)
def test_the_quadratic_twin_enumerated_over_all_batches_obeys_the_law(sampling, size):
    model, data = tiny()
    network = ft.local(model, "cross_entropy", data, top=12, weight_decay=DECAY)
    sgd = fl.SGD(lr=0.3, batch_size=size, weight_decay=DECAY, sampling=sampling)
    prediction = network.predict(sgd, check_stability=False)
    after = _enumerated(model, data, network, sgd, prediction.mode_covariance)
    assert after == pytest.approx(prediction.mode_covariance, rel=1e-12, abs=1e-14 * np.abs(after).max())
    start = np.zeros((12, 12))
    for step in range(1, 4):  # and at finite time, from the minimum
        start = _enumerated(model, data, network, sgd, start)
        assert network.predict(sgd, check_stability=False).after(step).mode_covariance == pytest.approx(
            start, rel=1e-9, abs=1e-12 * np.abs(start).max()
        )


def _enumerated(model, data, network, sgd, covariance):
    """E[a' a'^T] over every batch of the quadratic of each sample, from E a = 0 and E[a a^T] = `covariance`."""
    u, n = network.modes, 6
    gradients = np.array([gradient_at(model, data, flat(model), [i], 0.0).numpy() for i in range(n)])
    projected = (gradients - gradients.mean(axis=0)) @ u
    lists = product(range(n), repeat=sgd.batch_size)
    batches = [each for each in lists if sgd.sampling == "with_replacement" or len(set(each)) == len(each)]
    total = np.zeros_like(covariance)
    for batch in batches:
        rows = list(batch)
        motion = np.eye(len(u)) - sgd.lr * (network.hessians[rows].mean(axis=0) + DECAY * np.eye(len(u)))
        push = sgd.lr * projected[rows].mean(axis=0)
        total += motion @ covariance @ motion.T + np.outer(push, push)
    return total / len(batches)


def test_a_linear_model_has_the_numbers_of_least_squares(small_problem):
    x, y = (torch.tensor(each) for each in (small_problem.inputs, small_problem.targets))
    model = torch.nn.Linear(12, 3, bias=False).double()
    ft.minimise(model, half, [(x, y)], weight_decay=0.05)
    network = ft.local(model, half, [(x, y)], top=36, weight_decay=0.05)
    for options in ({}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}, {"sampling": "without_replacement"}):
        sgd = fl.SGD(lr=0.01, batch_size=4, weight_decay=0.05, **options)
        exact, found = fl.predict(small_problem, sgd), network.predict(sgd)
        assert found.excess_loss == pytest.approx(exact.excess_loss, rel=1e-8)
        assert found.mode_variances.reshape(12, 3).sum(1) == pytest.approx(exact.mode_variances, rel=1e-8)
        assert found.max_stable_lr == pytest.approx(fl.max_stable_lr(small_problem, sgd), rel=1e-8)
        assert found.after(100).excess_loss == pytest.approx(exact.after(100).excess_loss, rel=1e-6)
        assert abs(found.anharmonicity) < 1e-8
    for rung in ("discrete", "langevin"):
        ladder = fl.predict(small_problem, sgd, theory=rung), network.predict(sgd, theory=rung)
        assert ladder[1].excess_loss == pytest.approx(ladder[0].excess_loss, rel=1e-8)
    langevin = network.predict(sgd, theory="langevin")
    assert langevin.trace_floor == pytest.approx(langevin.excess_loss, rel=1e-8)


def test_a_schedule_is_followed_in_time(small_problem):
    x, y = (torch.tensor(each) for each in (small_problem.inputs, small_problem.targets))
    model = torch.nn.Linear(12, 3, bias=False).double()
    ft.minimise(model, half, [(x, y)])
    network = ft.local(model, half, [(x, y)], top=36)
    sgd = fl.SGD(lr=0.01, batch_size=4, momentum=0.5, schedule=fl.schedules.CosineAnnealingLR(T_max=60))
    exact = fl.predict(small_problem, sgd).after([40, 60]).excess_loss
    assert network.predict(sgd).after([40, 60]).excess_loss == pytest.approx(exact, rel=1e-5)


def test_the_module_is_left_as_it_is_and_a_picture_forgets_it(small):
    model, data = small
    before, buffers = flat(model).clone(), dict(model.named_buffers())
    network = ft.local(model, "cross_entropy", data, top=3, weight_decay=DECAY)
    network.measure(fl.SGD(lr=0.05, batch_size=4, weight_decay=DECAY), steps=4, replicas=2, rng=0)
    assert torch.equal(flat(model), before)
    assert dict(model.named_buffers()) == buffers
    assert all(value.grad is None for value in model.parameters())
    loss = network.objective.value(network.objective.weights)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    try:
        assert network.objective.value(network.objective.weights) == loss
    finally:
        with torch.no_grad():
            next(model.parameters()).sub_(1.0)


test_the_module_is_left_as_it_is_and_a_picture_forgets_it = pytest.mark.any_seed(
    test_the_module_is_left_as_it_is_and_a_picture_forgets_it
)


@pytest.mark.any_seed
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "dampening": 0.1}, {"momentum": 0.8, "nesterov": True}])
def test_runs_take_the_steps_of_torchs_optimiser(small, options):
    from copy import deepcopy

    model, data = small
    network = ft.local(model, "cross_entropy", data, top=2, weight_decay=DECAY)
    sgd = fl.SGD(lr=0.1, batch_size=4, weight_decay=DECAY, **options)
    drawn = [batch[1] for run in Draws(generators(seed_sequence(3), 2), 300, sgd).batches(5) for batch in run]
    other = deepcopy(model)
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1, weight_decay=DECAY, **options)
    for batch in drawn:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(other(data[0][0][batch]), data[0][1][batch]).backward()
        optimiser.step()
    *_, (number, moved) = trajectory(network, sgd, 5, generators(seed_sequence(3), 2))
    assert number == 5
    assert moved[1].numpy() == pytest.approx((flat(other) - flat(model)).numpy(), abs=1e-13)


def test_a_subsample_of_hessians_states_an_error_that_covers_it(small):
    model, data = small
    sgd = fl.SGD(lr=0.2, batch_size=1, weight_decay=DECAY)
    whole, part = (
        ft.local(model, "cross_entropy", data, top=10, weight_decay=DECAY, hessians=kept).predict(
            sgd, check_stability=False
        )
        for kept in (None, 150)
    )
    assert whole.excess_loss_error == 0
    assert 0 < part.excess_loss_error < 0.2 * whole.excess_loss
    assert abs(part.excess_loss - whole.excess_loss) < 4 * part.excess_loss_error


def test_single_precision_agrees_with_double(small):
    from copy import deepcopy

    model, data = small
    data = [(data[0][0].float(), data[0][1])]
    single = ft.local(deepcopy(model).float(), "cross_entropy", data, top=8, weight_decay=DECAY)
    double = ft.local(deepcopy(model).float(), "cross_entropy", data, top=8, weight_decay=DECAY, dtype=torch.float64)
    assert single.objective.weights.dtype == torch.float32
    assert double.objective.weights.dtype == torch.float64
    assert single.curvatures == pytest.approx(double.curvatures, rel=1e-5)
    assert np.diag(single.noise) == pytest.approx(np.diag(double.noise), rel=1e-4)


@pytest.mark.statistical(alpha=1e-6, miss=1e-3)
@pytest.mark.slow
def test_real_runs_fluctuate_as_the_picture_says_and_a_wrong_noise_is_rejected(small):
    model, data = small
    network = ft.local(model, "cross_entropy", data, top=12, weight_decay=DECAY)
    runs = network.measure(fl.SGD(lr=0.02, batch_size=4, weight_decay=DECAY), steps=600, replicas=256, rng=5)
    prediction = runs.predictions["multiplicative"]
    z = (runs.excess_loss - prediction.excess_loss) / runs.excess_loss_error
    assert abs(z) < 5.5
    assert abs(runs.excess_loss - 1.3 * prediction.excess_loss) / runs.excess_loss_error > 5.5
    assert runs.columns("rungs")["theory"] == ["multiplicative", "discrete", "langevin"]


def test_the_deviation_is_that_of_the_loss_over_the_gaussian():
    """F89 by quadrature in one direction."""
    model, data = tiny()
    network = ft.local(model, "cross_entropy", data, top=1, weight_decay=DECAY)
    variance, (nodes, weights) = 0.5, np.polynomial.hermite_e.hermegauss(40)
    places = [flat(model) + float(np.sqrt(variance) * node) * torch.tensor(network.modes[:, 0]) for node in nodes]
    losses = np.array([loss_at(model, data, place) for place in places])
    quadratic = 0.5 * float(network.curvatures[0]) * variance
    expected = weights @ losses / weights.sum() - loss_at(model, data, flat(model)) - quadratic
    value, error = network.deviation(np.array([[variance]]), pairs=1000)
    assert abs(value - expected) < 5 * error
    assert 0 < error < 0.1 * quadratic


@pytest.mark.slow
def test_the_noise_over_the_gaussian_is_that_of_plain_gradients():
    model, data = tiny()
    network = ft.local(model, "cross_entropy", data, top=3, weight_decay=DECAY)
    covariance = np.diag([0.3, 0.2, 0.1])
    rest, u = flat(model), torch.tensor(network.modes)
    draws = np.random.default_rng(5).standard_normal((300, 3)) * np.sqrt(np.diag(covariance))
    each = np.array([_covariance(model, data, rest + u @ torch.tensor(place), network.modes) for place in draws])
    expected = each.mean(axis=0) - network.noise - network.feedback(covariance)
    found = noise_deviations(network, covariance, 200)
    error = np.sqrt(each.var(axis=0) / 300 + found.var(axis=0) / 200)
    assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all()
    assert np.abs(found.mean(axis=0)).max() > 10 * (found.std(axis=0) / np.sqrt(200)).max()  # there is something to see
    quadratic = ft.local(*linear(), top=3)
    assert np.abs(noise_deviations(quadratic, covariance, 3)).max() < 1e-12


def _covariance(model, data, weights, modes):
    gradients = np.array([gradient_at(model, data, weights, [i], 0.0).numpy() for i in range(6)]) @ modes
    return np.cov(gradients.T, ddof=0)


def linear():
    """A model whose loss is quadratic."""
    torch.manual_seed(0)
    x, y = torch.randn(6, 2).double(), torch.randn(6, 2).double()
    model = torch.nn.Linear(2, 2).double()
    ft.minimise(model, half, [(x, y)])
    return model, half, [(x, y)]


def test_a_softmax_head_has_the_numbers_of_the_head(digits):
    x, labels = digits.inputs[:200, 20:30], digits.labels[:200]
    head, sgd = fl.Softmax(x, labels), fl.SGD(lr=0.2, batch_size=4, weight_decay=DECAY)
    model = torch.nn.Linear(10, 10, bias=False).double()
    data = [(torch.tensor(x), torch.tensor(labels).long())]
    ft.minimise(model, "cross_entropy", data, weight_decay=DECAY)
    network = ft.local(model, "cross_entropy", data, top=100, weight_decay=DECAY)
    for rung in ("langevin", "discrete", "multiplicative"):
        known = fl.predict(head, sgd, theory=rung, check_stability=False)
        assert network.predict(sgd, theory=rung, check_stability=False).excess_loss == pytest.approx(
            known.excess_loss, rel=1e-7
        )
    assert network.noise_trace == pytest.approx(head.minimum(DECAY).noise_trace, rel=1e-8)
    assert fl.max_stable_lr(network, sgd) == pytest.approx(fl.max_stable_lr(head, sgd), rel=1e-7)


@pytest.mark.any_seed
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same(small):
    from copy import deepcopy

    model, data = small
    sgd = fl.SGD(lr=0.1, batch_size=4, weight_decay=DECAY, momentum=0.5)
    here, there = (
        ft.local(deepcopy(model).to(device), "cross_entropy", data, top=8, weight_decay=DECAY)
        for device in ("cpu", "cuda")
    )
    assert there.curvatures == pytest.approx(here.curvatures, rel=1e-9)
    assert there.noise_trace == pytest.approx(here.noise_trace, rel=1e-9)
    assert there.predict(sgd).excess_loss == pytest.approx(here.predict(sgd).excess_loss, rel=1e-7)
    runs = [network.measure(sgd, steps=20, replicas=3, rng=1).excess_loss for network in (here, there)]
    assert runs[1] == pytest.approx(runs[0], rel=1e-7)
