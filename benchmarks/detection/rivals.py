"""The other detectors, each with its authors' defaults, on the same runs: at which epoch each first fires.

Loss halves: the mean batch losses of our two windows, with our factor, levels and error bar. Plateau: torch's class on
the mean training loss of an epoch. physfdt: the package itself (PyPI), every step. Yaida: arXiv:1810.00004, the two
sides of the relation about the origin over the last half of the run, within 1 % at the end of an epoch. SASA+:
arXiv:2002.10597 and its authors' code (the last eighth of the steps, at least 1,000 of them; batch means; 95 %
intervals of both halves contain zero and the halves agree in sign; every 100 steps). Pflug: the running sum of
g(t).g(t-1) is negative, after an epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.stats import t as student

from fluctua.verification.equilibrium import looks, work

from . import descents
from .descents import BLOCKS, EVERY, Case
from .ours import ALPHA, DELTA

Detector = Callable[[Case, np.ndarray], float]
"""Case and numbers of each step, (steps, 5), to the epoch at which the detector fires; NaN where it never does."""
NEVER = float("nan")
YAIDA_WITHIN, SASA_SHARE, SASA_LEAST, SASA_EVERY, SASA_LEVEL = 0.01, 8, 1000, 100, 0.05


def loss_halves(case: Case, numbers: np.ndarray) -> float:
    floors = case.lr / 4 * (1 + case.momentum) * numbers[:, descents.SQUARE]
    own = work.degrees(BLOCKS // 2)
    for look, length in enumerate(looks.look_lengths()):
        t = 2 * BLOCKS * length * EVERY
        if t > len(numbers):
            return NEVER
        loss = numbers[t // 2 : t, descents.LOSS].reshape(BLOCKS, -1).mean(1)
        first, second = np.split(loss, 2)
        variance = sum(np.square(np.diff(half, 2)).mean() / (6 * len(half)) for half in (first, second))
        off = work.DOUBLING * (first.mean() - second.mean()) - DELTA * floors[t // 2 : t].mean()
        quantile = student.isf(looks.level(ALPHA, look), 2 * own)
        if off + quantile * work.DOUBLING * np.sqrt(variance) < 0:
            return t / case.steps_per_epoch
    raise AssertionError("look lengths have no end")


def plateau(case: Case, numbers: np.ndarray) -> float:
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    for epoch, loss in enumerate(_epochs(case, numbers[:, descents.LOSS]).mean(1), start=1):
        scheduler.step(float(loss))
        if optimizer.param_groups[0]["lr"] < 1:
            return float(epoch)
    return NEVER


def physfdt(case: Case, numbers: np.ndarray) -> float:
    from physfdt import FDRConfig
    from physfdt.core import FDRAccumulator

    accumulator = FDRAccumulator(FDRConfig(warn_nonstationary=False))
    for step, (_, square, product, norm, _) in enumerate(numbers.tolist(), start=1):
        if accumulator.observe(2 * product, case.lr * square, norm).equilibrated:
            return step / case.steps_per_epoch
    return NEVER


def yaida(case: Case, numbers: np.ndarray) -> float:
    square, product = numbers[:, descents.SQUARE], numbers[:, descents.WORK]
    before = np.append(0, product[:-1] - case.lr * square[:-1])  # w(t) . u(t-1)
    left = np.append(0, np.cumsum(product - case.momentum * before))  # of w . g
    right = np.append(0, np.cumsum(case.lr / 2 * (1 + case.momentum) * square))
    for epoch in range(2, len(numbers) // case.steps_per_epoch + 1):
        end = epoch * case.steps_per_epoch
        if abs((left[end] - left[end // 2]) / (right[end] - right[end // 2]) - 1) < YAIDA_WITHIN:
            return float(epoch)
    return NEVER


def sasa_plus(case: Case, numbers: np.ndarray) -> float:
    values = numbers[:, descents.WORK] - case.lr / 2 * numbers[:, descents.SQUARE]
    for end in range(SASA_SHARE * SASA_LEAST, len(values) + 1, SASA_EVERY):
        kept = values[end - end // SASA_SHARE : end]
        if len(kept) > SASA_LEAST and _rests(kept):
            return end / case.steps_per_epoch
    return NEVER


def _rests(kept: np.ndarray) -> bool:
    size = int(np.sqrt(len(kept)))
    means = kept[: len(kept) // size * size].reshape(-1, size).mean(1)
    spread = np.sqrt(size / (len(means) - 1) * np.square(means - kept.mean()).sum())
    reach = spread * student.isf(SASA_LEVEL / 2, size - 1) / np.sqrt(len(kept))
    first, second = kept[: len(kept) // 2].mean(), kept[len(kept) // 2 :].mean()
    return bool(abs(first) < reach and abs(second) < reach and first * second > 0)


def pflug(case: Case, numbers: np.ndarray) -> float:
    sums = np.cumsum(numbers[:, descents.NEIGHBOURS])[case.steps_per_epoch :]
    negative = np.flatnonzero(sums < 0)
    return float((negative[0] + 1 + case.steps_per_epoch) / case.steps_per_epoch) if len(negative) else NEVER


def _epochs(case: Case, values: np.ndarray) -> np.ndarray:
    size = case.steps_per_epoch
    return values[: len(values) // size * size].reshape(-1, size)


RIVALS: dict[str, Detector] = {
    "loss halves": loss_halves,
    "ReduceLROnPlateau": plateau,
    "physfdt": physfdt,
    "Yaida": yaida,
    "SASA+": sasa_plus,
    "Pflug": pflug,
}


def fired(case: Case, runs: int, epochs: float, seed: int) -> dict[str, list[float]]:
    """Return the epoch at which every detector fires in each run."""
    found: dict[str, list[float]] = {name: [] for name in RIVALS}
    for seed_of_run in np.random.SeedSequence(seed).generate_state(runs):
        steps = round(epochs * case.steps_per_epoch)
        numbers = descents.run(case, [1], steps, int(seed_of_run))[3]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, detector in RIVALS.items():
                try:
                    found[name].append(detector(case, numbers))
                except ModuleNotFoundError:
                    found[name].append(NEVER)
    return found
