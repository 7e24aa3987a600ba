"""The compiled extension. The modules that call it check its arguments."""

from collections.abc import Callable
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

Columns: TypeAlias = list[NDArray[np.integer[Any]]]
Progress: TypeAlias = Callable[[str, float], None] | None

class WorkLimitError(RuntimeError): ...

class SignatureTable:
    def __init__(self, n_partitions: int) -> None: ...
    def __len__(self) -> int: ...
    @property
    def n_partitions(self) -> int: ...
    @property
    def n_samples(self) -> int: ...
    @property
    def n_bytes(self) -> int: ...
    def update(
        self,
        columns: Columns,
        out: NDArray[np.int32] | NDArray[np.int64],
        eligible: NDArray[np.uint8] | None,
        n_threads: int,
        progress: Progress,
    ) -> None: ...
    def update_counted(
        self,
        columns: Columns,
        counts: NDArray[np.int64],
        out: NDArray[np.int32],
        n_threads: int,
        progress: Progress,
    ) -> None: ...
    def merge(
        self, other: SignatureTable, n_threads: int, progress: Progress
    ) -> NDArray[np.int32]: ...
    def lookup(self, columns: Columns, n_threads: int, progress: Progress) -> NDArray[np.int32]: ...
    def signatures(self, n_threads: int) -> NDArray[np.int32]: ...
    def counts(self) -> NDArray[np.int64]: ...
    def copy(self) -> SignatureTable: ...

def agreement_degrees(
    table: SignatureTable, min_agree: int, way: str, n_threads: int, progress: Progress
) -> NDArray[np.int64]: ...
def agreement_graph(
    table: SignatureTable, min_agree: int, n_threads: int, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]: ...
def coassociation_pairs(
    columns: Columns,
    pairs: NDArray[np.int32] | NDArray[np.int64],
    n_threads: int,
    progress: Progress,
) -> NDArray[np.float64]: ...
def coassociation_csr(
    columns: Columns,
    indptr: NDArray[np.int32] | NDArray[np.int64],
    indices: NDArray[np.int32] | NDArray[np.int64],
    n_threads: int,
    progress: Progress,
) -> NDArray[np.float64]: ...
def mini_clusters(
    table: SignatureTable,
    n_clusters: int,
    min_agree: int,
    min_differ: int,
    min_size: int,
    eligible: NDArray[np.uint8] | None,
    n_threads: int,
    progress: Progress,
) -> NDArray[np.int32]: ...
def expand(
    ids: NDArray[np.int32],
    values: NDArray[np.int32] | NDArray[np.int64],
    missing: int,
    out: NDArray[np.int32] | NDArray[np.int64],
    n_threads: int,
    progress: Progress,
) -> None: ...
def default_n_threads() -> int: ...
def available_n_threads() -> int: ...
def available_memory() -> int: ...
def instruction_set() -> str: ...
def compiled_instruction_sets() -> list[str]: ...
def build_info() -> dict[str, str]: ...
def neighbors(
    points: NDArray[np.floating[Any]],
    queries: NDArray[np.floating[Any]] | None,
    k: int,
    metric: str,
    recall: float,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64], tuple[float, float, int]]: ...
def custom_neighbors(
    points: NDArray[np.floating[Any]],
    queries: NDArray[np.floating[Any]] | None,
    k: int,
    address: int,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64], tuple[float, float, int]]: ...
def nearest_candidates(
    points: NDArray[np.floating[Any]],
    queries: NDArray[np.floating[Any]],
    candidates: NDArray[np.int64],
    k: int,
    metric: str,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]: ...
def assign_codebooks(
    rows: NDArray[np.floating[Any]],
    centers: list[NDArray[np.floating[Any]]],
    columns: list[NDArray[np.int64] | None],
    metric: str,
    out: NDArray[np.int16] | NDArray[np.int32],
    n_threads: int,
    progress: Progress,
) -> None: ...
def assign_signatures(
    rows: NDArray[np.floating[Any]],
    centers: list[NDArray[np.floating[Any]]],
    columns: list[NDArray[np.int64] | None],
    metric: str,
    table: SignatureTable,
    out: NDArray[np.int32] | NDArray[np.int64],
    n_threads: int,
    progress: Progress,
) -> None: ...
def neighbor_graph32(
    neighbors: NDArray[np.int64],
    distances: NDArray[np.floating[Any]],
    mode: str,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.floating[Any]]]: ...
def neighbor_graph64(
    neighbors: NDArray[np.int64],
    distances: NDArray[np.floating[Any]],
    mode: str,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating[Any]]]: ...
def symmetrized_graph(
    indptr: NDArray[np.integer[Any]],
    indices: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    mode: str,
    combine: str,
    self_loops: bool,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], NDArray[np.floating[Any]]]: ...
def normalized_weights(
    indptr: NDArray[np.integer[Any]],
    indices: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    normalization: str,
    self_loops: bool,
    n_threads: int,
    progress: Progress,
) -> NDArray[np.floating[Any]]: ...
def connected_components(
    indptr: NDArray[np.integer[Any]],
    indices: NDArray[np.integer[Any]],
    n_threads: int,
    progress: Progress,
) -> NDArray[np.integer[Any]]: ...
@overload
def correlation_clustering(
    weights: NDArray[np.floating[Any]],
    groups: NDArray[np.int32] | None,
    n_threads: int,
    progress: Progress,
) -> NDArray[np.int32]: ...
@overload
def correlation_clustering(
    indptr: NDArray[np.integer[Any]],
    indices: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    groups: NDArray[np.int32] | None,
    n_threads: int,
    progress: Progress,
) -> NDArray[np.int32]: ...
def communities(
    indptr: NDArray[np.integer[Any]],
    indices: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    resolutions: list[float],
    seeds: list[int],
    n_rounds: int,
    n_threads: int,
    progress: Progress,
) -> list[NDArray[np.int32]]: ...

class LinkageMethod:
    ward: LinkageMethod
    average: LinkageMethod

def train_heads(
    rows: NDArray[np.float32],
    neighbors: NDArray[np.integer[Any]],
    weights: NDArray[np.float32],
    n_passes: int,
    batch_size: int,
    temperature: float,
    seed: int,
    n_threads: int,
    progress: Progress,
) -> NDArray[np.float32]: ...
def linkage(
    distances: NDArray[np.float64],
    weights: NDArray[np.float64],
    kinds: NDArray[np.int32] | None,
    method: LinkageMethod,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]: ...
def propagate(
    indptr: NDArray[np.integer[Any]],
    indices: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    nodes: NDArray[np.int64],
    values: NDArray[np.floating[Any]],
    from_neighbors: float,
    from_seeds: float,
    clamped: bool,
    max_iter: int,
    tol: float,
    n_threads: int,
    progress: Progress,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.uint8], int, bool, bool]: ...
