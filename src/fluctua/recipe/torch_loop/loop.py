"""A run of a recipe on given data as a loop in torch that can be pasted: the parts, put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

from ..._arrays import AnyArray, Array
from ..._validate.targets import Coding, Label
from ..._validate.values import choice
from ..averages import Average
from ..sampling import WeightedSampling
from ..sgd import Recipe
from .averages import averaged
from .body import comparison, result, training
from .layout import assigned, imports, refused
from .losses import LOSSES, Loss
from .optimizers import optimizer
from .rates import scheduler
from .sampled import Draws, batches, chances

__all__ = ["DTYPES", "Loop"]

DTYPES = ("float32", "float64")


class Posed(Protocol):
    """What a loop needs to know of a problem."""

    coding: Coding
    targets: AnyArray
    sample_weight: Array | None

    @property
    def population(self) -> int:
        """Number of samples, N."""

    @property
    def features(self) -> int:
        """Number of inputs, d."""

    @property
    def outputs(self) -> int:
        """Number of outputs, c."""


@dataclass(frozen=True)
class Loop:
    """A run of a recipe on given data, as far as its loop in torch depends on either.

    Attributes
    ----------
    sgd : SGD or QHM
    steps : int
        Of the run.
    samples, features : int
        Number of samples, N, and of inputs, d.
    outputs : int
        Number of outputs, c.
    labels : bool
        Whether targets are labels, an output each, and not values.
    classes : tuple of int or str, optional
        The label of each output, where they are not those of the targets in sorted order.
    weighted : bool
        Whether the loss has a `sample_weight`.
    begins : bool
        Whether the run begins at weights that the caller has, called `start`, and not at zero.
    average : EMA or RunningAverage, optional
        Of the weights, with its steps known: what is trained.
    expected : float, optional
        Expected loss at the end, of the training data and with weight decay.
    spread : float, optional
        Standard deviation of that loss between runs.
    about : bool
        Whether the expected loss is an estimate.
    tails : bool
        Whether that loss may differ far more between runs, as it does near the stability limit.
    """

    sgd: Recipe
    steps: int
    samples: int
    features: int
    outputs: int
    labels: bool
    classes: tuple[Label, ...] | None = None
    weighted: bool = False
    begins: bool = False
    average: Average | None = None
    expected: float | None = None
    spread: float | None = None
    about: bool = False
    tails: bool = False

    losses: ClassVar[tuple[str, ...]] = tuple(LOSSES)
    """Those that `code` knows, the usual one first."""

    @classmethod
    def on(
        cls, problem: Posed, sgd: Recipe, steps: int, average: Average | None = None, *, begins: bool = False
    ) -> Loop:
        """Return the run of a recipe on a problem, as the recipe's batches see it; refuse one that does not fit.

        Raises
        ------
        InvalidInput
            For a schedule that ends before the run, an average that never begins, batches larger than the data.
        """
        sgd.sampling_factor(problem.population)
        counted = None if average is None else average.in_steps(sgd, problem.population)
        for part in (sgd.schedule, counted):
            if part is not None:
                part.refuse_beyond(steps)
        classes, weighted = problem.coding.classes, problem.sample_weight is not None
        told = None if classes is None or _as_found(classes, problem.targets) else classes
        sizes = problem.population, problem.features, problem.outputs
        return cls(sgd, steps, *sizes, classes is not None, told, weighted, begins, counted)

    def code(self, loss: object = "half", dtype: object = "float32") -> str:
        """Return the loop as text."""
        kind = LOSSES[choice("loss", loss, LOSSES)]
        written = _Written(self, kind, choice("dtype", dtype, DTYPES))
        body = list(written.lines())
        return "\n".join([*imports(body), "", *body, ""])


@dataclass(frozen=True)
class _Written:
    """The lines of a loop, with one loss, in one precision."""

    loop: Loop
    loss: Loss
    dtype: str

    @cached_property
    def sgd(self) -> Recipe:
        """The recipe with which this loss makes the run."""
        return self.loss.recipe(self.loop.sgd, self.loop.outputs)

    @property
    def drawn(self) -> bool:
        """Whether samples are drawn by weights."""
        return isinstance(self.sgd.sampling, WeightedSampling)

    @property
    def factors(self) -> bool:
        """Whether losses of samples have factors, `w`."""
        return self.loop.weighted or self.drawn

    def lines(self) -> Iterator[str]:
        """Yield all but the imports."""
        draws = Draws(self.sgd.batch_size, self.loop.steps, self.sgd.drop_last)
        yield from self._data()
        yield from (f"data = TensorDataset({', '.join(self._tensors)})", *batches(self.sgd.sampler, draws), "")
        yield from self._model()
        yield from self.loss.weighted if self.factors else self.loss.lines
        yield from training(self.sgd, ("batch", "target", "factor")[: len(self._tensors)], self.loop.average)
        whole = ["w * share" if self.drawn else "w"] * self.factors
        yield from result(self.sgd.weight_decay, ["y", *whole], self._expected)

    @property
    def _tensors(self) -> tuple[str, ...]:
        return ("x", "y", "w") if self.factors else ("x", "y")

    def _data(self) -> Iterator[str]:
        weights = ["weights"] * self.drawn + ["sample_weight"] * self.loop.weighted + ["start"] * self.loop.begins
        yield f"# given, as NumPy arrays: {', '.join(['inputs', 'targets', *weights])}"
        yield "torch.manual_seed(0)"
        yield f"x = torch.tensor(np.asarray(inputs, np.{self.dtype}))"
        yield "y = np.asarray(targets)"
        if self.loop.labels:
            yield from self._columns()
        yield f"y = torch.tensor(y.reshape(len(x), -1).astype(np.{self.dtype}))"
        yield from self._held()
        if self.loop.weighted:
            yield "sample_weight = np.asarray(sample_weight, np.float64)"
            yield "w = torch.tensor(sample_weight / sample_weight.mean()).to(x)"
        yield from chances(self.sgd.sampler, self.loop.weighted)

    def _held(self) -> Iterator[str]:
        """Refuse arrays of other sizes than the problem's, such as a file's of which some samples were chosen."""
        loop = self.loop
        sizes = f"({loop.samples}, {loop.features})", f"({loop.samples}, {loop.outputs})"
        yield f"if x.shape != {sizes[0]} or y.shape != {sizes[1]}:"
        yield from refused("{x.shape}, {y.shape}", ", ".join(sizes))

    def _columns(self) -> Iterator[str]:
        classes = self.loop.classes
        if classes is None:
            yield "if y.size == len(y):  # labels: an output for each, in sorted order"
            yield "    y = y.reshape(-1, 1) == np.unique(y)"
            return
        named, compared = comparison(classes)
        yield from named
        yield "if y.size == len(y):  # labels: an output for each"
        yield f"    y = y.reshape(-1, 1){compared}"

    def _model(self) -> Iterator[str]:
        yield from assigned("model = torch.nn.Linear(x.shape[1], y.shape[1], bias=False, dtype=x.dtype)")
        if self.loop.begins:
            yield "with torch.no_grad():"
            yield "    model.weight.copy_(torch.tensor(np.asarray(start)))"
        else:
            yield "torch.nn.init.zeros_(model.weight)"
        yield from optimizer(self.sgd)
        yield from scheduler(self.sgd.schedule, self.sgd.lr, self.loop.steps)
        yield from averaged(self.loop.average)

    @property
    def _expected(self) -> str:
        loop, times = self.loop, self.loss.times(self.loop.outputs)
        if loop.expected is None:
            return ""
        about, runs = ("about ", "") if loop.about else ("", " between runs")
        more = " or more" if loop.tails else ""
        spread = "" if loop.spread is None else f" +- {times * loop.spread:.2g}{more}{runs}"
        return f", predicted {about}{times * loop.expected:.6g}{spread}"


def _as_found(classes: tuple[Label, ...], targets: AnyArray) -> bool:
    """Whether sorting the labels of the targets gives the classes: each has a sample, and they are in that order."""
    return list(classes) == sorted(classes) and bool((targets != 0).any(axis=0).all())
