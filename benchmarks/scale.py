"""Time per row of mini_clusters(n_clusters=10, min_agree=0.9), from 10^5 to 10^8 rows."""

from __future__ import annotations

import _data
import labelquorum as lq
from _record import best_of, parser, record


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7, 10**8])
    options.add_argument("--max-growth", type=float, default=2, help="of the time per row")
    args = options.parse_args()
    rows = _data.ensemble(max(args.rows))
    results = []
    for n in sorted(args.rows):
        part = rows[:n]
        repeats = max(3, min(20, 10**7 // n))
        seconds, _ = best_of(
            repeats,
            lambda part=part: lq.mini_clusters(part, 10, min_agree=0.9, n_jobs=args.threads),
        )
        print(f"{n:12,} rows {seconds:10.4f} s {seconds / n * 1e9:8.2f} ns per row", flush=True)
        results.append({"rows": n, "seconds": seconds, "ns_per_row": seconds / n * 1e9})
    growth = max(r["ns_per_row"] for r in results) / results[0]["ns_per_row"]
    print(f"grows by {growth:.2f}x at most (bar: {args.max_growth:g}x)")
    record(args, {"growth": growth, "bar": args.max_growth, "runs": results})
    if growth >= args.max_growth:
        raise SystemExit("the time per row grows by too much")


if __name__ == "__main__":
    main()
