"""The files of the data sets, their addresses and hashes."""

from functools import partial

from .files import DataFile

ImageFiles = tuple[DataFile, DataFile, DataFile, DataFile]
"""Training images, training labels, test images, test labels."""

_mnist = partial(
    DataFile,
    folder="mnist",
    addresses=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
)

MNIST: ImageFiles = (
    _mnist(
        name="train-images-idx3-ubyte.gz",
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    _mnist(
        name="train-labels-idx1-ubyte.gz",
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    _mnist(
        name="t10k-images-idx3-ubyte.gz",
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _mnist(
        name="t10k-labels-idx1-ubyte.gz",
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
"""The files of LeCun1998."""

_fashion_mnist = partial(
    DataFile,
    folder="fashion_mnist",
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
        "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    ),
)

# The SHA-256 of the labels were computed from the files of the authors' repository. The images
# were not at hand, so a download of them is held to the MD5 of the compressed file that the
# authors' README states, and a user's own copy is checked for its structure alone: whole gzip
# file, idx magic number, element type, dimensions and length.
FASHION_MNIST: ImageFiles = (
    _fashion_mnist(
        name="train-images-idx3-ubyte.gz", archive_md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d"
    ),
    _fashion_mnist(
        name="train-labels-idx1-ubyte.gz",
        sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    _fashion_mnist(
        name="t10k-images-idx3-ubyte.gz", archive_md5="bef4ecab320f06d8554ea6380940ec79"
    ),
    _fashion_mnist(
        name="t10k-labels-idx1-ubyte.gz",
        sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
"""The files of Xiao2017."""

VOWEL = DataFile(
    folder="vowel",
    name="vowel-context.data",
    addresses=(
        "https://raw.githubusercontent.com/Xammed/ECOC-Correlation-Testing/"
        "912b76bf4b41568ffc5e6d537e1e665bd4a6be0c/",
    ),
    sha256="2e95c7be6c5800583b16d15ad36fd21f9681030b69bf96aa6aeab6f4f2f0726d",
)
"""Columns: 0 training or 1 test, speaker, sex, ten log area parameters, vowel (Deterding1989)."""
