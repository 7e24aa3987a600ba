"""Fixtures of the tests of deep models. Nothing here imports PyTorch, which may be missing."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import numpy as np
import pytest
from sklearn.datasets import make_blobs


@pytest.fixture(autouse=True)
def one_thread():
    """Small products are faster on one thread, and their results do not depend on the machine."""
    torch = sys.modules.get("torch")
    if torch is None:  # not installed, or not needed
        yield
        return
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def exact(monkeypatch):
    """Compute products in float32 even if the processor has instructions for bfloat16."""
    from labelquorum.deep import training

    monkeypatch.setattr(training, "precision", lambda _device: nullcontext())


@pytest.fixture(scope="session")
def three_blobs():
    """Features and classes of 300 samples in three Gaussian clusters."""
    X, y = make_blobs(300, centers=3, n_features=8, random_state=0)
    return X.astype(np.float32), y
