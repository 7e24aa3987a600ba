"""Answers to next week's samples: how many are wrong if `predict` may abstain.

A draw hides a tenth of the categories. Of the samples of the others, 70 % are this week's and train
the model, a share of them labeled; the rest are next week's. So are all samples of the hidden
categories, which no answer can name. "Wrong" is the share of the answers that are wrong, on next
week's samples of categories that were there; "answered" is the share of these that got an answer;
"unseen rejected" is the share of samples of hidden categories that got none. Probabilities are
judged by their expected calibration error, in 10 bins.
The peer is a logistic regression on the same labels, calibrated by scikit-learn, which answers
where its highest probability is at least 1 - level; and the same with a threshold from a quarter of
the labels that are kept from it, above which at most that share is wrong.
Bars: wrong answers at most the level, plus one point; 80 % of the unseen rejected.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import _data
import labelquorum as lq
from _recorder import add_choices, parser, record, timed

SETS = ("digits", "stackoverflow")
LEVELS = (0.05, 0.1)
BAR_ABOVE, BAR_UNSEEN = 0.01, 0.8
OURS, CALIBRATED, SPLIT = "labelquorum", "calibrated", "split threshold"


def draw(classes, share_labeled, seed):
    """Return this week's samples and labels, and next week's of seen and of hidden categories."""
    rng = np.random.default_rng(seed)
    n_classes = classes.max() + 1
    n_hidden = max(1, round(0.1 * n_classes))
    classes = rng.permutation(n_classes)[classes]
    order = rng.permutation(len(classes))
    is_hidden = classes[order] >= n_classes - n_hidden
    seen, hidden = order[~is_hidden], order[is_hidden]
    training, new = np.split(seen, [int(0.7 * len(seen))])
    is_labeled = rng.random(len(training)) < share_labeled
    y = np.where(is_labeled, classes[training], -1)
    return classes, n_classes - n_hidden, training, y, new, hidden


def calibration_error(probabilities, classes):
    bins = np.minimum((probabilities.max(axis=1) * 10).astype(int), 9)
    gaps = probabilities.max(axis=1) - (probabilities.argmax(axis=1) == classes)
    return float(np.abs(np.bincount(bins, gaps)).sum() / len(classes))


def ours(X, y, n_categories, seed, threads):
    model = lq.ConsensusClusterer(n_categories, random_state=seed, n_jobs=threads).fit(X, y)

    def answers(new, level):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "predict rejects all", UserWarning)
            return model.predict(new, reject_level=level)

    return answers, model.predict_proba


def classifier(X, y):
    """A calibrated logistic regression; how many folds depends on the rarest category."""
    n_rarest = np.unique(y, return_counts=True)[1].min()
    model = LogisticRegression(C=10, max_iter=1000)
    if n_rarest < 2:
        return model.fit(X, y)
    return CalibratedClassifierCV(model, cv=min(5, n_rarest), method="temperature").fit(X, y)


def calibrated(X, y, _n_categories, _seed, _threads):
    model = classifier(X[y >= 0], y[y >= 0])

    def answers(new, level):
        probabilities = model.predict_proba(new)
        is_answer = probabilities.max(axis=1) >= 1 - level
        return np.where(is_answer, model.classes_[probabilities.argmax(axis=1)], -1)

    return answers, model.predict_proba


def split_threshold(X, y, _n_categories, seed, _threads):
    rows, kept = train_test_split(np.flatnonzero(y >= 0), test_size=0.25, random_state=seed)
    model = classifier(X[rows], y[rows])
    probabilities = model.predict_proba(X[kept])
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = (model.classes_[probabilities.argmax(axis=1)] != y[kept])[order]
    shares = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)

    def answers(new, level):
        last = np.flatnonzero(shares <= level)
        least = probabilities.max(axis=1)[order[last[-1]]] if len(last) else np.inf
        of_new = model.predict_proba(new)
        is_answer = of_new.max(axis=1) >= least
        return np.where(is_answer, model.classes_[of_new.argmax(axis=1)], -1)

    return answers, model.predict_proba


METHODS = {OURS: ours, CALIBRATED: calibrated, SPLIT: split_threshold}


def measure(args, name, X, classes, share_labeled, method):
    """Return a row for each level, with means over the draws."""
    runs = {level: [] for level in LEVELS}
    for seed in range(args.draws):
        drawn, n_seen, training, y, new, hidden = draw(classes, share_labeled, seed)
        fit = lambda: METHODS[method](X[training], y, n_seen, seed, args.threads)  # noqa: B023, E731
        seconds, (answers, probabilities) = timed(fit)
        of_new = probabilities(X[new])
        shared = {"seconds": seconds}
        if of_new.shape[1] == n_seen:
            shared["calibration_error"] = calibration_error(of_new, drawn[new])
        for level in LEVELS:
            given = answers(X[new], level)
            is_answer = given >= 0
            wrong = float((given != drawn[new])[is_answer].mean()) if is_answer.any() else 0.0
            runs[level].append(
                shared
                | {
                    "wrong": wrong,
                    "answered": float(is_answer.mean()),
                    "unseen_rejected": float((answers(X[hidden], level) < 0).mean()),
                }
            )
    rows = []
    for level, of_level in runs.items():
        keys = {key for run in of_level for key in run}
        means = {
            key: float(np.mean([run[key] for run in of_level if key in run]))
            for key in sorted(keys)
        }
        row = {"set": name, "share_labeled": share_labeled, "level": level, "method": method}
        worst = max(run["wrong"] for run in of_level)
        least = min(run["unseen_rejected"] for run in of_level)
        rows.append(row | means | {"most_wrong": worst, "least_unseen_rejected": least})
        print({key: round(v, 3) if isinstance(v, float) else v for key, v in rows[-1].items()})
    return rows


def main():
    options = parser(__doc__)
    add_choices(options, "--sets", _data.SETS, "data sets", default=SETS)
    add_choices(options, "--methods", METHODS, "methods to run")
    options.add_argument("--draws", type=int, default=20, help="draws of categories and labels")
    options.add_argument(
        "--labeled", type=float, nargs="+", default=[0.1, 1.0], help="shares of labeled samples"
    )
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    args = options.parse_args()
    results = []
    for name, X, classes in _data.loaded(args.sets, args.rows):
        for share_labeled in args.labeled:
            for method in args.methods:
                results += measure(args, name, X, classes, share_labeled, method)
                record(args, results)
    for row in results:
        if row["method"] == OURS:
            wrong = row["wrong"] <= row["level"] + BAR_ABOVE
            unseen = row["unseen_rejected"] >= BAR_UNSEEN
            if not wrong or not unseen:
                print(f"below the bar: {row['set']}, {row['share_labeled']:.0%}, {row['level']}")


if __name__ == "__main__":
    main()
