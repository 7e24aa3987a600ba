"""mini_clusters of 10^9 rows x 10, from a memory-mapped file to a memory-mapped file.

DIR needs 14 GB. The anonymous memory (RssAnon) counts: the pages of the two files belong to the
page cache, and the system takes them back when it needs them.
Bar: 6 GiB.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import _data
import labelquorum as lq
from _recorder import PeakMemory, parser, record, timed

BAR_GIB = 6


def main():
    options = parser(__doc__)
    options.add_argument(
        "dir", type=Path, help="folder of the rows, which are written if they are missing"
    )
    options.add_argument("--rows", type=int, default=10**9, help="number of rows")
    args = options.parse_args()
    file = args.dir / f"ensemble-{args.rows}.npy"
    seconds, rows = timed(lambda: _data.ensemble_file(file, args.rows))
    print(f"{args.rows:,} rows x 10 int8 ready in {seconds:.1f} s", flush=True)
    target = args.dir / f"pseudo-labels-{args.rows}.npy"
    labels = np.lib.format.open_memmap(target, "w+", np.int32, (args.rows,))
    started = time.perf_counter()
    with PeakMemory() as peak:
        lq.mini_clusters(rows, 10, min_agree=0.9, out=labels, n_jobs=args.threads)
    mini_clusters_s = time.perf_counter() - started
    labels.flush()
    flushed_s = time.perf_counter() - started
    peak_gib = peak.peak / 2**30
    print(
        f"mini_clusters {mini_clusters_s:.1f} s ({flushed_s:.1f} s until labels are on disk), "
        f"peak RssAnon {peak_gib:.3f} GiB (bar: {BAR_GIB}), before {peak.before / 2**30:.3f}",
        flush=True,
    )
    # The ids overwrite the labels, so that this pass needs no other array of 10^9 values.
    sizes = np.zeros(11, dtype=np.int64)
    for first in range(0, args.rows, 10**7):
        sizes += np.bincount(labels[first : first + 10**7] + 1, minlength=11)
    table = lq.SignatureTable(10)
    started = time.perf_counter()
    table.update(rows, out=labels, n_jobs=args.threads)
    collapse_s = time.perf_counter() - started
    del labels
    target.unlink()
    print(
        f"collapse alone {collapse_s:.1f} s, {len(table):,} signatures, sizes {sizes[1:].tolist()}"
    )
    record(
        args,
        {
            "rows": args.rows,
            "mini_clusters_s": mini_clusters_s,
            "mini_clusters_flushed_s": flushed_s,
            "collapse_s": collapse_s,
            "peak_rss_anon_gib": peak_gib,
            "rss_anon_before_gib": peak.before / 2**30,
            "bar_gib": BAR_GIB,
            "n_signatures": len(table),
            "without_label": int(sizes[0]),
            "sizes": sizes[1:].tolist(),
        },
    )
    if peak_gib >= BAR_GIB:
        raise SystemExit(f"The peak of memory must be below {BAR_GIB} GiB, got {peak_gib:.3f}.")


if __name__ == "__main__":
    main()
