"""The publishers' own files, when FLUCTUA_DATA says where they are."""

import os

import numpy as np
import pytest

from fluctua import data

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("FLUCTUA_DATA"), reason="FLUCTUA_DATA is not set"),
]


@pytest.fixture(scope="module")
def emnist():
    return data.load("emnist")


@pytest.fixture(scope="module")
def mnist():
    return data.load("mnist")


def test_mnist_train(mnist):
    assert mnist.inputs.shape == (60000, 784)
    assert mnist.targets.shape == (60000, 10)
    assert mnist.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert (mnist.inputs.min(), mnist.inputs.max()) == (0, 1)
    assert np.bincount(mnist.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert dict(mnist.files) == {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    }


def test_mnist_test():
    loaded = data.load("mnist", subset="test")
    assert loaded.inputs.shape == (10000, 784)
    assert loaded.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert dict(loaded.files) == {
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }


def test_emnist_byclass_test(emnist):
    assert emnist.name == "emnist/byclass/test"
    assert emnist.inputs.shape == (116323, 784)
    assert emnist.targets.shape == (116323, 62)
    assert (emnist.labels.min(), emnist.labels.max()) == (0, 61)
    assert dict(emnist.files) == {
        "emnist-byclass-test-images-idx3-ubyte": ("385559d7d5c96f49cd6b55b3e9e76d7ecbf568897b6067e8cac8f1ffc2f50f81"),
        "emnist-byclass-test-labels-idx1-ubyte": ("842d01413932b3ce7afbc9990376a16f8880a212bb42d66fa2922b4218cf300a"),
    }


def test_emnist_stands_upright(emnist, mnist):
    """Each mean digit resembles MNIST's more than it does when turned back; an L has its foot below."""
    for digit in range(10):
        mean = emnist.inputs[emnist.labels == digit].mean(axis=0)
        model = mnist.inputs[mnist.labels == digit].mean(axis=0)
        turned = mean.reshape(28, 28).T.reshape(784)
        upright, lying = (np.corrcoef(model, seen)[0, 1] for seen in (mean, turned))
        assert upright > lying, digit
    letter = emnist.inputs[emnist.labels == emnist.class_names.index("L")].mean(axis=0).reshape(28, 28)
    assert letter[16:, 16:].sum() > 3 * letter[:12, 16:].sum()


def test_cifar10_train():
    loaded = data.load("cifar10")
    assert loaded.inputs.shape == (50000, 3072)
    assert loaded.inputs.dtype == loaded.targets.dtype == np.float32
    assert (loaded.inputs.min(), loaded.inputs.max()) == (0, 1)
    assert len(loaded.class_names) == loaded.targets.shape[1] == 10
    assert dict(loaded.files) == {
        "data_batch_1.bin": "1792eed06203f6ef13828516f243789fca582fca329acc7a6b75b2eb0e6d0feb",
        "data_batch_2.bin": "bb5290ecdb4d9031159acc94063f0f7578bf54edadc15c39b5eee70e33dbcad3",
        "data_batch_3.bin": "ad2df9e20edf673e2e3e4808563c3752571196590837daa4bacbabba6d6dc6ae",
        "data_batch_4.bin": "f8fa72ce5657b1a8634856a76924dc815f40192f1de39e723586bf97e0518a60",
        "data_batch_5.bin": "959f66bdab3d326e3e58007487fd305ccc84fb5a9b0208ba24c670cde3f7e223",
    }


def test_cifar10_test():
    loaded = data.load("cifar10", subset="test", limit=100)
    assert loaded.inputs.shape == (100, 3072)
    digest = "96cc629bbedb88aff7e4e6ce838922a07bd3a3c37e384a0a7cca35fc4bf224c7"
    assert dict(loaded.files) == {"test_batch.bin": digest}


def test_the_labels_order_of_cifar10_follows_the_names():
    """Ships and airplanes are bluer than deer and frogs."""
    loaded = data.load("cifar10", subset="test")
    blueness = loaded.inputs[:, 2048:].mean(axis=1) - loaded.inputs[:, :1024].mean(axis=1)
    mean = {name: blueness[loaded.labels == label].mean() for label, name in enumerate(loaded.class_names)}
    assert min(mean["airplane"], mean["ship"]) > max(mean["deer"], mean["frog"])
