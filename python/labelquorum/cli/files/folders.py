"""Folders of .parquet files in, folders of labels out, with one Dask task or more for each file.

Each result is written under a temporary name and renamed when it is complete. Finished files stay,
and the same call continues from there. A hidden folder beside the results stores the settings that
they were made with and, until all results are complete, the signatures of each file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, differing_settings, replacing
from labelquorum._shared.labels import has_label
from labelquorum._shared.origins import ACCEPTED, ORIGIN, Origins, said_by_people
from labelquorum.cli.files.columns import Table
from labelquorum.cli.files.features import feature_places, read_features
from labelquorum.cli.files.labels import read_labels, read_origins
from labelquorum.cli.files.numeric import FeatureColumns
from labelquorum.cli.files.partitions import read_partitions, write_labels
from labelquorum.cli.files.readers import shown_names
from labelquorum.cli.files.results import write_columns
from labelquorum.votes.signatures import SignatureTable

try:
    import dask.array as da
    from dask import config, delayed
    from dask.delayed import Delayed
    from distributed import Client, KilledWorker, as_completed

    from labelquorum.dask import (
        ConsensusClusterer,
        FittedClusterer,
        SignatureLabels,
        merged_table,
    )
except ImportError as error:
    raise FileError(
        f'a folder of .parquet files needs Dask ({error}): pip install "labelquorum[dask]"'
    ) from error

_Show: TypeAlias = Callable[[str, float], None] | None
_STATE_FOLDER = ".labelquorum"
_FORMAT_VERSION = 2
_CONNECTING_S = 20


class Workers(NamedTuple):
    """What runs the tasks."""

    client: Client | None
    """The client of a cluster; None for this process, which runs one task after the other."""
    n_jobs: int | None
    """Number of threads of each task."""


@contextmanager
def workers_at(address: str | None, n_jobs: int | None) -> Iterator[Workers]:
    """The workers of the cluster with this scheduler; of this process without an address."""
    if address is None:
        # In its main thread, where Ctrl-C reaches the kernels, which have threads of their own.
        with config.set(scheduler="synchronous"):
            yield Workers(None, n_jobs)
        return
    try:
        # A default client that cannot connect would stay Dask's scheduler.
        client = Client(address, timeout=_CONNECTING_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise FileError(f"scheduler {address}: {' '.join(str(error).split())}") from error
    with client, client.as_current():
        try:
            yield Workers(client, 1)
        except KilledWorker as error:
            raise FileError(f"scheduler {address}: {' '.join(str(error).split())}") from error


class MiniClusterCounts(NamedTuple):
    """Numbers about the mini-clusters of a folder."""

    n_samples: int
    n_signatures: int
    n_clusters: int
    n_labeled: int


class _Shape(NamedTuple):
    """The features of a file."""

    n_rows: int
    n_features: int
    dtype: np.dtype[Any]


class SampleColumns(NamedTuple):
    """The columns to read."""

    features: Sequence[str] | None = None
    """Those of the features; None for all others."""
    labels: str | None = None
    """That of the labels."""
    has_origins: bool = False
    """Whether a column of that name says where the labels come from."""
    votes: Sequence[str] = ()
    """Those of the voters."""

    @property
    def beside(self) -> list[str]:
        """Those that hold neither features nor labels."""
        return [ORIGIN, *self.votes] if self.has_origins else [*self.votes]


class SampleArrays(NamedTuple):
    """Samples as Dask arrays, or those of a file as NumPy arrays."""

    X: Any
    """(n_samples, n_features): the features."""
    labels: Any
    """(n_samples,): labels, None where there is none; None without such a column. So are the next
    two."""
    origins: Any
    """(n_samples,): where the labels come from."""
    votes: Any
    """(n_samples, n_voters): the votes."""


class Folder:
    """The .parquet files of a folder, and the folder of their labels.

    Raises FileError if the folder of labels holds anything but labels of these files and settings.
    """

    def __init__(self, source: Path, out: Path, settings: dict[str, Any]) -> None:
        self.source, self.out = source, out
        self.files = sorted(
            path
            for path in source.iterdir()
            if path.suffix.lower() == ".parquet" and not path.name.startswith((".", "_"))
        )
        if not self.files:
            raise FileError(f"{source}: the folder has no .parquet file")
        facts = {path.name: path.stat() for path in self.files}
        files = {name: f"{fact.st_size}-{fact.st_mtime_ns}" for name, fact in facts.items()}
        settings = {"version": _FORMAT_VERSION, "files": files, **settings}
        self._state = out / _STATE_FOLDER
        # Signatures depend on their file alone: when it changes, so does the name.
        self._table_paths = {
            path: self._state / f"{path.name}-{files[path.name]}.npz" for path in self.files
        }
        self._prepare(settings)
        self.missing = [path for path in self.files if not (out / path.name).exists()]
        self._shapes: dict[Path, _Shape | None] = {}

    def _prepare(self, settings: dict[str, Any]) -> None:
        out = self.out
        try:
            if not self._state.exists() and out.exists() and any(out.iterdir()):
                raise FileError(
                    f"{out}: the folder has other files: the results need an empty or a new folder"
                )
            self._state.mkdir(parents=True, exist_ok=True)
            path = self._state / "settings.json"
            if not any(out.glob("*.parquet")):
                path.unlink(missing_ok=True)
            elif not path.exists():
                raise FileError(
                    f"{path}: is missing, so nothing tells what the labels beside it were made "
                    "with: use an empty folder"
                )
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"{out}: cannot be written: {error.strerror}") from error
        try:
            differing = differing_settings(path, settings)
        except ValueError as error:
            raise FileError(str(error)) from error
        if differing:
            raise FileError(
                f"{out}: the folder has labels of another call, which differs in "
                f"{', '.join(differing)}: use an empty folder, or the same files and options"
            )

    @property
    def first_with_rows(self) -> Path:
        """The first file that has a row; the first one if none has."""
        return next((path for path in self.files if Table(path).n_rows), self.files[0])

    def column_names(self, workers: Workers, show: _Show) -> list[str]:
        """The names of the columns, which must be the same in all files."""
        tasks = {path: delayed(_column_names)(path) for path in self.files}
        names = _run(workers, tasks, "checking", show)
        wanted: list[str] = names[self.files[0]]
        for path, columns in names.items():
            if columns != wanted:
                raise FileError(
                    f"{path}: the columns must be {shown_names(wanted)}, as in "
                    f"{self.files[0].name}, got {shown_names(columns)}"
                )
        return wanted

    def label_mini_clusters(
        self, workers: Workers, columns: Sequence[str], options: dict[str, Any], show: _Show
    ) -> MiniClusterCounts:
        """Label the samples, whose partitions the files hold, with their mini-clusters."""
        counting = {
            path: delayed(_write_table)(path, table_path, columns, workers.n_jobs)
            for path, table_path in self._table_paths.items()
            if not table_path.exists()
        }
        _run(workers, counting, "counting", show)
        tables = [delayed(_read_table)(table_path) for table_path in self._table_paths.values()]
        clusters = delayed(SignatureLabels)(merged_table(tables), **options).persist()
        merging = _run(workers, {self.source: delayed(_counts)(clusters)}, "merging", show)
        labeling = {
            path: delayed(_label_rows)(
                path, self.out / path.name, clusters, columns, workers.n_jobs
            )
            for path in self.missing
        }
        _run(workers, labeling, "labeling", show)
        for table_path in self._state.glob("*.npz"):
            table_path.unlink()
        counts: MiniClusterCounts = merging[self.source]
        return counts

    def features(self, workers: Workers, columns: SampleColumns, show: _Show) -> SampleArrays:
        """The features of all samples as a Dask array, and what else the columns hold."""
        self.column_names(workers, show)
        tasks = {path: delayed(_shape)(path, columns) for path in self.files}
        self._shapes = _run(workers, tasks, "checking features", show)
        arrays = SampleArrays([], [], [], [])
        width = None
        for path, shape in self._shapes.items():
            if shape is None:
                continue
            width = width or shape.n_features
            if shape.n_features != width:
                raise FileError(
                    f"{path}: the number of features must be {width}, as in other files, got "
                    f"{shape.n_features}"
                )
            task = delayed(_samples)(path, columns, dask_key_name=f"samples of {path}")
            n = shape.n_rows
            arrays.X.append(da.from_delayed(task[0], shape[:2], shape.dtype))
            if columns.labels is not None:
                arrays.labels.append(da.from_delayed(task[1], (n,), object))
            if columns.has_origins:
                arrays.origins.append(da.from_delayed(task[2], (n,), object))
            if columns.votes:
                arrays.votes.append(da.from_delayed(task[3], (n, len(columns.votes)), object))
        if not arrays.X:
            raise FileError(f"{self.source}: the files have no samples")
        return SampleArrays(*(da.concatenate(parts) if parts else None for parts in arrays))

    def label_samples(
        self,
        workers: Workers,
        model: ConsensusClusterer,
        columns: SampleColumns,
        show: _Show,
    ) -> None:
        """Label the samples, whose features the files hold, with a fitted model."""
        fitted = model.on_cluster(workers.n_jobs)
        labeling, first_row = {}, 0
        for path, shape in self._shapes.items():
            n_rows = 0 if shape is None else shape.n_rows
            if path in self.missing:
                labeling[path] = delayed(_label_samples)(
                    path, self.out / path.name, fitted, (first_row, n_rows), columns
                )
            first_row += n_rows
        _run(workers, labeling, "labeling", show)


def _run(workers: Workers, tasks: dict[Path, Delayed], stage: str, show: _Show) -> dict[Path, Any]:
    """Run a task for each file, and return the results in the same order; stop at an error."""
    results = {}
    for path, result in _finished(workers.client, tasks):
        results[path] = result
        if show is not None:
            show(stage, len(results) / len(tasks))
    return {path: results[path] for path in tasks}


def _finished(client: Client | None, tasks: dict[Path, Delayed]) -> Iterator[tuple[Path, Any]]:
    """The files and results of tasks in the order in which they finish."""
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
                f"{futures[future]}: workers died repeatedly while working on this file, usually "
                "for lack of memory. Finished files are kept: the same command continues"
            ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors name the file that they are about."""
    try:
        yield
    except (TypeError, ValueError, MemoryError) as error:
        raise FileError(f"{path}: {' '.join(str(error).split())}") from error


def _column_names(path: Path) -> list[str]:
    return Table(path).names


def _shape(path: Path, columns: SampleColumns) -> _Shape | None:
    """The shape and type of the features of a file; None for one without rows."""
    table = Table(path)
    places = feature_places(table, columns.features, columns.labels, columns.beside)
    first = next(table.batches(places, max_rows=1), None)
    if first is None:
        return None
    row = FeatureColumns([table.names[place] for place in places]).matrix(first)
    return _Shape(table.n_rows or 0, row.shape[1], row.dtype)


def _write_table(path: Path, table_path: Path, columns: Sequence[str], n_jobs: int | None) -> None:
    """Count the signatures of a file, and store them."""
    table = SignatureTable(len(columns))
    with _naming(path):
        for chunk, _ in read_partitions(path, columns=columns):
            table.update(chunk, n_jobs=n_jobs)
    with replacing(table_path) as file:
        file.write(table.to_bytes())


def _read_table(table_path: Path) -> SignatureTable:
    try:
        return SignatureTable.from_bytes(table_path.read_bytes())
    except ValueError as error:
        raise FileError(
            f"{table_path}: damaged or of another version ({error}): remove it, and the same "
            "command continues"
        ) from error


def _counts(clusters: SignatureLabels) -> MiniClusterCounts:
    return MiniClusterCounts(
        clusters.table.n_samples,
        len(clusters.table),
        int(clusters.labels.max()) + 1,
        int(clusters.table.counts[clusters.labels >= 0].sum()),
    )


def _label_rows(
    path: Path,
    out: Path,
    clusters: SignatureLabels,
    columns: Sequence[str],
    n_jobs: int | None,
) -> None:
    with _naming(path), replacing(out) as file:
        chunks = read_partitions(path, columns=columns)
        labels = (clusters.labels_of(chunk, n_jobs) for chunk, _ in chunks)
        write_labels(out, file, labels, Table(path).n_rows or 0)


def _samples(path: Path, columns: SampleColumns) -> SampleArrays:
    """Read the samples of a file."""
    X, known = read_features(
        path, columns=columns.features, label_column=columns.labels, beside=columns.beside
    )
    origins = read_origins(path, columns.labels) if columns.has_origins else None
    votes = [read_labels(path, name, "--vote-column").astype(object) for name in columns.votes]
    return SampleArrays(
        X,
        None if known is None else known.astype(object),
        None if origins is None else origins.astype(object),
        np.stack(votes, axis=1) if votes else None,
    )


def _label_samples(
    path: Path,
    out: Path,
    fitted: FittedClusterer,
    rows: tuple[int, int],
    columns: SampleColumns,
) -> None:
    """Write the labels of a file, whose samples begin at the first of `rows` and are so many."""
    first_row, n_rows = rows
    with _naming(path), replacing(out) as file:
        samples = SampleArrays(np.empty((0, 0)), None, None, None)
        if n_rows:
            samples = _samples(path, columns)
        known, origins = samples.labels, samples.origins
        if origins is not None:
            known = said_by_people(known, origins)
        labels, confidence = fitted.label_rows_of_fit(samples.X, first_row, known)
        is_accepted = None if origins is None else (origins == ACCEPTED) & has_label(known)
        words = Origins(is_accepted).words(
            None if known is None else _as_codes(known), _as_codes(labels)
        )
        write_columns(out, file, {"label": labels, ORIGIN: words, "confidence": confidence})


def _as_codes(labels: NDArray[Any]) -> NDArray[np.int32]:
    """0 for a label, -1 for none."""
    return has_label(labels).astype(np.int32) - 1
