"""Measured noise floors of a softmax head on digits, each beside the five rungs; weight decay 1e-2, batches of 8.

Real runs from W*, looked at after 12 relaxation times of the flattest mode. Their twins, whose law is known, take most
of the chance out. Momentum is at the same effective rate. Shuffled epochs have no twins here, and stand beside the law
of independent batches of the same size without replacement; their own law follows in the next line.

    python benchmarks/head_floors.py [replicas]
"""

from __future__ import annotations

import numpy as np
from asked import asking, at_least

import fluctua as fl
from fluctua._arrays import standard_error
from fluctua.theory.local.balance import Balance
from fluctua.theory.local.heads import stationary_state
from fluctua.theory.local.ladder import LOCAL_RUNGS

GAMMA, LONGEST = 1e-2, 3


def measured(problem: fl.Softmax, sgd: fl.SGD, replicas: int) -> tuple[float, float, float]:
    """Return the floor, its standard error, and that of the same runs without their twins."""
    settled = int(6 / (GAMMA * sgd.step.effective_lr(sgd.lr)))  # the variance relaxes at twice the rate
    control = None if sgd.epochs else "quadratic"
    run = fl.simulate(
        problem, sgd, steps=LONGEST * settled, replicas=replicas, records=96, rng=18, control=control, start="optimum"
    )
    late = run.watched > settled
    late &= np.isin(run.watched, run.recorded)
    plain = run.replica_losses[:, late].mean(axis=1)
    if control is None:
        return float(plain.mean()), float(standard_error(plain)), float(standard_error(plain))
    beyond = plain - run.twin.replica_losses[:, late].mean(axis=1)
    law = stationary_state(Balance(problem, sgd), "multiplicative").excess_loss
    return float(beyond.mean()) + law, float(standard_error(beyond)), float(standard_error(plain))


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("replicas", type=at_least(2), nargs="?", default=24)
    replicas = parser.parse_args().replicas
    data = fl.load("digits")
    problem = fl.Softmax(data.inputs, data.labels)
    print(f"{'recipe':<62} {'measured':>9} {'error':>8} {'cut':>5}  " + "  ".join(f"{n:>14}" for n in LOCAL_RUNGS))
    recipes = [fl.SGD(lr=lr, batch_size=8, weight_decay=GAMMA) for lr in (0.1, 0.3, 0.6, 1.0)]
    recipes += [fl.SGD(lr=lr, batch_size=8, weight_decay=GAMMA, momentum=0.9) for lr in (0.01, 0.03, 0.06)]
    recipes += [fl.SGD(lr=0.3, batch_size=8, weight_decay=GAMMA, sampling="without_replacement")]
    recipes += [fl.SGD(lr=lr, batch_size=8, weight_decay=GAMMA, sampling="shuffle") for lr in (0.1, 0.3, 0.6)]
    recipes += [fl.SGD(lr=0.03, batch_size=8, weight_decay=GAMMA, momentum=0.9, sampling="shuffle")]
    for sgd in recipes:
        floor, error, plain = measured(problem, sgd, replicas)
        lawful = fl.SGD(**{**sgd.to_dict(), "sampling": "without_replacement"}) if sgd.epochs else sgd
        balance = Balance(problem, lawful)
        rungs = [stationary_state(balance, name).excess_loss for name in LOCAL_RUNGS]
        cells = "  ".join(f"{value:.5f} {value / floor - 1:+6.1%}" for value in rungs)
        print(f"{sgd.words:<62} {floor:9.5f} {error:8.5f} {plain / error:5.1f}  {cells}  u {balance.anharmonicity:.3f}")
        if sgd.epochs:
            own = fl.predict(problem, sgd)
            words = "  in epochs, anharmonic"
            print(
                f"{words:<62} {own.excess_loss:9.5f} {own.excess_loss / floor - 1:+8.1%}  stated {own.stated_error:.1%}"
            )


if __name__ == "__main__":
    main()
