"""Coreference: who is who in a document, learned from other documents.

Files have JSON lines like LitBank's coreference: document, sentences, and mentions with text, kind,
category, sentence, first_token, last_token and cluster. Without a test file, the study
cross-validates by document. Mentions are given, their categories are not: each method predicts
them, and "mixed" is the share of its clusters that hold several predicted categories. All features
come from the text (see _mentions.py). Scores are means over documents. Peers: mentions with the
same text, mentions with the same head, and average linkage of our own pair scores, cut at the
threshold that is best on held-out training documents. Their categories come from a logistic
regression.
Bars: a CoNLL score 5 points above the best of these three; mixed exactly 0.
"""

from __future__ import annotations

import json
import time
import warnings

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import _data
import _mentions
import labelquorum as lq
from _recorder import add_choices, parser, record

BAR = 0.05
OURS = {
    "PairwiseSetClusterer": {},
    "SetClusterer": {"n_layers": 1, "n_epochs": 12, "batch_size": 100, "learning_rate": 0.004},
}
THRESHOLDS = np.arange(0.02, 1, 0.02)
NAMES = {"conll": "conll", "b3": "b_cubed", "ceaf_e": "ceaf_e", "muc": "muc"}


def features_of(documents):
    sets, pairs = ([getattr(d, name) for d in documents] for name in ("items", "pairs"))
    return {"sets": sets, "pairs": pairs}


def fitted(model, train):
    model.fit(**features_of(train), clusters=[d.clusters for d in train],
              categories=[d.categories for d in train])  # fmt: skip
    return model


def predicted_categories(train, test):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    items = np.concatenate([d.items for d in train])
    model.fit(items, np.concatenate([d.categories for d in train]))
    return [model.predict(d.items) for d in test]


def trees_of(model, documents):
    affinities = model.predict_affinity(**features_of(documents))
    return [linkage(squareform(1 - of, checks=False), "average") for of in affinities]


def cut(tree, threshold):
    return fcluster(tree, threshold, "distance")


def agglomerative(model, train, test):
    """Cut average linkage where it is best on the documents that tuned the model."""
    held_out = [train[i] for i in model.held_out_[0]]
    trees = trees_of(model, held_out)
    scores = []
    for threshold in THRESHOLDS:
        f1 = [
            lq.set_scores(d.clusters, cut(tree, threshold))["conll"].f1
            for d, tree in zip(held_out, trees, strict=True)
        ]
        scores.append(np.mean(f1))
    threshold = THRESHOLDS[int(np.argmax(scores))]
    return [cut(tree, threshold) for tree in trees_of(model, test)]


def predictions(methods, train, test, args):
    """Yield each method, its categories and clusters of the test documents, and its seconds."""
    started = time.perf_counter()
    categories = predicted_categories(train, test)
    seconds = time.perf_counter() - started
    yield "exact match", categories, [d.texts for d in test], seconds
    yield "head match", categories, [d.heads for d in test], seconds
    for name in OURS:
        if name not in methods:
            continue
        started = time.perf_counter()
        # One model, so that no part of it has seen the held-out documents.
        more = {"metric": "conll", "n_models": 1, "random_state": args.seed, "n_jobs": args.threads}
        model = fitted(getattr(lq, name)(**OURS[name], **more), train)
        learned = time.perf_counter() - started
        predicted = model.predict(**features_of(test))
        yield name, predicted.categories, predicted.clusters, time.perf_counter() - started
        started = time.perf_counter()
        clusters = agglomerative(model, train, test)
        seconds = learned + time.perf_counter() - started
        peer = "agglomerative" if name == "PairwiseSetClusterer" else f"agglomerative of {name}"
        yield peer, categories, clusters, seconds


def share_mixed(categories, clusters):
    """Return the share of clusters that hold several categories."""
    n_mixed = n_clusters = 0
    for kinds, labels in zip(categories, clusters, strict=True):
        for label in np.unique(labels):
            n_mixed += len(np.unique(kinds[labels == label])) > 1
            n_clusters += 1
    return n_mixed / n_clusters


def scored(documents, categories, clusters, seconds):
    """Return the scores that the last line prints, and further ones."""
    result = lq.evaluate_sets(
        [d.clusters for d in documents],
        clusters,
        true_categories=[d.categories for d in documents],
        found_categories=categories,
        random_state=0,
    )
    row = {key: result.scores[name].f1 for key, name in NAMES.items()}
    row |= {"mixed": share_mixed(categories, clusters), "seconds": seconds}
    right = np.concatenate(categories) == np.concatenate([d.categories for d in documents])
    more = {
        "interval_of_conll": result.f1_intervals["conll"],
        "joint_b_cubed": result.scores["joint_b_cubed"].f1,
        "lea": result.scores["lea"].f1,
        "categories_right": float(right.mean()),
    }
    return row, more


def main():
    options = parser(__doc__)
    options.add_argument("--train", help="JSON lines, also .gz (default: LitBank)")
    options.add_argument("--test", help="a file like --train (default: cross-validate by document)")
    options.add_argument("--folds", type=int, default=5, help="folds of the cross-validation")
    options.add_argument("--seed", type=int, default=0, help="random seed")
    add_choices(options, "--methods", OURS, "methods to run")
    args = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    path = args.train or _data.real_data() / "litbank" / "litbank_coref.jsonl.gz"
    train = _mentions.read(path)
    if args.test:
        splits = [(train, _mentions.read(args.test))]
    else:
        folds = KFold(args.folds, shuffle=True, random_state=args.seed).split(train)
        splits = [([train[i] for i in rest], [train[i] for i in part]) for rest, part in folds]
    n_mentions = sum(len(d.clusters) for _, test in splits for d in test)
    print(f"{sum(len(test) for _, test in splits)} test documents, {n_mentions} mentions")
    by_method = {}
    for train, test in splits:
        for method, categories, clusters, seconds in predictions(args.methods, train, test, args):
            print(f"  {len(test)} documents by {method}: {seconds:.0f} s", flush=True)
            lists = by_method.setdefault(method, ([], [], [], []))
            for kept, more in zip(lists, (test, categories, clusters, [seconds]), strict=True):
                kept.extend(more)
    rows, results = {}, {}
    for method, (documents, categories, clusters, seconds) in by_method.items():
        rows[method], more = scored(documents, categories, clusters, sum(seconds))
        results[method] = rows[method] | more
        scores = ", ".join(f"{key} {rows[method][key]:.3f}" for key in NAMES)
        print(
            f"{method:29} {scores}, mixed {rows[method]['mixed']:.3f}, categories right "
            f"{more['categories_right']:.3f}, {sum(seconds):.0f} s"
        )
    record(args, results)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
