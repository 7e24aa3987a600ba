"""Kingdra beside its parts, and its rounds as a picture.

All sets run with one configuration, the defaults. "kingdra" begins with the consensus of partitions
of the features. "random" is the same from random weights, as published. "vote" makes as many steps
in all as Kingdra, but no rounds. For each, "single" is the mean over the ten networks of a run,
"vote" their aligned average, and "first" the same two before the first round. Peers are k-means and
the consensus of the partitions without networks. Accuracy is under the best one-to-one matching.
Coverage and precision of the pseudo-labels are kept for every round, and drawn.

With `--keep`, the state of each run is kept, and the same command continues from there. Runs may be
made one by one or side by side: a command that names them all picks them up. Times are those of the
process that finished a run.

The study hooks into Kingdra's private methods (`_agreed`, `_averaged`, `kingdra._aligned`) to
measure each round against the classes, which no public attribute shows.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer

import labelquorum as lq
from _data import SETS, real_data
from _recorder import add_choices, parser, record, timed


def news_terms():
    """Make tf-idf of the 2,000 most frequent terms of the message bodies."""
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
    """Kingdra that measures each round, and keeps what it measured beside its checkpoints."""

    def watch(self, truth, path):
        """Measure against these classes, and keep the rounds in this file."""
        self._truth, self._path = truth, path
        self.rounds = json.loads(path.read_text()) if path is not None and path.exists() else []
        return self

    def _agreed(self, shares, votes):
        pseudo_labels = super()._agreed(shares, votes)
        sure = pseudo_labels >= 0
        singles = [lq.clustering_accuracy(self._truth, of) for of in votes]
        self._order = lq.deep.kingdra._aligned(votes, shares.shape[2])
        vote = self._averaged(shares).argmax(axis=1)
        entry = {
            "coverage": float(sure.mean()),
            "precision": lq.clustering_accuracy(self._truth[sure], pseudo_labels[sure]),
            "n_mini_clusters": int(pseudo_labels.max()) + 1,
            "single": float(np.mean(singles)),
            "vote": lq.clustering_accuracy(self._truth, vote),
        }
        # After a restart, the last round may be measured again.
        if not self.rounds or entry != self.rounds[-1]:
            self.rounds.append(entry)
        print(json.dumps(self.rounds[-1]), flush=True)
        if self._path is not None:
            self._path.write_text(json.dumps(self.rounds))
        return pseudo_labels


def run(X, truth, seed, settings, keep):
    """Fit once; return the rounds and the final accuracy."""
    kept = None if keep is None else keep / "result.json"
    if kept is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if kept.exists() and (result := json.loads(kept.read_text()))["settings"] == settings:
            return result  # with other settings, Kingdra refuses the checkpoint
    model = Watched(len(np.unique(truth)), directory=keep, random_state=seed, **settings)
    model.watch(truth, None if keep is None else keep / "rounds.json")
    seconds, _ = timed(lambda: model.fit(X))
    result = {"seed": seed, "settings": settings, "seconds": seconds}
    result["rounds"] = model.rounds
    steps = model.n_first_steps + model.n_rounds * model.n_steps
    batch = min(model.batch_size, len(truth))
    result["model_epochs"] = steps * batch / len(truth) * model.n_networks
    result["accuracy"] = lq.clustering_accuracy(truth, model.labels_)
    if kept is not None:
        kept.write_text(json.dumps(result))
    return result


def summary(runs):
    """Return means and deviations over the runs."""
    columns = {name: [row[name] for row in runs] for name in ("accuracy", "seconds")}
    for name in ("single", "vote"):
        columns[name] = [row["rounds"][-1][name] for row in runs]
        columns[f"first {name}"] = [row["rounds"][0][name] for row in runs]
    return {
        name: {"mean": float(np.mean(values)), "deviation": float(np.std(values))}
        for name, values in columns.items()
    }


def draw(results, path):
    """Draw coverage and precision of the pseudo-labels and accuracies by round, means of runs."""
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
        ax.get_legend().remove()  # one legend serves all
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    options = parser(__doc__)
    add_choices(options, "--set", LOADERS, "data sets", default=["digits", "pendigits"])
    options.add_argument("--runs", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    add_choices(options, "--parts", PARTS, "parts to run")
    options.add_argument(
        "--settings", type=json.loads, default={}, help="parameters of Kingdra, as JSON"
    )
    options.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    options.add_argument(
        "--keep", type=Path, help="folder to keep the state in and to continue from"
    )
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    base = args.settings | {"device": args.device, "verbose": True}
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
        whole = lq.deep.Kingdra(**base)
        n_steps = whole.n_first_steps + whole.n_rounds * whole.n_steps
        alone = base | {"n_rounds": 0, "n_first_steps": n_steps}
        settings_of = {"kingdra": base, "vote": alone, "random": base | {"n_partitions": 0}}
        for part in args.parts:
            settings, runs = settings_of[part], []
            for seed in args.runs:
                keep = None if args.keep is None else args.keep / f"{name}-{part}-{seed}"
                runs.append(run(X, truth, seed, settings, keep))
                results[name][part] = summary(runs) | {"runs": runs}
                record(args, results)
            print(name, part, json.dumps(summary(runs)), flush=True)
        if "kingdra" in args.parts and args.out is not None:
            by_set = {key: value for key, value in results.items() if key in LOADERS}
            draw(by_set, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
