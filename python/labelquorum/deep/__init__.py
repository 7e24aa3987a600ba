"""Deep models: ladder networks, alone and as an ensemble that learns from its own agreement; sets.

Needs PyTorch: ``pip install "labelquorum[deep]"``.
"""

from __future__ import annotations

from labelquorum.deep.kingdra import Kingdra
from labelquorum.deep.ladder import LadderClassifier, LadderIM
from labelquorum.deep.set_clusterer import SetClusterer

try:
    import safetensors
    import torch
except ImportError as error:
    raise ImportError(
        f"labelquorum.deep needs PyTorch and safetensors ({error}); "
        'wanted: pip install "labelquorum[deep]"'
    ) from error

del safetensors, torch

__all__ = ["Kingdra", "LadderClassifier", "LadderIM", "SetClusterer"]
