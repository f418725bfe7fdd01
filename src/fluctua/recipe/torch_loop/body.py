"""What every loop in torch has alike: how its labels become columns, its training, and the loss that it prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..._validate.targets import Label
from ..averages import Average
from ..sgd import Recipe
from .averages import updated
from .layout import WIDTH, assigned, number, where
from .rates import rhythm

__all__ = ["comparison", "result", "training"]


def comparison(classes: Sequence[Label]) -> tuple[list[str], str]:
    """Return the lines that name the classes, and what one writes behind a column of labels to compare them."""
    text = ".astype(str)" if isinstance(classes[0], str) else ""
    return assigned(f"classes = [{', '.join(map(repr, classes))}]"), f"{text} == np.array(classes)"


def training(sgd: Recipe, names: Sequence[str], average: Average | None = None) -> Iterator[str]:
    """Yield the loop over batches of these names, the inputs first; what follows them goes to the loss."""
    update, every = updated(average), 1 if sgd.schedule is None else rhythm(sgd.schedule)[1]
    counted, told = every > 1 or bool(update and update[0]), ", ".join(names)
    yield f"for step, ({told}) in enumerate(batches, 1):" if counted else f"for {told} in batches:"
    yield f"    loss = loss_of({', '.join(['model(batch)', *names[1:]])})"
    yield from ("    optimizer.zero_grad()", "    loss.backward()", "    optimizer.step()")
    if sgd.schedule is not None:
        yield from where(f"step % {every} == 0" if every > 1 else "", "scheduler.step()")
    if update is not None:
        yield from where(*update)
        yield "model = average.module  # the averaged weights"


def result(weight_decay: float, given: Sequence[str], expected: str) -> Iterator[str]:
    """Yield the loss of all data, of what is given beside the outputs, and its print beside what is expected."""
    yield from ("", "with torch.no_grad():", f"    loss = loss_of({', '.join(['model(x)', *given])})")
    if weight_decay:
        yield f"    loss += {number(weight_decay)} / 2 * (model.weight**2).sum()"
    text = f'f"loss {{loss:.6g}}{expected}"'
    yield from [f"print({text})"] if len(text) <= WIDTH - len("print()") else ["print(", f"    {text}", ")"]
