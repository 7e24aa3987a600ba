"""Set networks compute each set of a batch as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("safetensors.torch")

import torch

from labelquorum.deep.set_networks import SetNetworks, Sizes, batch_of

pytestmark = pytest.mark.deep


def test_sets_in_a_batch_are_computed_as_alone():
    device = torch.device("cpu")
    rng = np.random.default_rng(0)
    (network,) = SetNetworks(Sizes(3, 2, 4, 16, 2, 4), [0], device)
    network.eval()
    sets = [
        network.scaled(rng.normal(size=(n, 3)), rng.normal(size=(n * (n - 1) // 2, 2)))
        for n in (1, 1, 4, 4, 4, 9)
    ]
    with torch.no_grad():
        together = network.encode(batch_of(sets))
        alone = [network.encode(batch_of([one])) for one in sets]
    for of_batch, of_sets in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(of_batch, torch.cat(of_sets), atol=1e-5)
