"""mini_clusters of 10^8 rows x 10 in Parquet files on Dask workers, and a model of more.

Measured from files to files: `labelquorum.dask.mini_clusters`, the command on the same cluster and
without one, the function in memory with reading and writing, and Dask's own groupby().size() of the
same columns. All labels and counts must be equal. The client's process, which is also the
scheduler's here, may take at most 1 GiB.

Then the study measures the constants of each step: reading and counting, merging and moving tables
of up to --max-table signatures, extraction, labeling, and a task of the scheduler. From these it
computes how long 10^9 to 10^11 rows would take on 10 to 1,000 workers, and which step takes
longest. It assumes a network of 1 GB/s for each worker, and that signatures keep growing with the
same power of the rows as they do up to the rows measured.
"""

from __future__ import annotations

import math
import pickle
import shutil
import time
from pathlib import Path

import dask
import dask.dataframe as dd
import distributed
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import _data
import labelquorum as lq
import labelquorum.dask
from _recorder import PeakMemory, parser, record, timed
from labelquorum.cli import main as labelquorum_command

BAR_GIB = 1
NAMES = [f"p{i}" for i in range(10)]
OPTIONS = {"n_clusters": 10, "min_agree": 0.9}
MERGED_AT_ONCE = 8
NETWORK = 1e9  # bytes per second
ROWS, WORKERS = (10**9, 10**10, 10**11), (10, 100, 1000)


def files(folder, n, n_per_file):
    """Write the ensemble's rows as int8, unless the folder exists."""
    if folder.exists():
        return
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for i, first in enumerate(range(0, n, n_per_file)):
        rows = np.empty((min(n_per_file, n - first), len(NAMES)), np.int8)
        _data.fill(rows, first=first)
        pq.write_table(pa.table(list(rows.T), names=NAMES), partial / f"part-{i:05}.parquet")
    partial.rename(folder)


def labels_of(folder):
    return pq.read_table(folder)["label"].to_numpy()


def on_dask(source, out):
    """Count and label; return the times of both, and the client's peak of memory."""
    with PeakMemory() as peak:
        started = time.perf_counter()
        labels = labelquorum.dask.mini_clusters(dd.read_parquet(source), **OPTIONS)
        distributed.wait(labels)
        counted = time.perf_counter()
        labels.to_frame().to_parquet(out, name_function=lambda i: f"part-{i:05}.parquet")
        labeled = time.perf_counter()
    return {
        "counting_s": counted - started,
        "labeling_s": labeled - counted,
        "seconds": labeled - started,
        "client_gib": peak.peak / 2**30,
    }


def by_command(source, out, scheduler):
    options = ["--n-clusters", str(OPTIONS["n_clusters"]), "--min-agree", str(OPTIONS["min_agree"])]
    options += ["--out", str(out), "--quiet", *scheduler]
    with PeakMemory() as peak:
        seconds, code = timed(lambda: labelquorum_command(["mini-clusters", str(source), *options]))
    if code:
        raise SystemExit(code)
    return {"seconds": seconds, "client_gib": peak.peak / 2**30}


def by_group(source):
    seconds, sizes = timed(lambda: dd.read_parquet(source).groupby(NAMES).size().compute())
    return {"seconds": seconds, "n_groups": len(sizes), "n_rows": int(sizes.sum())}


def in_memory(source, out, n_threads):
    reading_s, columns = timed(lambda: [column.to_numpy() for column in pq.read_table(source)])
    seconds, labels = timed(lambda: lq.mini_clusters(columns, **OPTIONS, n_jobs=n_threads))
    writing_s, _ = timed(lambda: pq.write_table(pa.table({"label": labels}), out))
    return labels, {"reading_s": reading_s, "mini_clusters_s": seconds, "writing_s": writing_s}


def table_of(rows):
    table = lq.SignatureTable(rows.shape[1])
    table.update(rows, n_jobs=1)
    return table


def merging(max_table):
    """Merge and move ever larger tables without common signatures, the slowest case."""
    rows_of_sizes = []
    n = 10**4
    while n <= max_table:
        rows = _data.all_distinct(2 * n)
        table, other = table_of(rows[:n]), table_of(rows[n:])
        merging_s, _ = timed(lambda table=table, other=other: table.merge(other, n_jobs=1))
        packing_s, data = timed(lambda other=other: pickle.dumps(other, pickle.HIGHEST_PROTOCOL))
        unpacking_s, _ = timed(lambda data=data: pickle.loads(data))
        rows_of_sizes.append(
            {
                "n_signatures": n,
                "merging_ns": 1e9 * merging_s / n,
                "moving_ns": 1e9 * (packing_s + unpacking_s) / n,
                "bytes": len(data) / n,
            }
        )
        n *= 10
    return rows_of_sizes


def growth(n):
    """Count the signatures of the first 10^3, 10^4, ... rows."""
    sizes = [int(10**e) for e in range(3, int(math.log10(n)) + 1)]
    rows = _data.ensemble(sizes[-1], len(NAMES))
    tables = [table_of(rows[:size]) for size in sizes]
    extracting_s, _ = timed(lambda: lq.mini_clusters(tables[-1], **OPTIONS, n_jobs=1))
    return {
        "rows": sizes,
        "n_signatures": [len(table) for table in tables],
        "extracting_ns": 1e9 * extracting_s / len(tables[-1]),
    }


def task_seconds(client):
    tasks = [dask.delayed(abs)(i, dask_key_name=f"task-{i}") for i in range(1000)]
    return timed(lambda: client.gather(client.compute(tasks)))[0] / len(tasks)


def modeled(rows, workers, constants):
    """Compute the seconds of each step, the data read and moved, and the longest step."""
    n_files = math.ceil(rows / constants["rows_per_file"])
    depth = math.ceil(math.log(n_files, MERGED_AT_ONCE))
    merging_s = 0.0
    for level in range(1, depth + 1):
        # A level may have more merges than workers: each worker does its share.
        n_merges = math.ceil(n_files / MERGED_AT_ONCE**level)
        below = signatures(rows / n_merges / MERGED_AT_ONCE, constants)
        of_one = MERGED_AT_ONCE * below * constants["merging_ns"] * 1e-9
        of_one += MERGED_AT_ONCE * moving_s(below, constants)
        merging_s += of_one * math.ceil(n_merges / workers)
    n_signatures = signatures(rows, constants)
    steps = {
        "counting": rows * constants["counting_ns"] * 1e-9 / workers,
        "merging": merging_s,
        "extracting": n_signatures * constants["extracting_ns"] * 1e-9,
        "broadcast": math.ceil(math.log2(workers)) * moving_s(n_signatures, constants),
        "labeling": rows * constants["labeling_ns"] * 1e-9 / workers,
        "scheduling": (2 + 1 / (MERGED_AT_ONCE - 1)) * n_files * constants["task_s"],
    }
    return {
        "rows": rows,
        "workers": workers,
        "bytes_read": 2 * rows * constants["bytes_per_row"],
        "n_signatures": n_signatures,
        "table_bytes": n_signatures * constants["bytes_per_signature"],
        "merge_depth": depth,
        "seconds": steps,
        "total_s": sum(steps.values()),
        "bottleneck": max(steps, key=steps.get),
    }


def signatures(rows, constants):
    return min(rows, constants["n_signatures"] * (rows / constants["rows"]) ** constants["power"])


def moving_s(n_signatures, constants):
    packing = n_signatures * constants["moving_ns"] * 1e-9
    return packing + n_signatures * constants["bytes_per_signature"] / NETWORK


def main():
    options = parser(__doc__)
    options.add_argument(
        "dir", type=Path, help="folder of the files, which are written if they are missing"
    )
    options.add_argument("--rows", type=int, default=10**8, help="number of rows")
    options.add_argument("--rows-per-file", type=int, default=2_500_000, help="rows in a file")
    options.add_argument("--workers", type=int, default=2, help="worker processes")
    options.add_argument(
        "--max-table", type=int, default=10**7, help="signatures of the largest table"
    )
    options.add_argument(
        "--without-groupby", action="store_true", help="leave Dask's groupby().size() out"
    )
    args = options.parse_args()
    source = args.dir / f"partitions-{args.rows}"
    files(source, args.rows, args.rows_per_file)
    scratch = args.dir / "results"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    results = {"rows": args.rows, "workers": args.workers, "bar_gib": BAR_GIB}
    with (
        distributed.LocalCluster(
            n_workers=args.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        address = cluster.scheduler_address
        client.run(lambda: __import__("labelquorum.dask"))
        results["dask"] = on_dask(source, scratch / "dask")
        print(f"labelquorum.dask {results['dask']}", flush=True)
        results["command"] = by_command(source, scratch / "command", ["--scheduler", address])
        print(f"labelquorum mini-clusters {results['command']}", flush=True)
        results["groupby"] = None if args.without_groupby else by_group(source)
        print(f"groupby().size() {results['groupby']}", flush=True)
        task_s = task_seconds(client)
    results["command_alone"] = by_command(
        source, scratch / "command-alone", ["--n-jobs", str(args.threads)]
    )
    print(f"without a cluster {results['command_alone']}", flush=True)
    labels, results["in_memory"] = in_memory(source, scratch / "in-memory.parquet", args.threads)
    print(f"in memory {results['in_memory']}", flush=True)
    for name in ("dask", "command", "command-alone"):
        np.testing.assert_array_equal(labels_of(scratch / name), labels)
    shutil.rmtree(scratch)
    del labels
    results["merging"] = merging(args.max_table)
    results["growth"] = growth(args.rows)
    if results["groupby"]:
        assert results["groupby"]["n_rows"] == args.rows
        assert results["groupby"]["n_groups"] == results["growth"]["n_signatures"][-1]
    results["constants"] = constants_of(results, args, task_s, source)
    print(f"constants {results['constants']}")
    results["model"] = [modeled(n, w, results["constants"]) for n in ROWS for w in WORKERS]
    for row in results["model"]:
        print(
            f"{row['rows']:.0e} rows, {row['workers']:5} workers: {row['total_s']:8.0f} s, "
            f"{row['n_signatures']:.2e} signatures ({row['table_bytes'] / 2**30:.2f} GiB), depth "
            f"{row['merge_depth']}, most in {row['bottleneck']} "
            f"({row['seconds'][row['bottleneck']]:.0f} s)"
        )
    record(args, results)
    if max(results[name]["client_gib"] for name in ("dask", "command")) >= BAR_GIB:
        raise SystemExit(f"The client must take less than {BAR_GIB} GiB of memory.")


def constants_of(results, args, task_s, source):
    """Return the constants of the model, measured at the largest size."""
    grown, merged = results["growth"], results["merging"][-1]
    n_signatures = grown["n_signatures"]
    power = math.log10(n_signatures[-1] / n_signatures[-2]) if len(n_signatures) > 1 else 1.0
    per_row = 1e9 * args.workers / args.rows
    return {
        "rows": grown["rows"][-1],
        "rows_per_file": args.rows_per_file,
        "n_signatures": n_signatures[-1],
        "power": power,
        "bytes_per_row": sum(p.stat().st_size for p in source.iterdir()) / args.rows,
        "bytes_per_signature": merged["bytes"],
        "counting_ns": results["dask"]["counting_s"] * per_row,
        "labeling_ns": results["dask"]["labeling_s"] * per_row,
        "merging_ns": merged["merging_ns"],
        "moving_ns": merged["moving_ns"],
        "extracting_ns": grown["extracting_ns"],
        "task_s": task_s,
    }


if __name__ == "__main__":
    main()
