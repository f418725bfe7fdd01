"""Formulas as the pages print them, written out in NumPy, against the functions that the pages name.

That the laws are right is for the enumeration to say. Here the letters are: what a reader computes from a page is what
the code computes, to rounding.
"""

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.entropy import path_entropy
from fluctua.theory.kurtosis import excess_kurtosis

SAMPLES, ETA, GAMMA, B = 12, 0.05, 0.2, 2
RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.normal(size=(SAMPLES, 3)) * [2, 1, 0.4], RNG.normal(size=(SAMPLES, 2))
PROBLEM = fl.LeastSquares(INPUTS, TARGETS)
MINIMUM = PROBLEM.minimum(GAMMA)
Z, R, W = PROBLEM.projections, MINIMUM.residuals, MINIMUM.mode_weights
A, H = np.diag(PROBLEM.curvatures), np.diag(PROBLEM.curvatures + GAMMA)
h, m = np.diag(H), 1 - ETA * np.diag(H)
M, KAPPA = np.eye(3) - ETA * H, 1 / B
SGD = fl.SGD(ETA, B, weight_decay=GAMMA)
PREDICTION = fl.predict(PROBLEM, SGD)
S, J = PREDICTION.mode_covariance, PREDICTION.circulation


def mean_of(weights):
    """<w z z^T>, the average over the samples."""
    return (Z * weights[:, None]).T @ Z / SAMPLES


def feeds(s):
    """K[S] of F4, for any matrix."""
    return mean_of(np.einsum("ij,jk,ik->i", Z, s, Z)) - A @ s @ A


def noise(k, l):  # noqa: E741
    """C_kl of F6."""
    return mean_of(R[:, k] * R[:, l]) - GAMMA**2 * np.outer(W[k], W[l])


C = noise(0, 0) + noise(1, 1)
G = C + feeds(S)
PHI = ETA / (h[:, None] + h - ETA * np.outer(h, h))


def balanced(source):
    """The fixed point of F2 with a source in the place of C."""
    s = np.zeros((3, 3))
    for _ in range(500):
        s = PHI * KAPPA * (source + feeds(s))
    return s


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


def test_f1_f2_f8_the_stationary_state():
    same(balanced(C), S)
    same(H @ S + S @ H - ETA * H @ S @ H, ETA * KAPPA * G)
    same(PREDICTION.excess_loss, 0.5 * np.trace(H @ S))
    same(PREDICTION.temperatures, h * np.diag(S) / 2)


def test_f4_the_noise_of_one_sample():
    s, mean = np.diag([1.0, 2.0, 3.0]) + 0.4, np.arange(6.0).reshape(2, 3)
    shifted = 2 * mean_of(np.einsum("ik,kp,ip->i", R, mean, Z)) + GAMMA * (W.T @ mean @ A + A @ mean.T @ W)
    same(MINIMUM.noise, C)
    same(PROBLEM.feedback(s), feeds(s))
    same(MINIMUM.source(s, mean), C + feeds(s) + shifted)


def test_f6_output_by_output():
    adjoint = balanced(A)
    same(PREDICTION.output_covariance, [[np.trace(adjoint @ noise(k, l)) for l in (0, 1)] for k in (0, 1)])  # noqa: E741
    between = balanced(noise(0, 1))
    same(PREDICTION.output_block(0, 1), 0.5 * (between + between.T))


@pytest.mark.parametrize(
    ("theory", "left"),
    [("discrete", lambda s: H @ s + s @ H - ETA * H @ s @ H), ("langevin", lambda s: H @ s + s @ H), ("hessian", None)],
)
def test_f7_the_ladder(theory, left):
    s = fl.predict(PROBLEM, SGD, theory=theory).mode_covariance
    if left is None:
        same(H @ s + s @ H, ETA * KAPPA * np.mean(np.sum(R**2, axis=1)) * A)
    else:
        same(left(s), ETA * KAPPA * C)


def test_f9_finite_time():
    pairs, t = np.outer(m, m), 7
    found = fl.predict(PROBLEM, SGD, theory="discrete").after(t).mode_covariance
    same(found, ETA**2 * KAPPA * C * (1 - pairs**t) / (1 - pairs))
    late = PREDICTION.after(t, start="zero")
    same(late.mean @ late.modes, -W @ np.linalg.matrix_power(M, t))


def test_f12_the_limit_of_stability():
    a = np.diag(A)
    units = np.eye(9).reshape(9, 3, 3)
    maps = [
        (np.outer(a, a) * s + KAPPA * feeds(s)) / (a[:, None] + a) for s in 0.5 * (units + units.transpose(0, 2, 1))
    ]
    radius = np.abs(np.linalg.eigvals(np.reshape(maps, (9, 9)))).max()
    same(fl.max_stable_lr(PROBLEM, fl.SGD(ETA, B)), 1 / radius)


def test_f15_other_data():
    x, y = INPUTS[:5] + 0.3, TARGETS[:5] - 0.2
    prediction = PREDICTION.after(7, start="zero")
    r = x @ prediction.optimum.T - y
    loss = 0.5 * np.mean(np.sum(r**2, axis=1)) + 0.5 * np.trace(x.T @ x / 5 @ prediction.covariance)
    loss += np.mean(np.einsum("ik,kd,id->i", r, prediction.mean, x))
    same(fl.held_out_loss(prediction, x, y).expected, loss)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_f16_the_kurtosis(sampling):
    b, noises = 3, np.einsum("ik,ip->ikp", R, Z)
    mu2, mu4 = (np.mean((noises - noises.mean(axis=0)) ** power, axis=0) for power in (2, 4))
    p1, p2, p3, p4 = np.cumprod([(b - i) / (SAMPLES - i) for i in range(4)])
    expected = (mu4 / mu2**2 - 3) / b
    if sampling == "without_replacement":
        above = SAMPLES * mu4 * (p1 - 7 * p2 + 12 * p3 - 6 * p4) + 3 * SAMPLES**2 * mu2**2 * (p2 - 2 * p3 + p4)
        expected = above / (SAMPLES**2 * mu2**2 * (p1 - p2) ** 2) - 3
    same(excess_kurtosis(PROBLEM, fl.SGD(ETA, b, weight_decay=GAMMA, sampling=sampling)), expected)


def test_f20_to_f24_correlation_response_and_current():
    power = np.linalg.matrix_power(M, 5)
    same(PREDICTION.lagged_covariance(5), S @ power)
    same(PREDICTION.response(5), np.diag(np.linalg.solve(S, PREDICTION.lagged_covariance(5))))
    same(PREDICTION.step_response(5), (1 - m**5) / h)
    same(J, 0.5 * ETA * (H @ S - S @ H))
    same(J, 0.5 * (S @ M - M @ S))
    violation = np.linalg.norm(H @ G - G @ H) / np.linalg.norm(H @ G + G @ H)
    same(PREDICTION.detailed_balance_violation, violation)


def test_f26_to_f29_entropy_production():
    one = fl.LeastSquares(INPUTS, TARGETS[:, :1])
    prediction = fl.predict(one, SGD)
    s, current, found = prediction.mode_covariance, prediction.circulation, prediction.entropy_production.total
    g = one.minimum(GAMMA).noise + feeds(s)
    q, apart = ETA**2 * KAPPA * g, m[:, None] - m
    guess = np.linalg.solve(s, s @ M)
    missed = s - guess.T @ s @ guess
    same(found, np.trace(np.linalg.solve(KAPPA * g, H @ s @ H - H @ H @ s)))
    same(found, -np.sum(q * np.linalg.inv(q) * apart**2 / (2 * (1 - np.outer(m, m)))))
    same(found, np.sum(np.linalg.inv(q) * apart * current))
    same(found, np.trace(np.linalg.solve(missed, guess.T @ current - current @ guess)))
    same(found, path_entropy(np.block([[s, s @ M], [M @ s, s]]), 3))


def test_f30_f31_temperatures():
    same(PREDICTION.bath_temperatures, ETA * KAPPA * np.diag(G) / 4)
    same(PREDICTION.effective_temperatures(3), PREDICTION.bath_temperatures / (1 - ETA * h / 2))
    same(PREDICTION.effective_temperatures(3), 2 * np.diag(S - S @ M @ M @ M) / (4 * PREDICTION.step_response(3)))


def test_f33_f35_with_momentum():
    eta, beta, tau = 0.02, 0.8, 0.7
    found = fl.predict(PROBLEM, fl.SGD(eta, B, weight_decay=GAMMA, momentum=beta, dampening=1 - tau))
    s, seen = found.mode_covariance, eta * tau / (1 - beta)
    same(found.circulation[:3, :3], 0.5 * seen * (H @ s - s @ H))
    same(found.bath_temperatures, seen * KAPPA * np.diag(C + feeds(s)) / 4)
    same(found.effective_temperatures(5000), found.bath_temperatures / (1 - eta * tau * h / (2 * (1 + beta))))


def test_f60_f61_the_spread_of_the_loss():
    blocks = [[balanced(noise(k, l)) for l in (0, 1)] for k in (0, 1)]  # noqa: E741
    variance = 0.5 * sum(np.trace(H @ s @ H @ s.T) for row in blocks for s in row)
    same(fl.loss_spread(PREDICTION, rtol=1e-10).std, np.sqrt(variance))
    odd, means = 0.5 * (blocks[0][1] - blocks[0][1].T), -GAMMA * W
    product = np.outer(means[0], means[1])
    same(odd, PHI * KAPPA * (-A @ odd @ A - 0.5 * (product - product.T)))
