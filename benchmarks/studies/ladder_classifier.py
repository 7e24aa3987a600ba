"""Test accuracy of LadderClassifier with few labels: MNIST, 100 labels, ten of each digit.

It sees all 60,000 training images, but few labels; accuracy is on the 10,000 test images. Draws of
labels are seeds 0, 1, ...; all else is at its defaults. With `--keep`, the state and the result of
each draw are kept, and the same command continues from there.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import labelquorum as lq
from _data import mnist
from _recorder import parser, record, timed


def drawn(classes, n_labels, seed):
    """Label equally many random samples of each class; -1 for the others."""
    rng = np.random.default_rng(seed)
    y = np.full(len(classes), -1)
    names = np.unique(classes)
    for name in names:
        of_class = np.flatnonzero(classes == name)
        y[rng.choice(of_class, n_labels // len(names), replace=False)] = name
    return y


def main():
    options = parser(__doc__)
    options.add_argument("--labels", type=int, default=100, help="labels in all")
    options.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="seeds")
    options.add_argument("--steps", type=int, help="training steps (default: the model's)")
    options.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    options.add_argument(
        "--keep", type=Path, help="folder to keep the state in and to continue from"
    )
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    X, classes = mnist()
    steps = {} if args.steps is None else {"n_steps": args.steps}
    rows = []
    for seed in args.draws:
        folder = None if args.keep is None else args.keep / f"mnist-{args.labels}-{seed}"
        kept = None if folder is None else folder / "result.json"
        if kept is not None and kept.exists():
            row = json.loads(kept.read_text())
        else:
            y = drawn(classes[:60_000], args.labels, seed)
            model = lq.deep.LadderClassifier(
                **steps, device=args.device, directory=folder, random_state=seed, verbose=True
            )
            seconds, _ = timed(lambda model=model, y=y: model.fit(X[:60_000], y))
            row = {"seed": seed, "n_steps": model.n_steps, "seconds": seconds}
            row["passes"] = model.n_steps * model.batch_size / 60_000
            row["accuracy"] = float((model.predict(X[60_000:]) == classes[60_000:]).mean())
            if kept is not None:
                kept.write_text(json.dumps(row))
        rows.append(row)
        print(f"seed {seed}: {row['accuracy']:.4f}, {row['seconds']:.0f} s", flush=True)
        accuracies = [row["accuracy"] for row in rows]
        mean, deviation = float(np.mean(accuracies)), float(np.std(accuracies))
        record(
            args,
            {
                "set": "mnist",
                "labels": args.labels,
                "torch": torch.__version__,
                "device": args.device or ("cuda" if torch.cuda.is_available() else "cpu"),
                "mean": mean,
                "deviation": deviation,
                "draws": rows,
            },
        )


if __name__ == "__main__":
    main()
