"""The demo: classes of handwritten digits found without a label.

1. Twenty clusterings of the training part, each k-means in the spectral embedding of another
   nearest-neighbour graph: over other pixels, with another number of neighbours, with 15 to 25
   clusters. More clusters than classes on purpose: a clustering that must not merge two classes
   errs by splitting one, and others split it elsewhere.
2. Ten mini-clusters on which they agree: the pseudo-labels.
3. Label spreading takes the pseudo-labels to the rest of the training part, and a support vector
   classifier learns from both and predicts all samples, the held-out part too.

The true classes serve for nothing but the accuracies that are printed and the red frames of the
picture.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import labelquorum as lq
from labelquorum._shared.files import replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.options import _picture, _seed

_N_PARTITIONS = 20
_N_CLASSES = 10
_MIN_AGREE = 0.7
_MIN_DIFFER = 0.6
_SAMPLES_PER_ROW = 16

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]


class _BasePartition(NamedTuple):
    labels: Integers  # (n_samples,)
    n_neighbors: int  # of the graph
    n_clusters: int


class _Result(NamedTuple):
    train: Integers  # row numbers of the training part
    held_out: Integers  # row numbers of the rest
    base: list[_BasePartition]  # of the training part
    single: dict[str, Integers]  # usual clusterings of the training part, for comparison
    pseudo_labels: NDArray[np.int32]  # of the training part
    final: Integers  # predicted label of every sample


def demo(picture: Path | None, seed: int) -> None:
    """Run the demo, print its table, and write the picture where a path is given."""
    from sklearn.datasets import load_digits

    started = time.perf_counter()
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    with progress(verbose=True) as show:
        assert show is not None
        result = _learn(X, seed, show)
    _print_table(result, y, time.perf_counter() - started)
    if picture is not None:
        _draw(picture, X[result.train], y[result.train], result.pseudo_labels, seed)
        print(f"{picture}: mean image and samples of each mini-cluster")


def _learn(X: Floats, seed: int, show: Callable[[str, float], None]) -> _Result:
    from sklearn.cluster import KMeans, SpectralClustering
    from sklearn.semi_supervised import LabelSpreading
    from sklearn.svm import SVC

    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(X))
    n_train = 2 * len(X) // 3
    train, held_out = np.sort(shuffled[:n_train]), np.sort(shuffled[n_train:])

    base = []
    for i in range(_N_PARTITIONS):
        base.append(_cluster(X[train], rng))
        show("clustering", (i + 1) / _N_PARTITIONS)
    single: dict[str, Integers] = {
        "k-means": KMeans(_N_CLASSES, n_init=10, random_state=seed).fit_predict(X[train]),
        "spectral clustering": SpectralClustering(
            _N_CLASSES, affinity="nearest_neighbors", random_state=seed
        ).fit_predict(X[train]),
    }

    pseudo_labels = lq.mini_clusters(
        [partition.labels for partition in base],
        _N_CLASSES,
        min_agree=_MIN_AGREE,
        min_differ=_MIN_DIFFER,
    )
    show("classifier", 0.0)
    spread = LabelSpreading(kernel="knn", n_neighbors=7, alpha=0.2).fit(X[train], pseudo_labels)
    reached = spread.label_distributions_.any(axis=1)
    final = SVC(C=10).fit(X[train][reached], spread.transduction_[reached]).predict(X)
    show("classifier", 1.0)
    return _Result(train, held_out, base, single, pseudo_labels, final)


def _cluster(X: Floats, rng: np.random.Generator) -> _BasePartition:
    """One clustering with a view of its own: nine tenths of the pixels, a graph, k clusters."""
    from sklearn.cluster import KMeans
    from sklearn.manifold import SpectralEmbedding

    n_pixels = X.shape[1]
    pixels = rng.choice(n_pixels, 9 * n_pixels // 10, replace=False)
    n_neighbors, n_clusters = int(rng.integers(5, 15)), int(rng.integers(15, 26))
    random_state = int(rng.integers(2**31))
    embedding = SpectralEmbedding(
        10, affinity="nearest_neighbors", n_neighbors=n_neighbors, random_state=random_state
    )
    with warnings.catch_warnings():
        # With few neighbours the graph may fall apart: one view more, not an error.
        warnings.filterwarnings("ignore", "Graph is not fully connected")
        embedded = embedding.fit_transform(X[:, pixels])
    labels = KMeans(n_clusters, n_init=1, random_state=random_state).fit_predict(embedded)
    return _BasePartition(labels, n_neighbors, n_clusters)


def _print_table(result: _Result, y: Integers, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    y_train, y_held_out = y[result.train], y[result.held_out]
    table = Table(
        title=f"Handwritten digits: {len(y):,} images, {_N_CLASSES} classes, no label used",
        caption="Results of partitions and of final labels are accuracies: the share of images "
        "whose cluster is matched with their class, one to one. Of more clusters than classes, "
        f"some stay without a match. {len(y_train):,} images for training, {len(y_held_out):,} "
        f"held out: the last line alone uses them. {seconds:.1f} s.",
    )
    table.add_column("what")
    table.add_column("how")
    table.add_column("result", justify="right")

    accuracies = [lq.clustering_accuracy(y_train, partition.labels) for partition in result.base]
    for i, (partition, accuracy) in enumerate(zip(result.base, accuracies, strict=True)):
        how = f"{partition.n_clusters} clusters, graph of {partition.n_neighbors} neighbours"
        table.add_row(f"partition {i + 1}", how, f"{accuracy:.1%}")
    table.add_section()
    table.add_row("partitions", "mean", f"{np.mean(accuracies):.1%}")
    table.add_row("partitions", "best (known only with the classes)", f"{max(accuracies):.1%}")
    for name, labels in result.single.items():
        accuracy = lq.clustering_accuracy(y_train, labels)
        table.add_row("one clustering", f"{name}, {_N_CLASSES} clusters", f"{accuracy:.1%}")
    table.add_section()
    labeled = result.pseudo_labels >= 0
    precision = lq.clustering_accuracy(y_train[labeled], result.pseudo_labels[labeled])
    n_found = int(result.pseudo_labels.max()) + 1
    table.add_row(
        "pseudo-labels",
        f"share of training images ({n_found} mini-clusters)",
        f"{labeled.mean():.1%}",
    )
    table.add_row("pseudo-labels", "precision: accuracy on those images", f"{precision:.1%}")
    table.add_section()
    for part, rows, truth in (
        ("training part", result.train, y_train),
        ("held-out part", result.held_out, y_held_out),
    ):
        accuracy = lq.clustering_accuracy(truth, result.final[rows])
        table.add_row("[bold]final labels", f"[bold]{part}", f"[bold]{accuracy:.1%}")
    Console().print(table)


def _draw(path: Path, X: Floats, y: Integers, pseudo_labels: NDArray[np.int32], seed: int) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rng = np.random.default_rng(seed)
    n_rows = int(pseudo_labels.max()) + 1
    figure = Figure(figsize=(12, 0.62 * n_rows + 1.1), dpi=150, facecolor="white")
    grid = figure.add_gridspec(
        n_rows,
        _SAMPLES_PER_ROW + 2,
        width_ratios=[1, 0.35, *[1] * _SAMPLES_PER_ROW],
        left=0.15,
        right=0.985,
        bottom=0.02,
        top=1 - 0.95 / (0.62 * n_rows + 1.1),
        wspace=0.12,
        hspace=0.12,
    )
    for row in range(n_rows):
        members = np.flatnonzero(pseudo_labels == row)
        majority = np.bincount(y[members]).argmax()
        shown = rng.permutation(members)[:_SAMPLES_PER_ROW]
        images = [X[members].mean(axis=0), *X[shown]]
        is_other = [False, *(y[shown] != majority)]
        for i, (image, other) in enumerate(zip(images, is_other, strict=True)):
            axes = figure.add_subplot(grid[row, i + (i > 0)])
            axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axes.set_axis_off()
            if other:
                axes.add_patch(Rectangle((-0.5, -0.5), 8, 8, fill=False, color="red", lw=2.5))
            if i == 0:
                axes.text(-1.8, 3.5, f"{len(members)} images", ha="right", va="center", size=11)
            if row == 0 and i < 2:
                axes.set_title(
                    ("mean", "members, drawn at random")[i],
                    loc="center" if i == 0 else "left",
                    size=11,
                )
    figure.suptitle(
        "Mini-clusters of handwritten digits, found without a label"
        " (red: of another class than most of its mini-cluster)",
        size=12,
        x=0.5,
        y=0.985,
    )
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())


DEMO = """\
Classify scikit-learn's handwritten digits without a label: cluster them in many ways, keep what the
clusterings agree on, train a classifier on that, and compare with the true classes. Takes seconds
and downloads nothing.
"""


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=_picture,
        metavar="PICTURE.png",
        help="write a picture of the mini-clusters there",
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    parser.set_defaults(command=_demo)


def _demo(args: argparse.Namespace) -> None:
    from labelquorum.cli.demo import demo

    demo(args.out, args.seed)
