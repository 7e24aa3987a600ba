"""Every file that the package writes to read it back: damage is noticed, whatever and wherever.

A damaged file gives what the whole one gave, because what was damaged is not used or is made again,
or one ValueError that names it.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

import labelquorum as lq

X, CLASSES = make_blobs(60, centers=3, n_features=4, random_state=0)
SMALL = {"hidden": (8,), "batch_size": 20, "n_steps": 3, "random_state": 0}


def same_partitions(folder):
    models = [KMeans(k, n_init=1) for k in (3, 5)]
    return [lq.base_partitions(X, 3, clusterers=models, directory=folder, random_state=0)]


def write_partitions(path):
    same_partitions(path.parent)


def read_partitions(path):
    return same_partitions(path.parent)


def write_sampler(path):
    model = lq.PreClusteringSampler(20, audit_share=0.3, random_state=0).fit(X)
    for _ in range(3):
        asked = model.query(3)
        model.teach(asked, np.array(["red", "green", "blue"])[CLASSES[asked]])
    model.save(path)


def read_sampler(path):
    model = lq.PreClusteringSampler.load(path)
    probabilities = model.predict_proba()
    return [probabilities, model.predict(X), model.query(5), model.labeled_indices_]


def write_exact(path):
    lq.NeighborSearcher(n_neighbors=3).fit(X).save(path)


def write_index(path):
    rng = np.random.default_rng(0)
    searcher = lq.NeighborSearcher(n_neighbors=3, recall=0.5, random_state=0)
    searcher.fit(rng.normal(size=(10_000, 2)).astype(np.float32)).save(path)
    assert searcher.quality_.method != "exact"


def read_searcher(path):
    searcher = lq.NeighborSearcher.load(path)
    rows = X[:, : searcher.n_features_in_]
    return [*searcher.query(rows)]


def write_model(path):
    lq.ConsensusClusterer(3, n_partitions=6, random_state=0).fit(X).save(path)


def read_model(path):
    model = lq.load(path)
    return [model.labels_, model.predict_proba(X + 0.1), model.cut(4)]


def write_table(path):
    table = lq.SignatureTable(3)
    table.update(np.random.default_rng(0).integers(-1, 3, size=(200, 3)))
    path.write_bytes(table.to_bytes())


def read_table(path):
    try:
        table = lq.SignatureTable.from_bytes(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error  # bytes have no name
    return [table.signatures, table.counts]


def write_ladder(path):
    lq.deep.LadderClassifier(**SMALL).fit(X, CLASSES).save(path)


def read_ladder(path):
    model = lq.deep.LadderClassifier.load(path)
    return [model.predict_proba(X), model.transduction_]


def same_kingdra(path):
    settings = SMALL | {"n_networks": 2, "n_rounds": 1, "n_first_steps": 3, "n_partitions": 0}
    return lq.deep.Kingdra(3, **settings, directory=path.parent).fit(X)


def write_checkpoint(path):
    same_kingdra(path)


def read_checkpoint(path):
    whole = path.read_bytes()
    model = same_kingdra(path)
    path.write_bytes(whole)
    return [model.predict_proba(X), model.labels_]


def write_sets(path):
    sets, clusters = np.split(X, 6), np.split(CLASSES, 6)
    model = lq.SetClusterer(width=8, n_heads=2, n_layers=1, n_epochs=1, n_models=1, random_state=0)
    model.fit(sets, clusters).save(path)


def read_sets(path):
    return lq.SetClusterer.load(path).predict(np.split(X, 6)).clusters


KINDS = {
    "partitions": ("partitions-001.npy", write_partitions, read_partitions),
    "settings": ("settings.json", write_partitions, read_partitions),
    "model": ("model.lq", write_model, read_model),
    "sampler": ("sampler.npz", write_sampler, read_sampler),
    "exact searcher": ("searcher", write_exact, read_searcher),
    "searcher": ("searcher", write_index, read_searcher),
    "table": ("table.npz", write_table, read_table),
    "deep model": ("model.safetensors", write_ladder, read_ladder),
    "set model": ("model.safetensors", write_sets, read_sets),
    "checkpoint": ("checkpoint.safetensors", write_checkpoint, read_checkpoint),
}
DEEP = ("deep model", "set model", "checkpoint")
SLOW = {"partitions": 20, "checkpoint": 20, "set model": 40, "deep model": 60, "searcher": 30}


def damaged(whole, rng, n):
    """Yield what may become of a file: a name for messages, and the content."""
    for _ in range(n):
        bit = int(rng.integers(8 * len(whole)))
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} flipped", bytes(content)
    # The ends of a file say what lies where, so most of what can go wrong is there.
    for _ in range(n):
        at = min(int(rng.integers(300)), len(whole) - 1)
        at = at if rng.random() < 0.5 else len(whole) - 1 - at
        content = bytearray(whole)
        content[at] ^= int(rng.integers(1, 256))
        yield f"byte {at} changed", bytes(content)
    for _ in range(n):
        length = int(rng.integers(len(whole)))
        yield f"cut to {length} bytes", whole[:length]
        begin, size = int(rng.integers(len(whole))), int(rng.choice([1, 4, 12, 64, 4096]))
        zeros = bytes(min(size, len(whole) - begin))
        content = whole[:begin] + zeros + whole[begin + len(zeros) :]
        yield f"{len(zeros)} zeros at {begin}", content
        yield f"{size} bytes more", whole + rng.bytes(size)
    yield "empty", b""
    yield "all zeros", bytes(len(whole))


def foreign():
    """Yield whole files of other kinds."""
    arrays, zipped = io.BytesIO(), io.BytesIO()
    np.save(arrays, np.arange(60.0))
    yield "array", arrays.getvalue()
    np.savez(zipped, a=np.arange(3), signatures=np.zeros((0, 3)), counts=np.zeros(0))
    yield "arrays", zipped.getvalue()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", bytes(10_000))
    yield "archive", zipped.getvalue()
    yield "pickle", pickle.dumps({"format": 1})
    yield "list", b"[1, 2]"
    yield "nested lists", b"[" * 100_000
    yield "object", b"{}"
    yield "null", b"null"
    yield "number", b"1" * 5000
    yield "text", "Ünder\n".encode("latin-1") * 50
    yield "huge header", (2**63).to_bytes(8, "little") + b"{}"
    for text in (b"'descr': '<i4', 'fortran_order': False, 'shape': (1099511627776, 1), }", b"("):
        yield "header", b"\x93NUMPY\x01\x00v\x00{" + text.ljust(116) + b"\n"


def assert_same(found, expected):
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            id=kind.replace(" ", "-"),
            marks=[pytest.mark.deep] * (kind in DEEP),
        )
        for kind in KINDS
    ],
)
def test_damage_is_noticed_wherever_it_is(kind, tmp_path):
    name, write, read = KINDS[kind]
    path = tmp_path / name
    write(path)
    whole, expected = path.read_bytes(), read(path)
    rng = np.random.default_rng(0)
    cases = [*damaged(whole, rng, SLOW.get(kind, 100)), *foreign()]
    for what, content in cases:
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read(path)
        except ValueError as error:
            assert name in str(error), what
            assert len(str(error)) < 800, what
        except BaseException as error:
            pytest.fail(f"{what}: {error!r}")
        else:
            try:
                assert_same(found, expected)
            except AssertionError as error:
                pytest.fail(f"{what}: {error}")
