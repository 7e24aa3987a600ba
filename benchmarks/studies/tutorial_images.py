"""The tutorial "20,000 images and 100 labels" on MNIST: every step, with its accuracy.

The samples are random images of the training part, as raw pixels; the test part, 10,000 images, is
what comes later. The true class of an image stands for the answer of a person. Ways to choose and
to spread are averaged over draws; later steps use the first draw. A slip is an answer that is wrong
on purpose.
"""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC

import _data
import labelquorum as lq
from _recorder import parser, record

N_LABELS, N_CHECKS, N_SLIPS = 100, 200, 10
REJECT_LEVEL = 0.05


def known(truth, chosen):
    y = np.full(len(truth), -1)
    y[chosen] = truth[chosen]
    return y


def right_share(labels, truth, given):
    """Return the share of right labels, without those that were given."""
    return float(np.delete(labels == truth, given).mean())


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=20_000, help="images to label")
    options.add_argument("--draws", type=int, default=3, help="draws of samples to label")
    args = options.parse_args()
    images, classes = _data.mnist()
    X_next, next_truth = images[60_000:], classes[60_000:].astype(int)
    rows = np.random.default_rng(0).permutation(60_000)[: args.rows]
    X, truth = images[rows], classes[rows].astype(int)
    rng = np.random.default_rng(0)

    steps = []

    def done(step, share, **more):
        steps.append({"step": step, "share": share, **more})
        print(steps[-1], flush=True)
        record(args, {"images": len(X), "labels": N_LABELS, "steps": steps})

    spreader = lq.LabelSpreading(n_jobs=args.threads)
    accuracies, at_random = [], []
    for seed in reversed(range(args.draws)):  # the first draw is used below
        drawn = rng.choice(len(X), N_LABELS, replace=False)
        spreader.fit(X, known(truth, drawn))
        at_random.append(right_share(spreader.transduction_, truth, drawn))
        sampler = lq.RepresentativeSampler(N_LABELS, random_state=seed, n_jobs=args.threads)
        chosen = sampler.fit(X).indices_
        y = known(truth, chosen)
        spreader.fit(X, y)
        accuracies.append(right_share(spreader.transduction_, truth, chosen))
    done("100 random images, labels spread", float(np.mean(at_random)))
    done("100 chosen images, labels spread", float(np.mean(accuracies)))

    labels, confidence = spreader.transduction_, spreader.label_distributions_.max(axis=1)
    checked = lq.samples_to_check(labels, confidence, N_CHECKS, random_state=0)
    quality = lq.label_quality(labels, known(truth, checked), confidence, wanted_precision=0.95)
    done("their precision by 200 checks", quality.precision)
    done("a lower bound of it", quality.lower_bound)
    kept = confidence >= quality.threshold  # none if it is NaN
    right = float((labels == truth)[kept].mean()) if kept.any() else None
    done("labels that surely have a precision of 95 %", float(kept.mean()), right=right)

    for step, samples, taught in (
        ("a classifier of the 100 labels, on later images", chosen, truth[chosen]),
        ("a classifier of the spread labels, on later images", slice(None), labels),
    ):
        svm = SVC().fit(X[samples], taught)
        done(step, float(svm.score(X_next, next_truth)))

    model = lq.ConsensusClusterer(10, random_state=0, n_jobs=args.threads).fit(X, y)
    done("labels of ConsensusClusterer", right_share(model.labels_, truth, chosen))
    answers = model.predict(X_next, reject_level=REJECT_LEVEL)
    is_answer = answers >= 0
    done(
        "later images that get an answer, if 5 % may be wrong",
        float(is_answer.mean()),
        right=float((answers == next_truth)[is_answer].mean()),
    )

    slips = rng.choice(chosen, N_SLIPS, replace=False)
    y[slips] = (y[slips] + rng.integers(1, 10, N_SLIPS)) % 10
    suspects = model.fit(X, y).suspect_labels_
    found = np.intersect1d(suspects, slips)
    done("10 slips among the labels, found", len(found) / N_SLIPS, suspects=len(suspects))


if __name__ == "__main__":
    main()
