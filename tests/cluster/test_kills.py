"""kill -9 at random moments, half of them in a write; benchmarks/kills.py has the hundred of all commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
@pytest.mark.any_seed
@pytest.mark.skipif(sys.platform == "win32", reason="forks and kill -9 are of POSIX")
def test_after_kills_no_file_is_cut_and_the_numbers_are_the_same():
    """Five kills; the script holds every file, what was finished, and what is printed in the end."""
    only = [word for name in ("sweep", "shards") for word in ("--only", name)]
    asked = [sys.executable, SCRIPT, "--kills", "12", *only]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert re.findall(r"(\d+) kills", ended.stdout) == ["3", "2"]
