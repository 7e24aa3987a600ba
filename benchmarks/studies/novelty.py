"""New samples of categories that training data lack: how well they are told from known ones.

A draw holds some categories back, trains on 70 % of the samples of the others, and takes the rest,
those held back included, as new. "few": 400 new samples of known categories and 60 of each one held
back. "none": nothing is held back, so that whatever is found is a false alarm. A category is found
where a group holds at least half of its samples and mostly these.
"""

from __future__ import annotations

import time

import numpy as np
from _record import parser, record
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import _data
import labelquorum as lq

N_HELD = {"digits": 2, "pendigits": 2, "stackoverflow": 4, "clinc150": 30, "20news": 4}
N_FEW, N_FEW_OF_EACH = 400, 60
PEERS = {
    "LOF": lambda seed: LocalOutlierFactor(novelty=True),
    "isolation forest": lambda seed: IsolationForest(random_state=seed),
}


def draw(classes, n_held, is_few, seed):
    """Return the training samples, the new ones, and which of these are of no known category."""
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


def n_found(classes, groups):
    """Count the categories of which a group holds at least half, and mostly them."""
    found = set()
    for group in range(groups.max() + 1):
        counts = np.bincount(classes[groups == group])
        label = int(counts.argmax())
        if 2 * counts[label] >= max(counts.sum(), np.count_nonzero(classes == label)):
            found.add(label)
    return found


def measure(args, name, X, classes, setting, seed):
    n_held = min(N_HELD[name], classes.max() - 1) if setting != "none" else 0
    training, new, is_new = draw(classes, n_held, setting == "few", seed)
    # Partitions play no part in what follows.
    model = lq.ConsensusClusterer(classes.max() + 1 - n_held, n_partitions=4, random_state=seed)
    model.set_params(n_jobs=args.threads).fit(X[training])
    started = time.perf_counter()
    found = model.novelty(X[new])
    seconds = time.perf_counter() - started
    in_group = found.groups >= 0
    known = set(classes[training].tolist())
    row = {
        "set": name,
        "setting": setting,
        "seed": seed,
        "n_training": len(training),
        "n_new": len(new),
        "true_share": float(is_new.mean()),
        "share": found.share,
        "share_at_least": found.share_at_least,
        "false_alarms": float((found.scores[~is_new] >= 1 - found.level).mean()),
        "n_groups": found.n_groups,
        "n_held_back": n_held,
        "n_found": len(n_found(classes[new], found.groups) - known),
        "seconds": seconds,
    }
    if n_held:
        row["auc"] = float(roc_auc_score(is_new, found.scores))
        row["coverage"] = float(in_group[is_new].mean())
        row["precision"] = float(is_new[in_group].mean()) if in_group.any() else None
        for peer in args.peers:
            scores = -PEERS[peer](seed).fit(X[training]).score_samples(X[new])
            row[f"auc {peer}"] = float(roc_auc_score(is_new, scores))
    return row


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=N_HELD, default=list(N_HELD))
    options.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    options.add_argument("--draws", type=int, default=3)
    options.add_argument("--rows", type=int, help="at random so many of each set")
    args = options.parse_args()
    rows = []
    for name in args.sets:
        try:
            X, classes = _data.SETS[name]()
        except FileNotFoundError as error:
            print(f"{name}: skipped, no {error.filename}; LABELQUORUM_DATA names the folder")
            continue
        classes = np.unique(classes, return_inverse=True)[1]
        if args.rows is not None and args.rows < len(X):
            chosen = np.random.default_rng(0).choice(len(X), args.rows, replace=False)
            X, classes = X[chosen], classes[chosen]
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
