"""What `--help`, `--cite` and the Tab key show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from fluctua import cli
from fluctua.studies import find

CITATION = Path(__file__).parents[2] / "CITATION.cff"


def commands(group=cli._group, path=("fluctua",)):
    """Every command with the words that call it."""
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            yield from commands(group.get_command(context, name), (*path, name))


COMMANDS = dict(commands())


def helped(path, width=80):
    command = COMMANDS[path]
    context = click.Context(
        command,
        info_name=" ".join(path),
        terminal_width=width,
        max_content_width=width,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context)


def sections(text):
    """The text below each heading."""
    parts = re.split(r"^(\S[^\n]*):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_help_fits_the_terminal(path, width):
    text = helped(path, width)
    assert max(map(len, text.splitlines())) <= width
    assert "..." not in sections(text).get("Commands", "")  # what a command does is not cut


def test_an_example_that_is_too_long_goes_on_in_the_next_line():
    example = max(find("adaptive").examples, key=len)
    narrow = sections(helped(("fluctua", "study", "adaptive"), 50))["Examples"]
    assert " \\\n" in narrow
    assert example in " ".join(narrow.replace("\\\n", "").split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_two_examples_that_parse(path):
    examples = [line.strip() for line in sections(helped(path))["Examples"].strip().splitlines()]
    assert len(examples) >= 2
    for example in examples:
        words = shlex.split(example)[: example.count(" ") + 1]
        words = words[: words.index(">")] if ">" in words else words
        place = max((each for each in COMMANDS if tuple(words[: len(each)]) == each), key=len)
        assert place[: len(path)] == path
        with COMMANDS[place].make_context(place[-1], words[len(place) :]) as context:  # refuses an option it has not
            assert context.params is not None


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_every_option_is_in_a_group_and_help_comes_last(path):
    found = sections(helped(path))
    assert "Options" not in found
    names = [
        option.opts[-1] for option in COMMANDS[path].params if isinstance(option, click.Option) and not option.hidden
    ]
    for name in names:
        assert (
            sum(
                bool(re.search(rf"^  (?:-\w, )?(?:.* / )?{name}(?![\w-])", text, re.MULTILINE))
                for text in found.values()
            )
            == 1
        )
    assert "--help" in found["Output"]
    assert [*found][-2:] == ["Output", "Examples"]


def test_the_options_of_verify_are_grouped_by_what_they_are_of():
    found = sections(helped(("fluctua", "verify")))
    groups = ["Data", "Preparation", "Recipe", "Sampler", "Average of the weights", "Many machines", "Run"]
    assert [*found] == [*groups, "Output", "Examples"]
    for group, options in {
        "Data": ["--targets-are", "--limit"],
        "Preparation": ["--bias", "--center", "--standardize", "--test-size"],
        "Recipe": ["--lr", "--weight-decay", "--sampling"],
        "Sampler": ["--method", "--noise-variance", "--friction"],
        "Average of the weights": ["--ema"],
        "Many machines": ["--dask", "--processes"],
        "Run": ["--replicas", "--seed"],
        "Output": ["--out", "--json"],
    }.items():
        assert all(option in found[group] for option in options)


def test_an_option_of_ones_own_falls_into_the_commands_group():
    @cli.helped.command(short_help="", group="Mine", examples=("fluctua new",))
    @cli.helped.grouped("Shared", click.option("--shared"))
    @click.option("--new")
    def new(shared, new):
        """Do."""

    found = sections(new.get_help(click.Context(new)))
    assert [*found] == ["Shared", "Mine", "Output", "Examples"]
    assert "--new" in found["Mine"]
    assert "--shared" in found["Shared"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script_of_completions(shell):
    code = "import sys; sys.argv = ['fluctua']; from fluctua.cli import main; main()"
    environment = {**os.environ, "_FLUCTUA_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "_FLUCTUA_COMPLETE" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "begun", "expected"),
    [
        ([], "ver", ["verify"]),
        (["verify"], "di", ["digits"]),
        (["verify", "digits"], "--mom", ["--momentum"]),
        (["verify", "digits", "--sampling"], "shu", ["shuffle"]),
        (["predict", "digits", "--schedule"], "cos", ["cosine"]),
        (["data", "fetch"], "mn", ["mnist"]),
        (["schema"], "ver", ["verdict"]),
    ],
)
def test_the_tab_key_completes_commands_options_and_names(typed, begun, expected):
    found = BashComplete(cli._group, {}, "fluctua", "_FLUCTUA_COMPLETE").get_completions(typed, begun)
    assert [item.value for item in found if item.type == "plain"] == expected


def test_where_no_name_fits_files_are_completed():
    (found,) = BashComplete(cli._group, {}, "fluctua", "_FLUCTUA_COMPLETE").get_completions(["verify"], "features")
    assert found.type == "file"


def entries(text):
    """BibTeX read: kind, key and fields of each entry; braces inside a value are kept but for the outermost."""
    found = {}
    for kind, key, body in re.findall(r"@(\w+)\{([\w-]+),\n(.*?)\n\}", text, flags=re.DOTALL):
        fields = dict(re.findall(r"^  (\w+)\s*= \{(.*)\},$", body, flags=re.MULTILINE))
        assert len(fields) == len(body.splitlines())
        assert all(value.count("{") == value.count("}") for value in fields.values())
        found[key] = {"kind": kind, **fields}
    assert len(found) == text.count("@")
    return found


def test_cite_prints_bibtex_of_what_citation_cff_says(run):
    yaml = pytest.importorskip("yaml")
    code, out, err = run("--cite")
    assert (code, err) == (0, "")
    cited, stated = entries(out), yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    paper, software = cited["han2021fluctuation"], cited["fluctua"]
    (article,) = stated["references"]
    assert software["kind"] == "software"
    assert software["author"] == "{" + stated["authors"][0]["name"] + "}"
    assert (software["title"], software["license"]) == (stated["title"], stated["license"])
    assert software["version"] == stated["version"] == version("fluctua")
    assert paper["kind"] == "article"
    names = [f"{author['family-names']}, {author['given-names']}" for author in article["authors"]]
    assert paper["author"] == " and ".join(names)
    for ours in ("title", "journal", "volume", "doi", "url", "year"):
        assert paper[ours] == str(article[ours])
    assert paper["pages"] == article["start"]
