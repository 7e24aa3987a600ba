"""The command ``labelquorum demo``: classes of handwritten digits, found without a label.

1. Base partitions of the training part: many clusterings, each with a view of its own, and most of
   them with more clusters than there are classes. A clustering that must not merge two classes errs
   by splitting one, and others split it elsewhere.
2. Mini-clusters, on which all of them agree, and label spreading from these to all other samples.
3. `ConsensusClusterer`, which weighs all votes of such partitions instead. The samples on which
   they agree most get pseudo-labels, and its classifier predicts the held-out part.

All settings are the defaults of the library. The true classes are used only for the shares that are
printed and for the red frames of the picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import check_writable, replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.options import add_seed, as_picture, print_result
from labelquorum.clustering.base_partitions import base_partitions
from labelquorum.clustering.clusterer import ConsensusClusterer
from labelquorum.quality.metrics import clustering_accuracy
from labelquorum.semi_supervised.propagation import LabelSpreading
from labelquorum.votes.mini_clusters import mini_clusters

_N_CLASSES = 10
_SAMPLES_PER_ROW = 16

Float64Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

DEMO = """\
Classify scikit-learn's handwritten digits without a label: cluster them in many ways, keep what the
clusterings agree on, and compare with the true classes. Takes seconds and downloads nothing.
"""


class _Result(NamedTuple):
    train: Integers
    """Row numbers of the training part."""
    held_out: Integers
    """Row numbers of the held-out part."""
    partitions: Integers
    """(n_train, n_partitions)."""
    single: dict[str, Integers]
    """Common clusterings of the training part, for comparison."""
    mini_clusters: NDArray[np.int32]
    """The mini-cluster of each training sample, or -1."""
    spread: Integers
    """The label of every sample, spread from the mini-clusters."""
    pseudo_labels: Integers
    """The pseudo-label of each training sample, or -1."""
    final: Integers
    """The predicted label of every sample."""


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "--out",
        "-o",
        type=as_picture,
        metavar="PICTURE.png",
        help="write a picture of the mini-clusters there",
    )
    add_seed(add)
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> None:
    from sklearn.datasets import load_digits

    started = time.perf_counter()
    picture: Path | None = args.out
    if picture is not None:
        check_writable(picture)
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    with progress(verbose=True) as show:
        assert show is not None
        result = _learned(X, args.seed, show)
    _print_table(result, y, time.perf_counter() - started)
    if picture is not None:
        _draw(picture, X[result.train], y[result.train], result.mini_clusters, args.seed)
        print_result(picture, f"{picture}: mean image and samples of each mini-cluster")


def _learned(X: Float64Array, seed: int, show: Callable[[str, float], None]) -> _Result:
    from sklearn.cluster import KMeans, SpectralClustering

    shuffled = np.random.default_rng(seed).permutation(len(X))
    n_train = 2 * len(X) // 3
    train, held_out = np.sort(shuffled[:n_train]), np.sort(shuffled[n_train:])

    show("one k-means, one spectral clustering", 0.0)
    single: dict[str, Integers] = {
        "k-means": KMeans(_N_CLASSES, n_init=10, random_state=seed).fit_predict(X[train]),
        "spectral clustering": SpectralClustering(
            _N_CLASSES, affinity="nearest_neighbors", random_state=seed
        ).fit_predict(X[train]),
    }
    show("one k-means, one spectral clustering", 1.0)

    show("base partitions, mini-clusters, consensus", 0.0)
    partitions = base_partitions(X[train], _N_CLASSES, random_state=seed)
    groups = mini_clusters(partitions, _N_CLASSES)
    spreading = LabelSpreading().fit(X[train], groups)
    model = ConsensusClusterer(_N_CLASSES, random_state=seed).fit(X[train])
    spread, final = np.empty((2, len(X)), dtype=np.int64)
    spread[train], spread[held_out] = spreading.transduction_, spreading.predict(X[held_out])
    final[train], final[held_out] = model.labels_, model.predict(X[held_out])
    show("base partitions, mini-clusters, consensus", 1.0)
    return _Result(train, held_out, partitions, single, groups, spread, model.pseudo_labels_, final)


def _print_table(result: _Result, y: Integers, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    y_train = y[result.train]
    n_partitions = result.partitions.shape[1]
    table = Table(
        title=f"Handwritten digits: {len(y):,} images, {_N_CLASSES} classes, no label used",
        caption="Results of partitions, pseudo-labels and final labels are accuracies: the share "
        "of images whose cluster is matched with their class, one to one. Of more clusters than "
        f"classes, some have no match. {len(y_train):,} images for training, "
        f"{len(result.held_out):,} held out and used only for the last line. {seconds:.1f} s.",
    )
    table.add_column("what")
    table.add_column("how")
    table.add_column("result", justify="right")

    accuracies = [clustering_accuracy(y_train, partition) for partition in result.partitions.T]
    sizes = [len(np.unique(partition)) for partition in result.partitions.T]
    kind = f"{min(sizes)} to {max(sizes)} clusters"
    for name, accuracy in (
        ("mean", np.mean(accuracies)),
        ("best (known only with the classes)", max(accuracies)),
    ):
        table.add_row(f"{n_partitions} partitions", f"{kind}: {name}", f"{accuracy:.1%}")
    for name, labels in result.single.items():
        accuracy = clustering_accuracy(y_train, labels)
        table.add_row("one clustering", f"{name}, {_N_CLASSES} clusters", f"{accuracy:.1%}")
    table.add_section()
    n_groups = int(result.mini_clusters.max()) + 1
    grouped = result.mini_clusters >= 0
    table.add_row(
        f"{n_groups} mini-clusters",
        f"images in them: all {n_partitions} partitions agree",
        f"{grouped.mean():.1%}",
    )
    table.add_row(
        f"{n_groups} mini-clusters",
        "of these: images with the majority class of their mini-cluster",
        f"{_purity(y_train[grouped], result.mini_clusters[grouped]):.1%}",
    )
    table.add_row(
        "label spreading",
        "from the mini-clusters: accuracy on held-out images",
        f"{clustering_accuracy(y[result.held_out], result.spread[result.held_out]):.1%}",
    )
    table.add_section()
    labeled = result.pseudo_labels >= 0
    precision = clustering_accuracy(y_train[labeled], result.pseudo_labels[labeled])
    table.add_row("pseudo-labels", "share of training images", f"{labeled.mean():.1%}")
    table.add_row("pseudo-labels", "precision: accuracy on those images", f"{precision:.1%}")
    table.add_section()
    for part, rows in (("training part", result.train), ("held-out part", result.held_out)):
        accuracy = clustering_accuracy(y[rows], result.final[rows])
        table.add_row("[bold]final labels", f"[bold]{part}", f"[bold]{accuracy:.1%}")
    Console().print(table)


def _purity(y: Integers, groups: Integers) -> float:
    """The share of samples with the class that most of their group have."""
    counts = np.zeros((int(groups.max()) + 1, int(y.max()) + 1), dtype=np.int64)
    np.add.at(counts, (groups, y), 1)
    return float(counts.max(axis=1).sum() / len(y))


def _draw(path: Path, X: Float64Array, y: Integers, groups: NDArray[np.int32], seed: int) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rng = np.random.default_rng(seed)
    n_rows = int(groups.max()) + 1
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
        members = np.flatnonzero(groups == row)
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
        " (red: not of the majority class of its mini-cluster)",
        size=12,
        x=0.5,
        y=0.985,
    )
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())
