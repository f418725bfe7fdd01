"""Spoiled bytes: whatever a reader raises on them is the file's fault, and is said so with its name."""

from __future__ import annotations

import copy
import json
import struct
import time
import zipfile

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import CorruptData, FluctuaError, ResultError, TooLarge
from fluctua.report import render
from fluctua.storage.results import load_arrays, save_arrays
from helpers.fuzz import answer, flipped, hostile_headers

pytestmark = pytest.mark.any_seed
RECIPE = fl.SGD(lr=0.02, batch_size=4)
RUN = {"steps": 200, "replicas": 16, "rng": 7, "threads": 1}


def swept(problem):
    values = {"lr": [0.02, 5.0], "momentum": [0.0, 0.5], "steps": 20, "target": 1.5 * problem.minimum().loss}
    return fl.sweep(problem, RECIPE, **values, measure=True, replicas=4, rng=1, threads=1)


def interrupt(path):
    def pressed(_):
        if path.exists():
            raise KeyboardInterrupt

    return pressed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bytes")


@pytest.fixture(scope="module")
def files(folder, small_problem):
    """One of each kind of file that is read."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.savez(folder / "plain.npz", X=x, y=y)
    np.savez_compressed(folder / "zipped.npz", X=x, y=y)
    fl.verify(small_problem, RECIPE, **RUN).save(folder)
    fl.verify_dynamic(small_problem, RECIPE, steps=64, replicas=16, rng=1, modes=3, threads=1).save(folder)
    swept(small_problem).save(folder)
    path = folder / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(small_problem, RECIPE, **RUN, checkpoint=path, progress=interrupt(path))
    return folder


def readers(files, problem):
    """What reads each kind of file."""
    return {
        "x.npy": lambda path: fl.load(path, targets=files / "y.npy"),
        "plain.npz": fl.load,
        "zipped.npz": fl.load,
        "result.npz": lambda path: render(fl.Verdict.load(path), brief=[0]),
        "dynamic.npz": lambda path: render(fl.DynamicVerdict.load(path), brief=[0]),
        "sweep.npz": lambda path: fl.Sweep.load(path).table,
        "checkpoint.npz": lambda path: fl.simulate(problem, RECIPE, **RUN, checkpoint=path),
    }


KINDS = ("x.npy", "plain.npz", "zipped.npz", "result.npz", "dynamic.npz", "checkpoint.npz", "sweep.npz")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_an_answer_or_the_files_fault(files, small_problem, tmp_path, kind):
    read, path = readers(files, small_problem)[kind], tmp_path / kind
    for _, spoiled in flipped((files / kind).read_bytes(), 60, seed=KINDS.index(kind)):
        path.write_bytes(spoiled)
        found = answer(read, path)
        assert not isinstance(found, FluctuaError) or kind in str(found)


def npy(path, header, data=b""):
    """Write an .npy whose header is this text."""
    text = header.encode() if isinstance(header, str) else header
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data)
    return path


HEADERS = {
    "a huge shape": "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }",
    "a shape beyond all words": f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**24},), }}",
    "a shape of no number": "{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3), }",
    "a negative shape": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }",
    "signs": "{'descr': '<f8', 'fortran_order': False, 'shape': (" + 9000 * "-" + "1,), }",
    "brackets": 9000 * "(",
    "a null byte": "{'descr': '<f8', \0",
    "no quotes": "{'descr: '<f8', 'fortran_order': False, 'shape': (2, 3), }",
    "no dictionary": "[1, 2, 3]",
    "text of no letters": b"\xff\xfe\xff",
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_no_file_has(tmp_path, case):
    np.save(tmp_path / "y.npy", np.ones(3))
    path = npy(tmp_path / "odd.npy", HEADERS[case], bytes(72))
    with pytest.raises(CorruptData, match=r"odd\.npy"):
        fl.load(path, targets=tmp_path / "y.npy")


def zipped(path, change):
    """Write an .npz, and change fields of both headers of its first member."""
    np.savez(path, X=np.eye(3), y=np.ones(3))
    content = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        change(content, content.index(magic), flags)
    path.write_bytes(bytes(content))
    return path


def put(offset, value):
    def change(content, start, flags):
        content[start + flags + offset : start + flags + offset + 2] = struct.pack("<H", value)

    return change


ARCHIVES = {
    "encrypted": put(0, 1),
    "strongly encrypted": put(0, 65),
    "of an unknown method": put(2, 99),
    "of a later version": put(-2, 99),
    "patched": put(0, 32),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_numpy_does_not_write(tmp_path, case):
    with pytest.raises(CorruptData, match=r"odd\.npz"):
        fl.load(zipped(tmp_path / "odd.npz", ARCHIVES[case]))


@pytest.mark.parametrize("header", ["[1,2]", 200_000 * "[", "{", "3", '{"format": 1e999}', '{"format": NaN}', "null"])
@pytest.mark.parametrize("kind", [fl.Verdict, fl.DynamicVerdict, fl.Sweep])
def test_headers_of_results_that_are_none(tmp_path, header, kind):
    path = tmp_path / f"{kind.STEM}.npz"
    np.savez(path, header=np.array(header))
    with pytest.raises(ResultError, match=path.name):
        kind.load(path)
    np.savez(path, header=np.array([3.0]))
    with pytest.raises(ResultError, match=path.name):
        kind.load(path)


@pytest.mark.parametrize("kind", [fl.Verdict, fl.DynamicVerdict, fl.Sweep])
def test_a_spoiled_header_is_an_answer_or_the_results_fault(files, tmp_path, kind):
    header, arrays = load_arrays(files / f"{kind.STEM}.npz")
    path, rng, refused = tmp_path / f"{kind.STEM}.npz", np.random.default_rng(11), 0
    for place, value, changed in hostile_headers(header, rng, 120):
        save_arrays(path, changed, arrays)
        found = answer(shown, kind, path)
        if isinstance(found, FluctuaError):
            refused += 1
            assert isinstance(found, ResultError), (place, value)
            assert path.name in str(found)
    assert refused > 90


def shown(kind, path):
    """What a page or the terminal shows of a file."""
    found = kind.load(path)
    return found.table + found.to_csv() if kind is fl.Sweep else render(found, brief=[0])


def test_a_result_of_another_version_is_named(files, tmp_path):
    header, arrays = load_arrays(files / "result.npz")
    header["provenance"]["fluctua"] = "7.0"
    del header["rows"][0]["comparison"]["z_rms"]
    save_arrays(tmp_path / "result.npz", header, arrays)
    with pytest.raises(ResultError, match=r"result\.npz .*rows\[0\]\.comparison.*z_rms.*written by fluctua 7\.0"):
        fl.Verdict.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("curvatures", None),
        ("curvatures", lambda a: a[:-1]),
        ("curve", lambda a: a[None]),
        ("curve", str),
        ("loss_mean", lambda a: a.astype(complex)),
        ("element", lambda a: a + 1000),
        ("element", lambda a: a - 1),
        ("watched", lambda a: a[::-1]),
        ("watched", lambda a: a.astype(float)),
        ("predicted_exact", None),
        ("predicted_langevin", lambda a: a[:2]),
        ("predicted_nothing", lambda a: a),
        ("survey_noise", lambda a: a),
    ],
)
def test_arrays_that_are_not_those_of_the_header(files, tmp_path, name, change):
    header, arrays = load_arrays(files / "result.npz")
    given = arrays.pop(name, arrays["curvatures"])
    if change is not None:
        arrays[name] = np.asarray(change(given))
    save_arrays(tmp_path / "result.npz", header, arrays)
    with pytest.raises(ResultError, match=r"result\.npz does not hold .*(its array|lacks the array|no row nothing)"):
        fl.Verdict.load(tmp_path)


def test_what_the_header_says_must_follow_from_the_rest(files, tmp_path):
    header, arrays = load_arrays(files / "result.npz")
    save_arrays(tmp_path / "result.npz", {**header, "passed": not header["passed"]}, arrays)
    with pytest.raises(ResultError, match="passed: not what follows"):
        fl.Verdict.load(tmp_path)


def identity_of(**changes):
    return lambda header, arrays: (
        {**header, "identity": {k: v for k, v in {**header["identity"], **changes}.items() if v is not ...}},
        arrays,
    )


def array_of(name, change):
    return lambda header, arrays: (
        header,
        {k: v for k, v in {**arrays, name: change(arrays.get(name))}.items() if v is not None},
    )


CHECKPOINTS = {
    "no entropy": identity_of(entropy=...),
    "entropy of letters": identity_of(entropy="'abc'"),
    "entropy of brackets": identity_of(entropy="(((("),
    "negative entropy": identity_of(entropy="-5"),
    "entropy true": identity_of(entropy="True"),
    "a number of brackets": identity_of(entropy=10**30),
    "a strange spawn key": identity_of(spawn_key=["a"]),
    "a negative spawn key": identity_of(spawn_key=[-1]),
    "no spawn key": identity_of(spawn_key=...),
    "identity a list": lambda header, arrays: ({**header, "identity": [1, 2]}, arrays),
    "identity null": lambda header, arrays: ({**header, "identity": None}, arrays),
    "another recipe": identity_of(recipe={}),
    "an extra array": array_of("more", lambda _: np.ones(3)),
    "no chunks": array_of("chunks", lambda _: None),
    "chunks of two": array_of("chunks", lambda a: np.array([a, a])),
    "chunks -3": array_of("chunks", lambda _: np.array(-3)),
    "chunks 10^6": array_of("chunks", lambda _: np.array(10**6)),
    "chunks of a half": array_of("chunks", lambda _: np.array(0.5)),
    "one chunk more": array_of("chunks", lambda a: a + 1),
    "no covariance": array_of("covariance_sum", lambda _: None),
    "covariance 0": array_of("covariance_sum", lambda _: np.array(0.0)),
    "covariance NaN": array_of("covariance_sum", lambda a: np.full_like(a, np.nan)),
    "covariance of another run": array_of("covariance_sum", lambda a: 2 * a),
    "covariance in text": array_of("covariance_sum", lambda a: a.astype(str)),
    "squares too small": array_of("covariance_squares", lambda a: 0.1 * a),
    "recorded replaced": array_of("recorded", lambda a: a - 1),
    "watched cut": array_of("watched", lambda a: a[:-1]),
    "opened later": array_of("opened", lambda a: a + 1),
    "losses cut": array_of("replica_losses", lambda a: a[:-1]),
    "losses of one replica": array_of("replica_losses", lambda a: a[0]),
    "variances cut": array_of("replica_variances", lambda a: a[:-2]),
    "variances negative": array_of("replica_variances", lambda a: -a),
    "means of one mode": array_of("mean_sum", lambda a: a[..., :1]),
    "means NaN": array_of("mean_sum", lambda a: a * np.nan),
    "balance cut": array_of("balance_squares", lambda a: a[:2, :2]),
    "change complex": array_of("change_sum", lambda a: a.astype(complex)),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_spoiled_checkpoint_is_no_run(files, small_problem, tmp_path, case):
    header, arrays = load_arrays(files / "checkpoint.npz")
    path = tmp_path / "checkpoint.npz"
    header, arrays = CHECKPOINTS[case](copy.deepcopy(header), arrays)
    save_arrays(path, {k: v for k, v in header.items() if k != "format"}, arrays)
    for rng in (None, 7):
        with pytest.raises(ResultError, match=r"checkpoint\.npz"):
            fl.simulate(small_problem, RECIPE, **{**RUN, "rng": rng}, checkpoint=path)
        assert path.exists()


def test_the_checkpoint_of_a_diverged_run_goes_on(small_problem, tmp_path):
    path, wild = tmp_path / "wild.npz", fl.SGD(lr=50.0, batch_size=4)
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(small_problem, wild, **RUN, start="zero", checkpoint=path, progress=interrupt(path))
    resumed = fl.simulate(small_problem, wild, **RUN, start="zero", checkpoint=path)
    assert resumed.diverged_at == fl.simulate(small_problem, wild, **RUN, start="zero").diverged_at is not None


def test_an_npz_that_unpacks_to_more_than_the_memory_is_refused_at_once(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, X=np.zeros((300_000, 40)), y=np.linspace(0, 1, 300_000))
    assert path.stat().st_size < 3e6
    monkeypatch.setattr("fluctua._validate.sizes.available_bytes", lambda: 9e7)
    with pytest.raises(TooLarge, match=r"X, 300,000 x 40 of float64, would take about 91\.6 MiB .* 85\.8 MiB free"):
        fl.load(path)
    kept = fl.load(path, limit=100)
    assert kept.inputs.shape == (100, 40)


def test_a_limit_reads_no_more_than_it_keeps_and_still_sees_damage(tmp_path):
    path = tmp_path / "long.npz"
    x = np.random.default_rng(0).normal(size=(20_000, 50))
    np.savez(path, X=x, y=x[:, 0])
    np.testing.assert_array_equal(fl.load(path, limit=7).inputs, x[:7])
    np.savez(path, X=np.asfortranarray(x), y=x[:, 0])
    np.testing.assert_array_equal(fl.load(path, limit=7).inputs, x[:7])
    with zipfile.ZipFile(path) as archive:
        end = archive.getinfo("X.npy").header_offset + 8 * x.size
    content = bytearray(path.read_bytes())
    content[end] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptData, match=r"long\.npz.*X cannot be read"):
        fl.load(path, limit=7)


def test_a_saved_result_loads_as_it_was(files):
    for kind in (fl.Verdict, fl.DynamicVerdict):
        header, _ = load_arrays(files / f"{kind.STEM}.npz")
        again = json.loads(kind.load(files).to_json())
        assert {name: header[name] for name in again} == again


def test_reading_is_quick_where_a_header_lies(tmp_path):
    np.save(tmp_path / "y.npy", np.ones(3))
    began = time.process_time()
    with pytest.raises(CorruptData):
        fl.load(npy(tmp_path / "odd.npy", HEADERS["a huge shape"]), targets=tmp_path / "y.npy")
    assert time.process_time() - began < 2
