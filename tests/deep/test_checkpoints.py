"""An interrupted fit resumes, and ends as if it had not been interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("safetensors.torch")

import torch
from safetensors.torch import save_file

from deep_settings import ENSEMBLE, SMALL
from labelquorum.deep import Kingdra, LadderIM, training
from labelquorum.deep.checkpoints import Checkpoint, read, write

pytestmark = pytest.mark.deep


def test_facts_and_tensors_are_read_as_written(tmp_path):
    path = tmp_path / "file.safetensors"
    tensors = {"a": torch.arange(6).reshape(2, 3).T, "b/c": torch.tensor(0.1)}
    write(path, {"number": np.float64(0.1), "function": write}, tensors)
    facts, copies = read(path)
    assert facts == {"version": 1, "number": 0.1, "function": "write"}
    assert copies.keys() == tensors.keys()
    assert all(torch.equal(copies[name], tensor) for name, tensor in tensors.items())


def test_another_format_version_is_refused(tmp_path):
    path = tmp_path / "file.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"labelquorum": '{"version": 2}'})
    with pytest.raises(ValueError, match="must have format version 1, got 2"):
        read(path)


def test_a_checkpoint_of_other_samples_is_refused(three_blobs, tmp_path):
    X, _ = three_blobs
    settings = SMALL | {"n_steps": 3, "n_partitions": 0}
    first = LadderIM(3, **settings, directory=tmp_path).fit(X)
    again = LadderIM(3, **settings, directory=tmp_path).fit(np.asfortranarray(X))
    np.testing.assert_array_equal(first.labels_, again.labels_)
    with pytest.raises(ValueError, match="a fit with different content"):
        LadderIM(3, **settings, directory=tmp_path).fit(X + np.eye(300, 8))


class KilledError(Exception):
    """What stops a fit right after a checkpoint."""


@pytest.mark.slow
@pytest.mark.parametrize("n_saved", [1, 8, 9, 11])
def test_an_interrupted_fit_resumes(three_blobs, tmp_path, monkeypatch, n_saved):
    X, _ = three_blobs
    settings = ENSEMBLE | {"directory": tmp_path / "kept"}
    uninterrupted = Kingdra(3, **ENSEMBLE).fit(X)
    monkeypatch.setattr(training, "_STEPS_PER_REPORT", 8)
    monkeypatch.setattr(training, "_SECONDS_PER_CHECKPOINT", 0.0)
    save = Checkpoint.save
    count = 0

    def save_and_stop(*args):
        nonlocal count
        save(*args)
        count += 1
        if count == n_saved:
            raise KilledError

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
    with pytest.raises(KilledError):
        Kingdra(3, **settings).fit(X)
    count = -1000
    resumed = Kingdra(3, **settings).fit(X)
    assert count == -1000 + 8 + 3 - n_saved
    np.testing.assert_array_equal(resumed.predict_proba(X), uninterrupted.predict_proba(X))
    np.testing.assert_array_equal(resumed.pseudo_labels_, uninterrupted.pseudo_labels_)
    assert resumed.history_ == uninterrupted.history_


@pytest.mark.slow
def test_the_fit_of_a_killed_process_resumes(three_blobs, tmp_path):
    X, _ = three_blobs
    np.save(tmp_path / "X.npy", X)
    program = """
import sys
import numpy as np
import torch
from labelquorum.deep import LadderIM, training
torch.set_num_threads(1)
training._SECONDS_PER_CHECKPOINT = 0.0
LadderIM(3, hidden=(16,), n_steps=300, batch_size=50, random_state=0,
         directory="kept").fit(np.load("X.npy"))
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    path = tmp_path / "kept" / "checkpoint.safetensors"
    deadline = time.monotonic() + 100
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    settings = {"hidden": (16,), "n_steps": 300, "batch_size": 50, "random_state": 0}
    with pytest.raises(ValueError, match="a fit with different n_steps"):
        LadderIM(3, **settings | {"n_steps": 3}, directory=tmp_path / "kept").fit(X)
    with pytest.raises(
        ValueError, match=r"hold partitions of the same call, .* differs in content"
    ):
        LadderIM(3, **settings, directory=tmp_path / "kept").fit(X + np.eye(300, 8))
    resumed = LadderIM(3, **settings, directory=tmp_path / "kept").fit(X)
    np.testing.assert_array_equal(
        resumed.predict_proba(X), LadderIM(3, **settings).fit(X).predict_proba(X)
    )


def test_ctrl_c_keeps_the_checkpoint_and_progress_is_shown(
    three_blobs, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(training, "_SECONDS_PER_CHECKPOINT", 0.0)
    path = tmp_path / "checkpoint.safetensors"

    def interrupt(*_):
        if path.exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            LadderIM(3, **SMALL, n_steps=10**6, directory=tmp_path, verbose=True).fit(
                three_blobs[0]
            )
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert path.exists()
    assert list(tmp_path.glob(".*.tmp")) == []
    assert "training, loss " in capfd.readouterr().err
