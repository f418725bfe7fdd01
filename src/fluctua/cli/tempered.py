"""A sampler as the command line has it: its options, and the recipe that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from .._validate.plain import Keywords
from .._validate.values import choice, real_number
from ..errors import InvalidInput
from ..recipe.reading import OPTIMISERS, read_recipe
from ..recipe.sgd import Recipe
from .helped import among, grouped

__all__ = ["METHODS", "TEMPERED", "asked_sampler", "sampler_options"]

METHODS = {name.lower(): name for name, kind in OPTIMISERS.items() if kind.tempered}
TEMPERED = ("method", "noise_variance", "temperature", "prior_variance", "friction", "beta", "full_batch")
_OWN = ("friction", "beta")

sampler_options = grouped(
    "Sampler",
    click.option("--method", shell_complete=among(tuple(METHODS)), help=f"One of {', '.join(METHODS)}."),
    click.option("--noise-variance", type=float, help="Of the targets, s2: the temperature is s2/N."),
    click.option("--temperature", type=float, help="T of the target exp(-L/T), instead."),
    click.option("--prior-variance", type=float, help="Of each weight: --weight-decay is T over it."),
    click.option("--friction", type=float, help="Of a sampler with a momentum."),
    click.option("--beta", type=float, help="Of sghmc: what the estimate of the noise takes off.  [default: 0]"),
    click.option("--full-batch", is_flag=True, help="Every sample in every step, instead of --batch-size."),
)


def asked_sampler(problem: Any, options: Keywords, refused: Sequence[str]) -> Recipe | None:
    """Return the sampler that --method asks for, or None without one; takes its options out of `options`.

    `refused` names options that a sampler has not.
    """
    given = {name: options.pop(name) for name in TEMPERED if name in options}
    asked = {name: value for name, value in given.items() if _said(value)}
    if "method" not in asked:
        if asked:
            raise InvalidInput(f"{_option(next(iter(asked)))} is of a sampler: name one by --method, as --method sgld.")
        return None
    name = METHODS[choice("method", str(asked.pop("method")).lower(), METHODS)]
    for other in refused:
        if _said(options[other]) and options[other] not in ("SGD", "constant"):
            raise InvalidInput(f"{_option(other)} is no option of --method {name.lower()}: leave it out.")
    return _read(name, problem, asked, options)


def _read(name: str, problem: Any, asked: Keywords, options: Keywords) -> Recipe:
    if options["lr"] is None:
        raise InvalidInput(
            f"--method {name.lower()} needs --lr, the step; `fluctua sampler DATA --method {name.lower()} --inflation "
            f"1.05` finds the step for draws that are 5 % too wide."
        )
    known = {each.name for each in fields(OPTIMISERS[name])}
    if "full_batch" in asked or "batch_size" not in known:
        _refuse_batches("--full-batch" if "full_batch" in asked else f"--method {name.lower()}")
    temperature = _temperature(asked, problem.samples)
    for own in _OWN:
        if own in asked and own not in known:
            raise InvalidInput(f"{_option(own)} is no option of --method {name.lower()}: leave it out.")
    if "friction" in known and "friction" not in asked:
        raise InvalidInput(f"--method {name.lower()} has a momentum: give its --friction, as --friction 1.")
    recipe = {
        "lr": options["lr"],
        "temperature": temperature,
        "weight_decay": _decay(asked, options["weight_decay"], temperature),
        "batch_size": None if asked.get("full_batch") else options["batch_size"],
        "sampling": options["sampling"],
        **{own: asked[own] for own in _OWN if own in asked},
    }
    return read_recipe({"optimizer": name, **{each: value for each, value in recipe.items() if each in known}})


def _refuse_batches(full: str) -> None:
    """Refuse what says how some samples are drawn, beside `full`, which takes all of them."""
    for name in ("batch_size", "sampling"):
        if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InvalidInput(f"{full} takes every sample in every step: leave {_option(name)} out.")


def _temperature(asked: Keywords, samples: int) -> float:
    """T = s2/N, or as given."""
    both = [name for name in ("noise_variance", "temperature") if name in asked]
    if len(both) != 1:
        raise InvalidInput(
            f"a sampler needs its temperature once: --noise-variance s2, of the targets, for T = s2/N, or "
            f"--temperature T; got {' and '.join(map(_option, both)) or 'neither'}."
        )
    value = real_number(_option(both[0]), asked[both[0]], minimum=0.0)
    return value / samples if both[0] == "noise_variance" else value


def _decay(asked: Keywords, weight_decay: float, temperature: float) -> float:
    """Weight decay as given, or that of a prior's variance."""
    if "prior_variance" not in asked:
        return weight_decay
    if weight_decay:
        raise InvalidInput(
            f"--prior-variance {asked['prior_variance']:g} says what --weight-decay {weight_decay:g} is: give one."
        )
    return temperature / real_number("--prior-variance", asked["prior_variance"], above=0.0)


def _said(value: object) -> bool:
    """Whether an option was given: a 0 was, though it equals False."""
    return value is not None and value is not False


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
