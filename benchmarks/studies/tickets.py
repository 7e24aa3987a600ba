"""From a table of questions to named categories, and on to next week, by the command line alone.

The questions are those of 77 intents of CLINC150, up to 10,000. 12 intents are known, with 10 % of
their questions labeled. Four commands run as a user types them: `fit` with a model and a report to
write, `categories`, `update` with 240 more questions and 60 of an intent that nobody has seen, and
`quality` with 200 answers of a person. Embedding is timed apart: `fit` runs twice, and finds the
vectors that it kept the second time.
Bars: less than three minutes beside embedding; at least 50 of the 60 in one new group or without a
label; no name changed.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import _data
from _recorder import parser, record

N_CATEGORIES, N_KNOWN, N_ROWS = 77, 12, 10_000
N_NEXT, N_UNSEEN, N_CHECKS = 240, 60, 200
BAR_SECONDS, BAR_FOUND = 180, 50


def questions(seed):
    """Return texts and intents of this week, and of the next one, of which the last are new."""
    rng = np.random.default_rng(seed)
    with gzip.open(_data.real_data() / "intents" / "clinc150.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    intents = np.array([row["label"] for row in rows], dtype=object)
    texts = np.array([row["text"] for row in rows], dtype=object)
    names = rng.permutation(sorted({*intents.tolist()} - {"oos"}))
    old = rng.permutation(np.flatnonzero(np.isin(intents, names[:N_CATEGORIES])))
    unseen = rng.permutation(np.flatnonzero(intents == names[N_CATEGORIES]))[:N_UNSEEN]
    first, later = old[:N_ROWS], np.concatenate([old[-N_NEXT:], unseen])
    first = np.setdiff1d(first, later)
    known = set(names[:N_KNOWN].tolist())
    labels = [
        name if name in known and rng.random() < 0.1 else "" for name in intents[first].tolist()
    ]
    return (texts[first], intents[first], labels), (texts[later], intents[later])


def write(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(folder, *words):
    """Run a command; return its seconds and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "labelquorum", *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - started, done.stdout


def measure(folder, seed, embed):
    (texts, intents, labels), (next_texts, next_intents) = questions(seed)
    ids = [f"Q1-{i:05}" for i in range(len(texts))]
    write(
        folder / "questions.csv",
        ["id", "text", "category"],
        zip(ids, texts, labels, strict=True),
    )
    next_ids = [f"Q2-{i:05}" for i in range(len(next_texts))]
    write(folder / "next.csv", ["id", "text"], zip(next_ids, next_texts, strict=True))
    fit = [
        *("fit", "questions.csv", "--text-column", "text", "--label-column", "category"),
        *("--id-column", "id", "--embed", embed, "--save", "model.lq", "--out", "labels.csv"),
        *("--report", "report.html", "--quiet"),
    ]
    seconds = {"fit and embed": run(folder, *fit)[0], "fit": run(folder, *fit)[0]}
    seconds["categories"], before = run(folder, "categories", "model.lq")
    update = ["update", "model.lq", "next.csv", "--embed", embed, "--out", "next-labels.csv"]
    seconds["update"], said = run(folder, *update, "--report", "next.html")
    after = run(folder, "categories", "model.lq")[1]
    rows = read(folder / "labels.csv")
    checked = np.random.default_rng(seed).permutation(len(rows))[:N_CHECKS]
    intent_of = best_intent(rows, intents)
    answers = [
        (rows[i]["id"], "yes" if intent_of[rows[i]["label"]] == intents[i] else "no")
        for i in checked
    ]
    write(folder / "checked.csv", ["id", "right"], answers)
    seconds["quality"], bound = run(
        folder, "quality", "labels.csv", "checked.csv", "--id-column", "id"
    )
    new_rows = read(folder / "next-labels.csv")
    found = Counter(row["label"] for row in new_rows[-N_UNSEEN:])
    old_labels = {row["label"] for row in rows}
    counted = {name: n for name, n in found.items() if name == "" or name not in old_labels}
    named = [row for row in new_rows[:-N_UNSEEN] if row["label"]]
    right = [
        intent_of.get(row["label"]) == intent
        for row, intent in zip(new_rows, next_intents[:-N_UNSEEN], strict=False)
        if row["label"]
    ]
    print(said, bound, sep="\n")
    return {
        "seconds": seconds,
        "n_categories": len(old_labels),
        "unseen_in_a_new_group_or_without_label": sum(counted.values()),
        "unseen_in_the_largest_group": max(counted.values(), default=0),
        "names_unchanged": before == after,
        "next_week_answered": len(named) / N_NEXT,
        "next_week_right": float(np.mean(right)),
    }


def best_intent(rows, intents):
    """Return the intent that most questions of each category have."""
    of = {}
    for row, intent in zip(rows, intents, strict=True):
        of.setdefault(row["label"], Counter())[intent] += 1
    return {label: counts.most_common(1)[0][0] for label, counts in of.items()}


def main():
    options = parser(__doc__)
    options.add_argument("--embed", default="tf-idf", help="model, as for the command")
    options.add_argument("--seeds", type=int, default=3)
    args = options.parse_args()
    if not (_data.real_data() / "intents" / "clinc150.jsonl.gz").exists():
        print(_data.missing("clinc150"))
        return
    results = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(Path(folder), seed, args.embed))
        print(json.dumps(results[-1]))
        record(args, results)
    slowest = max(
        sum(seconds for name, seconds in row["seconds"].items() if name != "fit and embed")
        for row in results
    )
    fewest = min(row["unseen_in_a_new_group_or_without_label"] for row in results)
    print(f"all commands beside embedding: {slowest:.0f} s at most (bar {BAR_SECONDS})")
    print(f"unseen in a new group or rejected: {fewest} at least (bar {BAR_FOUND})")
    print(f"names unchanged: {all(row['names_unchanged'] for row in results)}")


if __name__ == "__main__":
    main()
