r"""Entropy production by the frequency domain (Harada and Sasa, Phys. Rev. Lett. 95, 130602, 2005), beside fluctua's.

Out of equilibrium the spectrum of the velocity exceeds what its response to a force would make of it at equilibrium,
and the excess, summed over frequencies, is the dissipation. For a chain x' = M x + noise of covariance Q, with the
velocity u = x' - x, its spectrum C(w) and its response R(w) to a push in the noise, that is exactly

    e = int dw/2pi tr[ G C(w) - (1 + M) Re R(w) ],    G = (1 + M) Q^-1 (1 + M)/2,

because e = -E[((1 + M) u)^T Q^-1 (1 - M)(x + x')/2], which is force times velocity, and (1 - M)(x + x')/2 is the noise
less (1 + M) u/2. For small steps G becomes the friction 2 Q^-1 and this is Harada and Sasa's equality.

Nothing of fluctua is in the measurement: NumPy trains, in coordinates of NumPy's eigenvectors of the data's second
moments; spectra and responses are fast Fourier transforms, of the runs and of what is left of kicks in twins on the
same batches; Q is the covariance of x' - M x.

    python validation/harada_sasa.py [--modes 5] [--chunks 8] [--steps 800] [--seed 0] [--wrong-by 0.1]

Prints the integral over bands of frequency and its sum beside `entropy_production_in(modes)`; exit code 1 for a
difference that chance makes once in 1e5, by Student's t between chunks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from scipy.stats import ttest_1samp

import fluctua as fl

LEVEL = 1e-5
LR, BATCH_SIZE, REPLICAS, SETTLE = 0.05, 8, 64, 500
BANDS = (0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5)


class Digits:
    """The data in the eigenvectors of <x x^T>, and one training run of many replicas."""

    def __init__(self, modes: int) -> None:
        data = fl.load("digits")
        x, y = (np.asarray(part, dtype=float) for part in (data.inputs, data.targets))
        optimum = np.linalg.lstsq(x, y)[0]
        h, vectors = np.linalg.eigh(x.T @ x / len(x))
        self.h, self.modes = h[::-1][:modes], modes
        self.z, self.residuals = x @ vectors[:, ::-1], x @ optimum - y

    def step(self, v: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """One step of every replica, (R, c, d), on the batches (R, b) of the first of them or of its twins."""
        z = self.z[batch]
        error = z @ v.transpose(0, 2, 1) + self.residuals[batch]
        return v - LR / BATCH_SIZE * error.transpose(0, 2, 1) @ z

    def run(self, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Trajectories of the steepest modes, (steps + 1, R, c m), and the answers to unit kicks, (steps + 1, m)."""
        c, m = self.residuals.shape[1], self.modes
        v, path, answers = np.zeros((REPLICAS, c, self.z.shape[1])), [], []
        twin = v
        for t in range(-SETTLE, steps + 1):
            if t == 0:
                twin = v.copy()
                twin[:, np.arange(m), np.arange(m)] += 1  # mode p of output p
            if t >= 0:
                path.append(v[..., :m].reshape(REPLICAS, -1))
                answers.append((twin - v)[:, np.arange(m), np.arange(m)].mean(axis=0))
            batch = rng.integers(len(self.z), size=(REPLICAS, BATCH_SIZE))
            v, twin = self.step(v, batch), self.step(twin, batch)
        return np.array(path), np.array(answers)


def bands(digits: Digits, path: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return the integral over each band of frequency, (len(BANDS) - 1,)."""
    keep = np.tile(1 - LR * digits.h, path.shape[2] // digits.modes)
    noise = path[1:] - keep * path[:-1]
    inverse = np.linalg.inv(np.einsum("tri,trj->ij", noise, noise) / (noise.shape[0] * noise.shape[1]))
    friction = 0.5 * (1 + keep)[:, None] * inverse * (1 + keep)
    velocity = np.diff(path, axis=0)
    waves = np.fft.fft(velocity, axis=0)
    spectrum = np.einsum("wri,ij,wrj->w", waves.conj(), friction, waves, optimize=True).real
    spectrum /= len(velocity) * velocity.shape[1]
    impulse = np.concatenate([answers[:1], np.diff(answers, axis=0)[:-1]])  # of the velocity: 1, m - 1, m (m - 1), ...
    response = np.fft.fft(impulse, axis=0).real @ (1 + keep[: digits.modes]) * (len(keep) / digits.modes)
    frequency = np.abs(np.fft.fftfreq(len(velocity)))
    excess = (spectrum - response) / len(velocity)
    edges = np.searchsorted(BANDS, frequency, side="right") - 1
    return np.bincount(np.minimum(edges, len(BANDS) - 2), excess, len(BANDS) - 1)


def measure(modes: int, chunks: int, steps: int, seed: int) -> np.ndarray:
    """Return the integral over each band, chunk by chunk, (chunks, len(BANDS) - 1)."""
    digits = Digits(modes)
    return np.array([bands(digits, *digits.run(steps, rng)) for rng in np.random.default_rng(seed).spawn(chunks)])


def agree(found: np.ndarray, modes: int, wrong_by: float = 0.0) -> bool:
    """Print the bands, and their sum beside the prediction, spoiled by `wrong_by`; return whether they agree."""
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    print(f"digits, lr {LR}, b {BATCH_SIZE}, {modes} modes of 10 outputs, {len(found)} x {REPLICAS} runs\n")
    print("cycles per step   excess over equilibrium, nats per step")
    for low, high, mean, bar in zip(BANDS, BANDS[1:], found.mean(axis=0), error, strict=False):
        print(f"{low:6.2f} to {high:4.2f}   {mean:8.4f} +- {bar:.4f}")
    data = fl.load("digits")
    prediction = fl.predict(fl.LeastSquares(data.inputs, data.targets), fl.SGD(LR, BATCH_SIZE))
    predicted = (1 + wrong_by) * prediction.entropy_production_in(modes).total
    sums = found.sum(axis=1)
    p_value = float(ttest_1samp(sums, predicted).pvalue)
    print(f"\n  sum        {sums.mean():.4f} +- {sums.std(ddof=1) / np.sqrt(len(sums)):.4f}")
    print(f"  fluctua    {predicted:.4f}")
    print(f"  p = {p_value:.2g}, {'agree' if p_value > LEVEL else 'DISAGREE'}\n")
    return p_value > LEVEL


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", type=int, default=5, help="the steepest, at most 10")
    parser.add_argument("--chunks", type=int, default=8, help=f"of {REPLICAS} replicas")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong-by", type=float, default=0.0, help="spoil the prediction, to see it noticed")
    options = parser.parse_args(arguments)
    found = measure(options.modes, options.chunks, options.steps, options.seed)
    return 0 if agree(found, options.modes, options.wrong_by) else 1


if __name__ == "__main__":
    sys.exit(main())
