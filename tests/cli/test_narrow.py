"""Reports on narrow terminals: nothing cut, no word broken, tables that stay tables."""

import io
import re
import sys
from importlib import import_module

import pytest

from fluctua.cli import main
from fluctua.cli.narrow import laid_out

RUN = ("--steps", "40", "--replicas", "8", "--seed", "1", "--level", "1e-6", "--no-report")
RECIPE = ("--lr", "0.02", "--batch-size", "8")
SOME = ("--schedule", "constant", "--schedule", "cosine", "--momentum", "0")
COMMANDS = {
    "verify": ("verify", "features.npz", *RECIPE, *RUN),
    "dynamic": ("verify", "features.npz", *RECIPE, *RUN, "--dynamic", "--modes", "3"),
    "predict": ("predict", "features.npz", *RECIPE, "--test-size", "0.2", "--seed", "1"),
    "predict a head": ("predict", "features.npz", *RECIPE, "--loss", "cross-entropy", "--weight-decay", "0.1"),
    "plan": ("plan", "features.npz", "--budget", "40", "--batch-size", "8", *SOME, "--check", "--replicas", "8"),
    "sweep": ("sweep", "features.npz", "--lr", "0.01,0.03", "--batch-size", "8", "--momentum", "0,0.9", *RUN[:6]),
    "probe": ("probe", "features.npz", "--budget", "40", "--test-size", "0.2", "--seed", "1", *SOME),
    "noise": ("noise", "features.npz", *RECIPE, "--seed", "1", "--level", "1e-6"),
    "list": ("data", "list"),
    "refused": ("predict", "features.npz", "--lr", "20", "--batch-size", "8"),
}
TABLES = {
    "plan": """schedule  momentum        lr of limit    held-out loss    excess
inverse        0.9    0.0029       3%         0.421013  -0.00303
constant         0    0.0064       1%     about 0.4211  -0.00294
skipped   linear, cosine, step with momentum 0.9: only the best 2 schedules of momentum 0 are tried with it
""",
    "dynamic": """statement                            z-rms         p  would catch  verdict
correlation = S x response            0.96         1         63 %  consistent
correlation = S x response x 1.05     0.97         1               consistent
circulation                           1.07         1    4.6e+02 %  rejected
""",
}


class Terminal(io.StringIO):
    """Where a person reads."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch, tmp_path, features):
    """Call a command on a terminal of 60 columns: what it was told to say, and the lines that it said."""
    del features
    told = []
    for room in ("tables", ""):
        module = import_module(f"fluctua.cli.{room}".rstrip("."))
        monkeypatch.setattr(module, "fitted", recorded(module.fitted, told))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")

    def call(*arguments):
        streams = Terminal(), Terminal()
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr("fluctua.cli.progress.sys.stderr", io.StringIO())
        monkeypatch.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit):
            main(list(arguments))
        printed = "".join(stream.getvalue() for stream in streams)
        return "\n".join(told), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)

    return call


def recorded(fitted, told):
    return lambda text, stream: (told.append(text), fitted(text, stream))[1]


def numbers(text):
    return {word.rstrip(",:") for word in text.split() if re.search(r"\d", word)}


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_fits_60_columns_and_cuts_nothing(terminal, name):
    told, printed = terminal(*COMMANDS[name])
    lines = [line for part in printed.split("\n") for line in part.split("\r")[-1:]]
    assert numbers(told)
    for width, shown in ((60, lines), (80, laid_out(told, 80).split("\n"))):
        assert [line for line in shown if len(line.rstrip()) > width] == []
        assert numbers(told) <= numbers("\n".join(shown))


@pytest.mark.any_seed
def test_a_table_is_set_narrower_before_it_is_stacked():
    narrow = laid_out(TABLES["plan"], 60).split("\n")
    assert narrow[1].split() == TABLES["plan"].split("\n")[1].split()
    assert len({line.index("excess") + 6 if "excess" in line else len(line) for line in narrow[:3]}) == 1
    assert narrow[3].startswith("skipped   linear")  # is no row
    assert narrow[4].startswith(" " * 10)


@pytest.mark.any_seed
def test_rows_that_do_not_fit_are_stacked_with_the_names_of_the_columns():
    lines = " ".join(laid_out(TABLES["dynamic"], 50).split()).replace("correlation =", "\ncorrelation =")
    assert "correlation = S x response: z-rms 0.96, p 1, would catch 63 %, verdict consistent" in lines
    assert "correlation = S x response x 1.05: z-rms 0.97, p 1, verdict consistent" in lines
    assert "circulation: z-rms 1.07, p 1, would catch 4.6e+02 %, verdict rejected" in lines


@pytest.mark.any_seed
@pytest.mark.parametrize("width", range(30, 70))
def test_a_number_stays_with_its_error_and_its_unit(width):
    text = "measured  excess loss 0.00534939 +- 0.00048 (95 %), 1.44% of L(W*); NOT sharp: would have caught 39 %"
    lines = laid_out(text, width).split("\n")
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert sum("0.00534939 +- 0.00048" in line for line in lines) == 1
    assert sum("(95 %)" in line for line in lines) == 1
    assert all(line.startswith("  ") for line in lines[1:])


@pytest.mark.any_seed
def test_where_nobody_reads_lines_are_as_they_are():
    text = f"{TABLES['dynamic']}\n{'word ' * 40}"
    assert laid_out(text, 300) == text
