"""Deep models: networks that learn from few labels, their own agreement, neighbors, or whole sets.

Needs PyTorch: ``pip install "labelquorum[deep]"``.

In reading order:

- ladder: `LadderClassifier` and `LadderIM`, estimators of one ladder network.
- kingdra: `Kingdra`, an ensemble of networks that learns from its own agreement.
- clustering_heads: `ClusteringHeads`, small networks that learn from pairs of near neighbors.
- estimator: the base classes of these four.
- networks, losses, training: an ensemble of networks, what it minimizes, and the training loop.
- set_clusterer: `SetClusterer`, an estimator of networks that look at whole sets.
- set_networks, set_training: these networks, and how they are trained.
- checkpoints: files of fitted models and of unfinished fits.
"""

from __future__ import annotations

try:
    import safetensors
    import torch
except ImportError as error:
    raise ImportError(
        f'labelquorum.deep needs PyTorch and safetensors ({error}): pip install "labelquorum[deep]"'
    ) from error

from labelquorum.deep.clustering_heads import ClusteringHeads
from labelquorum.deep.kingdra import Kingdra
from labelquorum.deep.ladder import LadderClassifier, LadderIM
from labelquorum.deep.set_clusterer import SetClusterer

del safetensors, torch

__all__ = ["ClusteringHeads", "Kingdra", "LadderClassifier", "LadderIM", "SetClusterer"]
