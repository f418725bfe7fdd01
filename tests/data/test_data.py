"""Readers, layouts and options of the built-in data sets, on small files that the tests write."""

import gzip
import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fluctua import data
from fluctua.data.registry import REGISTRY
from fluctua.errors import CorruptData, DataUnavailable, InvalidInput, UnknownName

MNIST_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


@pytest.fixture(autouse=True)
def _own_places(monkeypatch, tmp_path):
    monkeypatch.delenv("FLUCTUA_DATA", raising=False)
    monkeypatch.setenv("FLUCTUA_CACHE", str(tmp_path / "cache"))


def idx(array):
    array = np.asarray(array, np.uint8)
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def images(count, rows=28, columns=28, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, rows, columns), dtype=np.uint8)


def put_mnist(folder, labels=(5, 0, 4, 1, 9), gz=".gz", names=MNIST_TRAIN):
    pixels = images(len(labels))
    put(folder / (names[0] + gz), idx(pixels))
    put(folder / (names[1] + gz), idx(labels))
    return pixels


def cifar_batch(labels, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return pixels, np.column_stack([np.asarray(labels, np.uint8), pixels]).tobytes()


# IDX


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
def test_idx_is_read_plain_and_gzipped(tmp_path, name):
    pixels = images(3, 4, 5)
    array = data.read_idx(put(tmp_path / name, idx(pixels)))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, pixels)


BAD_IDX = {
    "html": (b"<!DOCTYPE html>", "3c 21 44 4f"),
    "empty": (b"", "nothing"),
    "type code": (b"\0\0\x0d\x01" + struct.pack(">I", 1) + b"\0" * 4, "0x0d"),
    "no axes": (b"\0\0\x08\0", "0 axes"),
    "header cut": (b"\0\0\x08\x03\0\0\0\x01", "16 bytes and the whole file holds 8"),
    "short": (idx(images(2, 3, 3))[:-5], "2 x 3 x 3 = 18 bytes and 13 follow: 5 are missing"),
    "trailing": (idx(images(2, 3, 3)) + b"xy", "20 follow: 2 too many"),
    "absurd header": (b"\0\0\x08\x03" + b"\xff" * 12 + b"\0", "1 follow"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_bad_idx_says_what_is_wrong_in_numbers(tmp_path, case):
    content, words = BAD_IDX[case]
    path = put(tmp_path / "bad", content)
    with pytest.raises(CorruptData, match=words) as caught:
        data.read_idx(path)
    assert caught.value.path == path


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage after"])
def test_broken_gzip_is_corrupt(tmp_path, damage):
    whole = bytearray(gzip.compress(idx(images(4))))
    if damage == "flipped":
        whole[-6] ^= 0xFF
    broken = {"truncated": whole[:-20], "flipped": whole, "garbage after": whole + b"garbage"}[damage]
    path = tmp_path / "bad.gz"
    path.write_bytes(broken)
    with pytest.raises(CorruptData, match=r"gzip stream is broken; [\d,]+ bytes"):
        data.read_idx(path)


def test_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(DataUnavailable, match="No such file"):
        data.read_idx(tmp_path / "absent")


# CIFAR-10


@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_1.bin.gz"])
def test_cifar10_binary_is_read(tmp_path, name):
    pixels, content = cifar_batch([3, 9, 0])
    found, labels = data.read_cifar10_binary(put(tmp_path / name, content))
    np.testing.assert_array_equal(found, pixels)
    assert labels.tolist() == [3, 9, 0]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "0 bytes"), (b"\0" * 3074, "3,074 bytes"), (cifar_batch([1, 10])[1], "record 1 has label 10")],
)
def test_bad_cifar10_binary(tmp_path, content, words):
    with pytest.raises(CorruptData, match=words):
        data.read_cifar10_binary(put(tmp_path / "b.bin", content))


def test_cifar10_joins_its_batches_in_order(tmp_path):
    batches = [cifar_batch([batch, batch], seed=batch) for batch in range(1, 6)]
    for number, (_, content) in enumerate(batches, start=1):
        put(tmp_path / "cifar10" / "cifar-10-batches-bin" / f"data_batch_{number}.bin", content)
    loaded = data.load("cifar10", data_dir=tmp_path)
    assert loaded.name == "cifar10/train"
    assert loaded.labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert loaded.class_names[0] == "airplane"
    assert loaded.class_names[9] == "truck"
    pixels = np.concatenate([pixels for pixels, _ in batches])
    np.testing.assert_array_equal(loaded.inputs, pixels.astype(np.float32) / np.float32(255))
    assert loaded.files["data_batch_2.bin"] == hashlib.sha256(batches[1][1]).hexdigest()


# MNIST and EMNIST


def test_mnist_is_scaled_and_one_hot(tmp_path):
    pixels = put_mnist(tmp_path / "mnist")
    loaded = data.load("mnist", data_dir=tmp_path)
    assert loaded.inputs.dtype == loaded.targets.dtype == np.float32
    np.testing.assert_array_equal(loaded.inputs, pixels.reshape(5, 784).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(loaded.targets.argmax(axis=1), [5, 0, 4, 1, 9])
    np.testing.assert_array_equal(loaded.targets.sum(axis=1), 1)
    assert loaded.labels.dtype == np.int64
    assert loaded.class_names == tuple("0123456789")
    assert loaded.files == {
        "train-images-idx3-ubyte": hashlib.sha256(idx(pixels)).hexdigest(),
        "train-labels-idx1-ubyte": hashlib.sha256(idx([5, 0, 4, 1, 9])).hexdigest(),
    }


def test_repr_is_one_useful_line(tmp_path):
    put_mnist(tmp_path)
    shown = repr(data.load("mnist", data_dir=tmp_path))
    assert shown == "Dataset('mnist/train': 5 samples, 784 inputs, 10 outputs, float32)"


def test_emnist_is_turned_upright(tmp_path):
    stored = images(2, 3, 4)
    names = ("emnist-digits-test-images-idx3-ubyte", "emnist-digits-test-labels-idx1-ubyte")
    put(tmp_path / "emnist" / f"{names[0]}.gz", idx(stored))
    put(tmp_path / "emnist" / f"{names[1]}.gz", idx([7, 1]))
    loaded = data.load("emnist", split="digits", data_dir=tmp_path)
    upright = stored.transpose(0, 2, 1).reshape(2, 12).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(loaded.inputs, upright)
    assert loaded.name == "emnist/digits/test"


def test_emnist_letters_count_from_one(tmp_path):
    names = ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte")
    put_mnist(tmp_path, labels=(1, 26, 2), names=names)
    loaded = data.load("emnist", split="letters", subset="train", data_dir=tmp_path)
    assert loaded.labels.tolist() == [1, 26, 2]
    assert loaded.targets.argmax(axis=1).tolist() == [0, 25, 1]
    assert (loaded.class_names[0], loaded.class_names[25]) == ("A", "Z")
    put_mnist(tmp_path, labels=(0, 26, 2), names=names)
    with pytest.raises(CorruptData, match="run from 0 to 26, and this set's from 1 to 26"):
        data.load("emnist", split="letters", subset="train", data_dir=tmp_path)


def test_emnist_splits_have_the_published_classes():
    variants = REGISTRY["emnist"].variants
    counts = {split: len(variants[f"{split}/test"].class_names) for split in REGISTRY["emnist"].splits}
    assert counts == {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}
    assert "".join(variants["balanced/train"].class_names) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert variants["byclass/test"].class_names[61] == "z"


def test_more_labels_than_images_is_corrupt(tmp_path):
    put_mnist(tmp_path)
    put(tmp_path / "train-labels-idx1-ubyte.gz", idx([1, 2, 3]))
    with pytest.raises(CorruptData, match="3 labels for 5 images"):
        data.load("mnist", data_dir=tmp_path)


def test_a_label_out_of_range_is_corrupt(tmp_path):
    put_mnist(tmp_path, labels=(1, 10))
    with pytest.raises(CorruptData, match="run from 1 to 10, and this set's from 0 to 9"):
        data.load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("empty", [False, True])
def test_images_of_a_wrong_shape_are_corrupt(tmp_path, empty):
    put_mnist(tmp_path)
    put(tmp_path / "train-images-idx3-ubyte.gz", idx(images(0) if empty else images(5)[:, 0]))
    with pytest.raises(CorruptData, match="expected \\(N, rows, columns\\)"):
        data.load("mnist", data_dir=tmp_path)


def test_a_batch_of_cifar10_cut_at_the_end_of_a_record_is_corrupt(tmp_path):
    for number in range(1, 6):
        labels = [1, 2] if number == 3 else [1, 2, 3]
        put(tmp_path / "cifar10" / f"data_batch_{number}.bin", cifar_batch(labels)[1])
    with pytest.raises(CorruptData, match=r"data_batch_3\.bin: it holds 2 images, and data_batch_1\.bin 3"):
        data.load("cifar10", data_dir=tmp_path)


# Where files lie


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("folder", ["mnist", ".", "MNIST/raw", "mnist/raw"])
def test_layouts_of_mnist(tmp_path, folder, gz):
    put_mnist(tmp_path / folder, gz=gz)
    assert len(data.load("mnist", data_dir=tmp_path).inputs) == 5


@pytest.mark.parametrize("folder", ["emnist", ".", "emnist/gzip", "gzip", "EMNIST/raw"])
def test_layouts_of_emnist(tmp_path, folder):
    names = ("emnist-byclass-test-images-idx3-ubyte", "emnist-byclass-test-labels-idx1-ubyte")
    put_mnist(tmp_path / folder, labels=(0, 61), names=names)
    assert data.load("emnist", data_dir=tmp_path).targets.shape == (2, 62)


@pytest.mark.parametrize("folder", ["cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10", "."])
def test_layouts_of_cifar10(tmp_path, folder):
    put(tmp_path / folder / "test_batch.bin", cifar_batch([4])[1])
    assert data.load("cifar10", subset="test", data_dir=tmp_path).inputs.shape == (1, 3072)


def test_plain_and_gzipped_files_give_the_same_hashes(tmp_path):
    put_mnist(tmp_path / "a", gz="")
    put_mnist(tmp_path / "b", gz=".gz")
    plain, zipped = (data.load("mnist", data_dir=tmp_path / side) for side in "ab")
    assert plain.files == zipped.files
    assert plain.sha256 == zipped.sha256


def test_the_argument_goes_before_the_environment(tmp_path, monkeypatch):
    put_mnist(tmp_path / "argument", labels=(1, 1))
    put_mnist(tmp_path / "environment", labels=(2, 2, 2))
    put_mnist(tmp_path / "cache", labels=(3, 3, 3, 3))
    assert len(data.load("mnist").labels) == 4
    assert data.data_home() == tmp_path / "cache"
    monkeypatch.setenv("FLUCTUA_DATA", str(tmp_path / "environment"))
    assert len(data.load("mnist").labels) == 3
    assert data.data_home() == tmp_path / "environment"
    assert len(data.load("mnist", data_dir=tmp_path / "argument").labels) == 2


def test_the_default_home_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("FLUCTUA_CACHE")
    assert "fluctua" in str(data.data_home())


def test_missing_files_name_places_neighbours_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUCTUA_DATA", str(tmp_path))
    names = ("emnist-byclass-test-images-idx3-ubyte", "emnist-byclass-test-labels-idx1-ubyte")
    put_mnist(tmp_path / "emnist", names=names)
    with pytest.raises(DataUnavailable) as caught:
        data.load("emnist", subset="train")
    text = str(caught.value)
    assert str(tmp_path) in text
    assert "FLUCTUA_DATA" in text
    assert "emnist-byclass-train-images-idx3-ubyte" in text
    assert "split='byclass', subset='test'" in text
    assert "fluctua data fetch emnist" in text


def test_half_a_data_set_is_reported_as_such(tmp_path):
    put_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataUnavailable, match=r"only mnist.train-images-idx3-ubyte\.gz is there"):
        data.load("mnist", data_dir=tmp_path)


def test_an_empty_an_absent_and_a_false_directory(tmp_path):
    with pytest.raises(DataUnavailable, match="None of its files is there"):
        data.load("mnist", data_dir=tmp_path)
    with pytest.raises(DataUnavailable, match="does not exist"):
        data.load("mnist", data_dir=tmp_path / "absent")
    with pytest.raises(InvalidInput, match="data_dir must be a directory"):
        data.load("mnist", data_dir=put(tmp_path / "file", b"x"))


def test_available_tells_what_is_present(tmp_path):
    put_mnist(tmp_path)
    entries = {entry.name: entry for entry in data.available(tmp_path)}
    assert list(entries) == ["digits", "mnist", "emnist", "cifar10"]
    assert entries["digits"].present == ("all",)
    assert entries["mnist"].present == ("train",)
    assert entries["emnist"].present == ()
    assert entries["emnist"].subsets == ("test", "train")
    assert entries["cifar10"].origin.startswith("https://")


# Choosing samples


@pytest.mark.parametrize("moved", [False, True], ids=["their file", "a release that keeps them elsewhere"])
def test_digits_are_those_of_scikit_learn(monkeypatch, moved):
    if moved:
        monkeypatch.setattr("fluctua.data.published.find_spec", lambda _: None)
    pixels, labels = load_digits(return_X_y=True)
    loaded = data.load("digits")
    np.testing.assert_array_equal(16 * loaded.inputs, pixels)
    np.testing.assert_array_equal(loaded.labels, labels)


def test_digits_are_scaled_by_sixteen():
    loaded = data.load("digits")
    assert loaded.inputs.shape == (1797, 64)
    assert loaded.inputs.dtype == loaded.targets.dtype == np.float64
    assert (loaded.inputs.min(), loaded.inputs.max()) == (0, 1)
    assert dict(loaded.files) == {}
    np.testing.assert_array_equal(loaded.targets.argmax(axis=1), loaded.labels)


def test_classes_keep_their_order_and_limit_counts_after_them():
    whole, pair = data.load("digits"), data.load("digits", classes=[8, 3], limit=10)
    index = np.flatnonzero(np.isin(whole.labels, [3, 8]))[:10]
    np.testing.assert_array_equal(pair.inputs, whole.inputs[index])
    np.testing.assert_array_equal(pair.labels, whole.labels[index])
    np.testing.assert_array_equal(pair.targets[:, 0], pair.labels == 8)
    assert pair.class_names == ("8", "3")
    assert data.load("digits", classes=("8", "3"), limit=10).sha256 == pair.sha256


def test_limit_keeps_every_output_and_may_exceed_the_samples():
    assert data.load("digits", limit=3).targets.shape == (3, 10)
    assert data.load("digits", limit=10**9).targets.shape == (1797, 10)


def test_sha256_follows_the_samples_used():
    whole, again = data.load("digits"), data.load("digits")
    assert whole.sha256 == again.sha256
    expected = hashlib.sha256()
    for array in (whole.inputs, whole.targets):
        expected.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    assert whole.sha256 == expected.hexdigest()
    hashes = {data.load("digits", limit=limit).sha256 for limit in (None, 10, 11)}
    hashes |= {data.load("digits", classes=classes).sha256 for classes in ([3, 8], [8, 3])}
    assert len(hashes) == 5


def test_a_dataset_is_frozen():
    with pytest.raises(AttributeError):
        data.load("digits").name = "other"


BAD_ARGUMENTS = {
    "unknown name": ("mnits", {}, UnknownName, "Did you mean 'mnist'"),
    "no name": (5, {}, InvalidInput, "a path, or an object with data, got 5"),
    "unknown subset": ("mnist", {"subset": "trian"}, UnknownName, "Did you mean 'train'"),
    "digits train": ("digits", {"subset": "train"}, UnknownName, "subset of digits 'train'.*Known: all"),
    "unknown split": ("emnist", {"split": "byclas"}, UnknownName, "Did you mean 'byclass'"),
    "split of mnist": ("mnist", {"split": "byclass"}, InvalidInput, "mnist has none"),
    "targets of mnist": ("mnist", {"targets": "y.npy"}, InvalidInput, "its own labels"),
    "limit 0": ("digits", {"limit": 0}, InvalidInput, "limit must be at least 1"),
    "limit 2.5": ("digits", {"limit": 2.5}, InvalidInput, "whole number"),
    "no classes": ("digits", {"classes": []}, InvalidInput, "classes is empty: give at least one of the labels"),
    "a class twice": ("digits", {"classes": [3, 3]}, InvalidInput, "none twice"),
    "an absent class": ("digits", {"classes": [3, 10]}, InvalidInput, "10, which is not a label.*0, 1, 2"),
    "classes as text": ("digits", {"classes": "38"}, InvalidInput, "sequence of labels"),
    "a bool": ("digits", {"classes": [True, 3]}, InvalidInput, "True"),
    "unknown class name": ("cifar10", {"classes": ["car", "truk"]}, UnknownName, "class of cifar10/train"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_arguments_that_make_no_sense(tmp_path, case):
    name, options, error, words = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=words):
        data.load(name, data_dir=tmp_path, **options)


def test_classes_without_a_sample_are_refused(tmp_path):
    put_mnist(tmp_path)
    with pytest.raises(InvalidInput, match=r"no sample has a label in \[7\]"):
        data.load("mnist", classes=[7], data_dir=tmp_path)


def test_importing_the_room_is_cheap():
    heavy = "{'sklearn', 'pooch', 'rich', 'requests', 'torch', 'matplotlib'}"
    check = f"import sys, fluctua.data; sys.exit(len({heavy} & set(sys.modules)))"
    path = os.pathsep.join([str(Path(data.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    assert (
        subprocess.run([sys.executable, "-c", check], check=False, env={**os.environ, "PYTHONPATH": path}).returncode
        == 0
    )
