"""The worst cases of mini_clusters: all rows distinct, many partitions, low thresholds.

Each case runs in a process of its own. The study shows its time and peak memory, or the text of the
refusal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import _data
import labelquorum as lq
from _recorder import PeakMemory, parser, record, within

# Kind of rows, number of rows, partitions, n_clusters, min_agree, min_differ.
CASES = [
    ("all distinct", 10**6, 10, 10, 0.9, 0.9),
    ("all distinct", 10**7, 10, 10, 0.9, 0.9),
    ("all distinct", 10**6, 10, 10, 0.5, 0.9),
    ("all distinct", 10**5, 10, None, 0.9, 0.9),
    ("realistic", 10**6, 10, 10, 0.3, 0.3),
    ("realistic", 10**6, 10, None, 0.1, 0.1),
    ("realistic", 10**5, 50, 10, 0.9, 0.9),
    ("realistic", 10**6, 50, 10, 0.9, 0.9),
    ("realistic", 10**5, 50, 10, 0.3, 0.5),
    ("realistic", 10**5, 100, 10, 0.9, 0.9),
    ("realistic", 10**6, 100, 10, 0.9, 0.9),
    ("realistic", 10**5, 100, 10, 0.3, 0.5),
    ("all distinct", 10**7, 100, 10, 0.5, 0.9),
]


def child(case, args):
    kind, n, m, n_clusters, min_agree, min_differ = case
    rows = _data.all_distinct(n, m) if kind == "all distinct" else _data.ensemble(n, m)
    outcome = {}
    started = time.perf_counter()
    with PeakMemory() as peak:
        try:
            with within(args.limit):
                labels = lq.mini_clusters(
                    rows,
                    n_clusters,
                    min_agree=min_agree,
                    min_differ=min_differ,
                    n_jobs=args.threads,
                )
            outcome["n_found"] = int(labels.max()) + 1
        except (TimeoutError, MemoryError, lq.WorkLimitError) as error:
            outcome["refused"] = f"{type(error).__name__}: {error}"
    outcome["seconds"] = time.perf_counter() - started
    outcome["added_memory_gib"] = (peak.peak - peak.before) / 2**30
    print(json.dumps(outcome))


def main():
    options = parser(__doc__)
    options.add_argument("--limit", type=float, default=300, help="seconds that a case may take")
    options.add_argument("--max-rows", type=int, default=10**7, help="rows of a case at most")
    options.add_argument(
        "--cases", type=int, nargs="+", help="numbers of cases from 0 (default: all)"
    )
    options.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.child:
        child(args.child, args)
        return
    results = []
    for i in args.cases or range(len(CASES)):
        case = list(CASES[i])
        case[1] = min(case[1], args.max_rows)
        command = [sys.executable, __file__, "--child", json.dumps(case)]
        command += ["--limit", str(args.limit), "--threads", str(args.threads)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        outcome = json.loads(done.stdout)
        kind, n, m, n_clusters, min_agree, min_differ = case
        print(
            f"{kind}, {n:,} rows x {m}, n_clusters={n_clusters}, min_agree={min_agree}, "
            f"min_differ={min_differ}: {outcome['seconds']:.3f} s, "
            f"{outcome['added_memory_gib']:.3f} GiB"
        )
        if "refused" in outcome:
            print(f"    {outcome['refused']}")
        sys.stdout.flush()
        results.append(
            {"rows": n, "kind": kind, "n_partitions": m, "n_clusters": n_clusters}
            | {"min_agree": min_agree, "min_differ": min_differ}
            | outcome
        )
    record(args, results)


if __name__ == "__main__":
    main()
