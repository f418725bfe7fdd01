"""Draw the figures of docs/dynamics.md and print its table: the theorem in time on digits and MNIST.

    python docs/figures/dynamics.py [NAME ...]

NAME is any of `RUNS`, by default all of them. The figures are of digits with ten outputs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import fluctua as fl
from fluctua.report.figures import save_figures

HERE = Path(__file__).parent
SEED = 2021


def one_output(data: fl.Dataset) -> np.ndarray:
    """Odd labels against even ones, 1 and 0."""
    return (data.labels % 2).astype(np.float64)


RUNS = {  # data, whether one output, recipe, steps, replicas
    "digits": ({"name": "digits"}, False, fl.SGD(0.05, 8), 2000, 512),
    "digits-one": ({"name": "digits"}, True, fl.SGD(0.05, 8), 2000, 512),
    "digits-momentum": ({"name": "digits"}, False, fl.SGD(0.01, 8, momentum=0.9), 2000, 256),
    "mnist-one": ({"name": "mnist"}, True, fl.SGD(0.01, 32), 2000, 256),
    "mnist-6000": ({"name": "mnist", "limit": 6000}, False, fl.SGD(0.01, 32), 2000, 64),
    "mnist": ({"name": "mnist"}, False, fl.SGD(0.01, 32), 1000, 64),  # nine minutes of theory, half a minute of runs
}


def verify(name: str) -> fl.DynamicVerdict:
    place, alone, sgd, steps, replicas = RUNS[name]
    data = fl.load(**place)
    problem = fl.LeastSquares(data.inputs, one_output(data) if alone else data.targets)
    verdict = fl.verify_dynamic(problem, sgd, steps=steps, replicas=replicas, rng=SEED, entropy=True)
    return verdict.about({"name": data.name})


def correlations(name: str, verdict: fl.DynamicVerdict, seconds: float) -> str:
    scores = " | ".join(f"{each.z_rms:.2f}" for each in verdict.claims)
    found = verdict.circulation
    return (
        f"| {name} | {scores} | {verdict.detectable:.1%} | {found.resolved}/{found.elements} | {found.correlation:.4f} "
        f"| {'passed' if verdict.passed else 'FAILED'}, {seconds:.0f} s |"
    )


def entropies(name: str, verdict: fl.DynamicVerdict) -> str:
    entropy = {each.estimator: each for each in verdict.entropy if each.of == "all outputs"}
    rates = [
        f"{each.measured:.4g} ± {each.error:.2g}" if each.resolves else f"not resolved (bias {each.bias:.2g})"
        for each in entropy.values()
    ]
    return f"| {name} | {entropy['areas'].predicted:.4g} | {' | '.join(rates)} |"


def temperatures(verdict: fl.DynamicVerdict) -> str:
    """T_eff over T_bath of some modes: from the displacement in one step, which a unit force moves by lr; and exact."""
    a, lr = verdict.arrays, verdict.run.recipe.lr
    data = fl.load("digits")
    bath = fl.predict(fl.LeastSquares(data.inputs, data.targets), RUNS["digits"][2]).bath_temperatures
    lines = ["| mode | h | 1/(1 - lr h/2) | measured |", "|---|---|---|---|"]
    for p in (0, 1, 2, 4, 9, 19):
        variance, h, unit = a["measured_covariance"][p, p], a["curvatures"][p], lr * data.targets.shape[1] * bath[p]
        ratio, error = (variance - a["measured_lagged"][0, p, p]) / unit, a["share_error"][0, p] * variance / unit
        lines.append(f"| {p + 1} | {h:.3g} | {1 / (1 - lr * h / 2):.4f} | {ratio:.4f} ± {error:.2g} |")
    return "\n".join(lines)


def relations(verdict: fl.DynamicVerdict) -> str:
    head = [
        "| relation | trace of the work | of the steps | difference, in errors | z over elements |",
        "|---|---|---|---|---|",
    ]
    lines = (
        f"| {each.name}: {each.symbol} | {each.work:.5g} | {each.steps:.5g} "
        f"| {(each.work - each.steps) / each.error:+.2f} | {each.z_rms:.2f} |"
        for each in verdict.relations
    )
    return "\n".join([*head, *lines])


def main() -> None:
    print("| run | z, theorem | correlation | response | J | would catch | J seen | its correlation | verdict |")
    print("|---|---|---|---|---|---|---|---|---|")
    rates, more = ["| run | entropy production, predicted | areas | plug-in |", "|---|---|---|---|"], []
    for name in sys.argv[1:] or RUNS:
        began = time.monotonic()
        verdict = verify(name)
        print(correlations(name, verdict, time.monotonic() - began), flush=True)
        rates.append(entropies(name, verdict))
        if name == "digits":
            save_figures(verdict, HERE, ["png"])
            more = [temperatures(verdict), relations(verdict)]
    print("\n\n".join(["", "\n".join(rates), *more]))


if __name__ == "__main__":
    main()
