"""Degrees by each way of counting, beside the automatic choice; co-association; agreement graph."""

from __future__ import annotations

from time import perf_counter

import numpy as np

import _data
import labelquorum as lq
from _record import best_of, parser, record, within
from labelquorum.votes.agreement import _degrees

WAYS = ("subsets", "pairs", "blocks", None)
# Rows, partitions, votes that have to agree.
CASES = [
    (10**5, 10, 9),
    (10**6, 10, 9),
    (10**7, 10, 9),
    (10**5, 10, 7),
    (10**6, 10, 7),
    (10**5, 10, 3),
    (10**5, 16, 14),
    (10**5, 16, 8),
    (10**5, 24, 22),
    (10**5, 24, 12),
    (10**5, 50, 48),
    (10**5, 50, 40),
    (10**5, 100, 90),
]


def timed(table, votes, way, args):
    """Return seconds and degrees, or None and the reason."""
    started = perf_counter()
    try:
        with within(args.limit):
            degrees = _degrees(table, votes, way=way, n_jobs=args.threads)
    except (TimeoutError, MemoryError, lq.WorkLimitError) as error:
        return None, f"{type(error).__name__}: {error}"
    seconds = perf_counter() - started
    if seconds < 1:
        seconds, _ = best_of(3, lambda: _degrees(table, votes, way=way, n_jobs=args.threads))
    return seconds, degrees


def degrees_by_way(args):
    header = f"{'U':>9} {'M':>4} {'t':>4} " + "".join(f"{w or 'automatic':>12}" for w in WAYS)
    print(
        f"Degrees, seconds (-: over {args.limit:g} s, or refused)\n{header}  nearest to automatic"
    )
    results = []
    for n, m, votes in CASES:
        n = min(n, args.max_rows)
        table = lq.SignatureTable(m)
        table.update(_data.ensemble(n, m), n_jobs=args.threads)
        seconds, refusals, expected = {}, {}, None
        for way in WAYS:
            name = way or "automatic"
            seconds[name], outcome = timed(table, votes, way, args)
            if seconds[name] is None:
                refusals[name] = outcome
                continue
            expected = outcome if expected is None else expected
            np.testing.assert_array_equal(outcome, expected)
        automatic = seconds["automatic"]
        finished = {w: s for w, s in seconds.items() if s is not None and w != "automatic"}
        nearest = None
        if automatic and finished:
            nearest = min(finished, key=lambda w: abs(np.log(finished[w] / automatic)))
        cells = "".join("           -" if s is None else f"{s:12.4f}" for s in seconds.values())
        best = min(finished, key=finished.get, default=None)
        print(f"{len(table):9,} {m:4} {votes:4} {cells}  {nearest} (best: {best})", flush=True)
        results.append(
            {"rows": n, "n_signatures": len(table), "n_partitions": m, "min_agree": votes}
            | {"seconds": seconds, "refused": refusals, "nearest": nearest, "best": best}
        )
    return results


def coassociation(args):
    n, n_pairs = min(10**6, args.max_rows), min(10**7, 10 * args.max_rows)
    rows = _data.ensemble(n, abstain=0.05)
    pairs = np.random.default_rng(0).integers(n, size=(n_pairs, 2))
    seconds, _ = best_of(3, lambda: lq.coassociation(rows, pairs, n_jobs=args.threads))
    print(f"coassociation: {n_pairs / seconds / 1e6:.1f} M pairs/s ({n:,} rows x 10, random pairs)")
    return {"rows": n, "pairs": n_pairs, "seconds": seconds, "pairs_per_s": n_pairs / seconds}


def graph(args):
    n = min(10**5, args.max_rows)
    table = lq.SignatureTable(10)
    table.update(_data.ensemble(n), n_jobs=args.threads)
    results = []
    for votes in (9, 7):
        seconds, edges = best_of(
            3, lambda t=votes: lq.agreement_graph(table, t, n_jobs=args.threads).nnz
        )
        print(
            f"agreement_graph: {edges / seconds / 1e6:.2f} M edges/s "
            f"({len(table):,} signatures, min_agree={votes}, {edges:,} edges, {seconds:.3f} s)"
        )
        results.append(
            {"n_signatures": len(table), "min_agree": votes, "edges": edges}
            | {"seconds": seconds, "edges_per_s": edges / seconds}
        )
    return results


def main():
    options = parser(__doc__)
    options.add_argument("--limit", type=float, default=30, help="seconds for one way at most")
    options.add_argument("--max-rows", type=int, default=10**7)
    args = options.parse_args()
    record(
        args,
        {
            "degrees": degrees_by_way(args),
            "coassociation": coassociation(args),
            "agreement_graph": graph(args),
        },
    )


if __name__ == "__main__":
    main()
