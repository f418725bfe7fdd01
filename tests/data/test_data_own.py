"""A user's own .npz and .npy files."""

import hashlib

import numpy as np
import pytest

from fluctua import data
from fluctua.errors import CorruptData, DataUnavailable, InvalidInput

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([2, -1, 2, 7, -1, 2])


def npz(folder, **arrays):
    path = folder / "features.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("key", ["y", "Y"])
def test_integer_labels_become_one_hot(tmp_path, key):
    path = npz(tmp_path, X=X, **{key: Y})
    loaded = data.load(str(path))
    np.testing.assert_array_equal(loaded.inputs, X)
    np.testing.assert_array_equal(loaded.targets, Y[:, None] == [-1, 2, 7])
    assert loaded.targets.dtype == loaded.inputs.dtype == np.float64
    assert loaded.class_names == ("-1", "2", "7")
    assert loaded.labels.tolist() == Y.tolist()
    assert loaded.name == "features.npz"
    assert loaded.files == {"features.npz": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_one_hot_follows_the_dtype_of_the_inputs(tmp_path):
    loaded = data.load(npz(tmp_path, X=X.astype(np.float32), y=Y[:, None].astype(np.uint8) % 3))
    assert loaded.inputs.dtype == loaded.targets.dtype == np.float32
    assert data.load(npz(tmp_path, X=X, y=Y > 0)).class_names == ("0", "1")


def test_floats_are_used_as_they_are(tmp_path):
    one = data.load(npz(tmp_path, X=X, y=X[:, 0]))
    np.testing.assert_array_equal(one.targets, X[:, :1])
    assert one.labels is None
    assert one.class_names == ()
    two = data.load(npz(tmp_path, X=X, Y=X[:, :2]), limit=4)
    np.testing.assert_array_equal(two.targets, X[:4, :2])
    np.testing.assert_array_equal(two.inputs, X[:4])


def test_an_integer_matrix_is_used_as_numbers(tmp_path):
    loaded = data.load(npz(tmp_path, X=X, y=np.eye(6, 2, dtype=np.int8)))
    np.testing.assert_array_equal(loaded.targets, np.eye(6, 2))
    assert loaded.labels is None


def test_images_are_flattened(tmp_path):
    pixels = np.arange(6 * 2 * 5, dtype=np.uint8).reshape(6, 2, 5)
    loaded = data.load(npz(tmp_path, X=pixels, y=Y))
    np.testing.assert_array_equal(loaded.inputs, pixels.reshape(6, 10))
    assert loaded.inputs.dtype == np.float64


def test_npy_inputs_with_npy_targets(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    loaded = data.load(tmp_path / "X.npy", targets=tmp_path / "y.npy")
    assert loaded.name == "X.npy"
    assert set(loaded.files) == {"X.npy", "y.npy"}
    assert loaded.class_names == ("-1", "2", "7")


def test_classes_and_limit_on_a_users_labels(tmp_path):
    path = npz(tmp_path, X=X, y=Y)
    loaded = data.load(path, classes=[7, 2], limit=3)
    np.testing.assert_array_equal(loaded.inputs, X[[0, 2, 3]])
    assert loaded.class_names == ("7", "2")
    assert loaded.targets.tolist() == [[0, 1], [0, 1], [1, 0]]
    limited = data.load(path, limit=2)
    assert limited.targets.shape == (2, 3)
    assert limited.inputs.base is None
    assert limited.sha256 != data.load(path).sha256


def test_only_the_samples_used_are_checked(tmp_path):
    spoiled = X.copy()
    spoiled[5, 1] = np.nan
    path = npz(tmp_path, X=spoiled, y=Y)
    assert len(data.load(path, limit=5).inputs) == 5
    with pytest.raises(InvalidInput, match=r"X holds nan at index \(5, 1\)"):
        data.load(path)


BAD_ARRAYS = {
    "no X": ({"weights": X, "y": Y}, {}, "must hold the array X .* it holds weights .*, y .*inputs_key"),
    "no y": ({"X": X}, {}, "holds inputs only"),
    "y twice": ({"X": X, "y": Y, "Y": Y}, {}, "either y or Y"),
    "N mismatch": ({"X": X, "y": Y[:4]}, {}, "X has 6 samples and y has 4"),
    "infinite y": ({"X": X, "y": np.full(6, np.inf)}, {}, "y holds inf"),
    "text X": ({"X": X.astype(str), "y": Y}, {}, "X must hold real numbers"),
    "text y": ({"X": X, "y": Y.astype(str)}, {}, "y must hold real numbers"),
    "complex X": ({"X": X + 1j, "y": Y}, {}, "real numbers"),
    "one axis": ({"X": X[:, 0], "y": Y}, {}, r"X must have shape \(N, d\)"),
    "a number": ({"X": np.float64(1), "y": Y}, {}, r"X must have shape"),
    "y of three axes": ({"X": X, "y": np.ones((6, 2, 2))}, {}, "y must have shape"),
    "empty": ({"X": X[:0], "y": Y[:0]}, {}, "X is empty"),
    "empty images": ({"X": np.ones((0, 2, 2)), "y": Y[:0]}, {}, "X must have shape"),
    "classes of floats": ({"X": X, "y": X[:, 0]}, {"classes": [1]}, "among integer labels.*float64"),
    "unknown class": ({"X": X, "y": Y}, {"classes": [3]}, "3, which is not a label.*-1, 2, 7"),
    "subset": ({"X": X, "y": Y}, {"subset": "train"}, "no part 'train': it has no parts"),
    "split": ({"X": X, "y": Y}, {"split": "letters"}, "built-in data set"),
    "targets": ({"X": X, "y": Y}, {"targets": Y}, "holds y itself"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(tmp_path, case):
    arrays, options, words = BAD_ARRAYS[case]
    with pytest.raises(InvalidInput, match=words):
        data.load(npz(tmp_path, **arrays), **options)


def test_pickles_are_never_loaded(tmp_path):
    path = npz(tmp_path, X=np.array([{}, []], dtype=object), y=Y[:2])
    with pytest.raises(CorruptData, match="Pickled objects are never loaded"):
        data.load(path)
    np.save(tmp_path / "X.npy", np.array([None, 1], dtype=object))
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(CorruptData, match="never loaded"):
        data.load(tmp_path / "X.npy", targets=tmp_path / "y.npy")


@pytest.mark.parametrize("content", ["half", "garbage", "nothing", "flipped", "npy"])
def test_damaged_archives(tmp_path, content):
    path = npz(tmp_path, X=X, y=Y)
    whole = bytearray(path.read_bytes())
    if content == "npy":
        np.save(tmp_path / "a.npy", X)
        path.write_bytes((tmp_path / "a.npy").read_bytes())
    elif content == "flipped":
        whole[250] ^= 0xFF
        path.write_bytes(whole)
    else:
        path.write_bytes({"half": whole[: len(whole) // 2], "garbage": b"\x80garbage", "nothing": b""}[content])
    with pytest.raises(CorruptData, match=r"features\.npz"):
        data.load(path)


def test_damaged_npy(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "X.npy", X)
    path = tmp_path / "X.npy"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptData, match="cut short"):
        data.load(path, targets=tmp_path / "y.npy")
    path.write_bytes(npz(tmp_path, X=X).read_bytes())
    with pytest.raises(CorruptData, match=r"Rename it to \.npz"):
        data.load(path, targets=tmp_path / "y.npy")


def test_paths_that_lead_nowhere(tmp_path, monkeypatch):
    path = npz(tmp_path, X=X, y=Y)
    with pytest.raises(DataUnavailable, match=r"does not exist\. Near it: features\.npz"):
        data.load(str(tmp_path / "feature.npz"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataUnavailable, match=r"absent\.npz does not exist"):
        data.load("absent.npz")
    with pytest.raises(DataUnavailable, match="does not exist"):
        data.load("nowhere/features.npz")
    with pytest.raises(DataUnavailable, match=r"table\.csv does not exist"):
        data.load("table.csv")
    with pytest.raises(DataUnavailable, match="is a directory"):
        data.load(tmp_path)
    assert data.load(path.name).name == "features.npz"


def test_npy_needs_targets_and_what_is_not_read_needs_converting(tmp_path):
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(InvalidInput, match="holds inputs only"):
        data.load(tmp_path / "X.npy")
    with pytest.raises(InvalidInput, match=r"must hold labels or targets; it holds X .*, Z"):
        data.load(tmp_path / "X.npy", targets=npz(tmp_path, X=X, Z=X))
    (tmp_path / "table.xls").write_text("1,2\n")
    with pytest.raises(InvalidInput, match=r"ends in \.xls; read are \.npz, .*\.parquet"):
        data.load(tmp_path / "table.xls")
