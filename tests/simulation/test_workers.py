"""Threads that share the process: BLAS has its threads back whoever ends last, and compiled code is never trusted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fluctua as fl
from fluctua.simulation.arithmetic import Arithmetic
from fluctua.simulation.workers import in_order, one_blas_thread


def threads_of_blas():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    import_module("scipy.linalg")  # whose own BLAS counts from when it is loaded
    with threadpool_limits(2):
        if threads_of_blas()[:1] != [2]:
            pytest.skip("this BLAS has one thread")
        yield


@pytest.mark.usefixtures("two_threads")
def test_overlapping_callers_leave_blas_as_it_was():
    """One begins, another begins, the first ends, the second ends: what was before is back only then."""
    before, first, second = threads_of_blas(), one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(threads_of_blas()) == {1}
    second.__exit__(None, None, None)
    assert threads_of_blas() == before


def test_a_blas_that_a_worker_loads_later_has_one_thread_too():
    """The records are added up by SciPy's, which nothing need have loaded before: a process of an executor has not."""
    script = (
        "import sys, numpy; from fluctua.simulation.workers import one_blas_thread\n"
        "assert 'scipy.linalg' not in sys.modules\n"
        "with one_blas_thread():\n"
        "    from fluctua.simulation.arithmetic import Arithmetic\n"
        "    Arithmetic().add_square(numpy.ones((1, 1)), numpy.zeros((1, 1)))\n"
        "    from threadpoolctl import threadpool_info\n"
        "    print({each['num_threads'] for each in threadpool_info() if each['user_api'] == 'blas'})"
    )
    environment = {**os.environ, **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "2")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "{1}\n", done.stderr


def test_records_are_added_up_without_the_lock_of_python():
    """Others work while a record is added up. With turns of a second nobody else is seen if the lock is held."""
    rows, total, said = np.ones((400, 1000)), np.zeros((1000, 1000)), []
    Arithmetic().add_square(rows[:1, :1], np.zeros((1, 1)))  # loads what it takes

    def add():
        said.append("begun")
        Arithmetic().add_square(rows, total)
        said.append("ended")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1.0)
    try:
        for _ in range(20):  # on a machine with other work this thread may wake too late
            said.clear()
            worker = threading.Thread(target=add)
            worker.start()
            seen = said == ["begun"]
            worker.join()
            if seen:
                break
    finally:
        sys.setswitchinterval(before)
    assert seen
    assert total[-1, 0] % 400 == 0 < total[-1, 0]
    assert total[0, -1] == 0


@pytest.mark.any_seed
@pytest.mark.usefixtures("two_threads")
def test_callers_in_threads_leave_blas_as_it_was(small_problem):
    before, errors = threads_of_blas(), []

    def call(number):
        try:
            if number % 4 == 0:
                fl.verify_dynamic(
                    small_problem,
                    fl.SGD(0.02, 4),
                    steps=16,
                    replicas=4,
                    modes=2,
                    rng=1,
                    level=1e-6,
                    entropy=False,
                    threads=1,
                )
            fl.simulate(small_problem, fl.SGD(0.02, 4), steps=20, replicas=4, rng=1, threads=1 + number % 2)
        except Exception as error:
            errors.append(error)

    for _ in range(3):
        callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        assert errors == []
        assert threads_of_blas() == before


def test_results_come_in_order_and_a_failure_stops_the_rest():
    stop = threading.Event()
    assert list(in_order(lambda x: x * x, range(20), 3, stop)) == [x * x for x in range(20)]
    assert stop.is_set()
    stop, done = threading.Event(), []

    def work(item):
        if item == 2:
            raise ZeroDivisionError
        stop.wait(5)
        done.append(item)

    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda item: work(item) if item == 2 else item, range(9), 1, stop))
    assert len(done) <= 1


RUN = """
import numpy as np
import fluctua as fl
rng = np.random.default_rng(0)
problem = fl.LeastSquares(rng.normal(size=(40, 4)), rng.normal(size=40))
print(repr(fl.simulate(problem, fl.SGD(0.05, 4), steps=9, replicas=4, rng=1, threads=1).excess_loss))
"""


@pytest.mark.slow
@pytest.mark.any_seed
def test_damaged_compiled_code_is_compiled_anew(tmp_path):
    """Bytes flipped in every file of it, files cut short, emptied, become directories: the same number each time."""
    rng = np.random.default_rng(5)

    def number():
        done = subprocess.run(
            [sys.executable, "-c", RUN],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kept(ending):
        return sorted(Path(tmp_path).rglob(f"*.{ending}"))

    def flip(path):
        content = bytearray(path.read_bytes())
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)

    right = number()
    assert kept("nbi")
    assert kept("nbc")
    written = {path: path.read_bytes() for path in kept("nbc")}
    assert number() == right
    assert {path: path.read_bytes() for path in kept("nbc")} == written  # nothing was compiled again
    for ending, damage in (
        ("nbc", flip),
        ("nbi", flip),
        ("nb?", lambda path: path.write_bytes(path.read_bytes()[:-7])),
        ("nb?", lambda path: path.write_bytes(b"")),
        ("nbc", lambda path: (path.unlink(), path.mkdir())),
    ):
        for path in kept(ending):
            damage(path)
        assert number() == right


@pytest.mark.any_seed
def test_what_is_kept_of_compiled_code_must_be_what_was_written(tmp_path, monkeypatch):
    """In this process: every single byte of the index and of a small entry, flipped."""
    import numba
    from numba.core import config

    from fluctua.simulation.compiled_cache import KeptCode

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    source = tmp_path / "module.py"
    source.write_text("def twice(x):\n    return 2 * x\n")
    space = {}
    exec(compile(source.read_text(), source, "exec"), space)

    def fresh():
        made = numba.njit(space["twice"])
        made._cache = KeptCode(space["twice"])
        return made

    assert fresh()(3) == 6
    again = fresh()
    assert again(3) == 6
    assert sum(again._cache_hits.values()) == 1
    for path in [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]:
        whole = path.read_bytes()
        for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
            damaged = fresh()
            assert damaged(3) == 6
            assert sum(damaged._cache_hits.values()) == 0, (path, place)
            path.write_bytes(whole)
