"""Samplers of Gaussian data written out with whole matrices, and summed over all signs of the noise; no fluctua."""

from __future__ import annotations

from itertools import product

import numpy as np


def numbers(levels, k, eta):
    """a, sigma, a', kap and vs of step k."""
    start, end = levels[k], levels[k + 1]
    fresh = eta**2 * (1 - end) / (1 - start) * (1 - start / end)
    return np.sqrt(start), np.sqrt(1 - start), np.sqrt(end), np.sqrt(1 - end - fresh), np.sqrt(fresh)


def ddim(mean, covariance, levels, eta, corrected=False):
    """Mean and covariance at the end, from white noise."""
    d = len(mean)
    x, c = np.zeros(d), np.eye(d)
    for k in range(len(levels) - 1):
        a, sigma, to, kap, fresh = numbers(levels, k, eta)
        inverse = np.linalg.inv(a**2 * covariance + sigma**2 * np.eye(d))
        guess = a * covariance @ inverse
        matrix = to * guess + kap / sigma * (np.eye(d) - a * guess)
        shift = (to - a * kap / sigma) * (np.eye(d) - a * guess) @ mean
        x, c = matrix @ x + shift, matrix @ c @ matrix.T + fresh**2 * np.eye(d)
        if corrected:
            c = c + (to - a * kap / sigma) ** 2 * sigma**2 * covariance @ inverse
    return x, c


def two_step(mean, covariance, levels):
    """The same of DPM-Solver++(2M), as its paper has it: in half the logarithm of signal to noise."""
    d, n = len(mean), len(levels) - 1
    eye, old = np.eye(d), np.zeros((d, d + 1))
    state = np.hstack([eye, np.zeros((d, 1))])  # x = state (start, 1)
    for k in range(n):
        a, sigma, to = np.sqrt(levels[k]), np.sqrt(1 - levels[k]), np.sqrt(levels[k + 1])
        guess = a * covariance @ np.linalg.inv(a**2 * covariance + sigma**2 * eye)
        new = guess @ state
        new[:, -1] += (eye - a * guess) @ mean
        used = new
        if 0 < k < n - 1:
            half = [0.5 * np.log(levels[j] / (1 - levels[j])) for j in (k - 1, k, k + 1)]
            used = new + (half[2] - half[1]) / (half[1] - half[0]) / 2 * (new - old)
        end = np.sqrt(1 - levels[k + 1])
        state, old = end / sigma * state + (to - end * a / sigma) * used, new
    return state[:, -1], state[:, :-1] @ state[:, :-1].T


def over_all_signs(mean, variance, levels, eta):
    """Mean and second moment of one mode at the end, the start and every noise +1 or -1."""
    total = np.zeros(2)
    signs = list(product((-1.0, 1.0), repeat=len(levels)))
    for start, *noises in signs:
        x = start
        for k, z in enumerate(noises):
            a, sigma, to, kap, fresh = numbers(levels, k, eta)
            guess = mean + a * variance / (a**2 * variance + sigma**2) * (x - a * mean)
            x = to * guess + kap * (x - a * guess) / sigma + fresh * z
        total += x, x**2
    return total / len(signs)


def bures(mean, covariance, other, second):
    """Wasserstein distance of two Gaussians by roots of matrices."""
    from scipy.linalg import sqrtm

    root = np.real(sqrtm(covariance))
    cross = np.real(sqrtm(root @ second @ root))
    return float(np.sqrt(np.sum((mean - other) ** 2) + np.trace(covariance + second - 2 * cross)))
