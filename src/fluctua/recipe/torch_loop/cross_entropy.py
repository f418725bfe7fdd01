"""A run of a recipe on a softmax head as a loop in torch that can be pasted: `nn.CrossEntropyLoss`, weights of zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ..._arrays import Array
from ..._validate.targets import Label
from ..._validate.values import choice
from ...errors import InvalidInput
from ..sampling import WeightedSampling
from ..sgd import Recipe
from .body import comparison, result, training
from .layout import assigned, imports, refused
from .loop import DTYPES
from .optimizers import optimizer
from .rates import scheduler
from .sampled import Draws, batches

__all__ = ["HeadLoop"]


class PosedHead(Protocol):
    """What a loop needs to know of a softmax head."""

    classes: tuple[Label, ...]
    factors: Array | None

    @property
    def population(self) -> int:
        """Number of samples, N."""

    @property
    def features(self) -> int:
        """Number of inputs, d."""


@dataclass(frozen=True)
class HeadLoop:
    """A run of a recipe on a softmax head, as far as its loop in torch depends on either.

    Attributes
    ----------
    sgd : SGD or QHM
    steps : int
        Of the run.
    samples, features : int
        Number of samples, N, and of inputs, d.
    classes : tuple of int or str
        The label of each output.
    soft : bool
        Whether the targets are rows of probabilities, and no labels.
    expected, spread : float, optional
        Loss at the end, with weight decay, and how far a run may be from that.
    tails : bool
        Whether some runs are far more, as where a small last batch overshoots.
    """

    sgd: Recipe
    steps: int
    samples: int
    features: int
    classes: tuple[Label, ...]
    soft: bool = False
    expected: float | None = None
    spread: float | None = None
    tails: bool = False

    losses: ClassVar[tuple[str, ...]] = ("cross_entropy",)
    """Those that `code` knows, the usual one first."""

    @classmethod
    def on(cls, problem: PosedHead, sgd: Recipe, steps: int) -> HeadLoop:
        """Return the run of a recipe on a softmax head; refuse one that does not fit.

        Raises
        ------
        InvalidInput
            For a schedule that ends before the run, samples that count unequally, and batches larger than the data.
        """
        sgd.sampling_factor(problem.population)
        if problem.factors is not None or isinstance(sgd.sampling, WeightedSampling):
            raise InvalidInput("a loop of a head whose samples or classes have weights is not written.")
        if sgd.schedule is not None:
            sgd.schedule.refuse_beyond(steps)
        return cls(sgd, steps, problem.population, problem.features, problem.classes)

    def code(self, loss: object = "cross_entropy", dtype: object = "float32") -> str:
        """Return the loop as text."""
        choice("loss", loss, self.losses)
        body = list(self._lines(choice("dtype", dtype, DTYPES)))
        return "\n".join([*imports(body), "", *body, ""])

    def _lines(self, dtype: str) -> Iterator[str]:
        """Yield all but the imports."""
        yield from self._data(dtype)
        yield "data = TensorDataset(x, y)"
        yield from batches(self.sgd.sampler, Draws(self.sgd.batch_size, self.steps, self.sgd.drop_last))
        yield ""
        yield from assigned(f"model = torch.nn.Linear({self.features}, {len(self.classes)}, bias=False, dtype=x.dtype)")
        yield "torch.nn.init.zeros_(model.weight)"
        yield from optimizer(self.sgd)
        yield from scheduler(self.sgd.schedule, self.sgd.lr, self.steps)
        yield from ("loss_of = torch.nn.CrossEntropyLoss()", "")
        yield from training(self.sgd, ("batch", "target"))
        yield from result(self.sgd.weight_decay, ("y",), self._told)

    def _data(self, dtype: str) -> Iterator[str]:
        yield "# given, as NumPy arrays: inputs, targets"
        yield "torch.manual_seed(0)"
        yield f"x = torch.tensor(np.asarray(inputs, np.{dtype}))"
        yield from self._chances(dtype) if self.soft else self._labels()

    def _chances(self, dtype: str) -> Iterator[str]:
        yield f"y = torch.tensor(np.asarray(targets, np.{dtype}))"
        sizes = f"({self.samples}, {self.features})", f"({self.samples}, {len(self.classes)})"
        yield f"if x.shape != {sizes[0]} or y.shape != {sizes[1]}:"
        yield from refused("{x.shape}, {y.shape}", ", ".join(sizes))

    def _labels(self) -> Iterator[str]:
        named, compared = comparison(self.classes)
        yield from named
        yield f"y = np.asarray(targets).reshape(len(x), -1){compared}"
        yield f"if x.shape != ({self.samples}, {self.features}) or not y.any(axis=1).all():"
        yield from refused("{x.shape}, {np.unique(targets)}", f"({self.samples}, {self.features}), {{classes}}")
        yield "y = torch.tensor(y.argmax(axis=1))"

    @property
    def _told(self) -> str:
        if self.expected is None:
            return ""
        return f", predicted about {self.expected:.6g} +- {self.spread:.2g}{' or more' * self.tails}"
