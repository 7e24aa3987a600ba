"""New samples of categories that the training data lack: how well `novelty` recognizes them.

A draw holds some categories back, trains on 70 % of the samples of the others, and takes all other
samples as new, those held back included. "few": 400 new samples of known categories and 60 of each
category held back. "none": nothing is held back, so every finding is a false alarm. A category
counts as found if a group holds at least half of its samples, and mostly these.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import _data
import labelquorum as lq
from _recorder import add_choices, parser, record, timed

N_HELD = {"digits": 2, "pendigits": 2, "stackoverflow": 4, "clinc150": 30, "20news": 4}
N_FEW, N_FEW_OF_EACH = 400, 60
PEERS = {
    "LOF": lambda seed: LocalOutlierFactor(novelty=True),
    "isolation forest": lambda seed: IsolationForest(random_state=seed),
}


def draw(classes, n_held, is_few, seed):
    """Return the training samples, the new ones, and which of these are of a new category."""
    rng = np.random.default_rng(seed)
    held = rng.choice(classes.max() + 1, n_held, replace=False)
    order = rng.permutation(len(classes))
    is_held = np.isin(classes[order], held)
    known, unknown = order[~is_held], order[is_held]
    n_training = int(0.7 * len(known))
    new_known = known[n_training:]
    if is_few:
        new_known = new_known[:N_FEW]
        unknown = [unknown[classes[unknown] == label][:N_FEW_OF_EACH] for label in held]
        unknown = np.concatenate([*unknown, np.empty(0, dtype=int)])
    new = np.concatenate([new_known, unknown]).astype(int)
    return known[:n_training], new, np.arange(len(new)) >= len(new_known)


def recognized(classes, groups):
    """Return the categories of which some group holds at least half, and mostly these."""
    categories = set()
    for group in range(groups.max() + 1):
        counts = np.bincount(classes[groups == group])
        label = int(counts.argmax())
        if 2 * counts[label] >= max(counts.sum(), np.count_nonzero(classes == label)):
            categories.add(label)
    return categories


def measure(args, name, X, classes, setting, seed):
    n_held = min(N_HELD[name], classes.max() - 1) if setting != "none" else 0
    training, new, is_new = draw(classes, n_held, setting == "few", seed)
    # `novelty` does not depend on the partitions, so a few are enough.
    model = lq.ConsensusClusterer(classes.max() + 1 - n_held, n_partitions=4, random_state=seed)
    model.set_params(n_jobs=args.threads).fit(X[training])
    seconds, result = timed(lambda: model.novelty(X[new]))
    in_group = result.groups >= 0
    known = set(classes[training].tolist())
    row = {
        "set": name,
        "setting": setting,
        "seed": seed,
        "n_training": len(training),
        "n_new": len(new),
        "true_share": float(is_new.mean()),
        "share": result.share,
        "share_at_least": result.share_at_least,
        "false_alarms": float((result.scores[~is_new] >= 1 - result.level).mean()),
        "n_groups": result.n_groups,
        "n_held_back": n_held,
        "n_found": len(recognized(classes[new], result.groups) - known),
        "seconds": seconds,
    }
    if n_held:
        row["auc"] = float(roc_auc_score(is_new, result.scores))
        row["coverage"] = float(in_group[is_new].mean())
        row["precision"] = float(is_new[in_group].mean()) if in_group.any() else None
        for peer in args.peers:
            scores = -PEERS[peer](seed).fit(X[training]).score_samples(X[new])
            row[f"auc {peer}"] = float(roc_auc_score(is_new, scores))
    return row


def main():
    options = parser(__doc__)
    add_choices(options, "--sets", N_HELD, "data sets")
    add_choices(options, "--peers", PEERS, "peers to run", nargs="*")
    options.add_argument("--draws", type=int, default=3, help="draws of categories to hold back")
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    args = options.parse_args()
    rows = []
    for name, X, classes in _data.loaded(args.sets, args.rows):
        for setting in ("many", "few", "none"):
            of_setting = [
                measure(args, name, X, classes, setting, seed) for seed in range(args.draws)
            ]
            rows += of_setting
            means = {
                key: round(float(np.mean([row[key] or 0 for row in of_setting])), 3)
                for key in of_setting[0]
                if key not in ("set", "setting", "seed")
            }
            print(f"{name}, {setting}: {means}", flush=True)
    record(args, rows)


if __name__ == "__main__":
    main()
