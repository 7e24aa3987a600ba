"""Labels that many clusterings agree on, and classifiers from them.

``__all__`` lists everything public. Names are loaded on first use, so that ``import labelquorum``
is fast and imports neither scikit-learn nor matplotlib. ``labelquorum.deep`` and
``labelquorum.SetClusterer`` need PyTorch and ``labelquorum.dask`` needs Dask; they are loaded on
first use, too, but are not in ``__all__``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Imported here, so that the import reports a bad LABELQUORUM_INSTRUCTION_SET.
from labelquorum._core import WorkLimitError, instruction_set

WorkLimitError.__module__ = __name__

if TYPE_CHECKING:
    from labelquorum import dask as dask
    from labelquorum import deep as deep
    from labelquorum import review, text
    from labelquorum._shared.versions import show_versions
    from labelquorum.active_learning.pre_clustering import PreClusteringSampler
    from labelquorum.active_learning.representatives import RepresentativeSampler
    from labelquorum.clustering.base_partitions import base_partitions
    from labelquorum.clustering.clusterer import ConsensusClusterer
    from labelquorum.clustering.consensus import consensus
    from labelquorum.deep.set_clusterer import SetClusterer as SetClusterer
    from labelquorum.display.categories import AgreementDisplay, ClusterGridDisplay
    from labelquorum.display.curves import (
        CoveragePrecisionDisplay,
        HistoryDisplay,
        LearningCurveDisplay,
    )
    from labelquorum.graphs.affinity import affinity_graph
    from labelquorum.graphs.communities import communities
    from labelquorum.graphs.correlation import correlation_clustering
    from labelquorum.graphs.csr import connected_components, normalize_graph, symmetrize_graph
    from labelquorum.loading import load
    from labelquorum.neighbors.search import kneighbors, kneighbors_graph
    from labelquorum.neighbors.searcher import NeighborSearcher
    from labelquorum.neighbors.transformer import KNeighborsTransformer
    from labelquorum.quality.checks import label_quality, n_checks_needed, samples_to_check
    from labelquorum.quality.evaluation import evaluate_clustering
    from labelquorum.quality.learning_curve import learning_curve
    from labelquorum.quality.metrics import clustering_accuracy
    from labelquorum.semi_supervised.knn_label_propagation import KNNLabelPropagation
    from labelquorum.semi_supervised.propagation import (
        LabelPropagation,
        LabelSpreading,
        PoissonLearning,
    )
    from labelquorum.semi_supervised.s3vm import S3VM
    from labelquorum.sets.metrics import evaluate_sets, set_scores
    from labelquorum.sets.pairwise import PairwiseSetClusterer
    from labelquorum.votes.agreement import agreement_degrees, agreement_graph, coassociation
    from labelquorum.votes.codebooks import assign_codebooks
    from labelquorum.votes.label_model import LabelModel
    from labelquorum.votes.mini_clusters import mini_clusters
    from labelquorum.votes.signatures import SignatureTable
    from labelquorum.votes.weights import combine_votes, partition_weights

    __version__: str

__all__ = [
    "S3VM",
    "AgreementDisplay",
    "ClusterGridDisplay",
    "ConsensusClusterer",
    "CoveragePrecisionDisplay",
    "HistoryDisplay",
    "KNNLabelPropagation",
    "KNeighborsTransformer",
    "LabelModel",
    "LabelPropagation",
    "LabelSpreading",
    "LearningCurveDisplay",
    "NeighborSearcher",
    "PairwiseSetClusterer",
    "PoissonLearning",
    "PreClusteringSampler",
    "RepresentativeSampler",
    "SignatureTable",
    "WorkLimitError",
    "__version__",
    "affinity_graph",
    "agreement_degrees",
    "agreement_graph",
    "assign_codebooks",
    "base_partitions",
    "clustering_accuracy",
    "coassociation",
    "combine_votes",
    "communities",
    "connected_components",
    "consensus",
    "correlation_clustering",
    "evaluate_clustering",
    "evaluate_sets",
    "instruction_set",
    "kneighbors",
    "kneighbors_graph",
    "label_quality",
    "learning_curve",
    "load",
    "mini_clusters",
    "n_checks_needed",
    "normalize_graph",
    "partition_weights",
    "review",
    "samples_to_check",
    "set_scores",
    "show_versions",
    "symmetrize_graph",
    "text",
]

_MODULE_OF = {
    "AgreementDisplay": "display.categories",
    "ClusterGridDisplay": "display.categories",
    "ConsensusClusterer": "clustering.clusterer",
    "CoveragePrecisionDisplay": "display.curves",
    "HistoryDisplay": "display.curves",
    "KNNLabelPropagation": "semi_supervised.knn_label_propagation",
    "KNeighborsTransformer": "neighbors.transformer",
    "LabelModel": "votes.label_model",
    "LabelPropagation": "semi_supervised.propagation",
    "LabelSpreading": "semi_supervised.propagation",
    "LearningCurveDisplay": "display.curves",
    "NeighborSearcher": "neighbors.searcher",
    "PairwiseSetClusterer": "sets.pairwise",
    "PoissonLearning": "semi_supervised.propagation",
    "PreClusteringSampler": "active_learning.pre_clustering",
    "RepresentativeSampler": "active_learning.representatives",
    "S3VM": "semi_supervised.s3vm",
    "SetClusterer": "deep.set_clusterer",
    "SignatureTable": "votes.signatures",
    "affinity_graph": "graphs.affinity",
    "agreement_degrees": "votes.agreement",
    "agreement_graph": "votes.agreement",
    "assign_codebooks": "votes.codebooks",
    "base_partitions": "clustering.base_partitions",
    "clustering_accuracy": "quality.metrics",
    "coassociation": "votes.agreement",
    "combine_votes": "votes.weights",
    "communities": "graphs.communities",
    "connected_components": "graphs.csr",
    "consensus": "clustering.consensus",
    "correlation_clustering": "graphs.correlation",
    "evaluate_clustering": "quality.evaluation",
    "evaluate_sets": "sets.metrics",
    "kneighbors": "neighbors.search",
    "kneighbors_graph": "neighbors.search",
    "label_quality": "quality.checks",
    "learning_curve": "quality.learning_curve",
    "load": "loading",
    "mini_clusters": "votes.mini_clusters",
    "n_checks_needed": "quality.checks",
    "normalize_graph": "graphs.csr",
    "partition_weights": "votes.weights",
    "samples_to_check": "quality.checks",
    "set_scores": "sets.metrics",
    "show_versions": "_shared.versions",
    "symmetrize_graph": "graphs.csr",
}

_PUBLIC_MODULES = ("dask", "deep", "review", "text")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("labelquorum")
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(f"labelquorum.{_MODULE_OF[name]}"), name)
    elif name in _PUBLIC_MODULES:
        value = importlib.import_module(f"labelquorum.{name}")
    else:
        raise AttributeError(f"module 'labelquorum' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
