"""Figures of a verdict: mode variances and the ladder, F0 element by element, the learning curve; and of the noise.

Everything is drawn from what a result keeps, so a saved result gives the same files again, to the byte.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Hashable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..._validate.values import choice
from ...planning.swept import Sweep
from ...storage.writing import save_with, writable_directory
from ...verification.conclusion import StatementVerdict
from ...verification.in_time.verdict import DynamicVerdict
from ...verification.noise_found import GradientNoise
from ...verification.verdict import Verdict
from .fit import refuse_cut
from .register import Pictures, figure_names, pictures
from .sheet import Sheet, settle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "draw", "draw_svg", "figure_names", "pictures", "save_figures", "save_pictures"]

FORMATS: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""File formats, each with what to leave out of its metadata so that the same verdict gives the same bytes."""

Drawn = Verdict | DynamicVerdict | StatementVerdict | GradientNoise | Sweep
"""Results that have figures of files."""

_SVG: WeakKeyDictionary[Hashable, dict[str, str]] = WeakKeyDictionary()
_BACKGROUND = re.compile(r'(<g id="(?:figure|axes)_\d+">\s*<g id="patch_\d+">\s*<path [^>]*style="fill: )#ffffff')


def draw(verdict: Drawn) -> dict[str, Figure]:
    """Return the figures of a verdict, a sweep or the gradient noise, by name.

    modes
        Mode variances S_pp against curvature h_p, measured (95 % intervals) and on every rung of the ladder; below,
        the same divided by the theory under test.
    balance
        F0 element by element: dissipation against fluctuation, both measured along the trajectory. Pairs of modes
        are mostly noise one by one, so their means over groups of similar fluctuation are drawn as well.
    curve
        Predicted learning curve through the replicas' mean (95 % intervals) and their 5 to 95 % band.
    regression
        In time: correlation of some modes with themselves, and the answer to a kick, against the lag (F20).
    response
        In time: correlation against S times the response, both measured, element by element.
    circulation
        In time: J predicted beside measured. With one mode there is none.
    current
        In time: probability current over the density, in the plane of the two modes with the largest circulation; not
        with Nesterov's step, whose chain is not that of the weights.
    noise
        The gradient noise: its variances, memory and kurtosis, measured and predicted.
    sweep
        Predicted loss through the measured means (95 % intervals) against the learning rate, a colour for each batch
        size and a panel for each value of the other parameters; the noise floor, and marks for the limit of stability.

    Those of a study are on its page; statements, every number of every statement in standard errors, is every study's.

    Values that are not finite, or that an axis cannot hold, are left out.

    Parameters
    ----------
    verdict : Verdict, DynamicVerdict, StatementVerdict, GradientNoise or Sweep
        From `verify`, `verify_dynamic`, a study, `gradient_noise`, `sweep` or their `load`.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        Without pyplot: nothing is shown, and no global state changes.

    Notes
    -----
    Cost: under a second.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=32, rng=1)
    >>> from fluctua.report.figures import draw
    >>> sorted(draw(verdict))
    ['balance', 'curve', 'modes']
    """
    sheet = Sheet()
    with sheet.settings():
        return {name: make(sheet) for name, make in pictures(verdict).items()}


def draw_svg(verdict: Drawn, prefix: str = "") -> dict[str, str]:
    """Return the figures of `draw` as SVG elements to be put into a page.

    Their backgrounds are transparent, and `prefix` and the figure's name begin every id, so that several figures can
    share a page.
    """
    sheet = Sheet()
    with sheet.settings():
        return {
            name: _inline(_svg(verdict, name, partial(_finished, make, sheet, name)), f"{prefix}{name}-")
            for name, make in pictures(verdict).items()
        }


def _inline(text: str, prefix: str) -> str:
    element = _BACKGROUND.sub(r"\g<1>none", text[text.index("<svg") :])
    return re.sub(r'((?: id=")|(?:href="#)|(?:url\(#))', rf"\g<1>{prefix}", element)


def _svg(result: Hashable, name: str, finished: Callable[[], Figure]) -> str:
    """The figure as it is saved; drawn once for the file and for the page of a result."""
    kept = _SVG.setdefault(result, {})
    if name not in kept:
        buffer = io.StringIO()
        finished().savefig(buffer, format="svg", metadata=FORMATS["svg"])
        kept[name] = buffer.getvalue()
    return kept[name]


def save_figures(
    verdict: Drawn,
    directory: Path | str,
    formats: Sequence[str] = ("png", "svg"),
    *,
    progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """Write the figures of `draw` into a directory, and return the files' paths.

    Parameters
    ----------
    verdict : Verdict, DynamicVerdict, StatementVerdict, GradientNoise or Sweep
        From `verify`, `verify_dynamic`, a study, `gradient_noise`, `sweep` or their `load`.
    directory : path
        It is made if it is missing.
    formats : sequence of str
        Of png, svg and pdf.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    list of Path
        One for each figure and format.

    Raises
    ------
    InvalidInput
        Before anything is written, for a directory that is no path, and, as `UnknownName`, for a format other than png,
        svg and pdf.
    OutputError
        If a file cannot be written; each is written whole or not at all.

    Notes
    -----
    Cost: about a second for each format.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=32, rng=1)
    >>> from tempfile import TemporaryDirectory
    >>> from fluctua.report.figures import save_figures
    >>> with TemporaryDirectory() as place:
    ...     print([path.name for path in save_figures(verdict, place, formats=["svg"])])
    ['modes.svg', 'balance.svg', 'curve.svg']
    """
    return save_pictures(verdict, directory, formats, progress=progress)


def save_pictures(
    result: Drawn,
    directory: Path | str,
    formats: Sequence[str] = ("png", "svg"),
    *,
    names: Sequence[str] = (),
    sheet: Sheet | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """Write the figures of a result, all or those of some `names`, as large as the `sheet` says; as `save_figures`."""
    every = pictures(result)
    wanted = [choice("figure", name, every) for name in names] or list(every)
    return _save(result, {name: every[name] for name in wanted}, directory, formats, sheet or Sheet(), progress)


def _save(
    result: Hashable,
    makers: Pictures,
    directory: Path | str,
    formats: Sequence[str],
    sheet: Sheet,
    progress: Callable[[float], None] | None,
) -> list[Path]:
    kinds = [choice("figure format", kind, FORMATS) for kind in formats]
    place, paths = writable_directory(directory), []
    with sheet.settings():
        for name, make in makers.items():
            finished = cache(partial(_finished, make, sheet, name))  # one for all formats
            for kind in kinds:
                paths.append(place / f"{name}.{kind}")
                save_with(paths[-1], _writer(result, name, kind, finished, sheet))
                if progress:
                    progress(len(paths) / (len(makers) * len(kinds)))
    return paths


def _finished(make: Callable[[Sheet], Figure], sheet: Sheet, name: str) -> Figure:
    """The figure with everything in its place; refused where a size was asked for that cuts something."""
    figure = make(sheet)
    if sheet.width is not None:
        refuse_cut(figure, name)
    settle(figure)
    return figure


def _writer(
    result: Hashable, name: str, kind: str, finished: Callable[[], Figure], sheet: Sheet
) -> Callable[[IO[bytes]], object]:
    """What writes a figure in one format."""
    if kind == "svg" and sheet == Sheet():
        text = _svg(result, name, finished).encode()
        return lambda handle: handle.write(text)
    return partial(finished().savefig, format=kind, metadata=FORMATS[kind])
