"""What is installed and what is published: the wheel holds the package whole and nothing else, the sdist its tests."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import fluctua as fl

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOUSE = Path(fl.__file__).parent
DATA = {".html", ".css", ".js", ".json", ".typed"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names in the wheel and in the sdist, and the wheel's metadata."""
    build = pytest.importorskip("hatchling.build")
    place = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        wheel, sdist = place / build.build_wheel(str(place)), place / build.build_sdist(str(place))
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        (metadata,) = (name for name in inside if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    return inside, source, text


def test_the_wheel_holds_every_module_page_and_schema_and_nothing_else(built):
    inside, _, _ = built
    package = {name for name in inside if ".dist-info/" not in name}
    files = (path for path in HOUSE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert package == {f"fluctua/{path.relative_to(HOUSE).as_posix()}" for path in files}
    assert {Path(name).suffix for name in package} == {".py", *DATA}
    assert {"fluctua/py.typed", "fluctua/schemas/verdict.json", "fluctua/report/page/report.html"} <= package
    assert any(name.endswith("/licenses/LICENSE") for name in inside)


def test_the_sdist_holds_what_its_tests_read(built):
    _, source, _ = built
    tops = {name.partition("/")[0] for name in source}
    assert tops >= {"src", "tests", "docs", "benchmarks", "validation", "pyproject.toml", "CITATION.cff"}
    assert {f"tests/{path.relative_to(ROOT / 'tests').as_posix()}" for path in (ROOT / "tests").rglob("*.py")} <= source
    assert not [name for name in source if "__pycache__" in name or name.endswith((".pyc", ".npz"))]


def test_the_metadata_say_where_to_look_and_for_which_pythons(built):
    *_, text = built
    for name, address in PROJECT["urls"].items():
        assert f"Project-URL: {name}, {address}\n" in text
    assert "Classifier: Programming Language :: Python :: 3.13\n" in text
    assert "Description-Content-Type: text/markdown\n" in text


def test_the_pythons_named_are_those_that_are_required():
    named = [
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if one.startswith("Programming Language :: Python :: 3.")
    ]
    assert named == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_addresses_are_those_that_are_cited():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert all(address.removeprefix("https://doi.org/") in cited for address in PROJECT["urls"].values())
