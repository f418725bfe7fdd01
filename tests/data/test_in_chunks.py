"""Files in chunks: the problem of a file that is never read as a whole."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
import fluctua.data
from fluctua.errors import CorruptData, DataUnavailable, FluctuaError, InvalidInput


@pytest.fixture(scope="module")
def data():
    return fl.load("digits")


def written(folder, kind, x, labels):
    """The path of the inputs, and what else names the targets."""
    path, beside = folder / f"x{kind}", {"targets": folder / "y.csv"}
    (folder / "y.csv").write_text("label\n" + "\n".join(map(str, labels)))
    if kind == ".npy":
        np.save(path, x)
        return path, beside
    if kind == ".h5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["X"], file["y"] = x, labels
        return path, {}
    if kind == ".zarr":
        group = pytest.importorskip("zarr").open_group(str(path), mode="w")
        for name, array in (("X", x), ("y", labels)):
            group.create_array(name, shape=array.shape, dtype=array.dtype, chunks=array.shape)[:] = array
        return path, {}
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    if kind == ".parquet":
        columns = {f"f{k}": x[:, k] for k in range(x.shape[1])}
    else:
        path, columns = folder / "lists.parquet", {"X": arrow.FixedSizeListArray.from_arrays(x.ravel(), x.shape[1])}
    parquet.write_table(arrow.table({**columns, "label": labels}), path, row_group_size=300)
    return path, {}


@pytest.mark.parametrize("kind", [".npy", ".h5", ".zarr", ".parquet", "lists of parquet"])
def test_a_file_in_chunks_is_the_problem_of_its_arrays(data, kind, tmp_path):
    x = data.inputs.astype(np.float32)
    path, beside = written(tmp_path, kind, x, data.labels)
    chunks = fluctua.data.batches(path, **beside, rows=400)
    assert chunks.classes == tuple(range(10))
    assert len(list(chunks)) >= 5
    found, whole = fl.LeastSquares.from_batches(chunks), fl.LeastSquares(x, data.labels)
    assert found.coding == whole.coding
    sgd = fl.SGD(0.05, 8)
    assert fl.predict(found, sgd).excess_loss == pytest.approx(fl.predict(whole, sgd).excess_loss, rel=1e-6)


def test_what_cannot_be_read_in_chunks_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((6, 2)))
    np.savez(tmp_path / "x.npz", X=np.ones((6, 2)), y=np.arange(6.0))
    (tmp_path / "short.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    np.save(tmp_path / "number.npy", np.float64(3))
    y = np.arange(6.0)
    for name, targets, kind, words in (
        ("x.npz", None, InvalidInput, "cannot be read in chunks"),
        ("none.npy", y, DataUnavailable, "does not exist"),
        ("short.npy", y, CorruptData, "promises"),
        ("number.npy", y, InvalidInput, "holds a single number"),
        ("x.npy", y[:5], InvalidInput, "6 samples and there are 5 targets"),
        ("x.npy", None, FluctuaError, "must hold labels or targets"),
    ):
        with pytest.raises(kind, match=words):
            fluctua.data.batches(tmp_path / name, targets)
    with pytest.raises(InvalidInput, match="rows must be at least 1"):
        fluctua.data.batches(tmp_path / "x.npy", y, rows=0)


def test_a_gap_is_named_by_chunk_and_row(tmp_path):
    x = np.arange(40.0).reshape(20, 2)
    x[13, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(InvalidInput, match=r"chunk 2 .*inputs hold inf in row 3 of it, column 1"):
        fl.LeastSquares.from_batches(fluctua.data.batches(tmp_path / "x.npy", x[:, 0], rows=5))
