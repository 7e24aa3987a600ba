"""The training of an ensemble equals that of its networks alone; batches and learning rate."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("safetensors.torch")

import torch

from deep_settings import SMALL
from labelquorum.deep import LadderIM
from labelquorum.deep.networks import LadderEnsemble
from labelquorum.deep.training import Loss, Schedule, Targets, Training

pytestmark = pytest.mark.deep


def trained(seeds, X, labels, n_steps=15, **options):
    network = LadderEnsemble(
        (X.shape[1], 12, 3), seeds, torch.device("cpu"), noise=0.3, costs=[1, 0.1, 0.01]
    )
    training = Training(network, X, Loss("information", 4.0), n_steps=n_steps, **options)
    training.train(labels, Schedule(n_steps, 40, 10, 0.01))
    return network


@pytest.mark.parametrize("is_labeled", [False, True])
def test_an_ensemble_equals_its_networks_trained_alone(three_blobs, exact, is_labeled):
    X = torch.from_numpy(three_blobs[0] / 10)
    labels = None
    if is_labeled:
        rng = np.random.default_rng(0)
        labels = torch.from_numpy(rng.integers(-1, 3, size=(3, len(X))))
    together = trained([4, 5, 6], X, labels)
    for m, seed in enumerate([4, 5, 6]):
        alone = trained([seed], X, None if labels is None else labels[m : m + 1])
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(
                together.get_parameter(name)[m], parameter[0], rtol=1e-3, atol=1e-4
            )


# PyTorch warns about its own code as it compiles.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_networks_become_the_same(three_blobs, exact, monkeypatch):
    compiled_modules, compile_module = [], torch.compile

    def recording_compile(module, **options):
        compiled_modules.append(module)
        return compile_module(module, **options)

    monkeypatch.setattr(torch, "compile", recording_compile)
    X = torch.from_numpy(three_blobs[0] / 10)
    labels = torch.from_numpy(np.random.default_rng(0).integers(-1, 3, size=(2, len(X))))
    plain, compiled = (trained([4, 5], X, labels, compile=flag) for flag in (False, True))
    assert compiled_modules == [compiled]
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(
            compiled.get_parameter(name), parameter, rtol=1e-3, atol=1e-4, msg=name
        )


def test_classes_are_drawn_equally_often():
    labels = torch.full((2, 1000), -1)
    labels[0, :5], labels[0, 100:900] = 2, 0
    labels[1, 7] = 1
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    samples, drawn = Targets(labels).draw(4000, generators)
    for m in range(2):
        torch.testing.assert_close(labels[m, samples[m]], drawn[m])
    assert float((drawn[0] == 2).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert set(samples[0][drawn[0] == 2].tolist()) == set(range(5))
    assert set(samples[1].tolist()) == {7}


def test_the_learning_rate_falls_in_the_last_third():
    schedule = Schedule(30, 10, 0, 0.01)
    assert schedule.rate(0) == schedule.rate(19) == 0.01
    assert schedule.rate(25) == pytest.approx(0.005)
    assert schedule.rate(30) == 0.0


def test_divergence_says_what_to_change(three_blobs):
    with pytest.raises(FloatingPointError, match=r"lower learning_rate \(now 1e\+30\)"):
        LadderIM(3, **SMALL | {"learning_rate": 1e30}).fit(three_blobs[0])
