"""Folders of Parquet files in, folders of labels out: a file for each file, by tasks of Dask.

Each file is written under a temporary name and renamed when complete. What is finished stays, and
the same call goes on from there: beside the results, a hidden folder keeps what they were made of,
and until all of them are there the signatures of each file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, differing_settings, reading, replacing
from labelquorum.cli.files.features import read_features, write_columns
from labelquorum.cli.files.partitions import check_format, read_partitions, write_labels
from labelquorum.votes.signatures import SignatureTable

try:
    import dask.array as da
    from dask import config, delayed
    from dask.delayed import Delayed
    from distributed import Client, KilledWorker, as_completed

    from labelquorum.dask import ConsensusClusterer, Fitted, MiniClusters, merged
except ImportError as error:
    raise FileError(f'folders need Dask ({error}): pip install "labelquorum[dask]"') from error

_Show: TypeAlias = Callable[[str, float], None] | None

_KEPT = ".labelquorum"
_FORMAT_VERSION = 1
_CONNECTING_S = 20


class Workers(NamedTuple):
    """Who does the tasks: a cluster; or this process, one after the other."""

    client: Client | None
    n_jobs: int | None  # threads of each task


@contextmanager
def workers(address: str | None, n_jobs: int | None) -> Iterator[Workers]:
    """The workers of the cluster with this scheduler; None for this process."""
    if address is None:
        # In its main thread, where Ctrl-C gets to the kernels, which have threads of their own.
        with config.set(scheduler="synchronous"):
            yield Workers(None, n_jobs)
        return
    try:
        client = Client(address, timeout=_CONNECTING_S)
    except (OSError, ValueError) as error:
        raise FileError(f"scheduler {address}: {' '.join(str(error).split())}") from error
    with client:
        try:
            yield Workers(client, 1)
        except KilledWorker as error:
            raise FileError(f"scheduler {address}: {' '.join(str(error).split())}") from error


class MiniClustersFound(NamedTuple):
    """What was found, in numbers."""

    n_samples: int
    n_signatures: int
    n_clusters: int
    n_labeled: int


class _Look(NamedTuple):
    columns: list[str]
    types: list[Any]
    n_rows: int


class Folder:
    """The .parquet files of a folder, and the folder of their labels.

    Raises FileError where that holds something else than labels of these files and settings.
    """

    def __init__(self, source: Path, out: Path, settings: dict[str, Any]) -> None:
        self.source, self.out = source, out
        self.files = sorted(
            path
            for path in source.iterdir()
            if path.suffix.lower() == ".parquet" and not path.name.startswith((".", "_"))
        )
        if not self.files:
            raise FileError(f"{source}: the folder holds no .parquet file")
        check_format(self.files[0])
        facts = {path.name: path.stat() for path in self.files}
        files = {name: f"{fact.st_size}-{fact.st_mtime_ns}" for name, fact in facts.items()}
        settings = {"version": _FORMAT_VERSION, "files": files, **settings}
        self._kept = out / _KEPT
        # Signatures depend on their file alone: when it has changed, they have another name.
        self._tables = {
            path: self._kept / f"{path.name}-{files[path.name]}.npz" for path in self.files
        }
        try:
            if not self._kept.exists() and out.exists() and any(out.iterdir()):
                raise FileError(f"{out}: holds other files; wanted an empty folder, or a new one")
            self._kept.mkdir(parents=True, exist_ok=True)
            if not any(out.glob("*.parquet")):
                (self._kept / "settings.json").unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{out}: cannot be written: {error.strerror}") from error
        differing = differing_settings(self._kept / "settings.json", settings)
        if differing:
            raise FileError(
                f"{out}: holds labels of another call: other {', '.join(differing)}; wanted an "
                "empty folder, or the same files and options"
            )
        self.missing = [path for path in self.files if not (out / path.name).exists()]
        self._looks: dict[Path, Any] = {}

    def look(self, by: Workers, show: _Show) -> list[str]:
        """The names of the columns; files with other columns than the first has are refused."""
        looking = {path: delayed(_look)(path) for path in self.files}
        self._looks = _run(by, looking, "looking", show)
        wanted: list[str] = self._looks[self.files[0]].columns
        for path, look in self._looks.items():
            if look.columns != wanted:
                raise FileError(
                    f"{path}: has the columns {_shown(look.columns)}; wanted {_shown(wanted)}, as "
                    f"in {self.files[0].name}"
                )
        return wanted

    def mini_clusters(
        self, by: Workers, n_partitions: int, options: dict[str, Any], show: _Show
    ) -> MiniClustersFound:
        """Label the samples, whose partitions the files hold, with their mini-clusters."""
        counting = {
            path: delayed(_count)(path, kept, n_partitions, by.n_jobs)
            for path, kept in self._tables.items()
            if not kept.exists()
        }
        _run(by, counting, "counting", show)
        table = merged([delayed(_kept_table)(kept) for kept in self._tables.values()])
        found = delayed(MiniClusters)(table, **options).persist()
        merging = _run(by, {self.source: delayed(_numbers)(found)}, "merging", show)
        labeling = {
            path: delayed(_label_rows)(path, self.out / path.name, found, by.n_jobs)
            for path in self.missing
        }
        _run(by, labeling, "labeling", show)
        for kept in self._kept.glob("*.npz"):
            kept.unlink()
        numbers: MiniClustersFound = merging[self.source]
        return numbers

    def features(
        self, by: Workers, label_column: str | None, show: _Show
    ) -> tuple[Any, Any | None]:
        """The features of all samples as a Dask array, and their known labels where some are."""
        self.look(by, show)
        rows, known = [], []
        for path, (columns, types, n_rows) in self._looks.items():
            if not n_rows:
                continue
            found = delayed(_features)(path, label_column, dask_key_name=f"features of {path}")
            of_features = [t for c, t in zip(columns, types, strict=True) if c != label_column]
            shape = n_rows, len(of_features)
            rows.append(da.from_delayed(found[0], shape, _common_type(of_features)))
            if label_column is not None:
                known.append(da.from_delayed(found[1], (n_rows,), object))
        if not rows:
            raise FileError(f"{self.source}: the files hold no sample")
        return da.concatenate(rows), da.concatenate(known) if known else None

    def label(
        self, by: Workers, model: ConsensusClusterer, label_column: str | None, show: _Show
    ) -> None:
        """Label the samples, whose features the files hold, as a fitted model says."""
        found = model.on_cluster(by.n_jobs)
        labeling, first = {}, 0
        for path, look in self._looks.items():
            if path in self.missing:
                out = self.out / path.name
                labeling[path] = delayed(_label_samples)(path, out, found, first, label_column)
            first += look.n_rows
        _run(by, labeling, "labeling", show)


def _shown(columns: list[str]) -> str:
    return ", ".join(columns[:10]) + (", ..." if len(columns) > 10 else "")


def _run(by: Workers, tasks: dict[Path, Delayed], stage: str, show: _Show) -> dict[Path, Any]:
    """Run a task for each file; the first error ends it."""
    results = {}
    for path, result in _finished(by.client, tasks):
        results[path] = result
        if show is not None:
            show(stage, len(results) / len(tasks))
    return {path: results[path] for path in tasks}  # in their order, not in that of finishing


def _finished(client: Client | None, tasks: dict[Path, Delayed]) -> Iterator[tuple[Path, Any]]:
    if client is None:
        for path, task in tasks.items():
            yield path, task.compute()
        return
    futures = dict(zip(client.compute(list(tasks.values())), tasks, strict=True))
    for future in as_completed(futures, loop=client.loop):
        try:
            yield futures[future], future.result()
        except KilledWorker as error:
            raise FileError(
                f"{futures[future]}: workers died of it again and again, for lack of memory as a "
                "rule; finished files are kept: the same call goes on from there"
            ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors say which file they are about."""
    try:
        yield
    except (TypeError, ValueError, MemoryError) as error:
        raise FileError(f"{path}: {' '.join(str(error).split())}") from error


def _common_type(types: list[Any]) -> Any:
    try:
        return np.result_type(*types)
    except (TypeError, ValueError):
        return object  # what cannot be features is refused when it is read


def _look(path: Path) -> _Look:
    import pyarrow.parquet as pq

    with reading(path), pq.ParquetFile(path) as file:
        # pandas keeps the row names of a data frame in such columns.
        fields = [f for f in file.schema_arrow if not f.name.startswith("__index_level_")]
        types = [field.type.to_pandas_dtype() for field in fields]
        return _Look([field.name for field in fields], types, file.metadata.num_rows)


def _count(path: Path, kept: Path, n_partitions: int, n_jobs: int | None) -> None:
    table = SignatureTable(n_partitions)
    with _naming(path):
        for chunk, _ in read_partitions(path):
            table.update(chunk, n_jobs=n_jobs)
    with replacing(kept) as file:
        file.write(table.to_bytes())


def _kept_table(kept: Path) -> SignatureTable:
    with _naming(kept):
        return SignatureTable.from_bytes(kept.read_bytes())


def _numbers(found: MiniClusters) -> MiniClustersFound:
    return MiniClustersFound(
        found.table.n_samples,
        len(found.table),
        int(found.labels.max()) + 1,
        int(found.table.counts[found.labels >= 0].sum()),
    )


def _label_rows(path: Path, out: Path, found: MiniClusters, n_jobs: int | None) -> None:
    with _naming(path), replacing(out) as file:
        labels = (found.of(chunk, n_jobs) for chunk, _ in read_partitions(path))
        write_labels(out, file, labels, _look(path).n_rows)


def _features(path: Path, label_column: str | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    X, known = read_features(path, label_column=label_column)
    return X, None if known is None else known.astype(object)


def _label_samples(
    path: Path, out: Path, found: Fitted, first: int, label_column: str | None
) -> None:
    with _naming(path), replacing(out) as file:
        if _look(path).n_rows:
            X, known = _features(path, label_column)
        else:
            X, known = np.empty((0, 0)), None
        labels, confidence = found.of_fit(X, first, known)
        write_columns(out, file, {"label": labels, "confidence": confidence})
