"""`load`: open any file that an estimator of this package wrote."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from labelquorum._shared.archive import opened_archive
from labelquorum._shared.saving import read_saved
from labelquorum._shared.sealed import FormatError, reading

_MODULES = {
    "labelquorum.ConsensusClusterer": "clustering.clusterer",
    "labelquorum.KNNLabelPropagation": "semi_supervised.knn_label_propagation",
    "labelquorum.KNeighborsTransformer": "neighbors.transformer",
    "labelquorum.LabelModel": "votes.label_model",
    "labelquorum.LabelPropagation": "semi_supervised.propagation",
    "labelquorum.LabelSpreading": "semi_supervised.propagation",
    "labelquorum.PairwiseSetClusterer": "sets.pairwise",
    "labelquorum.PoissonLearning": "semi_supervised.propagation",
    "labelquorum.RepresentativeSampler": "active_learning.representatives",
    "labelquorum.S3VM": "semi_supervised.s3vm",
    "labelquorum.dask.ConsensusClusterer": "dask",
    "labelquorum.text.KeywordLabeler": "text.rules",
    "labelquorum.text.TfidfEmbedder": "text.tfidf",
}
"""The modules of the classes that files may name."""
_OF_OTHER_FORMATS = {
    "labelquorum.NeighborSearcher": "neighbors.searcher",
    "labelquorum.PreClusteringSampler": "active_learning.pre_clustering",
}
"""Classes with a format of their own, which they had before the common one."""
_WHAT, _REMEDY = "a saved model", "save it again"


def load(path: str | os.PathLike[str]) -> Any:
    """Open a file that the `save` of any estimator of this package wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    estimator
        A fitted estimator of the class that was saved. It gives the same results.

    Raises
    ------
    OSError
        If the file cannot be read.
    ImportError
        If the estimator needs a package that is missing, such as PyTorch.
    ValueError
        If the file is damaged, no saved estimator, or has a format version that this package cannot
        read. The error names the file.

    Notes
    -----
    *Safety.* Nothing in the file is run, and no class is imported by a name in it, apart from those
    of a closed list. All values are checked before they are used. So files of strangers are safe to
    open. One kind is refused: a `NeighborSearcher` with an index, since faiss, which reads that, is
    not made for files of strangers. ``NeighborSearcher.load`` opens it if you trust it.

    *Versions.* Later versions of the package read files of earlier ones. An earlier one refuses a
    file of a later format, and says so.

    *Cost.* The file is read once, at about 0.7 GB/s, and needs no more memory than its arrays. The
    samples of a `NeighborSearcher` are mapped into memory instead.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import labelquorum as lq
    >>> model = lq.LabelSpreading(1).fit([[0.0], [1.0], [8.0], [9.0]], ["a", None, None, "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "model.lq")
    ...     model.save(path)
    ...     lq.load(path).predict([[2.0], [8.0]])
    array(['a', 'b'], dtype='<U1')
    """
    with open(path, "rb") as file:
        beginning = file.read(9)
        n_bytes = file.seek(0, os.SEEK_END)
    # A safetensors file begins with the length of its header.
    if beginning[8:] == b"{" and int.from_bytes(beginning[:8], "little") <= n_bytes - 8:
        return _load_deep(path)
    with reading(path, _WHAT, _REMEDY), opened_archive(path) as archive:
        name = "labelquorum.PreClusteringSampler"
        if "meta.npy" not in archive.names:
            name = archive.meta()["format"]
        if "index.faiss" in archive.names:
            raise FormatError(
                f"{os.fspath(path)} holds an index of faiss, which may do harm if it comes from a "
                "stranger: if you trust it, use NeighborSearcher.load"
            )
        if name not in _OF_OTHER_FORMATS:
            return read_saved(archive, _class(name, _MODULES[name]), path)
    return _class(name, _OF_OTHER_FORMATS[name]).load(path)


def _class(name: str, module: str) -> Any:
    kind = name.rpartition(".")[2]
    return getattr(importlib.import_module(f"labelquorum.{module}"), kind)


def _load_deep(path: str | os.PathLike[str]) -> Any:
    deep = importlib.import_module("labelquorum.deep")
    checkpoints = importlib.import_module("labelquorum.deep.checkpoints")
    facts, _ = checkpoints.read(Path(path), _WHAT)
    with reading(path, _WHAT, _REMEDY):
        name = facts["class"]
        if name not in deep.__all__:
            raise ValueError(f"it holds a {name}")
    return getattr(deep, name).load(path)
