"""The local picture of a two-layer network on MNIST against real runs from its minimum.

784-20-10, tanh, cross-entropy, weight decay 0.01, the first 2,000 images: the 50 steepest of 15,910 directions. For
each recipe: mode variances and the excess loss of the subspace, every rung beside 64 runs of 2,000 steps, the meter of
anharmonicity, and the loss of all parameters beside the trace floor. Then the exponent psi of variance ~ flatness^-psi
after a time in units of 1/(lr h_max) steps from the minimum, predicted and measured.

    python benchmarks/local_network.py [--device cuda] [--mnist FILE.npz]

writes benchmarks/results/local_network.json (kept: an NVIDIA H100, 5 minutes, most of it L-BFGS).
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from asked import asking, there, to_write

import fluctua as fl
import fluctua.torch as ft

SAMPLES, HIDDEN, DECAY, TOP = 2000, 20, 0.01, 50
REPLICAS, STEPS = 64, 2000
RECIPES = {
    "lr 0.02": {"lr": 0.02},
    "lr 0.05": {"lr": 0.05},
    "lr 0.1": {"lr": 0.1},
    "lr 0.2": {"lr": 0.2},
    "lr 0.01, momentum 0.9": {"lr": 0.01, "momentum": 0.9},
    "lr 0.01, Nesterov 0.9": {"lr": 0.01, "momentum": 0.9, "nesterov": True},
}
TIMES = (0.3, 1, 10, 100, 1000)  # in units of 1/(lr h_max)


def images(path: str | None):
    if path:
        with np.load(path) as file:
            return file["inputs"][:SAMPLES].reshape(-1, 784) / 255, file["labels"][:SAMPLES]
    data = fl.load("mnist")
    return data.inputs[:SAMPLES], data.labels[:SAMPLES]


def compared(network, options):
    """One recipe, predicted and measured."""
    sgd = fl.SGD(batch_size=8, weight_decay=DECAY, **options)
    stationary = network.predict(sgd, check_stability=False)
    begun = time.time()
    runs = network.measure(sgd, steps=STEPS, replicas=REPLICAS, rng=1)
    print(f"{sgd.words}: {stationary}, {time.time() - begun:.0f} s of runs")
    print(runs.to_csv(table="rungs"), flush=True)
    rungs = {name: list(values) for name, values in runs.columns("rungs").items()}
    return {
        "measured": runs.excess_loss,
        "error": runs.excess_loss_error,
        "rungs": {name: np.asarray(values).tolist() for name, values in rungs.items()},
        "stationary": stationary.excess_loss,
        "limit": float(stationary.max_stable_lr),
        "anharmonicity": [stationary.anharmonicity, stationary.anharmonicity_error],
        "loss of all parameters": [runs.whole_excess_loss, runs.whole_excess_loss_error],
        "trace floor": stationary.trace_floor,
        "modes": {name: np.asarray(values).tolist() for name, values in runs.columns("modes").items()},
    }


def exponents(network, lr: float):
    """Psi after some times, predicted on every rung, and measured where that does not take too long."""
    sgd, found = fl.SGD(lr=lr, batch_size=8, weight_decay=DECAY), {}
    for units in TIMES:
        last = max(1, round(units / (lr * network.curvatures[0])))
        steps = list(range(max(1, last - 9), last + 1))
        predictions = {
            rung: network.predict(sgd, theory=rung, check_stability=False).after(steps)
            for rung in ("multiplicative", "langevin")
        }
        row = {"steps": [steps[0], last], **{name: each.flatness_exponent for name, each in predictions.items()}}
        if last <= 2 * STEPS:
            runs = network.measure(sgd, steps=last, replicas=4 * REPLICAS, record=steps, rng=2)
            row["measured"] = runs.flatness_exponent(predictions["multiplicative"])
        found[str(units)] = row
        print(units, row, flush=True)
    at_rest = network.predict(sgd, check_stability=False).flatness_exponent
    found["stationary"] = {"multiplicative": at_rest}
    print("stationary", at_rest, flush=True)
    return found


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mnist", type=there)
    parser.add_argument("--out", type=to_write, default=Path(__file__).parent / "results" / "local_network.json")
    options = parser.parse_args()
    x, y = images(options.mnist)
    data = [(torch.as_tensor(x).double().to(options.device), torch.as_tensor(y).long().to(options.device))]
    torch.manual_seed(0)
    layers = torch.nn.Linear(784, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 10)
    model, begun = torch.nn.Sequential(*layers).double().to(options.device), time.time()
    print(ft.minimise(model, "cross_entropy", data, weight_decay=DECAY), f"{time.time() - begun:.0f} s", flush=True)
    begun = time.time()
    network = ft.local(model, "cross_entropy", data, top=TOP, weight_decay=DECAY)
    print(network, f"{time.time() - begun:.0f} s; lowest curvature {network.lowest_curvature:.3g}", flush=True)
    described = {
        "network": repr(network),
        "curvatures": network.curvatures.tolist(),
        "noise trace": network.noise_trace,
        "lowest curvature": [network.lowest_curvature, network.lowest_residual],
        "loss": network.loss,
    }
    recipes = {name: compared(network, given) for name, given in RECIPES.items()}
    results = {**described, "recipes": recipes, "exponents at lr 0.05": exponents(network, 0.05)}
    options.out.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
