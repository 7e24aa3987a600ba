"""Sets in which only the context tells the clusters: who hangs out with whom in a picture.

Animals have traits, and a thing in the picture says which trait matters (see _data.pictures): an
animal alone says nothing of its cluster, and a pair without the thing nothing of which of its
traits to look at. Scores are means over pictures that no method has seen; k-means and average
linkage are told the true number of clusters.
Bars: an adjusted Rand index of 0.95 by SetClusterer; pairs alone stay far below.
"""

from __future__ import annotations

import time

import numpy as np
from _record import parser, record
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score

import _data
import labelquorum as lq

BAR = 0.95


def scores(clusters, found, categories=None, found_categories=None):
    result = {
        "ari": np.mean([adjusted_rand_score(*of) for of in zip(clusters, found, strict=True)])
    }
    of = lq.evaluate_sets(clusters, found, random_state=0)
    result["b_cubed"] = of.scores["b_cubed"].f1
    if found_categories is not None:
        right = np.concatenate(categories) == np.concatenate(found_categories)
        result["categories_right"] = right.mean()
    return {name: float(value) for name, value in result.items()}


def told_the_number(model, sets, clusters):
    found = []
    for items, of in zip(sets, clusters, strict=True):
        found.append(model.set_params(n_clusters=len(np.unique(of))).fit_predict(items))
    return found


def main():
    options = parser(__doc__)
    options.add_argument("--train", type=int, default=1000, help="pictures to learn from")
    options.add_argument("--test", type=int, default=300)
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--models", type=int, default=1, help="of each of ours")
    args = options.parse_args()
    sets, clusters, categories = _data.pictures(args.train, seed=0)
    new, truth, kinds = _data.pictures(args.test, seed=1)
    ours = {"metric": "ari", "n_models": args.models, "random_state": 0}
    results = {}
    for name, model in {
        "SetClusterer": lq.SetClusterer(n_epochs=args.epochs, **ours),
        "PairwiseSetClusterer": lq.PairwiseSetClusterer(**ours),
        "average linkage": AgglomerativeClustering(linkage="average"),
        "k-means": KMeans(n_init=10, random_state=0),
    }.items():
        started = time.perf_counter()
        if hasattr(model, "predict_affinity"):
            found = model.fit(sets, clusters, categories).predict(new)
            row = scores(truth, found.clusters, kinds, found.categories)
        else:
            row = scores(truth, told_the_number(model, new, truth))
        results[name] = row | {"seconds": time.perf_counter() - started}
        print(name, ", ".join(f"{key} {value:.3f}" for key, value in results[name].items()))
        record(args, results)


if __name__ == "__main__":
    main()
