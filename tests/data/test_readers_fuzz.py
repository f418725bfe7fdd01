"""Spoiled bytes of every format that is read: an answer, or a `FluctuaError` that names the file."""

import gzip
import json

import numpy as np
import pytest

from fluctua import data
from fluctua.errors import FluctuaError
from helpers.fuzz import answer, flipped, hostile_headers

RNG = np.random.default_rng(3)
X, LABELS = RNG.normal(size=(30, 4)), np.array(["a", "b", "c"])[np.arange(30) % 3]


def csv(folder):
    lines = ["p,q,r,s,label", *(",".join([*map(repr, map(float, row)), y]) for row, y in zip(X, LABELS, strict=True))]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder / "t.csv"


def zipped(folder):
    (folder / "t.csv.gz").write_bytes(gzip.compress(csv(folder).read_bytes(), mtime=0))
    return folder / "t.csv.gz"


def parquet(folder):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"vec": list(X), "label": LABELS}), folder / "t.parquet")
    return folder / "t.parquet"


def hdf5(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "t.h5", "w") as file:
        file["X"], file["y"] = X, X[:, 0]
    return folder / "t.h5"


def torch_file(folder):
    torch = pytest.importorskip("torch")
    torch.save({"X": torch.tensor(X), "y": torch.tensor(X[:, 0])}, folder / "t.pt")
    return folder / "t.pt"


def old_torch_file(folder):
    torch = pytest.importorskip("torch")
    kept = {"X": torch.tensor(X), "y": torch.tensor(X[:, 0])}
    torch.save(kept, folder / "old.pt", _use_new_zipfile_serialization=False)
    return folder / "old.pt"


def header_of(arrays):
    header, start = {}, 0
    for name, array in arrays.items():
        about = {"dtype": {"float64": "F64", "int64": "I64"}[array.dtype.name], "shape": list(array.shape)}
        header[name] = {**about, "data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
    return header


def put(path, header, arrays):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(each.tobytes() for each in arrays.values()))
    return path


def safetensors(folder):
    arrays = {"X": X, "y": X[:, 0]}
    return put(folder / "t.safetensors", header_of(arrays), arrays)


KINDS = (csv, zipped, parquet, hdf5, torch_file, old_torch_file, safetensors)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_an_answer_or_the_files_fault(tmp_path, kind):
    path = kind(tmp_path)
    whole = path.read_bytes()
    assert not isinstance(answer(data.load, path), FluctuaError)
    for _, spoiled in flipped(whole, 120, seed=KINDS.index(kind)):
        path.write_bytes(spoiled)
        found = answer(data.load, path)
        assert not isinstance(found, FluctuaError) or path.name in str(found) or "targets_are" in str(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_short_is_the_files_fault(tmp_path, kind):
    path = kind(tmp_path)
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:length])
        found = answer(data.load, path)
        assert kind in (csv,) or isinstance(found, FluctuaError), length
    for junk in (b"\x80\x05cos\nsystem\n", bytes(500), RNG.bytes(3000), b"PK\x03\x04" + RNG.bytes(300)):
        path.write_bytes(junk)
        assert isinstance(answer(data.load, path), FluctuaError)


def test_headers_of_safetensors_that_none_has(tmp_path):
    arrays = {"X": X, "y": X[:, 0]}
    for _, _, header in hostile_headers(header_of(arrays), np.random.default_rng(1), 150):
        found = answer(data.load, put(tmp_path / "t.safetensors", header, arrays))
        assert not isinstance(found, FluctuaError) or "t.safetensors" in str(found)


def test_folders_whose_files_were_spoiled(tmp_path):
    datasets = pytest.importorskip("datasets")
    kinds = {"vec": datasets.Sequence(datasets.Value("float64")), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    table = {"vec": X.tolist(), "label": (np.arange(30) % 3).tolist()}
    made = datasets.Dataset.from_dict(table, datasets.Features(kinds))
    folder = tmp_path / "kept"
    datasets.DatasetDict({"train": made, "test": made}).save_to_disk(folder)
    assert not isinstance(answer(data.load, folder), FluctuaError)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        for k, (_, spoiled) in enumerate(flipped(whole, 60, seed=len(whole))):
            file.write_bytes(spoiled if k % 6 else whole[: len(whole) * k // 60])
            found = answer(data.load, folder, subset="train")
            assert not isinstance(found, FluctuaError) or "kept" in str(found) or file.name in str(found)
        file.write_bytes(whole)
    info = folder / "train" / "dataset_info.json"
    for _, _, header in hostile_headers(json.loads(info.read_text()), np.random.default_rng(2), 60):
        info.write_text(json.dumps(header))
        answer(data.load, folder)
