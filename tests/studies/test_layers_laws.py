"""The laws of two-layer nets against brute force, the enumeration of all batches, and the numbers of the study."""

from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.kernels.constant import gradient_step
from fluctua.studies import layers
from fluctua.studies.layers.frame import Frame, balance_of
from fluctua.studies.layers.identity import identity_error
from fluctua.studies.layers.march import March, bend, noise_of
from helpers.two_layers import gaussian, listed, point_of, sample_gradients, sample_hessians, steep_digits, tiny

SHAPES = [{"samples": 7, "features": 3, "outputs": 2, "hidden": 4}, {"samples": 6, "features": 2, "outputs": 3}]


@pytest.mark.parametrize("shape", SHAPES)
def test_curvature_noise_and_feedback_are_those_of_the_samples_gradients(shape):
    """F105 and F106 by brute force: derivatives of every sample's gradient, no structure used."""
    net = tiny(**shape)
    frame, each = net.frame, sample_hessians(net)
    whole = each.mean(axis=0)
    assert np.abs(frame.hessian - whole).max() <= 4e-15 * np.abs(whole).max()
    gradients = sample_gradients(net, point_of(net))
    noise = gradients.T @ gradients / len(gradients)
    assert np.abs(noise_of(frame, net.samples.product) - noise).max() <= 1e-14 * np.abs(noise).max()
    root = np.random.default_rng(0).normal(size=(frame.size, frame.size))
    covariance = root @ root.T
    squared = np.einsum("nij,jk,nkl->il", each, covariance, each) / len(each)
    felt = net.samples.felt(frame, covariance).feedback
    assert np.linalg.norm(felt - (squared - whole @ covariance @ whole)) <= 4e-15 * np.linalg.norm(squared)
    straight = net.samples.straight().felt(frame, covariance).feedback
    assert np.abs(felt - straight).max() > 1e-3 * np.abs(felt).max()  # the mutant is another


@pytest.mark.parametrize("shape", SHAPES)
def test_the_second_order_of_the_gradient_drifts_the_balance_and_displaces_the_mean(shape):
    """Averages over a law of dW with covariance S, by the square root of S: third derivatives cancel in +-."""
    net = tiny(**shape)
    frame, start = net.frame, point_of(net)
    rng = np.random.default_rng(3)
    root, mean = rng.normal(size=(frame.size, frame.size)), rng.normal(size=frame.size)
    still = sample_gradients(net, start)
    second = sum(
        0.5 * (sample_gradients(net, start + step) + sample_gradients(net, start - step) - 2 * still) for step in root.T
    )
    covariance = root @ root.T
    assert np.allclose(bend(frame, covariance), second.mean(axis=0), rtol=1e-12, atol=1e-12)
    shifted = second + np.einsum("nij,j->ni", sample_hessians(net), mean)
    crossed = still.T @ shifted / len(still)
    expected = frame.imbalance(crossed + crossed.T)
    found = net.samples.felt(frame, covariance, mean).crossed
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


def test_the_manifold_is_flat_and_without_noise():
    net = tiny(samples=7, features=3, outputs=2, hidden=4)
    frame, rng = net.frame, np.random.default_rng(0)
    generator = rng.normal(size=(4, 4))
    along = np.concatenate([(generator @ net.first).ravel(), -(net.second @ generator).ravel()])
    assert np.abs(frame.modes.T @ along).max() <= 1e-13 * np.abs(along).max()
    assert np.abs(sample_gradients(net, point_of(net)) @ along).max() <= 1e-12
    assert len(frame.curvatures) == 2 * 3 == np.linalg.matrix_rank(frame.hessian)


def test_a_frame_moves_along_the_manifold_to_a_balance():
    """F109."""
    net = tiny(samples=7, features=3, outputs=2, hidden=3)
    wanted = net.balance + 0.1 * np.diag([1.0, -2.0, 0.5])
    moved = net.frame.moved(wanted)
    assert np.abs(moved.balance - wanted).max() <= 1e-12
    assert np.abs(moved.second @ moved.first - net.second @ net.first).max() <= 1e-12


@pytest.mark.any_seed
@pytest.mark.parametrize(("lr", "sampling"), [(1e-3, "with_replacement"), (0.3, "without_replacement")])
def test_the_balance_changes_by_the_squared_gradients_and_nothing_else(lr, sampling):
    """F108, without tolerance: at any rate, for any batches, from any start."""
    net = tiny(samples=7, features=3, outputs=2, hidden=4)
    assert identity_error(net, fl.SGD(lr=lr * net.edge, batch_size=3, sampling=sampling), 40) <= 1e-12


def test_enumeration_of_all_batches_finds_the_orders_of_the_rungs():
    """F107: relative errors against all 4^5 sequences: those of S fall as the rate squared and as the rate to 1.8.

    The drift of Bal is off by the rate squared to leading order, and by its cube once S is felt.
    """
    net = tiny()
    rates = np.array([0.04, 0.02, 0.01])
    errors = {"discrete": [], "linear": [], "leading": [], "drifting": []}
    for lr in rates:
        covariance, _, balance = listed(net, lr, 5)
        inside, drift = net.frame.modes.T @ covariance @ net.frame.modes, balance - net.balance
        for rung in ("discrete", "linear", "drifting"):
            found = fl.predict(net, fl.SGD(lr=lr, batch_size=1), theory=rung).after(5, nodes=5)
            place = errors[rung] if rung != "drifting" else []
            place.append(np.linalg.norm(found.mode_covariance - inside) / np.linalg.norm(inside))
            if rung != "linear":
                place = errors["leading" if rung == "discrete" else "drifting"]
                place.append(np.linalg.norm(found.balance_drift - drift) / np.linalg.norm(drift))
    orders = {name: np.log2(np.array(found)[:-1] / np.array(found)[1:]) for name, found in errors.items()}
    assert orders["discrete"].min() > 1.8
    assert orders["linear"].min() > 1.6
    assert orders["leading"].min() > 1.7
    assert orders["drifting"].min() > 2.5
    assert errors["linear"][-1] < 0.5 * errors["discrete"][-1]
    assert errors["drifting"][-1] < 0.01 * errors["leading"][-1]


def test_the_frame_follows_the_mean_of_all_sequences():
    """F113: off the manifold by what S displaces, and along it by what S pulls, an area included.

    What is left of the mean's displacement falls with the rate; without the pull's antisymmetric part it does not.
    """
    net, start = tiny(), point_of(tiny())
    left, without = [], []
    for lr in (0.04, 0.02, 0.01):
        mean = listed(net, lr, 5)[1] - start
        march = March(net.samples, net.frame, lr, 1.0)
        (found,) = march.states([5], 5)
        still = net.frame.moved(found.frame.balance)
        for errors, frame in ((left, found.frame), (without, still)):
            said = np.concatenate([frame.first.ravel(), frame.second.ravel()]) - start + found.mean
            errors.append(np.linalg.norm(said - mean) / np.linalg.norm(mean))
    assert np.log2(left[0] / left[1]) > 0.8
    assert np.log2(left[1] / left[2]) > 0.8
    assert left[-1] < 0.05 * without[-1]


def test_one_step_of_the_balance_is_exact():
    net = tiny(seed=4)
    *_, balance = listed(net, 0.05, 1)
    for rung in ("discrete", "drifting"):
        found = fl.predict(net, fl.SGD(lr=0.05, batch_size=1), theory=rung).after(1).balance_drift
        assert np.abs(found - (balance - net.balance)).max() <= 1e-13


def white(lr):
    """White inputs and labels at the split where noise does not drift the balance: frame, noise, S of "discrete"."""
    size = np.geomspace(4, 0.25, 8)
    first, second = np.zeros((8, 16)), np.diag(np.sqrt(size / np.sqrt(2)))
    first[:, :8] = np.diag(np.sqrt(size * np.sqrt(2)))
    frame = Frame(first, second, np.ones(16))
    noise = noise_of(frame, np.eye(8 * 16).reshape(8, 16, 8, 16))
    inside = frame.modes.T @ noise @ frame.modes
    return frame, noise, frame.modes @ (gradient_step(frame.curvatures, lr).stationary / 16 * inside) @ frame.modes.T


@pytest.mark.parametrize(("lr", "trace"), [(0.01, 0.0127479993), (0.005, 0.00632039252)])
def test_white_noise_is_isotropic_and_its_layers_are_not(lr, trace):
    """F112: the closed form, and the numbers of fresh Gaussian batches of 16."""
    frame, noise, covariance = white(lr)
    assert np.trace(covariance[frame.split :, frame.split :]) == pytest.approx(trace, rel=5e-9)
    assert np.abs(frame.imbalance(noise)).max() <= 1e-12
    tau = lr / 16 * 0.5
    alike = tau * frame.modes @ frame.modes.T
    assert np.diag(alike)[frame.split :].reshape(8, 8)[:, 0] == pytest.approx(
        tau * frame.first[0, 0] ** 2 / (frame.first[0, 0] ** 2 + np.diag(frame.second) ** 2)
    )
    if lr == 0.01:
        found = np.diag(alike)[frame.split :].reshape(8, 8)
        assert found[[0, 7, 0], [0, 0, 7]] == pytest.approx([2.083333e-4, 3.030303e-4, 3.472222e-5], rel=1e-6)


LATE = list(range(750, 1500, 37))


@pytest.mark.parametrize(
    ("rung", "one", "two", "excess"),
    [
        ("isotropic", 0.00701713785, 0.00233904595, 0.00207767962),
        ("langevin", 0.00677554135, 0.00203561877, 0.00217496382),
        ("discrete", 0.00681221698, 0.00204514739, 0.00228144107),
    ],
)
def test_lower_rungs_on_digits(rung, one, two, excess):
    found = fl.predict(layers.TwoLayer(steep_digits()), fl.SGD(lr=0.02, batch_size=8), theory=rung).after(LATE)
    assert [found.layer(1).trace, found.layer(2).trace] == pytest.approx([one, two], rel=1e-8)
    assert found.excess_loss == pytest.approx(excess, rel=1e-8)


def test_the_drifting_frame_on_digits():
    """Numbers of an independent prototype, with a first-order frame of 48 nodes; 12 nodes here are within 2e-4 of it.

    Its drift of the trace, -0.161631, took E Bal for that of the frame: less the imbalance of S it is -0.16092, and
    -0.16074(6) was measured.
    """
    net = layers.TwoLayer(steep_digits())
    assert net.optimum_loss == pytest.approx(0.187123676, rel=1e-8)
    assert net.curvatures[0] == pytest.approx(8.184093, rel=1e-6)
    assert (len(net.curvatures), net.frame.size) == (200, 300)
    prediction = fl.predict(net, fl.SGD(lr=0.02, batch_size=8))
    short, late, end = prediction.over([range(10, 20), LATE, [1500]])
    assert [late.layer(each).trace for each in (1, 2)] == pytest.approx([0.00688267564, 0.00207390098], rel=2e-4)
    assert late.quadratic_loss == pytest.approx(0.00224217563, rel=6e-4)
    assert late.excess_loss == pytest.approx(0.0022345, rel=1e-3)  # the mean is displaced; 0.0022365(58) was measured
    assert [short.layer(each).trace for each in (1, 2)] == pytest.approx([9.22301996e-4, 3.25851867e-4], rel=2e-3)
    assert np.trace(end.balance_drift) == pytest.approx(-0.16092, abs=5e-5)
    assert short.flatness_slope == pytest.approx(2.175657, abs=3e-3)
    assert late.flatness_slope == pytest.approx(-0.955338, abs=3e-3)
    frozen = replace(prediction, law=replace(prediction.law, rung="linear")).after(LATE)
    assert frozen.excess_loss > 1.02 * late.excess_loss


SLOPES = {"digits20": [2.1158, 2.2267, 1.0474, -1.0044], "gaussian": [1.0441, 0.8797, 0.7374, 0.7349]}


@pytest.mark.parametrize("name", SLOPES)
def test_the_slope_of_variance_on_curvature_turns_on_digits_and_not_on_gaussian_inputs(name):
    """F110 of the Langevin rung after 0.001, 1, 10, 100 relaxation times of the steepest mode."""
    net = (
        layers.TwoLayer(steep_digits()) if name == "digits20" else layers.TwoLayer(gaussian(), hidden=8, split="noise")
    )
    law = fl.predict(net, fl.SGD(lr=0.001 / net.curvatures[0], batch_size=8), theory="langevin")
    found = [each.flatness_slope for each in law.over([[1], [1000], [10_000], [100_000]])]
    assert found == pytest.approx(SLOPES[name], abs=2e-3)
    settled = law.flatness_slope
    assert settled == pytest.approx({"digits20": -0.9421, "gaussian": 0.7349}[name], abs=2e-3)
    assert sum(law.causes.values()) == pytest.approx(settled)


def test_gradient_flow_conserves_the_balance_and_full_batches_drift_it_as_the_step_squared():
    net = tiny(samples=7, features=3, outputs=2, hidden=3)
    full = fl.SGD(lr=0.1 * net.edge, batch_size=7, sampling="without_replacement")
    found = fl.predict(net, full).after(10)
    assert np.abs(found.balance_drift).max() == 0
    assert found.excess_loss == 0
    assert fl.max_stable_lr(net, full) == pytest.approx(net.edge)


def test_the_limit_lies_below_that_of_gradient_descent_and_the_state_ends_there():
    net = tiny(samples=7, features=3, outputs=2, hidden=3)
    limit = fl.max_stable_lr(net, fl.SGD(lr=0.01, batch_size=1))
    assert 0 < limit < net.edge
    below, above = (fl.predict(net, fl.SGD(lr=share * limit, batch_size=1), theory="linear") for share in (0.98, 1.001))
    assert below.excess_loss > 0
    if 1.001 * limit < net.edge:
        with pytest.raises(fl.UnstableSGD) as refused:
            above.excess_loss  # noqa: B018
        assert refused.value.max_stable_lr == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize(
    ("samples", "features", "one", "two"),
    [(12, 10, 0.857143, 1.631868), (40, 10, 0.952381, 1.339558), (200, 100, 0.990099, 1.941511)],
)
def test_the_noise_spectrum_of_gaussian_data(samples, features, one, two):
    """F111."""
    assert layers.spectrum_moments(samples, features) == pytest.approx((one, two), abs=5e-7)


def test_the_noise_spectrum_against_draws():
    """10,000 draws of 12 x 10 with correlated inputs: |z| < 5.1 rejects a true law with 4e-7 for both moments.

    A law without the correction N/(N + 2) is 60 standard errors off.
    """
    mix = np.tril(np.ones((10, 10)))
    rng = np.random.default_rng(20)
    inputs, noise = rng.normal(size=(10_000, 12, 10)) @ mix, rng.normal(size=(10_000, 12))
    basis = np.linalg.qr(inputs)[0]
    residual = noise - np.einsum("snd,sd->sn", basis, np.einsum("snd,sn->sd", basis, noise))
    power = residual**2 / np.mean(residual**2, axis=1, keepdims=True)
    whitened = np.einsum("snd,sn,sne->sde", basis, power, basis)
    moments = np.trace(whitened, axis1=1, axis2=2) / 10, np.einsum("sde,sde->s", whitened, whitened) / 10
    scores = [
        (found.mean() - said) / (found.std() / 100)
        for found, said in zip(moments, layers.spectrum_moments(12, 10), strict=True)
    ]
    assert np.abs(scores).max() < 5.1
    assert abs((moments[0].mean() - 1) / (moments[0].std() / 100)) > 20


def test_the_noise_spectrum_of_a_problem_is_that_of_its_samples():
    problem = steep_digits()
    found = layers.noise_spectrum(problem)
    minimum = problem.minimum()
    white = np.asarray(problem.projections, float) / np.sqrt(problem.curvatures)
    power = minimum.residuals[:, 3] ** 2
    expected = np.linalg.eigvalsh(white.T @ (white * power[:, None]) / power.sum())[::-1]
    assert found.eigenvalues[3] == pytest.approx(expected, rel=1e-9)
    assert found.second_moment.mean() > 1.2 * found.expected[1]  # real images are no Gaussian data


def test_the_balance_of_a_batch_of_nets():
    first, second = np.ones((5, 2, 3)), np.full((5, 4, 2), 2.0)
    assert balance_of(first, second).shape == (5, 2, 2)
    assert balance_of(first, second)[0, 0, 0] == 16 - 3
