"""Runs on least squares: the weights about W*, seen in the modes, and F0 along the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._arrays import AnyArray, Array
from .._validate.plain import Header
from ..errors import InvalidInput
from ..kernels.constant import gradient_step
from ..kernels.flow import langevin_flow
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.sgd import Recipe
from .arithmetic import Arithmetic
from .batches import Draws
from .needs import refuse_runs
from .precision import simulation_dtype
from .records import Book, quadratic_losses
from .runs import Asked, Runs
from .steppers import Stepper, slots, stepper
from .tally import Tally
from .thermal import refuse_heat

__all__ = ["SquaresRuns"]


class SquaresRuns(Runs):
    """Those of least squares."""

    problem: LeastSquares

    @classmethod
    def of(cls, problem: LeastSquares, sgd: Recipe, asked: Asked) -> SquaresRuns:
        """Refuse what does not fit, and choose the precision."""
        if asked.control is not None:
            raise InvalidInput(
                f"control={asked.control!r} is a twin that follows the quadratic of the loss, and least squares are "
                f"their own quadratic: the twin would be the run. Leave control out; the prediction is exact."
            )
        if asked.burn_in:
            raise InvalidInput(
                f"burn_in = {asked.burn_in} waits for a stationary state, and of least squares the law at finite "
                f"time is exact: there is nothing to wait for. Leave it out."
            )
        if asked.dynamics != "sgd":
            refuse_heat(sgd, f"dynamics={asked.dynamics!r} moves the weights by another noise than the batches'")
        window = asked.window(sgd, problem.samples, problem.rank)
        asked.refuse_beyond(sgd, problem.population)
        begin = Start.at(problem.minimum(sgd.weight_decay), asked.start)
        rows = (sgd.batch_size or problem.rank) if asked.dynamics == "sgd" else problem.samples
        refuse_runs(problem, window, asked.replicas, asked.workers, rows, asked.device)
        dtype = simulation_dtype(asked.dtype, problem, sgd, window.steps, begin, asked.average, asked.dynamics)
        found = cls(problem, sgd, asked, window, dtype)
        found.step_flops = 4.0 * rows * problem.outputs * problem.features
        found._hold(begin)
        return found

    def _hold(self, begin: Start | None) -> None:
        self.begin, self.minimum = begin, self.problem.minimum(self.sgd.weight_decay)
        self.arithmetic = self._arithmetic()
        self.modes = self.arithmetic.given(self.problem.modes, self.dtype)
        self.curvatures = self.arithmetic.given(self.minimum.curvatures)
        self._move = self._stepper()

    def _stepper(self) -> Stepper:
        """What moves the weights."""
        asked = self.asked
        return stepper(self.problem, self.sgd, asked.dynamics, self.dtype, asked.average, self.look_up)

    def _arithmetic(self) -> Arithmetic:
        """What the records are made with."""
        return Arithmetic()

    @property
    def rows(self) -> int:
        """Of which batches are drawn: the samples, or the rows that stand for all of them."""
        return self.problem.rank if self.sgd.batch_size is None else self.problem.samples

    def advance(self, state: AnyArray, draws: Draws, steps: int, begin: int) -> None:
        """Advance a state, (`slots`, replicas, c, d), in place."""
        self._move(state, draws, steps, begin)

    def begun(self, replicas: int) -> tuple[Any, Book]:
        """Return a state at the start, and an empty book."""
        return self._started(replicas), self._book(replicas)

    def _started(self, replicas: int) -> Any:
        shape = slots(self.sgd, self.asked.average), replicas, self.problem.outputs, self.problem.features
        state = self.arithmetic.state(*shape, dtype=self.dtype)
        if self.begin is not None:
            state[0] += self.arithmetic.given(self.begin.displacement(self.problem.modes), self.dtype)
        self.observed(state)[:] = state[0]  # before the first update an average is the start
        return state

    def _book(self, replicas: int) -> Book:
        return Book(self.problem.outputs, self.problem.rank, self.window, replicas, self.arithmetic)

    def observed(self, state: Any) -> Any:
        """What is looked at of a state: the weights that the step shows about W*, or their average."""
        if self.asked.average is not None or not self.sgd.tempered or len(state) == 1:
            return super().observed(state)
        return self.arithmetic.summed(self.sgd.step.later.shown(self.sgd.lr).astype(self.dtype), state)

    def look(self, book: Book, step: int, state: Any) -> None:
        """Show a chunk's replicas to its book, in the modes."""
        v, arithmetic = self.observed(state), self.arithmetic
        inside = arithmetic.wide(v @ self.modes)
        outside = 0.0
        placed = self.begin is not None or self.sgd.tempered
        if placed and self.sgd.weight_decay:  # only weight decay knows what lies outside the modes
            rest = arithmetic.contracted("rcd,rcd->r", v, v) - arithmetic.contracted("rcp,rcp->r", inside, inside)
            outside = 0.5 * self.sgd.weight_decay * rest
        book.look(step, inside, quadratic_losses(inside, self.curvatures, arithmetic) + outside)

    def tally(self, kept: Path | None, identity: Header) -> Tally:
        """Return the sums over the chunks so far: those that a checkpoint holds, or none yet."""
        empty = Tally(self.window.recorded, self.window.opened, self.window.watched)
        if kept is None:
            return empty
        return empty.loaded(kept, identity, self.problem.outputs, self.problem.rank)

    @property
    def gap(self) -> Array | None:
        """1 - m_p m_q of the dynamics' own step; none with momentum, an average, a schedule or epochs."""
        sgd, asked = self.sgd, self.asked
        if slots(sgd, asked.average) > 1 or sgd.schedule is not None or sgd.epochs:
            return None
        kernel = langevin_flow if asked.dynamics == "langevin" else gradient_step
        return kernel(self.minimum.curvatures, sgd.lr).gap()
