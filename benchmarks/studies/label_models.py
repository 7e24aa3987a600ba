"""Label models on simulated voters: labelquorum's methods, a majority, and crowd-kit if installed.

Each setting draws the accuracies of its voters at random, then their votes. "few" and "crowd" have
many voters with few votes each, "confuse" has voters whose errors depend on the category, "copies"
has voters that copy the errors of another one, and "rules" has voters of one name each, which
mostly abstain. Accuracy is measured on all samples with a vote.
"""

from __future__ import annotations

import warnings

import numpy as np

import labelquorum as lq
from _recorder import add_choices, parser, record, timed

N_SAMPLES = 2000


def simulated(rng, n_names, n_voters, lowest, per_sample, *, n, shares=None, confuse=False):
    """Return the categories, and votes that are right with a probability of each voter's own."""
    classes = rng.choice(n_names, n, p=shares)
    votes = np.empty((n, n_voters), dtype=np.int64)
    for j, accuracy in enumerate(rng.uniform(lowest, 0.95, n_voters)):
        steps = 1 + (rng.random(n) < 0.2) if confuse else rng.integers(1, n_names, n)
        votes[:, j] = np.where(rng.random(n) < accuracy, classes, (classes + steps) % n_names)
    votes[rng.random(votes.shape).argsort(axis=1).argsort(axis=1) >= per_sample] = -1
    return classes, votes


def copies(rng, n):
    classes, votes = simulated(rng, 10, 8, 0.5, 8, n=n)
    for j in (5, 6, 7):
        copied = rng.random(n) < 0.9
        votes[copied, j] = votes[copied, 4]
    return classes, votes


def rules(rng, n):
    classes = rng.integers(8, size=n)
    votes = np.full((n, 24), -1)
    for j in range(24):
        rates = np.where(classes == j % 8, rng.uniform(0.2, 0.6), rng.uniform(0, 0.05))
        votes[rng.random(n) < rates, j] = j % 8
    return classes, votes


SETTINGS = {
    "2 names": lambda rng, n: simulated(rng, 2, 8, 0.55, 4, n=n),
    "5 names": lambda rng, n: simulated(rng, 5, 8, 0.3, 4, n=n),
    "20 names": lambda rng, n: simulated(rng, 20, 10, 0.3, 4, n=n),
    "100 names": lambda rng, n: simulated(rng, 100, 8, 0.3, 4, n=n),
    "skewed": lambda rng, n: simulated(rng, 5, 8, 0.4, 4, n=n, shares=[0.8, 0.1, 0.05, 0.03, 0.02]),
    "few": lambda rng, n: simulated(rng, 10, 30, 0.3, 2, n=n),
    "crowd": lambda rng, n: simulated(rng, 5, 100, 0.2, 5, n=n),
    "confuse": lambda rng, n: simulated(rng, 10, 6, 0.4, 6, n=n, confuse=True),
    "copies": copies,
    "rules": rules,
}


def majority(votes):
    return np.array([np.bincount(row[row >= 0], minlength=1).argmax() for row in votes])


def ours(method):
    return lambda votes: lq.LabelModel(method).fit(votes).labels_


def peers():
    """Return the methods of crowd-kit; none if it is not installed."""
    try:
        import pandas as pd
        from crowdkit.aggregation import MACE, DawidSkene, OneCoinDawidSkene
    except ImportError:
        return {}

    def by(make):
        def labels(votes):
            samples, voters = np.nonzero(votes >= 0)
            columns = {"task": samples, "worker": voters, "label": votes[samples, voters]}
            return make().fit_predict(pd.DataFrame(columns)).reindex(range(len(votes))).to_numpy()

        return labels

    return {
        "crowd-kit Dawid-Skene": by(lambda: DawidSkene(n_iter=100)),
        "crowd-kit one-coin": by(lambda: OneCoinDawidSkene(n_iter=100)),
        "crowd-kit MACE": by(lambda: MACE(n_restarts=2, n_iter=20, random_state=0)),
    }


OURS = {method: ours(method) for method in ("shrunken", "dawid-skene", "one-coin")}


def main():
    options = parser(__doc__)
    add_choices(options, "--settings", SETTINGS, "settings")
    options.add_argument("--draws", type=int, default=4, help="draws of voters")
    options.add_argument("--samples", type=int, default=N_SAMPLES, help="number of samples")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # about voters that never vote
    methods = {"majority": majority} | OURS | peers()
    rows = []
    for setting in args.settings:
        accuracies = {method: [] for method in methods}
        seconds = dict.fromkeys(methods, 0.0)
        for seed in range(args.draws):
            classes, votes = SETTINGS[setting](np.random.default_rng(seed), args.samples)
            voted = (votes >= 0).any(axis=1)
            for method, run in methods.items():
                time, labels = timed(lambda run=run, votes=votes[voted]: run(votes))
                accuracies[method].append((labels == classes[voted]).mean())
                seconds[method] += time / args.draws
        means = {method: float(np.mean(of)) for method, of in accuracies.items()}
        print(f"{setting:10}", *(f"{method} {mean:.3f}" for method, mean in means.items()))
        rows += [
            {"setting": setting, "method": method, "accuracy": mean, "seconds": seconds[method]}
            | {"draws": args.draws, "samples": args.samples}
            for method, mean in means.items()
        ]
        record(args, rows)


if __name__ == "__main__":
    main()
