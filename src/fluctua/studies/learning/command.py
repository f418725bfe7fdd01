"""What `fluctua study learning` takes, and what it runs."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote
from typing import Any

import click
import numpy as np

from ..._arrays import Ints
from ..._validate.values import choice
from ...data import load
from ...errors import InvalidInput
from ...verification.conclusion import StatementVerdict
from ..reading import READING, reading_words
from ..study import Study
from .asked import predict_network
from .network import RateNetwork
from .patterns import memories, pairs
from .prediction import LearningPrediction
from .verifying import Asked, judge

__all__ = ["STUDY"]

_NOISE, _INPUT = {"linear": 0.05, "tanh": 0.2}, {"linear": 1.0, "tanh": 0.1}
_HELP = """Does the fluctuation before learning foretell how fast a task is learned?

A network of firing rates holds the classes of a data set as memories, one neuron for each feature; --asymmetry turns
them into a cycle, which no equilibrium theorem covers. The speed at which it would learn to answer one class by another
is foretold from its spontaneous activity and held against learning, for every pair of classes.
"""


def run(
    *,
    data: str,
    asymmetry: float,
    gain: float,
    noise: float | None,
    dt: float,
    input_gain: float | None,
    activation: str,
    task: tuple[str, ...],
    steps: int,
    replicas: int,
    targets: str | None = None,
    inputs_key: str | None = None,
    targets_key: str | None = None,
    data_dir: str | None = None,
    rng: int | None,
    progress: Callable[[str, float], None],
    level: float = 0.01,
    resolution: float = 0.05,
) -> StatementVerdict:
    """Return the verdict of the study on a data set."""
    found = load(data, targets=targets, inputs_key=inputs_key, targets_key=targets_key, data_dir=data_dir)
    if found.labels is None:
        raise InvalidInput(
            f"{data} has no labels, and its classes are what the network remembers. Give data with labels."
        )
    names = [str(each) for each in np.unique(found.labels)]
    given, target = _tasks(task, names) if task else _usual(activation, pairs(len(names)))
    settings: dict[str, Any] = {
        "gain": gain,
        "noise": _NOISE[activation] if noise is None else noise,
        "dt": dt,
        "activation": activation,
        "input_gain": _INPUT[activation] if input_gain is None else input_gain,
    }

    labels, keys = found.labels, reading_words(targets, inputs_key, targets_key)

    def predicted(share: float) -> LearningPrediction:
        patterns, coupling = memories(found.inputs, labels, share)
        return predict_network(RateNetwork(coupling, **settings), patterns[given], patterns[target])

    return judge(
        predicted(asymmetry),
        [f"{names[i]} -> {names[j]}" for i, j in zip(given, target, strict=True)],
        Asked.of(steps, replicas, rng, level, resolution, None, progress),
        {"command": _words(data, keys, asymmetry, task, {**settings, "steps": steps, "replicas": replicas})},
        predicted(0.0) if asymmetry and activation == "linear" else None,
    ).about(found.about)


def _usual(activation: str, every: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """All tasks; with tanh, whose learning fluctuates and takes long to run, that of the first class to the second."""
    return every if activation == "linear" else (every[0][:1], every[1][:1])


def _tasks(asked: tuple[str, ...], names: list[str]) -> tuple[Ints, Ints]:
    """Return inputs and targets of tasks given as INPUT:TARGET."""
    found = []
    for each in asked:
        parts = each.split(":")
        if len(parts) != 2 or parts[0] == parts[1]:
            raise InvalidInput(f"--task must be INPUT:TARGET, two classes such as {names[0]}:{names[1]}, got {each!r}.")
        found.append([names.index(choice("class", part, names)) for part in parts])
    given, target = np.array(found, dtype=np.int64).T
    return given, target


def _words(data: str, keys: str, asymmetry: float, task: tuple[str, ...], settings: dict[str, Any]) -> str:
    """The command that repeats the study."""
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
    return " ".join(
        [
            "learning",
            quote(data) + keys,
            f"--asymmetry {asymmetry}",
            options,
            *(f"--task {quote(each)}" for each in task),
        ]
    )


_PARAMETERS: tuple[click.Parameter, ...] = (
    click.Argument(["data"], default="digits"),
    click.Option(["--asymmetry"], type=float, default=0.5, show_default=True, help="Share of the cycle, from 0 to 1."),
    click.Option(
        ["--gain"], type=float, default=0.8, show_default=True, help="Of the recurrent coupling and the input."
    ),
    click.Option(["--noise"], type=float, help="D, above 0.  [default: 0.05; with tanh 0.2]"),
    click.Option(["--dt"], type=float, default=0.1, show_default=True, help="Step in relaxation times of a neuron."),
    click.Option(["--input-gain"], type=float, help="Of the input alone.  [default: 1; with tanh 0.1]"),
    click.Option(
        ["--activation"], type=click.Choice(["linear", "tanh"]), default="linear", show_default=True, help="f."
    ),
    click.Option(["--task"], multiple=True, help="INPUT:TARGET; may be repeated.  [default: all; with tanh the first]"),
    click.Option(["--steps"], type=int, default=4000, show_default=True, help="Of the run that only fluctuates."),
    click.Option(["--replicas"], type=int, default=512, show_default=True, help="Independent runs."),
    *READING,
)

_USUAL: dict[str, Any] = {
    "data": "digits",
    "asymmetry": 0.5,
    "gain": 0.8,
    "noise": None,
    "dt": 0.1,
    "input_gain": None,
    "activation": "linear",
    "task": (),
    "steps": 4000,
    "replicas": 512,
}
"""What the command is called with where nothing is asked."""

STUDY = Study(
    "learning",
    "Does fluctuation before learning foretell its speed?",
    _HELP,
    _PARAMETERS,
    run,
    (
        "fluctua study learning digits --asymmetry 0.5 --gain 0.8 --noise 0.05",
        "fluctua study learning digits --activation tanh --task 0:1",
    ),
    rows={"driven": _USUAL, "symmetric": {**_USUAL, "asymmetry": 0.0}, "tanh": {**_USUAL, "activation": "tanh"}},
    quick={"driven": _USUAL},
)
