"""labelquorum: a label counts when enough independent models agree on it.

Everything public is listed in ``__all__`` and loaded on first use, so that ``import labelquorum``
stays fast and pulls in neither scikit-learn nor matplotlib. ``labelquorum.deep`` and
``labelquorum.SetClusterer``, too, are loaded on first use, but not listed: they need PyTorch. So is
``labelquorum.dask``, which needs Dask.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Imported at once, so that a bad LABELQUORUM_INSTRUCTION_SET is reported by the import.
from labelquorum._core import WorkLimitError, instruction_set

if TYPE_CHECKING:
    from labelquorum import dask as dask
    from labelquorum import deep as deep
    from labelquorum import review, text
    from labelquorum._communities import communities
    from labelquorum._consensus import consensus
    from labelquorum._mini_clusters import mini_clusters
    from labelquorum._versions import show_versions
    from labelquorum.active_learning import PreClusteringSampler
    from labelquorum.agreement import agreement_degrees, agreement_graph, coassociation
    from labelquorum.clusterer import ConsensusClusterer
    from labelquorum.codebooks import assign_codebooks
    from labelquorum.correlation import correlation_clustering
    from labelquorum.curves import (
        CoveragePrecisionDisplay,
        HistoryDisplay,
        LearningCurveDisplay,
    )
    from labelquorum.deep.set_clusterer import SetClusterer as SetClusterer
    from labelquorum.display import AgreementDisplay, ClusterGridDisplay
    from labelquorum.ensemble import base_partitions
    from labelquorum.evaluation import evaluate_clustering
    from labelquorum.graphs import connected_components, normalize_graph, symmetrize_graph
    from labelquorum.knn_label_propagation import KNNLabelPropagation
    from labelquorum.metrics import clustering_accuracy
    from labelquorum.neighbors import kneighbors, kneighbors_graph
    from labelquorum.propagation import (
        LabelPropagation,
        LabelSpreading,
        PoissonLearning,
        affinity_graph,
    )
    from labelquorum.quality import label_quality, n_checks_needed, samples_to_check
    from labelquorum.representatives import RepresentativeSampler
    from labelquorum.s3vm import S3VM
    from labelquorum.searcher import NeighborSearcher
    from labelquorum.set_clusterer import PairwiseSetClusterer
    from labelquorum.set_metrics import evaluate_sets, set_scores
    from labelquorum.signatures import SignatureTable
    from labelquorum.transformers import KNeighborsTransformer
    from labelquorum.votes import combine_votes, partition_weights

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
    "AgreementDisplay": "display",
    "ClusterGridDisplay": "display",
    "ConsensusClusterer": "clusterer",
    "CoveragePrecisionDisplay": "curves",
    "HistoryDisplay": "curves",
    "KNNLabelPropagation": "knn_label_propagation",
    "KNeighborsTransformer": "transformers",
    "LabelPropagation": "propagation",
    "LabelSpreading": "propagation",
    "LearningCurveDisplay": "curves",
    "NeighborSearcher": "searcher",
    "PairwiseSetClusterer": "set_clusterer",
    "PoissonLearning": "propagation",
    "PreClusteringSampler": "active_learning",
    "RepresentativeSampler": "representatives",
    "S3VM": "s3vm",
    "SetClusterer": "deep.set_clusterer",
    "SignatureTable": "signatures",
    "affinity_graph": "propagation",
    "agreement_degrees": "agreement",
    "agreement_graph": "agreement",
    "assign_codebooks": "codebooks",
    "base_partitions": "ensemble",
    "clustering_accuracy": "metrics",
    "coassociation": "agreement",
    "combine_votes": "votes",
    "communities": "_communities",
    "connected_components": "graphs",
    "consensus": "_consensus",
    "correlation_clustering": "correlation",
    "evaluate_clustering": "evaluation",
    "evaluate_sets": "set_metrics",
    "kneighbors": "neighbors",
    "kneighbors_graph": "neighbors",
    "label_quality": "quality",
    "mini_clusters": "_mini_clusters",
    "n_checks_needed": "quality",
    "normalize_graph": "graphs",
    "partition_weights": "votes",
    "samples_to_check": "quality",
    "set_scores": "set_metrics",
    "show_versions": "_versions",
    "symmetrize_graph": "graphs",
}

_MODULES = ("dask", "deep", "review", "text")  # themselves public


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("labelquorum")
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(f"labelquorum.{_MODULE_OF[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"labelquorum.{name}")
    else:
        raise AttributeError(f"module 'labelquorum' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
