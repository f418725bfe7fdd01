"""Roles of statements: what the verdict concludes from each, and files written before statements carried one."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import ResultError
from fluctua.storage.results import load_arrays, save_arrays
from fluctua.verification.in_time.findings import CURRENT, FDT, NO_CURRENT, NONE, TURNED
from fluctua.verification.judgement import Judgement, Role


@dataclass(frozen=True)
class Said:
    name: str
    role: Role
    consistent: bool


@dataclass(frozen=True)
class Plain(Judgement[Said]):
    replicas = (32, 0)
    rows: tuple[Said, ...]
    resolution: float = 0.05
    detectable: float = 0.01
    run = table = to_dict = words = _hold = _read = _role_of = _tables = None


TRUE = (Said("law", "claim", True), Said("law x 1.05", "mutant", False))


@pytest.mark.parametrize(
    ("more", "consistent", "sharp"),
    [
        ((), True, True),
        ((Said("second", "claim", False),), False, True),
        ((Said("law x 0.95", "mutant", True),), True, False),
        (
            (Said("none", "unresolved", True), Said("other", "rung", False), Said("still", "reference", False)),
            True,
            True,
        ),
    ],
)
def test_only_claims_and_mutants_decide(more, consistent, sharp):
    found = Plain(TRUE + more)
    assert (found.consistent, found.sharp, found.passed) == (consistent, sharp, consistent and sharp)
    assert not replace(found, detectable=0.1).sharp


def problem():
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(60, 4)) * [2, 1, 1, 0.5]
    return fl.LeastSquares(inputs, inputs @ rng.normal(size=(4, 2)) + rng.normal(size=(60, 2)))


def equal_time(sampling="with_replacement"):
    return fl.verify(problem(), fl.SGD(0.02, 4, sampling=sampling), steps=40, replicas=16, rng=1)


def in_time():
    return fl.verify_dynamic(problem(), fl.SGD(0.02, 4), steps=40, replicas=8, rng=1)


@pytest.mark.any_seed
def test_rows_at_equal_times_have_the_roles_of_their_names():
    roles = {row.name: row.role for row in equal_time("shuffle").rows}
    assert roles == {
        "exact": "claim",
        "discrete": "rung",
        "equilibrium": "rung",
        "independent batches": "reference",
        "exact, stationary": "reference",
        "exact x 1.05": "mutant",
        "exact x 0.95": "mutant",
    }


@pytest.mark.any_seed
def test_mutants_about_the_current_are_such_where_the_runs_can_tell_them():
    verdict = in_time()
    roles, found = {row.name: row.role for row in verdict.rows}, verdict.circulation
    assert [name for name, role in roles.items() if role == "claim"] == [FDT, "correlation", "response", CURRENT]
    assert roles[f"{FDT} x 1.05"] == roles[f"{FDT} x 0.95"] == "mutant"
    told = {NO_CURRENT: found.resolvable, NONE: found.tells_none, TURNED: found.tells_turned}
    assert {name: roles[name] for name in told} == {
        name: "mutant" if each else "unresolved" for name, each in told.items()
    }


@pytest.mark.any_seed
@pytest.mark.parametrize("make", [equal_time, in_time])
def test_files_from_before_there_were_roles_load_as_they_were(make, tmp_path):
    verdict = make()
    verdict.save(tmp_path)
    place = tmp_path / f"{verdict.STEM}.npz"
    header, arrays = load_arrays(place)
    for row in header["rows"]:
        del row["role"]
    save_arrays(place, header, arrays)
    assert type(verdict).load(tmp_path).to_dict() == verdict.to_dict()


@pytest.mark.any_seed
@pytest.mark.parametrize("role", ["claim", "mutant"])
def test_a_verdict_of_nothing_is_refused(role, tmp_path):
    verdict = equal_time()
    verdict.save(tmp_path)
    place = tmp_path / "result.npz"
    header, arrays = load_arrays(place)
    header["rows"] = [{**row, "role": "rung"} if row["role"] == role else row for row in header["rows"]]
    save_arrays(place, header, arrays)
    with pytest.raises(ResultError, match="rows"):
        fl.Verdict.load(tmp_path)
