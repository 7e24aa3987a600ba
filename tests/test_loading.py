"""`load` opens the files of all formats, and tells a file that is none in one line."""

from __future__ import annotations

import importlib
import inspect
import pickle

import pytest

import labelquorum as lq
from estimators import X, Y
from labelquorum import loading
from labelquorum._shared.saving import Saved, class_name


@pytest.mark.parametrize(
    ("name", "module"),
    [*loading._MODULES.items(), *loading._OF_OTHER_FORMATS.items()],
)
def test_the_list_of_classes_is_right(name, module):
    if name.startswith("labelquorum.dask"):
        pytest.importorskip("distributed")
    kind = getattr(importlib.import_module(f"labelquorum.{module}"), name.rpartition(".")[2])
    assert class_name(kind) == name
    assert issubclass(kind, Saved) == (name in loading._MODULES)


def test_every_public_class_that_is_saved_is_in_the_list():
    public = [getattr(lq, name) for name in lq.__all__]
    saved = {class_name(kind) for kind in public if inspect.isclass(kind) and hasattr(kind, "save")}
    assert saved <= {*loading._MODULES, *loading._OF_OTHER_FORMATS}


def test_paths_may_be_strings(tmp_path):
    lq.KNNLabelPropagation(1).fit(X, Y).save(str(tmp_path / "model"))
    assert lq.load(str(tmp_path / "model")).predict(X).shape == (60,)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        lq.load(tmp_path / "model.lq")
    with pytest.raises(IsADirectoryError):
        lq.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"PK\x03\x04",
        pickle.dumps({"format": 1}),
        b"[" * 100_000,
        b"\x93NUMPY\x01\x00",
        (2**62).to_bytes(8, "little") + b"{}",
    ],
    ids=["empty", "short", "zip", "pickle", "lists", "array", "huge"],
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "model.lq"
    path.write_bytes(content)
    if content[8:9] == b"{":
        pytest.importorskip("safetensors.torch")
    with pytest.raises(ValueError, match=r"model\.lq is damaged or not a saved model"):
        lq.load(path)


@pytest.mark.deep
def test_other_files_of_the_deep_models_are_refused(tmp_path):
    import torch

    from labelquorum.deep import checkpoints

    path = tmp_path / "model.lq"
    for facts in ({}, {"class": "Ensemble"}, {"class": ["a"]}):
        checkpoints.write(path, facts, {"a": torch.zeros(1)})
        with pytest.raises(ValueError, match=r"model\.lq is damaged or not a saved model"):
            lq.load(path)
