"""A hundred kill -9 at random moments of verify, its shards, sweep, reproduce and study, half of them aimed at a write.

    python benchmarks/kills.py [--kills 100] [--seed 1]

Each command is run to its end once, for its numbers. Then it is begun again and again in one directory and killed: at a
random moment, or at the sight of the temporary name of a file that is being written. After each kill every file there
must be whole, and a cell or a group of replicas that was finished must be the same file as before. After some kills the
command runs to its end: its numbers must be the same, and nothing temporary must be left. Of shards each call is one of
two or one of three, and the end is the command without --shard.

Processes are forks of this one, in which everything is imported and compiled, and the runs of the reproduction are
shortened: it is files that are tried here.

Prints a line for each command, and ends with code 1 at the first file that is not whole or number that is another.

Measured: of 100 kills 50 in a write, seed 1, before shards and the theorem in time were among them. No file was cut, no
number another, nothing finished made again.

    verify      25 kills,  12 of them in a write;  16 times to the end
    sweep       35 kills,  17 of them in a write;  12 times to the end;  200 finished cells taken as they were
    study       15 kills,   9 of them in a write;   3 times to the end
    reproduce   25 kills,  12 of them in a write;   9 times to the end;   60 finished cells taken as they were

And with `--kills 19 --only sweep --only shards --only "in time"`: 4, 3 and 3 kills, the same.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess as Process
from pathlib import Path

import numpy as np
from asked import asking, at_least, positive

import fluctua as fl
from fluctua.cli import main as main_of_fluctua

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.fluctua")
AFTER = 5  # kills after which a command may run to its end
FORK = multiprocessing.get_context("fork")
LOOK = 2e-4  # seconds between looks for a write


@dataclass(frozen=True)
class Command:
    """What is run, how it goes on, and which of its files are finished work."""

    name: str
    arguments: tuple[str, ...]
    again: tuple[str, ...] = ()
    finished: str = ""
    share: float = 0.25
    shards: tuple[str, ...] = ()


def commands(folder: Path) -> list[Command]:
    """The six, each of some seconds."""
    data, runs = str(folder / "features.npz"), ("--seed", "1", "--json")
    verify, groups = ("verify", data, "--steps", "4000", "--replicas", "128", *runs), "groups*/*.npz"
    dynamic = ("verify", data, "--dynamic", "--steps", "200", "--replicas", "64", "--modes", "4", "--no-entropy", *runs)
    reproduce = ("reproduce", "--quick", "--data", "digits", *runs)
    study = ("study", "adaptive", "spring", "--steps", "2000", "--replicas", "32", *runs)
    return [
        Command("verify", verify, ("--resume",), share=0.15),
        Command(
            "sweep",
            (
                "sweep",
                data,
                "--lr",
                "0.001:0.02:6",
                "--batch-size",
                "2,8",
                "--steps",
                "500",
                "--measure",
                "--replicas",
                "64",
                *runs,
            ),
            finished="cells/*.json",
        ),
        Command("shards", verify, finished=groups, share=0.15, shards=("1/2", "2/3", "2/2", "1/3", "3/3")),
        Command("in time", dynamic, ("--resume",), finished=groups, share=0.15),
        Command("reproduce", reproduce, finished="cells/*/result.json", share=0.2),
        Command("study", study, finished=groups, share=0.1),
    ]


@dataclass
class Trial:
    """One command in one directory, killed and gone on with."""

    command: Command
    folder: Path
    wanted: object
    seconds: float
    writes: int
    kills: int = 0
    caught: int = 0
    late: int = 0
    finished: dict[Path, tuple[int, int]] = field(default_factory=dict)
    done_before: int = 0
    chunks: int = 0

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def killed(self, rng: random.Random, aimed: bool) -> None:
        """Begin the command, kill it, and look at what it left."""
        left = max(1, self.writes - len(self.finished))
        share = left / self.writes  # of the work
        part = ("--shard", rng.choice(self.command.shards)) if self.command.shards else ()
        child, moment = begun(self.command, self.out, part), rng.uniform(0, share * self.seconds)
        write = rng.randint(1, max(1, left // 2) if part else left)
        if not (wait_for_write(child, self.out, write) if aimed else wait_for(child, moment)):
            self.late += 1  # it came to its end before, and is no kill
            child.join()
            self.look() if part else self.ended()
            return
        child.kill()
        child.join()
        self.kills += 1
        self.caught += bool(temporary(self.out))
        self.look()

    def look(self) -> None:
        """Hold every file to be whole, and what was finished to be as it was."""
        for path in whole_files(self.out):
            read(path)
        now = {path: stamp(path) for path in self.out.glob(self.command.finished)} if self.command.finished else {}
        for path, stamped in self.finished.items():
            if now.get(path) != stamped and not (path not in now and self.concluded):
                raise SystemExit(f"{self.command.name}: {path.name} was finished and is made again")
        self.finished = now
        self.count_chunks()

    @property
    def concluded(self) -> bool:
        """Whether the result is there, after which groups of replicas are removed."""
        return any((self.out / f"{stem}.json").exists() for stem in ("result", "dynamic", "study"))

    def count_chunks(self) -> None:
        """Hold the groups of replicas that a checkpoint keeps never to become fewer while there is one."""
        checkpoint = self.out / "checkpoint.npz"
        chunks = int(np.load(checkpoint)["chunks"]) if checkpoint.exists() else 0
        if 0 < chunks < self.chunks:
            raise SystemExit(f"{self.command.name}: of {self.chunks} groups of replicas {chunks} are kept")
        self.done_before += max(chunks - self.chunks, 0)
        self.chunks = chunks

    def ended(self) -> None:
        """Run to the end: the same numbers, nothing done again and nothing temporary left."""
        self.done_before += len(self.finished)
        if run(self.command, self.out) != self.wanted:
            raise SystemExit(f"{self.command.name}: other numbers after {self.kills} kills")
        self.look()
        if left := temporary(self.out):
            raise SystemExit(f"{self.command.name}: {left} is left")
        clear(self.out)
        self.finished = {}


def begun(command: Command, out: Path, part: tuple[str, ...] = ()) -> Process:
    """Begin the command in a process of its own, a fork of this one, which has everything imported."""
    again = command.again if out.exists() else ()
    child = FORK.Process(target=called, args=([*command.arguments, *again, *part, "--out", str(out)], out.parent))
    child.start()
    return child


def called(arguments: list[str], folder: Path) -> None:
    """Run the command line; what it prints goes to a file."""
    os.setpgid(0, 0)
    for descriptor, name in ((1, "printed"), (2, "said")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = (os.fdopen(each, "w", closefd=False) for each in (1, 2))
    code = 3
    try:
        main_of_fluctua(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.stdout.flush()
    os._exit(code)


def run(command: Command, out: Path) -> object:
    """Return what the command prints when it is left alone."""
    child = begun(command, out)
    child.join()
    if child.exitcode not in (0, 1):
        raise SystemExit(f"{command.name} ended with {child.exitcode}: {(out.parent / 'said').read_text()}")
    return json.loads((out.parent / "printed").read_text())


def warmed() -> None:
    """Import and compile what all commands need, before any fork."""
    import matplotlib.pyplot  # noqa: F401

    import fluctua.report.figures  # noqa: F401
    from fluctua.studies import reproduction

    reproduction._QUICK = {"steps": 200, "replicas": 64, "resolution": 0.5}
    data = fl.load("digits", limit=150)
    fl.verify(fl.LeastSquares(data.inputs, data.targets), fl.SGD(0.01, 8), steps=9, replicas=4, threads=1, rng=1)


def wait_for(child: Process, seconds: float) -> bool:
    began = time.monotonic()
    while child.is_alive() and time.monotonic() - began < seconds:
        time.sleep(LOOK)
    return child.is_alive()


def wait_for_write(child: Process, out: Path, number: int) -> bool:
    """Wait until the child is at its so many-th write; return whether it came to it."""
    seen: set[str] = set(temporary(out))
    number += len(seen)
    while child.is_alive():
        seen.update(temporary(out))
        if len(seen) >= number:
            return True
        time.sleep(LOOK)
    return False


def temporary(out: Path) -> list[str]:
    return [path.name for path in out.rglob(".*") if TEMPORARY.fullmatch(path.name)] if out.exists() else []


def whole_files(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")]


def read(path: Path) -> None:
    """Read a file to its last byte; raises SystemExit where it is not whole."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                for name in arrays.files:
                    arrays[name]
        elif not ended_well(path):
            raise ValueError("it is cut")
    except Exception as problem:
        raise SystemExit(f"{path} is not whole: {problem}") from problem


def ended_well(path: Path) -> bool:
    ends = {".png": b"IEND\xaeB`\x82", ".svg": b"</svg>", ".html": b"</html>"}
    return path.read_bytes().rstrip().endswith(ends.get(path.suffix, b""))


def stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def clear(out: Path) -> None:
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    out.rmdir()


def tried(command: Command, folder: Path, kills: int, rng: random.Random) -> str:
    """Kill a command so often, and return what there is to say."""
    (folder / "out").mkdir(parents=True)
    (folder / "out").rmdir()
    began, seen = time.monotonic(), set()
    child = begun(command, folder / "out")
    while child.is_alive():
        seen.update(temporary(folder / "out"))
        time.sleep(LOOK)
    seconds = time.monotonic() - began
    clear(folder / "out")
    trial = Trial(command, folder, run(command, folder / "out"), seconds, len(seen))
    clear(folder / "out")
    ends = 0
    while trial.kills < kills:
        trial.killed(rng, aimed=trial.kills % 2 == 1)
        if trial.kills % AFTER == 0 or trial.kills == kills:
            trial.ended()
            ends += 1
    return (
        f"{command.name:<10}{trial.kills:>4} kills, {trial.caught:>3} of them in a write; {ends + trial.late:>3} times "
        f"to the end, with the same numbers; {trial.done_before:>4} cells or groups of replicas taken as they were"
    )


def features(folder: Path) -> None:
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(300, 40)) * np.linspace(1, 0.2, 40)
    np.savez(folder / "features.npz", X=inputs, y=(inputs @ rng.normal(size=40) + rng.normal(size=300) > 0).astype(int))


def main(arguments: list[str] | None = None) -> None:
    parser = asking(__doc__)
    parser.add_argument("--kills", type=positive, default=100)
    parser.add_argument("--seed", type=at_least(0), default=1)
    parser.add_argument(
        "--only",
        action="append",
        choices=[each.name for each in commands(Path())],
        help="One of the commands; may be repeated.",
    )
    given = parser.parse_args(arguments)
    rng = random.Random(given.seed)
    warmed()
    with tempfile.TemporaryDirectory() as place:
        features(Path(place))
        every = commands(Path(place))
        counts = [round(given.kills * each.share) for each in every]
        counts[1] += given.kills - sum(counts)
        for command, count in zip(every, counts, strict=True):
            if count and (given.only is None or command.name in given.only):
                print(tried(command, Path(place) / command.name, count, rng), flush=True)


if __name__ == "__main__":
    main()
