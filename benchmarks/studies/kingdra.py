"""Clusters of Kingdra beside its parts, and its rounds as a picture.

One configuration for all sets, the defaults. "kingdra" begins with the consensus of partitions of
the features, "random" is the same from random weights, as published. "vote" makes as many steps as
Kingdra in all, without rounds. Of each, "single" is the mean over the ten networks of a run, "vote"
their aligned average, "first" the same two when the rounds begin. Beside them k-means, and the
consensus of the partitions, without networks. Accuracies are those of the best one-to-one matching.
Every round's coverage and precision of the pseudo-labels are kept, and drawn.

`--keep` keeps what was done so far of each run, so that the same command goes on from there. Runs
may be made one by one, or side by side: a command that names them all finds them. Times are of
the process that ended a run.
"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from _record import RESULTS, parser, record
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer

import labelquorum as lq
from _data import SETS, real_data


def news_terms():
    """Make tf-idf of the 2,000 most frequent terms of the bodies."""
    with gzip.open(real_data() / "20news" / "20news_bydate.jsonl.gz", "rt") as lines:
        messages = [json.loads(line) for line in lines]
    bodies = [message["text"].partition("\n\n")[2] for message in messages]
    terms = TfidfVectorizer(max_features=2000, stop_words="english", sublinear_tf=True)
    return terms.fit_transform(bodies), np.array([message["label"] for message in messages])


LINES = {
    "precision": "pseudo-labels: precision",
    "coverage": "pseudo-labels: coverage",
    "vote": "vote of all networks: accuracy",
    "single": "one network: accuracy",
}
PARTS = ["kingdra", "vote", "random"]
LOADERS = SETS | {"20news-terms": news_terms}


class Watched(lq.deep.Kingdra):
    """Kingdra that measures each round; what it found is kept beside its checkpoints."""

    def watch(self, truth, path):
        """Measure against these classes, and keep it there."""
        self._truth, self._path = truth, path
        self.rounds = json.loads(path.read_text()) if path is not None and path.exists() else []
        return self

    def _agreed(self, shares, votes):
        found = super()._agreed(shares, votes)
        sure = found >= 0
        singles = [lq.clustering_accuracy(self._truth, of) for of in votes]
        self._order = lq.deep.kingdra._aligned(votes, shares.shape[2])
        vote = self._averaged(shares).argmax(axis=1)
        entry = {
            "coverage": float(sure.mean()),
            "precision": lq.clustering_accuracy(self._truth[sure], found[sure]),
            "n_mini_clusters": int(found.max()) + 1,
            "single": float(np.mean(singles)),
            "vote": lq.clustering_accuracy(self._truth, vote),
        }
        if not self.rounds or entry != self.rounds[-1]:  # else it was kept, but not what followed
            self.rounds.append(entry)
        print(json.dumps(self.rounds[-1]), flush=True)
        if self._path is not None:
            self._path.write_text(json.dumps(self.rounds))
        return found


def run(X, truth, seed, settings, keep):
    """One run: the rounds, and what it comes to."""
    kept = None if keep is None else keep / "result.json"
    if kept is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if kept.exists() and (found := json.loads(kept.read_text()))["settings"] == settings:
            return found  # where settings differ, the checkpoint is refused
    model = Watched(len(np.unique(truth)), directory=keep, random_state=seed, **settings)
    model.watch(truth, None if keep is None else keep / "rounds.json")
    started = time.perf_counter()
    model.fit(X)
    result = {"seed": seed, "settings": settings, "seconds": time.perf_counter() - started}
    result["rounds"] = model.rounds
    steps = model.n_first_steps + model.n_rounds * model.n_steps
    batch = min(model.batch_size, len(truth))
    result["model_epochs"] = steps * batch / len(truth) * model.n_networks
    result["accuracy"] = lq.clustering_accuracy(truth, model.labels_)
    if kept is not None:
        kept.write_text(json.dumps(result))
    return result


def summary(runs):
    """Mean and deviation over runs."""
    columns = {name: [row[name] for row in runs] for name in ("accuracy", "seconds")}
    for name in ("single", "vote"):
        columns[name] = [row["rounds"][-1][name] for row in runs]
        columns[f"first {name}"] = [row["rounds"][0][name] for row in runs]
    return {
        name: {"mean": float(np.mean(values)), "deviation": float(np.std(values))}
        for name, values in columns.items()
    }


def draw(results, path):
    """Precision and coverage of the pseudo-labels, and the accuracies, by round; means of runs."""
    sets = [name for name, result in results.items() if "kingdra" in result]
    size = (max(5.5, 4 * len(sets)), 4)
    figure, axes = plt.subplots(1, len(sets), figsize=size, squeeze=False, layout="constrained")
    for name, ax in zip(sets, axes[0], strict=True):
        runs = [run["rounds"] for run in results[name]["kingdra"]["runs"]]
        history = [
            {
                label: float(np.mean([entry[field] for entry in same]))
                for field, label in LINES.items()
            }
            for same in zip(*runs, strict=True)
        ]
        lq.HistoryDisplay.from_history(history, ax=ax)
        least = min(min(entry.values()) for entry in history)
        ax.set(ylim=(np.floor(20 * least) / 20, 1.005))  # where the lines are
        ax.set(title=name, xlabel="round (0: before pseudo-labels)")
        ax.get_legend().remove()  # one for all is enough
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    options = parser(__doc__)
    options.add_argument("--set", nargs="+", choices=LOADERS, default=["digits", "pendigits"])
    options.add_argument("--runs", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--settings", type=json.loads, default={}, help="JSON, of Kingdra")
    options.add_argument("--device", help="cpu or cuda (a GPU where there is one, otherwise)")
    options.add_argument("--keep", type=Path, help="folder to go on from")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    given = args.settings | {"device": args.device, "verbose": True}
    results = {"settings": args.settings, "torch": torch.__version__}
    for name in args.set:
        X, classes = LOADERS[name]()
        truth = np.unique(classes, return_inverse=True)[1]
        rows = X.toarray() if hasattr(X, "toarray") else X
        of_kmeans = [
            lq.clustering_accuracy(
                truth, KMeans(truth.max() + 1, n_init=1, random_state=seed).fit_predict(rows)
            )
            for seed in args.runs
        ]
        of_consensus = []
        for seed in args.runs:
            partitions = lq.base_partitions(
                X, truth.max() + 1, random_state=seed, n_jobs=args.threads
            )
            labels = lq.consensus(partitions, truth.max() + 1, n_jobs=args.threads)
            of_consensus.append(lq.clustering_accuracy(truth, labels))
        results[name] = {
            "k-means": float(np.mean(of_kmeans)),
            "consensus": float(np.mean(of_consensus)),
        }
        print(name, json.dumps(results[name]), flush=True)
        whole = lq.deep.Kingdra(**given)
        n_steps = whole.n_first_steps + whole.n_rounds * whole.n_steps
        alone = given | {"n_rounds": 0, "n_first_steps": n_steps}
        settings_of = {"kingdra": given, "vote": alone, "random": given | {"n_partitions": 0}}
        for part in args.parts:
            settings, runs = settings_of[part], []
            for seed in args.runs:
                keep = None if args.keep is None else args.keep / f"{name}-{part}-{seed}"
                runs.append(run(X, truth, seed, settings, keep))
                results[name][part] = summary(runs) | {"runs": runs}
                record(args, results)
            print(name, part, json.dumps(summary(runs)), flush=True)
        if "kingdra" in args.parts:
            out = args.out or RESULTS / "kingdra.json"
            draw(
                {key: value for key, value in results.items() if key in LOADERS},
                out.with_suffix(".png"),
            )


if __name__ == "__main__":
    main()
