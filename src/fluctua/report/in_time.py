"""What the page says of one dynamic verdict, as values for the template to lay out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..verification.in_time.verdict import DynamicVerdict
from .numbers import dynamic_tables
from .on_page import OnPage, data_options, has_options, learned_from, recipe_options, repeat, strictness
from .reservations import FEW, dull, near
from .words import name_words

__all__ = ["SectionInTime"]


@dataclass(frozen=True)
class SectionInTime(OnPage):
    """A dynamic verdict on the page; it has no explorer."""

    verdict: DynamicVerdict
    survey: ClassVar = None

    CAPTIONS: ClassVar = {
        "regression": "Onsager's regression: how a spontaneous fluctuation of a mode decays, and how a kick does, in "
        "twins of the runs that share their batches.",
        "response": "Correlation against response, both measured, element by element: the theorem, with no theory "
        "in it.",
        "circulation": "The circulation J, predicted beside measured: in equilibrium there would be none.",
        "current": "Probability current in the plane of the two modes with the largest circulation, over the density.",
    }

    def tables(self) -> dict[str, dict[str, str]]:
        """Return for each figure the table behind it: file name to CSV."""
        return {name: {f"{name}.csv": text} for name, text in dynamic_tables(self.verdict).items()}

    @property
    def title(self) -> str:
        """The data and the recipe."""
        return f"{name_words(self.verdict)}, in time: {self.verdict.run.recipe.words}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was run, on what, with what."""
        run = self.verdict.run
        lags = ", ".join(str(lag) for lag in run.lags)
        return [
            *learned_from(self.verdict),
            ("Recipe", self.verdict.run.recipe.words),
            ("Run", f"{run.steps} steps x {run.replicas} replicas from W*, seed {run.entropy}"),
            ("Seen", f"the {run.modes} steepest modes from step {run.opened} on, {lags} steps apart"),
            *self.origin,
        ]

    @property
    def caveats(self) -> list[str]:
        """What to keep in mind about this run."""
        return list(self._caveats())

    def _caveats(self) -> Iterator[str]:
        verdict, run = self.verdict, self.verdict.run
        if not verdict.sharp:
            yield dull(verdict.resolution)
        if run.replicas < FEW:
            yield f"Error bars come from {run.replicas} replicas: few, so uncertain themselves."
        if not verdict.circulation.resolvable:
            yield _unresolved(bool(verdict.circulation.predicted))
        yield from near(verdict)
        yield (
            "Entropy production is that of the Gaussian process with SGD's second moments; the modes that were not "
            "looked at can only add to it."
        )

    @property
    def command(self) -> str:
        """The command that repeats the run on the same data; empty where it takes more than a command."""
        run = self.verdict.run
        if not has_options(self.verdict):
            return ""
        asked = {
            **data_options(self.verdict),
            **recipe_options(run.recipe),
            **{name: getattr(run, name) for name in ("steps", "replicas", "modes")},
            "lags": ",".join(str(lag) for lag in run.lags),
            "seed": run.entropy,
            **strictness(self.verdict),
        }
        return repeat(f"fluctua verify {self.named or 'DATA'} --dynamic", asked)


def _unresolved(predicted: bool) -> str:
    """Why the runs do not tell SGD from equilibrium."""
    if predicted:
        return "The current is below what these runs can see, so that they do not tell SGD from equilibrium."
    return "Theory predicts no current, so that there is none to tell SGD from equilibrium by."
