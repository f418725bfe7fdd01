"""What the shared options stand for: the data, the problem, the recipe, and the average that is looked at."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from .._arrays import Array
from .._validate.devices import device_of
from .._validate.plain import JsonObject, Keywords
from .._validate.values import choice, positive_int
from ..data import Dataset, Preparation, load
from ..data.own import existing
from ..data.prepared import preparation_words
from ..data.readers.numpy_files import load_npy
from ..data.splitting import fresh_seed
from ..errors import InvalidInput
from ..planning.posed import least_squares_of
from ..planning.usual_rate import default_rate, default_rate_of_head
from ..problem.device_products import on_device
from ..problem.leading.leading_modes import LeadingModes
from ..problem.least_squares import LeastSquares
from ..problem.softmax.heads import Softmax
from ..recipe.averages import EMA, Average, RunningAverage
from ..recipe.reading import read_recipe
from ..recipe.schedules import SHAPES, Schedule, read_schedule
from ..recipe.sgd import Recipe
from .heads import head_words, posed_head
from .large import is_large, large_problem
from .long_work import tell_long_work
from .options import LOSS_NAMES
from .progress import progress_bar
from .tempered import asked_sampler

__all__ = ["Asked", "ask", "default_out", "load_both", "posed_words", "refuse_lost_split", "spectrum"]

PLACES = (
    *("data", "subset", "split", "classes", "limit", "targets", "inputs_key", "targets_key", "targets_are", "data_dir"),
)
SWITCHES = ("bias", "center", "standardize")
RECIPE = ("optimizer", "lr", "batch_size", "weight_decay", "sampling", "drop_last")
INERTIA = ("momentum", "dampening", "nesterov", "nu")
NO_SAMPLERS = ("optimizer", "drop_last", "schedule", *INERTIA)


@dataclass(frozen=True)
class Asked:
    """What a command on data was asked about.

    Attributes
    ----------
    dataset : Dataset
    problem : LeastSquares or Softmax
    sgd : Recipe
    usual : str or None
        What is to be said of the learning rate where none was given.
    average : EMA or RunningAverage, optional
        Of the weights, to look at instead.
    held_out : Dataset, optional
    named : str
        What names the data on the command line.
    """

    dataset: Dataset
    problem: Any
    sgd: Recipe
    usual: str | None
    average: Average | None
    held_out: Dataset | None
    named: str

    @property
    def about(self) -> JsonObject:
        """Name and hashes of the data, and what names them on the command line."""
        return {**self.dataset.about, "command": self.named}

    @property
    def squares(self) -> bool:
        """Whether the loss is that of squared errors; otherwise it is the cross-entropy of a softmax head."""
        return isinstance(self.problem, LeastSquares)

    @property
    def data_words(self) -> str:
        """The data and their spectrum, or the head on them, in a line each."""
        return posed_words(self.dataset, self.problem)

    @property
    def words(self) -> str:
        """The data, their spectrum, and the recipe, in a line each."""
        recipe = self.sgd.words if self.usual is None else f"{self.sgd.words}\n{self.usual}"
        return f"{self.data_words}\nrecipe    {_indented(recipe)}"


def ask(options: Keywords, steps: int | None = None, held_out: str | None = None, *, warned: bool = False) -> Asked:
    """Load the data, pose the problem and read the recipe of a run of `steps`.

    Takes what `data_options`, `recipe_options` and `average_options` gave out of `options`. Where these have a device,
    the problem's products are made there. Who is to be `warned` is told first what all modes take.
    """
    named, device = _named(options), options.get("device")
    place = None if device is None else device_of(device)
    dataset, problem, other = load_both(options, held_out)
    if warned and place is None:
        tell_long_work(problem, 1 + bool(options["momentum"]))
    problem = on_device(problem, place)
    sgd, usual = _recipe(problem, options, steps)
    average = _average(options, steps) if "ema" in options else None
    return Asked(dataset, problem, sgd, usual, average, other, named)


def load_both(options: Keywords, held_out: str | None) -> tuple[Dataset, Any, Dataset | None]:
    """Load the named data and pose the problem, and also other data: `held_out`, read as the first were, or split off.

    Both are prepared as the first ask for. A split without a seed draws one, which is then the run's too.
    """
    places, targets = {name: options.pop(name) for name in PLACES}, options.pop("held_out_targets", None)
    loss = choice("loss", options.pop("loss", LOSS_NAMES[0]), LOSS_NAMES)
    modes = options.pop("leading_modes", None)
    switches, test_size = {name: options.pop(name) for name in SWITCHES}, options.pop("test_size")
    _refuse_split(test_size, held_out, targets)
    if modes is not None and is_large(places["data"]):
        return *large_problem(places, {**switches, "test_size": test_size}, modes), None
    with progress_bar() as progress:
        progress("data", 0.0)
        dataset, other = _load(places), None
    if test_size is not None:
        options["seed"] = fresh_seed(options["seed"])
        dataset, other = dataset.split(test_size, rng=options["seed"])
    elif held_out is not None:
        other = _load_other(held_out, targets, places, dataset)
    if any(switches.values()):
        preparation = Preparation(**switches)
        dataset = preparation.fit_transform(dataset)
        other = None if other is None else preparation.transform(other)
    return dataset, _posed(dataset, loss, modes), other


def _posed(dataset: Dataset, loss: str, modes: int | None) -> LeastSquares | Softmax | LeadingModes:
    if modes is not None:
        return LeadingModes(dataset.inputs, dataset.targets, modes)
    return least_squares_of(dataset) if loss == LOSS_NAMES[0] else posed_head(dataset)


def _refuse_split(test_size: float | None, held_out: str | None, targets: str | None) -> None:
    """Refuse a split beside other held-out data, and targets of no file."""
    if targets is not None and held_out is None:
        raise InvalidInput(f"--held-out-targets {targets} belongs to a file of inputs: name it by --held-out.")
    if test_size is not None and held_out is not None:
        raise InvalidInput(
            f"--test-size {test_size} splits held-out data off DATA, and --held-out {held_out} names others: give one."
        )


def refuse_lost_split(options: Keywords) -> None:
    """Refuse to go on with a run whose split would not be found again."""
    if options["test_size"] is not None and options["seed"] is None:
        raise InvalidInput(
            f"--resume with --test-size {options['test_size']} needs the --seed of the interrupted run, which its line "
            f"`prepared` has: the split follows from it."
        )


def _named(options: Keywords) -> str:
    """The data and their options, as a command has them; not where this machine keeps its files."""
    given = {name: options[name] for name in PLACES[1:] if name != "data_dir" and options[name] is not None}
    words = [options["data"], *(part for name, value in given.items() for part in _as_typed(name, value))]
    return " ".join(shlex.quote(str(word)) for word in words)


def _as_typed(name: str, value: object) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    return [option] if value is True else [] if value is False else [option, str(value)]


def _load(options: Keywords, like: Dataset | None = None) -> Dataset:
    given = {name: options[name] for name in PLACES[1:]}
    given["classes"] = labels_of(given["classes"]) if given["classes"] else None
    return load(options["data"], **given, like=like)


def labels_of(text: str) -> list[int | str]:
    """Return the labels that --classes names."""
    return [_label(part) for part in text.split(",")]


def _label(text: str) -> int | str:
    """Return the number that `text` spells, or a class's name."""
    try:
        return int(text)
    except ValueError:
        return text


def _load_other(held_out: str, targets: str | None, places: Keywords, training: Dataset) -> Dataset:
    """Load held-out data: another part of the same data set, or a file of its own, with the training's outputs."""
    if held_out in ("train", "test") and targets is None:
        return _load({**places, "subset": held_out, "limit": None}, training)
    if held_out.endswith(".npy") and targets is None:
        raise InvalidInput(f"--held-out {held_out} holds inputs only: name their targets' file, --held-out-targets.")
    own = {"data": held_out, "subset": None, "split": None, "limit": None, "targets": targets}
    return _load({**places, **own}, training)


def _average(options: Keywords, steps: int | None) -> Average | None:
    ema, tail, every = options.pop("ema"), options.pop("tail"), options.pop("average_every")
    if ema is not None and tail is not None:
        raise InvalidInput("--ema and --tail are two averages: give one.")
    if every is not None and ema is None and tail is None:
        raise InvalidInput(f"--average-every {every} says when an average is updated: give it with --ema or --tail.")
    rhythm = 1 if every is None else _every(every)
    if tail is None:
        return None if ema is None else EMA(ema, rhythm)
    last = positive_int("--tail", tail)
    if steps is None:
        raise InvalidInput(f"--tail {last} needs --steps, the length of the run.")
    if last > steps:
        raise InvalidInput(f"--tail {last} averages over more steps than the run has: --steps is {steps}.")
    return RunningAverage(steps - last, rhythm)


def _every(given: str) -> int | Literal["epoch"]:
    if given == "epoch":
        return "epoch"
    if not given.removeprefix("-").isdecimal():
        raise InvalidInput(f"--average-every must be a number of steps, or epoch, got {given!r}.")
    return positive_int("--average-every", int(given))


def _schedule(given: str | None, steps: int | None) -> Schedule | None:
    if given is None or given == "constant":
        return None
    if steps is None:
        raise InvalidInput(f"--schedule {given} needs --steps, the length of the run it is for.")
    if given.endswith(".npy"):
        return read_schedule(load_npy(existing(Path(given), (".npy",))))
    return SHAPES[choice("schedule", given, SHAPES)](steps)


def _recipe(problem: Any, options: Keywords, steps: int | None) -> tuple[Recipe, str | None]:
    """The recipe of a run; without a learning rate it has the one of `default_rate`, and what is to be said of it."""
    if (sampler := asked_sampler(problem, options, NO_SAMPLERS)) is not None:
        for name in (*RECIPE, *INERTIA, "schedule"):
            del options[name]
        return sampler, None
    given = {name: options.pop(name) for name in RECIPE}
    given |= {name: value for name in INERTIA if (value := options.pop(name)) is not None}  # each has its optimiser's
    lr, schedule = given.pop("lr"), _schedule(options.pop("schedule"), steps)
    checked = read_recipe({**given, "lr": 1.0 if lr is None else lr, "schedule": schedule})  # before h_max is found
    if lr is not None:
        return checked, None
    if isinstance(problem, LeadingModes):
        problem = problem.inside
    if not isinstance(problem, LeastSquares):
        usual_of_head = default_rate_of_head(problem, checked)
        return replace(checked, lr=usual_of_head.lr), usual_of_head.words
    _decomposed(problem)
    usual = default_rate(problem, checked, steps)
    return replace(checked, lr=usual.lr), usual.words


def _indented(words: str) -> str:
    return words.replace("\n", "\n          ")


def posed_words(dataset: Dataset, problem: LeastSquares | Softmax | LeadingModes) -> str:
    """Return the data and what is made of them, in a line each."""
    if isinstance(problem, LeadingModes):
        return spectrum(dataset, problem.inside, problem.share_left)
    return spectrum(dataset, problem) if isinstance(problem, LeastSquares) else head_words(dataset, problem)


def spectrum(dataset: Dataset, problem: LeastSquares, left: float = 0.0) -> str:
    """Return the data, what their targets are, and their spectrum, in a line each; modes `left` out have a share."""
    h, done = _decomposed(problem), preparation_words(dataset.preparation)
    return "\n".join(
        (
            f"data      {dataset.name}: {problem.samples:,} samples, {problem.features} inputs, "
            f"{problem.outputs} outputs",
            *([f"prepared  {done}"] if done else []),
            f"targets   {_indented(dataset.targets_words)}",
            f"spectrum  {problem.rank}{' leading' * bool(left)} modes, curvature {h[0]:.4g} down to {h[-1]:.2g}, "
            f"mean |x|^2 {h.sum() / (1 - left):.4g}{f', {left:.2%} of it in other modes' if left else ''}",
        )
    )


def _decomposed(problem: LeastSquares) -> Array:
    """The curvatures, which take long where there are thousands of inputs."""
    with progress_bar() as progress:
        progress("spectrum", 0.0)
        return problem.curvatures


def default_out(out: str | None, data: str) -> str:
    """Return --out, by default fluctua-NAME in the working directory."""
    return out or f"fluctua-{Path(data).stem}"
