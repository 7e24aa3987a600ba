"""Training of set networks: chunks, the loss of a batch, divergence."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("safetensors.torch")

from labelquorum.deep.set_training import chunks_of
from sets_data import network, pet_sets

pytestmark = pytest.mark.deep


def test_chunks_hold_all_sets_within_bounds():
    sizes = np.array([3, 50, 1, 3, 20, 7])
    chunks = chunks_of(np.arange(6), sizes, 100)
    assert sorted(i for chunk in chunks for i in chunk) == list(range(6))
    assert all(len(chunk) == 1 or (sizes[chunk] ** 2).sum() <= 100 for chunk in chunks)


def test_divergence_says_what_to_change():
    with pytest.raises(FloatingPointError, match=r"lower learning_rate \(now 1e\+30\)"):
        network(learning_rate=1e30, n_epochs=3).fit(*pet_sets(5, 17))
