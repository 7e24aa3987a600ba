"""Who is who: clusters of the mentions of documents, learned from other documents.

On files of JSON lines as LitBank's coreference (document, sentences, mentions with text, kind,
category, sentence, first_token, last_token and cluster); cross-validation by document where no
test file is given. The mentions are given, their categories are not: each method says them, and
"mixed" is the share of its clusters that hold several of the categories it says. All features are
made of the text (see _mentions.py); scores are means over documents. Beside ours: mentions with the
same text, with the same head, and average linkage of what PairwiseSetClusterer says of pairs, at
the threshold that is best on training documents held out; their categories are those of a logistic
regression of mentions.
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
from _record import parser, record

BAR = 0.05
BASELINES = ("exact match", "head match", "agglomerative")
THRESHOLDS = np.arange(0.02, 1, 0.02)
NAMES = {"conll": "conll", "b3": "b_cubed", "ceaf_e": "ceaf_e", "muc": "muc"}


def given(documents):
    sets, pairs = ([getattr(d, name) for d in documents] for name in ("items", "pairs"))
    return sets, {"pairs": pairs}


def learned(model, train, test):
    sets, more = given(train)
    clusters, categories = [d.clusters for d in train], [d.categories for d in train]
    model.fit(sets, clusters, categories, **more)
    sets, more = given(test)
    found = model.predict(sets, **more)
    return found.categories, found.clusters


def said_categories(train, test):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    model.fit(
        np.concatenate([d.items for d in train]), np.concatenate([d.categories for d in train])
    )
    return [model.predict(d.items) for d in test]


def pair_scores(train, test, seed):
    """P(same cluster) of PairwiseSetClusterer, without categories."""
    sets, more = given(train)
    model = lq.PairwiseSetClusterer(random_state=seed).fit(
        sets, [d.clusters for d in train], **more
    )
    sets, more = given(test)
    return model.predict_affinity(sets, **more)


def trees_of(affinities):
    return [linkage(squareform(1 - of, checks=False), "average") for of in affinities]


def cut(tree, threshold):
    return fcluster(tree, threshold, "distance")


def agglomerative(train, test, seed):
    """Clusters at the threshold that is best on held-out parts of the training documents."""
    trees, of = [], []
    for rest, part in KFold(3, shuffle=True, random_state=seed).split(train):
        held_out = [train[i] for i in part]
        trees += trees_of(pair_scores([train[i] for i in rest], held_out, seed))
        of += held_out
    scores = [
        np.mean(
            [
                lq.set_scores(d.clusters, cut(tree, threshold))["conll"].f1
                for d, tree in zip(of, trees, strict=True)
            ]
        )
        for threshold in THRESHOLDS
    ]
    threshold = THRESHOLDS[int(np.argmax(scores))]
    return [cut(tree, threshold) for tree in trees_of(pair_scores(train, test, seed))]


def found_by(method, train, test, seed, threads):
    """Return the categories and the clusters of the test documents."""
    if method == "SetClusterer":
        model = lq.SetClusterer(metric="conll", random_state=seed, n_jobs=threads)
        return learned(model, train, test)
    if method == "PairwiseSetClusterer":
        model = lq.PairwiseSetClusterer(metric="conll", random_state=seed, n_jobs=threads)
        return learned(model, train, test)
    categories = said_categories(train, test)
    if method == "exact match":
        return categories, [d.texts for d in test]
    if method == "head match":
        return categories, [d.heads for d in test]
    return categories, agglomerative(train, test, seed)


def share_mixed(categories, clusters):
    """The share of clusters that hold several categories."""
    n_mixed = n_clusters = 0
    for kinds, labels in zip(categories, clusters, strict=True):
        for label in np.unique(labels):
            n_mixed += len(np.unique(kinds[labels == label])) > 1
            n_clusters += 1
    return n_mixed / n_clusters


def measured(method, splits, args):
    """Scores over the test documents of all splits."""
    documents, categories, clusters = [], [], []
    started = time.perf_counter()
    for train, test in splits:
        kinds, found = found_by(method, train, test, args.seed, args.threads)
        documents += test
        categories += kinds
        clusters += found
    seconds = time.perf_counter() - started
    result = lq.evaluate_sets(
        [d.clusters for d in documents],
        clusters,
        true_categories=[d.categories for d in documents],
        found_categories=categories,
        random_state=0,
    )
    row = {key: result.scores[name].f1 for key, name in NAMES.items()}
    row |= {"mixed": share_mixed(categories, clusters), "seconds": seconds}
    right = np.concatenate(
        [kinds == d.categories for kinds, d in zip(categories, documents, strict=True)]
    )
    more = {
        "interval_of_conll": result.f1_intervals["conll"],
        "joint_b_cubed": result.scores["joint_b_cubed"].f1,
        "lea": result.scores["lea"].f1,
        "categories_right": float(right.mean()),
    }
    return row, more


def main():
    options = parser(__doc__)
    options.add_argument("--train", help="JSON lines, .gz or not (default: LitBank)")
    options.add_argument("--test", help="the same; without it, cross-validation by document")
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--methods", nargs="+", default=None)
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
    rows, results = {}, {}
    for method in args.methods or (*BASELINES, "PairwiseSetClusterer", "SetClusterer"):
        rows[method], more = measured(method, splits, args)
        results[method] = rows[method] | more
        scores = ", ".join(f"{key} {rows[method][key]:.3f}" for key in NAMES)
        print(
            f"{method:21} {scores}, mixed {rows[method]['mixed']:.3f}, categories right "
            f"{more['categories_right']:.3f}, {rows[method]['seconds']:.0f} s",
            flush=True,
        )
        record(args, results)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
