"""SignatureTable.update against Polars and DuckDB, and mini_clusters against the collapse.

Every peer runs in a process of its own, on the same rows and threads; what it takes to bring the
rows into the form that it likes (an array in C or Fortran order, a frame, a table) is not timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import _data
import labelquorum as lq
from _record import PeakMemory, best_of, memory_floor, parser, record

M = 10
COLUMNS = [f"p{j}" for j in range(M)]
DUCKDB_MAX_ROWS = 10_000_000
BAR_POLARS, BAR_MINI_CLUSTERS = 10, 3


def rows_in_order(data, order):
    rows = np.load(data)
    return np.asfortranarray(rows) if order == "F" else rows


def labelquorum_collapse(data, order, threads):
    rows = rows_in_order(data, order)
    ids = np.empty(len(rows), dtype=np.int32)  # used again and again, as where rows are streamed

    def run():
        table = lq.SignatureTable(M)
        table.update(rows, out=ids, n_jobs=threads)
        return table

    return run, lambda table: (table.signatures, table.counts)


def labelquorum_mini_clusters(data, order, threads):
    rows = rows_in_order(data, order)
    return lambda: lq.mini_clusters(rows, 10, min_agree=0.9, n_jobs=threads), None


def polars_group_by(data, _order, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)  # read when polars is imported
    import polars as pl

    rows = np.load(data, mmap_mode="r")
    frame = pl.DataFrame({c: np.array(rows[:, j]) for j, c in enumerate(COLUMNS)})
    return lambda: frame.group_by(COLUMNS).len(), lambda out: (
        out.select(COLUMNS).to_numpy(),
        out["len"].to_numpy(),
    )


def duckdb_group_by(data, _order, threads):
    import duckdb

    rows = np.load(data, mmap_mode="r")
    frame = {c: np.array(rows[:, j]) for j, c in enumerate(COLUMNS)}  # noqa: F841 (named in SQL)
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("create table rows as select * from frame")
    names = ", ".join(COLUMNS)
    query = f"select {names}, count(*) as n from rows group by {names}"
    return lambda: connection.execute(query).fetchnumpy(), lambda out: (
        np.column_stack([out[c] for c in COLUMNS]),
        out["n"],
    )


PEERS = {
    "collapse": labelquorum_collapse,
    "mini_clusters": labelquorum_mini_clusters,
    "polars": polars_group_by,
    "duckdb": duckdb_group_by,
}


def child(peer, order, data, threads, repeats, counts_to):
    if peer == "floor":
        print(json.dumps({"seconds": memory_floor(np.load(data), threads)}))
        return
    run, counted = PEERS[peer](data, order, threads)
    with PeakMemory() as peak:
        first, result = best_of(1, run)
        result = None  # so that no two results are alive at once
        best, result = best_of(repeats, run)
    if counted:
        signatures, counts = counted(result)
        words = _data.packed(signatures)
        by_content = np.argsort(words)
        np.save(counts_to, [words[by_content], counts[by_content].astype(np.uint64)])
    memory = {"input": peak.before, "peak": peak.peak}
    print(json.dumps({"first_seconds": first, "seconds": min(first, best), **memory}))


def in_process(args, folder, data, peer, order=""):
    counts_to = folder / f"{peer}{order}.npy"
    command = [sys.executable, __file__, "--child", peer, order or "-", data, counts_to]
    command += ["--threads", args.threads, "--repeats", args.repeats]
    done = subprocess.run([str(x) for x in command], check=True, stdout=subprocess.PIPE, text=True)
    result = {"peer": peer, "order": order or None, **json.loads(done.stdout)}
    name = f"{peer} {order and order + '-order'}".strip()
    rate = args.rows / result["seconds"] / 1e6
    peak = f"  peak {result['peak'] / 2**30:.2f} GiB" if "peak" in result else ""
    of_it = f", of it input {result['input'] / 2**30:.2f}" if peak else ""
    first = f"  first call {result['first_seconds']:.3f} s" if peak else ""
    print(
        f"  {name:22} {result['seconds']:9.4f} s {rate:10.1f} M rows/s{first}{peak}{of_it}",
        flush=True,
    )
    if counts_to.exists():
        result["counts"] = np.load(counts_to)
    return result


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=10**8)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--data-dir", type=Path, help="keep the rows there (default: temporary)")
    options.add_argument("--child", nargs=4, help="for the script's own use")
    args = options.parse_args()
    if args.child:
        peer, order, data, counts_to = args.child
        child(peer, order, data, args.threads, args.repeats, counts_to)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = (args.data_dir or folder) / f"ensemble-{args.rows}.npy"
        _data.ensemble_file(data, args.rows, M)
        print(f"{args.rows:,} rows x {M} int8, {args.threads} threads, ", end="")
        print(f"the first call of a process and the best of {args.repeats} more")
        peers = [("floor", ""), ("polars", "")]
        if args.rows <= DUCKDB_MAX_ROWS:
            peers.append(("duckdb", ""))
        peers += [(peer, order) for order in "CF" for peer in ("collapse", "mini_clusters")]
        results = [in_process(args, folder, data, *peer) for peer in peers]
    by_peer = {(r["peer"], r["order"]): r for r in results}
    polars, floor = by_peer["polars", None], by_peer["floor", None]["seconds"]
    for result in results:
        if "counts" in result:
            np.testing.assert_array_equal(result["counts"], polars["counts"])
    print(f"  {polars['counts'].shape[1]:,} signatures, counts equal for all")
    summary = {"rows": args.rows, "n_signatures": polars["counts"].shape[1], "orders": {}}
    for order in "CF":
        ours = by_peer["collapse", order]
        collapse = ours["seconds"]
        ratios = {
            "times_faster_than_polars_first_call": polars["first_seconds"] / ours["first_seconds"],
            "times_faster_than_polars": polars["seconds"] / collapse,
            "times_memory_floor": collapse / floor,
            "mini_clusters_times_collapse": by_peer["mini_clusters", order]["seconds"] / collapse,
        }
        first, best = list(ratios.values())[:2]
        print(f"  {order}-order: {first:.1f}x faster than Polars in the first call,", end="")
        print(f" {best:.1f}x at best (bar: {BAR_POLARS}x),", end="")
        print(f" {ratios['times_memory_floor']:.1f}x the memory floor,", end="")
        print(f" mini_clusters {ratios['mini_clusters_times_collapse']:.2f}x the collapse", end="")
        print(f" (bar: at most {BAR_MINI_CLUSTERS}x)")
        summary["orders"][order] = ratios
    for result in results:
        result.pop("counts", None)
    record(args, {**summary, "bars": [BAR_POLARS, BAR_MINI_CLUSTERS], "peers": results})


if __name__ == "__main__":
    main()
