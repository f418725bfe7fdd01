"""Every public name says what it is: numpydoc's checks where they fit, and what numpydoc does not look at.

A public name is one of `fluctua.__all__`, of `fluctua.schedules`, of `fluctua.errors` and of `fluctua.report`, what the
documentation's reference has beside them, and every method and property of a public class. What is asked depends on
its kind, and a check that is not asked is left out for a reason:

- GL01, GL02 (where the quotes stand): the house style begins with the summary and lets one line be one line.
- ES01, SA01 (an extended summary, See Also): the pages of the documentation lead from one name to the next.
- PR, RT of a property: it has no parameters, and its summary says what is returned, with shape and unit.
- PR of a class that a function makes (`made by`): nobody calls its constructor; its fields are Attributes.
- RT of a method without parameters whose one line begins with "Return": that line is the section.
- PR, RT of a method that overrides a documented one: the base has the contract.
- Raises of a method or property without arguments: what could be wrong was refused when the object was made.
- EX of methods and exceptions: the example of the class, or of the function that raises, shows them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from importlib import import_module
from importlib.util import find_spec

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import fluctua as fl
from fluctua import report
from fluctua.report import figures
from fluctua.report.explorer import ranges
from fluctua.studies import adaptive, diffusion, layers
from fluctua.verification import conclusion
from helpers.raising import ERRORS, constructed, raised

LAYOUT = {"GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10", "SS01", "SS02", "SS03", "SS04", "SS06"}
"""Sections in order, no double blank lines, a summary: one line, a capital at its start, a period at its end."""
PARAMETERS = {"PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR08", "PR09", "PR10"}
RETURNS = {"RT01", "RT02", "RT03", "RT04", "RT05", "YD01"}
COST = re.compile(r"\b(costs?|flops|pass(es)?|bytes|free|as long as|memory|seconds)\b", re.IGNORECASE)
UNCOUNTED = {"read_schedule"}
"""Functions that compute nothing."""
RULED_OUT = {
    "rehearse": {"OutputError", "ResultError"},  # its simulations keep no checkpoint
    "lagged_covariance": {"NotConverged"},  # of the limit of shuffled epochs, which are refused before
    "effective_temperatures": {"NotConverged"},
    "largest_square": {"InvalidInput"},  # of a width, which is a shape's
    "torch_code": {"NotConverged"},  # of a stationary state: the prediction is of a run
    "probe": {"CorruptData", "DataUnavailable", "MissingPackage", "OutputError"},  # its arrays are in memory
    "draw": {"InvalidInput", "UnknownName", "UnknownRow"},  # a verdict has the rows that its figures show
}
"""What the source lets a function raise, and what it does before rules out."""


def public(where, names):
    return {f"{where}.{name}": getattr(module, name) for module in [MODULES[where]] for name in names}


MODULES = {
    "fluctua": fl,
    "fluctua.schedules": fl.schedules,
    "fluctua.errors": fl.errors,
    "fluctua.plot": fl.plot,
    "fluctua.report": report,
    "fluctua.report.figures": figures,
    "fluctua.studies.adaptive": adaptive,
    "fluctua.verification.conclusion": conclusion,
    "fluctua.report.explorer.ranges": ranges,
    "fluctua.studies.layers": layers,
    "fluctua.studies.diffusion": diffusion,
}
if find_spec("torch"):
    MODULES["fluctua.torch"] = import_module("fluctua.torch")
REFERENCE = {
    "fluctua.report.figures": ["draw", "save_figures"],
    "fluctua.report.explorer.ranges": ["surveyed"],
    "fluctua.verification.conclusion": ["StatementVerdict"],
}
"""What the documentation's reference has of modules whose other names it leaves out."""
NAMES = {
    place: value
    for where, module in MODULES.items()
    for place, value in public(where, REFERENCE.get(where, module.__all__)).items()
    if inspect.isclass(value) or inspect.isfunction(value)
}
FUNCTIONS = [place for place, value in NAMES.items() if inspect.isfunction(value)]
CLASSES = [place for place, value in NAMES.items() if inspect.isclass(value) and not issubclass(value, BaseException)]
EXCEPTIONS = [place for place in NAMES if place not in FUNCTIONS + CLASSES]
MADE = [place for place in CLASSES if "made by `" in inspect.getdoc(NAMES[place])]
"""Classes that are results: a function makes them."""


def members():
    """Every method and property of the public classes, at the class that has it first."""
    found = {}
    for place in CLASSES:
        for kind in NAMES[place].__mro__:
            for name, value in vars(kind).items() if kind.__module__.startswith("fluctua") else ():
                if not name.startswith("_") and (callable(value) or hasattr(value, "__get__")):
                    found[f"{kind.__module__}.{kind.__qualname__}.{name}"] = (kind, name)
    return found


MEMBERS = members()


def is_method(place):
    kind, name = MEMBERS[place]
    return inspect.isfunction(getattr(kind, name)) or inspect.ismethod(getattr(kind, name))


def overrides(place):
    kind, name = MEMBERS[place]
    return any(name in vars(base) and base.__module__.startswith("fluctua") for base in kind.__mro__[1:])


METHODS = [place for place in MEMBERS if is_method(place)]
PROPERTIES = [place for place in MEMBERS if place not in METHODS]


def failures(place, asked):
    return [f"{code}: {text}" for code, text in validate(place)["errors"] if code in asked]


def sections(value):
    return NumpyDocString(inspect.getdoc(value) or "")


def unnamed(text, found):
    """Exceptions of `found` that Raises names neither themselves nor by a base."""
    text = " ".join(entry.type or entry.name for entry in NumpyDocString(text)["Raises"])
    named = tuple(kind for name, kind in ERRORS.items() if re.search(rf"\b{name}\b", text) and name != "FluctuaError")
    return sorted(name for name in found if not issubclass(ERRORS[name], named))


@pytest.mark.parametrize("place", FUNCTIONS)
def test_a_function_documents_what_it_takes_gives_and_costs(place):
    assert not failures(place, LAYOUT | PARAMETERS | RETURNS | {"EX01"})
    function = NAMES[place]
    found = raised(function.__module__, function.__name__) - RULED_OUT.get(function.__name__, set())
    assert not unnamed(inspect.getdoc(function), found)
    assert COST.search(inspect.getdoc(function)) or function.__name__ in UNCOUNTED


@pytest.mark.parametrize("place", CLASSES)
def test_a_class_documents_what_it_holds_and_has_an_example(place):
    assert not failures(place, LAYOUT | {"EX01"} | (PARAMETERS if place not in MADE else set()))
    kind = NAMES[place]
    assert not unnamed(inspect.getdoc(kind), constructed(kind.__module__, kind.__name__))


@pytest.mark.parametrize("place", MADE)
def test_a_result_documents_every_field(place):
    kind, documented = NAMES[place], {}
    for entry in sections(kind)["Attributes"]:
        documented.update(dict.fromkeys(re.split(r",\s*", entry.name), entry))
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    assert fields <= set(documented)
    assert not [name for name, entry in documented.items() if not entry.type or not entry.desc]


@pytest.mark.parametrize("place", EXCEPTIONS)
def test_an_exception_documents_its_numbers(place):
    assert not failures(place, LAYOUT)
    kind = NAMES[place]
    kept = set(inspect.signature(kind.__init__).parameters) & set(re.findall(r"self\.(\w+)", inspect.getsource(kind)))
    documented = {name for entry in sections(kind)["Attributes"] for name in re.split(r",\s*", entry.name)}
    assert kept - {"self"} <= documented


@pytest.mark.parametrize("place", METHODS)
def test_a_method_documents_what_it_takes_and_gives(place):
    kind, name = MEMBERS[place]
    method = getattr(kind, name)
    asked = set(LAYOUT)
    if not overrides(place):
        alone = (
            len(inspect.signature(vars(kind)[name].__func__ if inspect.ismethod(method) else method).parameters) == 1
        )
        said = alone and inspect.getdoc(method).startswith("Return ")
        asked |= PARAMETERS | (set() if said else RETURNS)
        found = raised(kind.__module__, kind.__name__, name) - RULED_OUT.get(name, set())
        assert alone or not unnamed(inspect.getdoc(method), found)
    assert not failures(place, asked)


@pytest.mark.parametrize("place", PROPERTIES)
def test_a_property_says_in_a_line_what_it_is(place):
    assert not failures(place, LAYOUT)


def test_nothing_public_is_left_out():
    assert len(FUNCTIONS) > 15
    assert len(CLASSES) > 20
    assert {place.rpartition(".")[2] for place in METHODS} >= {"after", "minimum", "rates", "load", "row"}


def test_what_is_missing_is_noticed():
    """The mutants: an exception, a parameter, a cost and an example that a docstring does not have."""
    text = inspect.getdoc(fl.predict)
    assert unnamed(text.replace("NotConverged", "Never"), raised("fluctua.theory.answers", "predict")) == [
        "NotConverged"
    ]
    assert not COST.search(text[: text.index("Notes")])
    assert {code for code, _ in validate("helpers.raising.raised")["errors"]} >= {"PR01", "RT01", "EX01"}
