"""What the page says of the verdict of a study, as values for the template to lay out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..verification.conclusion import StatementVerdict
from .figures.studied import StudyPage, page_of
from .on_page import OnPage, repeat

__all__ = ["SectionOfStudy"]


@dataclass(frozen=True)
class SectionOfStudy(OnPage):
    """The verdict of a study on the page; it has no explorer."""

    verdict: StatementVerdict
    survey: ClassVar = None

    @property
    def shown(self) -> StudyPage:
        """How the study is shown."""
        return page_of(self.verdict)

    @property
    def captions(self) -> Mapping[str, str]:
        """Of each figure."""
        return {name: drawn.caption for name, drawn in self.shown.figures.items()}

    def tables(self) -> dict[str, dict[str, str]]:
        """Return for each figure the tables behind it: file name to CSV."""
        return {
            name: {f"{table}.csv": self.verdict.to_csv(table=table) for table in drawn.tables}
            for name, drawn in self.shown.figures.items()
        }

    @property
    def title(self) -> str:
        """The study, and what it looked at."""
        return f"{self.verdict.study.capitalize()}: {self.verdict.title}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was run, with what."""
        run = self.verdict.run
        replicas = f" x {run.replicas:,} replicas" if run.replicas else ""
        ran = [("Run", f"{run.steps:,} steps{replicas}, seed {run.entropy}")] if run.steps else []
        return [*self.verdict.facts.items(), *ran, *self.origin]

    @property
    def caveats(self) -> list[str]:
        """What to keep in mind about this run."""
        unresolved = [row.name for row in self.verdict.having("unresolved")]
        told = f"These runs are too short to tell from the law under test: {', '.join(unresolved)}."
        return [told] if unresolved else []

    @property
    def named(self) -> str:
        """Nothing: the command says all."""
        return "study"

    @property
    def command(self) -> str:
        """The command that repeats the run; empty where it takes more than a command."""
        command = self.verdict.identity.get("command")
        return repeat(f"fluctua study {command}", {"seed": self.verdict.run.entropy}) if command else ""
