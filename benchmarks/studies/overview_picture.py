"""Draw the picture of the README (docs/overview.png): questions without and with categories."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.manifold import TSNE

import labelquorum as lq
from _data import real_data

N_DRAWN = 6000  # points of the map
INK, FAINT = "#1f2328", "#b8bfc7"


def read_questions():
    """The titles and their embeddings."""
    folder = real_data() / "intents"
    with gzip.open(folder / "stackoverflow.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return texts, np.load(folder / "stackoverflow_minilm.npy").astype(np.float32)


def draw(texts, X):
    """Fit, and draw the same samples without and with what was found."""
    model = lq.ConsensusClusterer(20, random_state=0).fit(X)
    names = lq.text.keywords(texts, model.labels_, 1)
    drawn = np.sort(np.random.default_rng(0).choice(len(X), N_DRAWN, replace=False))
    points = TSNE(metric="cosine", perplexity=30, init="pca", random_state=0).fit_transform(
        X[drawn].astype(np.float64)
    )
    points -= np.median(points, axis=0)
    labels, is_sure = model.labels_[drawn], model.pseudo_labels_[drawn] >= 0
    colors = plt.get_cmap("tab10")(np.arange(model.n_clusters_) % 10)
    figure, (before, after) = plt.subplots(1, 2, figsize=(12, 6.3), sharex=True, sharey=True)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=0.92, wspace=0.02)
    for axes in (before, after):
        axes.set_axis_off()
        axes.set_aspect("equal")
    before.scatter(*points.T, s=3, color=FAINT, linewidths=0)
    before.set_title("20,000 questions, no labels", loc="left", color=INK, size=15)
    after.scatter(*points[~is_sure].T, s=3, color=colors[labels[~is_sure]], alpha=0.3, linewidths=0)
    after.scatter(*points[is_sure].T, s=6, color=colors[labels[is_sure]], linewidths=0)
    after.set_title(
        "20 categories, named by keywords; faint where votes differ",
        loc="left",
        color=INK,
        size=15,
    )
    for k in range(model.n_clusters_):
        x, y = np.median(points[(labels == k) & is_sure], axis=0)
        after.annotate(
            names[k][0][0],
            (x, y),
            ha="center",
            va="center",
            size=10,
            weight="bold",
            color=INK,
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8},
        )
    return figure


def main():
    """Read, draw and write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    plt.switch_backend("agg")
    draw(*read_questions()).savefig(options.parse_args().out, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
