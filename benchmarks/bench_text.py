"""Keywords, category_table and KeywordLabeler on a million texts: time and memory.

The texts are 12 words each, drawn by Zipf's law from 200,000 words and from 50 words of one of 100
categories. Beside `keywords`, scikit-learn's CountVectorizer counts the same terms of all texts at
once, which is what class-based tf-idf needs at least; beside `KeywordLabeler`, its rules as regular
expressions, one after the other, on the first thousandth of the texts.
"""

from __future__ import annotations

import re
import time

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

import labelquorum as lq
from _record import PeakMemory, parser, record

N_CATEGORIES, WORDS_PER_TEXT, WORDS_PER_CATEGORY = 100, 12, 50


def make_texts(n, seed=0):
    """Return n texts and their categories; the words of category c are named "c_0", "c_1", ..."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(N_CATEGORIES, size=n)
    texts = []
    for label in labels:
        ranks = rng.zipf(1.2, size=WORDS_PER_TEXT) % 200_000
        own = rng.integers(WORDS_PER_CATEGORY, size=WORDS_PER_TEXT)
        is_own = rng.random(WORDS_PER_TEXT) < 0.2
        words = [
            f"{label}_{o}" if is_it else f"w{rank}"
            for rank, o, is_it in zip(ranks, own, is_own, strict=True)
        ]
        texts.append(" ".join(words))
    return texts, labels


def measured(name, call):
    """Run it; return the result and a line of the record."""
    with PeakMemory() as memory:
        started = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - started
    mib = (memory.peak - memory.before) / 2**20
    print(f"{name:30} {seconds:8.1f} s {mib:8.0f} MiB")
    return result, {"name": name, "seconds": seconds, "peak_mib": mib}


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    args = options.parse_args()
    texts, labels = make_texts(args.rows)
    confidence = np.random.default_rng(1).random(args.rows)
    found, line = measured("keywords", lambda: lq.text.keywords(texts, labels, 10))
    lines = [line]
    own = [all(word.startswith(f"{c}_") for word, _ in words) for c, words in found.items()]
    print(f"  categories with nothing but their own words: {np.mean(own):.0%}")
    _, line = measured(
        "CountVectorizer, all at once",
        lambda: CountVectorizer(ngram_range=(1, 2), min_df=2).fit_transform(texts),
    )
    lines.append(line)
    _, line = measured("category_table", lambda: lq.text.category_table(texts, labels, confidence))
    lines.append(line)
    labeler = lq.text.KeywordLabeler.from_keywords(found, 10)
    predicted, line = measured("KeywordLabeler.partition", lambda: labeler.partition(texts))
    lines.append(line)
    given = predicted >= 0
    precision = (predicted[given] == labels[given]).mean() if given.any() else 0.0
    print(f"  coverage {given.mean():.1%}, precision {precision:.1%}")
    patterns = [
        re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
        for words in labeler.rules.values()
        for word in words
    ]
    few = texts[: max(1, args.rows // 1000)]
    _, line = measured(
        f"{len(patterns)} regular expressions",
        lambda: [[pattern.search(text) is not None for pattern in patterns] for text in few],
    )
    line["seconds_extrapolated"] = line["seconds"] * args.rows / len(few)
    print(f"  on {len(few)} texts; on all about {line['seconds_extrapolated']:.0f} s")
    lines.append(line)
    record(
        args,
        {
            "rows": args.rows,
            "coverage": given.mean(),
            "precision": precision,
            "own_words": float(np.mean(own)),
            "measured": lines,
        },
    )


if __name__ == "__main__":
    main()
