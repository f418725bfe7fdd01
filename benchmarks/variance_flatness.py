"""Whether "variance is larger where the loss is steeper" is a law of SGD, or of the window in which one looks.

Feng and Tu (PNAS 118, e2015617118, 2021) look at the weights of a layer along a stretch of training, by principal
components, and compare the variance along each with the flatness of the loss there: the width of the region in which
the loss is below e times its value at the mean weights. Here the same is done for a network with two hidden layers of
50 on MNIST (plain SGD, lr 0.1, b 50, shuffled epochs; the 50 x 50 weights between the hidden layers), in windows of ten
epochs and of one at several places, with

- raw: the covariance of the weights over the window, as they do;
- detrended: less a line through the window, per weight;
- drift-free: the difference, over root two, of two runs that part at the beginning of the window and have other
  batches since, so that whatever both do on average is taken out;

and psi of variance ~ flatness^-psi by least squares over components down to 1e-4 of the largest variance. psi > 0 is
the inverse relation, psi = -2 equilibrium. The interval is Student's over independent runs.

    python benchmarks/variance_flatness.py [--epochs 110] [--runs 5] [--device cuda] [--mnist FILE.npz]

writes benchmarks/results/variance_flatness.json (kept: an NVIDIA H100, 3 minutes).
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from asked import asking, at_least, positive, there, to_write
from scipy import stats

from fluctua.theory.local.flatness import SHARE, exponent

SIZES, LR, BATCH = (784, 50, 50, 10), 0.1, 50
SAMPLES, COMPONENTS, STRIDE = 10_000, 60, 4  # of the loss along a component; components; steps between records


def mnist(path: str | None):
    """Inputs, in [0, 1], and labels."""
    if path:
        with np.load(path) as file:
            return file["inputs"].reshape(-1, 784).astype(np.float32) / 255, file["labels"]
    import fluctua as fl

    data = fl.load("mnist")
    return data.inputs.astype(np.float32), data.labels


class Networks:
    """Several networks side by side: weights (R, in, out) and biases (R, 1, out)."""

    def __init__(self, runs: int, device: str, seed: int) -> None:
        torch.manual_seed(seed)
        bounds = [1 / np.sqrt(size) for size in SIZES[:-1]]
        pairs = list(zip(SIZES, SIZES[1:], bounds, strict=False))
        self.weights = [(2 * torch.rand(runs, a, b) - 1).mul(bound).to(device) for a, b, bound in pairs]
        self.weights += [(2 * torch.rand(runs, 1, b) - 1).mul(bound).to(device) for _, b, bound in pairs]
        for value in self.weights:
            value.requires_grad_()

    def losses(self, weights, x, y):
        """The mean loss of each network on its own batch, (R,)."""
        w1, w2, w3, b1, b2, b3 = weights
        hidden = torch.relu(torch.baddbmm(b2, torch.relu(torch.baddbmm(b1, x, w1)), w2))
        logits = torch.baddbmm(b3, hidden, w3)
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        return each.view(y.shape).mean(1)

    def step(self, x, y) -> None:
        """One step of SGD of each."""
        gradients = torch.autograd.grad(self.losses(self.weights, x, y).sum(), self.weights)
        with torch.no_grad():
            torch._foreach_add_(self.weights, gradients, alpha=-LR)


def orders(samples: int, runs: int, device: str):
    """Batches of fresh epochs, (steps, runs, b)."""
    steps = samples // BATCH
    order = torch.rand(runs, samples, device=device).argsort(1)[:, : steps * BATCH]
    return order.view(runs, steps, BATCH).transpose(0, 1)


def widths(x, y, weights, directions):
    """Flatness along each direction of the middle layer of one network, (q,); NaN where e times the loss is not met."""
    w1, w2, w3, b1, b2, b3 = weights

    def loss_at(places):
        """At w2 + place direction, (q,)."""
        with torch.no_grad():
            found = []
            first = torch.relu(x @ w1 + b1)
            for place, direction in zip(places, directions, strict=True):
                logits = torch.relu(first @ (w2 + place * direction) + b2) @ w3 + b3
                found.append(torch.nn.functional.cross_entropy(logits, y))
            return torch.stack(found)

    zero = torch.zeros(len(directions), device=x.device)
    level = np.e * loss_at(zero)
    total, valid = torch.zeros_like(zero), torch.ones_like(zero, dtype=torch.bool)
    for sign in (1.0, -1.0):
        low, high = zero.clone(), torch.full_like(zero, 0.1)
        for _ in range(14):  # up to 1,600
            inside = loss_at(sign * high) < level
            if not inside.any():
                break
            low, high = torch.where(inside, high, low), torch.where(inside, 2 * high, high)
        valid &= ~(loss_at(sign * high) < level)
        for _ in range(12):
            middle = 0.5 * (low + high)
            inside = loss_at(sign * middle) < level
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        total += 0.5 * (low + high)
    return torch.where(valid, total, torch.nan).cpu().numpy()


def analysed(records, data, weights):
    """Psi and the table of one window of one run; `records` (T, n)."""
    x, y = data
    centred = (records - records.mean(0)).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    variances, directions = values.flip(0).cpu().numpy(), vectors.flip(1).T.float()
    count = int((variances > SHARE * variances[0]).sum())
    chosen = np.unique(np.geomspace(1, count, min(COMPONENTS, count)).round().astype(int)) - 1
    flatness = widths(x, y, weights, directions[chosen].view(-1, SIZES[1], SIZES[2]))
    known = np.isfinite(flatness)
    variances = variances[chosen][known]
    return exponent(variances, flatness[known]), variances.tolist(), flatness[known].tolist()


def detrended(records):
    """Less a line through the window."""
    t = torch.linspace(-1, 1, len(records), device=records.device)[:, None]
    return records - t * ((t * records).sum(0) / (t * t).sum())


def window(networks, records, twins, data, tenth):
    """All numbers of one window: for each kind psi of every run, whole and of its first tenth."""
    found = {}
    for kind in ("raw", "detrended", "drift-free"):
        for part in ("whole", "first tenth"):
            psi, tables = [], []
            for run in range(records.shape[1]):
                some = slice(None) if part == "whole" else slice(tenth)
                mine, other = records[some, run], twins[some, run]
                used = {"raw": mine, "detrended": detrended(mine), "drift-free": (mine - other) / np.sqrt(2)}[kind]
                weights = [value[run].detach() for value in networks]
                weights[1] = mine.mean(0).view(SIZES[1], SIZES[2])
                one, variances, flatness = analysed(used, data, weights)
                psi.append(one)
                tables.append({"variance": variances, "flatness": flatness})
            half = stats.t.ppf(0.975, len(psi) - 1) * np.std(psi, ddof=1) / np.sqrt(len(psi))
            total = float(np.mean([sum(each["variance"]) for each in tables]))
            found[f"{kind}, {part}"] = {
                "psi": float(np.mean(psi)),
                "interval": [float(np.mean(psi) - half), float(np.mean(psi) + half)],
                "of runs": psi,
                "variance of the components": total,
                "table of the first run": tables[0],
            }
            print(f"    {kind}, {part}: psi {np.mean(psi):.2f} +- {half:.2f}", flush=True)
    return found


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--epochs", type=at_least(10), default=110)
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mnist", type=there)
    parser.add_argument("--out", type=to_write, default=Path(__file__).parent / "results" / "variance_flatness.json")
    options = parser.parse_args()
    x, y = (torch.as_tensor(each).to(options.device) for each in mnist(options.mnist))
    y, data = y.long(), (x[:SAMPLES], y[:SAMPLES].long())
    starts = [start for start in (0, 10, 20, 50, 100) if start + 10 <= options.epochs]
    networks, results, begun = Networks(2 * options.runs, options.device, 0), {}, time.time()
    records: list = []
    for epoch in range(max(starts) + 10):
        if epoch in starts:
            with torch.no_grad():
                for value in networks.weights:
                    value[options.runs :] = value[: options.runs]
            records = []
        recording = any(start <= epoch < start + 10 for start in starts)
        for number, batch in enumerate(orders(len(x), 2 * options.runs, options.device)):
            networks.step(x[batch], y[batch])
            if recording and number % STRIDE == 0:
                records.append(networks.weights[1].detach().flatten(1).clone())
        if epoch + 1 - 10 in starts:
            whole = torch.stack(records)
            with torch.no_grad():
                shared = [value[:1].expand(1, *value.shape[1:]) for value in networks.weights]
                loss = float(networks.losses(shared, data[0][None], data[1][None])[0])
            print(f"epochs {epoch - 9} to {epoch + 1}, loss {loss:.4g}, {time.time() - begun:.0f} s", flush=True)
            mine, other = whole[:, : options.runs], whole[:, options.runs :]
            found = window(networks.weights, mine, other, data, len(whole) // 10)
            results[f"epochs {epoch - 9} to {epoch + 1}"] = {"loss of the first run": loss, **found}
    described = {"network": "784-50-50-10, ReLU", "lr": LR, "batch size": BATCH, "runs": options.runs}
    options.out.write_text(json.dumps({**described, "windows": results}) + "\n")


if __name__ == "__main__":
    main()
