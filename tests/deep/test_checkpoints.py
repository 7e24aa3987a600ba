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
from labelquorum.deep import Kingdra, LadderClassifier, LadderIM, SetClusterer, training
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


def test_a_file_without_a_digest_is_refused(tmp_path):
    path = tmp_path / "file.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"labelquorum": '{"version": 1}'})
    with pytest.raises(ValueError, match=r"file\.safetensors is damaged .*no digest.*: save it"):
        read(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "file.safetensors"
    write(path, {"a": 'of "digest":"' + 32 * "0"}, {"a": torch.arange(50.0)})
    assert read(path)[1]["a"].tolist() == list(range(50))
    whole = path.read_bytes()
    for i in range(len(whole)):
        content = bytearray(whole)
        content[i] ^= 4
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"file\.safetensors (is damaged|must have format)"):
            read(path)


def crafted(path, change):
    facts, tensors = read(path)
    del facts["version"]
    change(facts, tensors)
    write(path, facts, tensors)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, tensors: facts["parameters"].update(hidden=[2**20, 2**20]),
        lambda facts, tensors: facts["parameters"].update(hidden=[-1]),
        lambda facts, tensors: facts["parameters"].update(hidden="x"),
        lambda facts, tensors: facts["parameters"].update(unknown=1),
        lambda facts, tensors: facts.update(n_features_in_=2**40),
        lambda facts, tensors: facts.update(n_outputs=2**40),
        lambda facts, tensors: facts.update(seeds=[0] * 10**6),
        lambda facts, tensors: facts.update(seeds=["x"]),
        lambda facts, tensors: facts.update(factor=float("nan")),
        lambda facts, tensors: facts.update(feature_names_in_=["a"]),
        lambda facts, tensors: facts.pop("seeds"),
        lambda facts, tensors: tensors.update(labels_=tensors["labels_"] + 3),
        lambda facts, tensors: tensors.update(mean=tensors["mean"][1:]),
        lambda facts, tensors: tensors.pop("mean"),
        lambda facts, tensors: tensors.pop("network/scale"),
    ],
)
def test_a_model_with_values_out_of_range_is_refused(three_blobs, tmp_path, change):
    path = tmp_path / "crafted.safetensors"
    LadderIM(3, **SMALL, n_steps=2, n_partitions=0).fit(three_blobs[0]).save(path)
    crafted(path, change)
    with pytest.raises(ValueError, match=r"crafted\.safetensors is damaged or not a saved Ladd"):
        LadderIM.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, tensors: facts["parameters"].update(width=2**20),
        lambda facts, tensors: facts["parameters"].update(n_layers=2**40),
        lambda facts, tensors: facts.update(n_features_in_=2**40),
        lambda facts, tensors: facts.update(n_pair_features_=-1),
        lambda facts, tensors: facts.update(seeds=[1, 2]),
        lambda facts, tensors: facts.update(offset_=float("inf")),
        lambda facts, tensors: facts.update(category_weight_=5),
        lambda facts, tensors: facts.update(item_weight_=2),
        lambda facts, tensors: facts.pop("held_out_"),
    ],
)
def test_set_models_with_values_out_of_range_are_refused(three_blobs, tmp_path, change):
    path = tmp_path / "crafted.safetensors"
    sets, clusters = (np.split(array, 30) for array in three_blobs)
    model = SetClusterer(width=8, n_heads=2, n_layers=1, n_epochs=1, n_models=1, random_state=0)
    model.fit(sets, clusters).save(path)
    crafted(path, change)
    with pytest.raises(ValueError, match=r"crafted\.safetensors is damaged or not a saved SetC"):
        SetClusterer.load(path)


def test_a_checkpoint_of_other_labels_is_refused(three_blobs, tmp_path):
    X, y = three_blobs
    settings = SMALL | {"n_steps": 3, "directory": tmp_path}
    LadderClassifier(**settings).fit(X, y)
    with pytest.raises(ValueError, match="a fit with different labels"):
        LadderClassifier(**settings).fit(X, np.roll(y, 1))


def test_a_damaged_checkpoint_is_named(three_blobs, tmp_path):
    settings = SMALL | {"n_steps": 3, "n_partitions": 0, "directory": tmp_path}
    LadderIM(3, **settings).fit(three_blobs[0])
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged .*: remove it"):
        LadderIM(3, **settings).fit(three_blobs[0])


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
