"""Clustering heads: the training step by step, beside NumPy; edge cases; what heads are worth."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum import _core
from labelquorum._shared.frame import unit_rows
from labelquorum.clustering.heads import Heads, train_heads

TEMPERATURE, SHARING, BATCH = 0.05, 0.6, 1024
RATE, DECAY, MOMENTUM = 0.03, 1e-4, 0.98


def problem(n=300, n_columns=12, n_groups=4, n_neighbors=6, seed=0):
    """Centered rows of length 1 in groups, their near neighbors, and the groups."""
    X, y = make_blobs(n, n_columns, centers=n_groups, cluster_std=3.0, random_state=seed)
    rows = unit_rows((X - X.mean(axis=0)).astype(np.float32))
    return rows, lq.kneighbors(rows, n_neighbors)[1], y


def mixed(word):
    """MurmurHash3's finalizer."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        word = ((word ^ word >> 33) * factor) % 2**64
    return word ^ word >> 33


def drawn(seed, number, n):
    """The number that the generator draws from 0 to n - 1."""
    return int((mixed((mixed(seed) + number) % 2**64) >> 11) * 2.0**-53 * n)


def log_softmax(logits):
    """Along the clusters, the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def trained_by_numpy(rows, neighbors, n_clusters, n_heads, n_passes, seed):
    """Train heads one at a time in double precision; return directions (clusters first), losses."""
    n, n_columns = rows.shape
    rows = rows.astype(np.float64)
    initial = np.random.default_rng(seed).standard_normal(
        (n_heads, n_clusters, n_columns), dtype=np.float32
    )
    batch = min(BATCH, n)
    n_steps = n_passes * (n // batch)
    directions, losses = [], []
    for student in initial.astype(np.float64):
        teacher = student.copy()
        means = np.full(n_clusters, 1 / n_clusters)
        first, second = np.zeros_like(student), np.zeros_like(student)
        counted = []
        for step in range(n_steps):
            numbers = range(step * batch, (step + 1) * batch)
            x = np.array([drawn(seed, 2 * i + 1, n) for i in numbers])
            y = x
            if neighbors.shape[1]:
                slots = [drawn(seed, 2 * i + 2, neighbors.shape[1]) for i in numbers]
                y = neighbors[x, slots]
            loss, gradient, shares = loss_of(rows[x], rows[y], student, teacher, means)
            if step >= n_steps * 3 // 4:
                counted.append(loss)
            rate = RATE * (1 + np.cos(np.pi * step / n_steps)) / 2
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            size = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
            student = student * (1 - rate * DECAY)
            student = student - rate * first / (1 - 0.9 ** (step + 1)) / size
            teacher = MOMENTUM * teacher + (1 - MOMENTUM) * student
            means = 0.9 * means + 0.1 * shares
        directions.append(teacher / np.linalg.norm(teacher, axis=1, keepdims=True))
        losses.append(np.mean(counted))
    return np.array(directions), np.array(losses)


def loss_of(x, y, student, teacher, means):
    """The mean loss of pairs, its gradient, and the mean shares of clusters by the teacher."""
    lengths = np.linalg.norm(student, axis=1, keepdims=True)
    unit = student / lengths
    slow = teacher / np.linalg.norm(teacher, axis=1, keepdims=True)
    log_p = [log_softmax(rows @ unit.T / TEMPERATURE) for rows in (x, y)]
    log_q = [log_softmax(rows @ slow.T / TEMPERATURE) for rows in (x, y)]
    q = np.exp(log_q)
    weights = (q[0] * q[1]).sum(axis=1)
    loss, gradient = 0.0, np.zeros_like(student)
    for rows, p, other in ((x, log_p[0], log_q[1]), (y, log_p[1], log_q[0])):
        terms = SHARING * (p + other) - np.log(means)
        most = terms.max(axis=1, keepdims=True)
        sums = np.exp(terms - most).sum(axis=1, keepdims=True)
        loss -= (weights * (np.log(sums) + most).ravel()).mean() / 2
        responsible = np.exp(terms - most) / sums
        of_logits = SHARING * weights[:, None] * (np.exp(p) - responsible) / (2 * len(x))
        gradient += of_logits.T @ rows / TEMPERATURE
    gradient = (gradient - unit * (gradient * unit).sum(axis=1, keepdims=True)) / lengths
    return loss, gradient, q.mean(axis=(0, 1))


@pytest.mark.parametrize(
    ("n", "n_columns", "n_clusters", "n_neighbors"),
    [(300, 12, 4, 6), (70, 33, 7, 3), (2100, 5, 3, 4), (50, 2, 1, 2), (9, 3, 12, 4)],
)
def test_the_training_is_that_of_numpy(n, n_columns, n_clusters, n_neighbors):
    rows, neighbors, _ = problem(n, n_columns, n_neighbors=n_neighbors, seed=n)
    heads = train_heads(rows, neighbors, n_clusters, n_heads=3, n_passes=4, seed=7, n_threads=1)
    directions, losses = trained_by_numpy(rows, neighbors, n_clusters, 3, 4, 7)
    is_byte = _core.instruction_set() in ("avx512_bf16", "amx")
    rounding = 0.05 if is_byte else 1e-3
    np.testing.assert_allclose(heads.weights.transpose(0, 2, 1), directions, atol=rounding)
    np.testing.assert_allclose(heads.losses, losses, rtol=rounding, atol=1e-5)


def test_heads_find_groups_and_their_loss_tells_the_better_ones():
    rows, neighbors, y = problem(2_000, 20, n_groups=6, n_neighbors=15)
    heads = train_heads(rows, neighbors, 6, n_heads=12, n_passes=60, seed=0, n_threads=2)
    partitions = heads.partitions(rows, 2)
    scores = [lq.clustering_accuracy(y, partition) for partition in partitions.T]
    assert lq.clustering_accuracy(y, lq.consensus(partitions, 6)) > 0.9
    assert scores[int(heads.losses.argmin())] >= np.median(scores)


@pytest.mark.parametrize("n_heads", [1, 3, 16, 33])
def test_any_number_of_threads_gives_the_same_bytes(n_heads):
    rows, neighbors, _ = problem()
    results = [
        train_heads(rows, neighbors, 4, n_heads=n_heads, n_passes=5, seed=1, n_threads=n_threads)
        for n_threads in (1, 2, 3, 8)
    ]
    for other in results[1:]:
        assert other.weights.tobytes() == results[0].weights.tobytes()
        assert other.losses.tobytes() == results[0].losses.tobytes()


def test_a_head_does_not_depend_on_the_others():
    rows, neighbors, _ = problem()
    few = train_heads(rows, neighbors, 4, n_heads=2, n_passes=5, seed=1, n_threads=1)
    many = train_heads(rows, neighbors, 4, n_heads=7, n_passes=5, seed=1, n_threads=1)
    assert many.weights[:2].tobytes() == few.weights.tobytes()


def test_seeds_and_index_types():
    rows, neighbors, _ = problem()
    options = {"n_heads": 2, "n_passes": 3, "n_threads": 1}
    heads = train_heads(rows, neighbors, 4, seed=1, **options)
    other = train_heads(rows, neighbors, 4, seed=2, **options)
    assert np.abs(heads.weights - other.weights).max() > 0.1
    for same in (
        neighbors.astype(np.int64),
        neighbors.astype(np.int32),
        np.asfortranarray(neighbors),
    ):
        again = train_heads(np.asfortranarray(rows), same, 4, seed=1, **options)
        assert again.weights.tobytes() == heads.weights.tobytes()
    again = train_heads(rows.astype(np.float64), neighbors, 4, seed=1, **options)
    assert again.weights.tobytes() == heads.weights.tobytes()


@pytest.mark.parametrize("n", [1, 2, 5, 64, 65, 1023, 1025])
@pytest.mark.parametrize("n_clusters", [1, 2, 40])
@pytest.mark.parametrize("n_neighbors", [0, 1, 25])
@pytest.mark.parametrize("kind", ["random", "equal", "zero", "opposite"])
def test_nothing_is_ever_not_finite(n, n_clusters, n_neighbors, kind):
    rng = np.random.default_rng(n)
    rows = unit_rows(rng.standard_normal((n, 5)).astype(np.float32))
    if kind == "equal":
        rows[:] = rows[0]
    elif kind == "zero":
        rows[::2] = 0
    elif kind == "opposite":
        rows[:] = rows[0] * rng.choice([-1, 1], (n, 1))
    neighbors = rng.integers(0, n, (n, n_neighbors))
    heads = train_heads(rows, neighbors, n_clusters, n_heads=2, n_passes=20, seed=0, n_threads=1)
    assert heads.weights.shape == (2, 5, n_clusters)
    assert np.isfinite(heads.weights).all()
    assert np.isfinite(heads.losses).all()
    np.testing.assert_allclose(np.linalg.norm(heads.weights, axis=1), 1, rtol=1e-5)
    partitions = heads.partitions(rows, 1)
    assert partitions.shape == (n, 2)
    assert partitions.dtype == np.int32
    assert 0 <= partitions.min() <= partitions.max() < n_clusters


def test_partitions_are_the_largest_products():
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.standard_normal((500, 8)).astype(np.float32))
    heads = Heads(rng.standard_normal((3, 8, 5)).astype(np.float32), np.zeros(3, np.float32))
    expected = np.stack([(rows @ weights).argmax(axis=1) for weights in heads.weights], axis=1)
    np.testing.assert_array_equal(heads.partitions(rows, 2), expected)


@pytest.mark.parametrize("bad", [-1, 300])
def test_a_neighbor_that_is_no_row_is_refused(bad):
    rows, neighbors, _ = problem()
    neighbors[123, 4] = bad
    with pytest.raises(ValueError, match=rf"neighbors must .* 0 to 299, got {bad}"):
        train_heads(rows, neighbors, 4, n_heads=2, n_passes=1, seed=0, n_threads=2)


def test_progress_runs_to_the_end():
    rows, neighbors, _ = problem()
    shown = []
    train_heads(
        rows,
        neighbors,
        4,
        n_passes=5,
        seed=0,
        n_threads=2,
        show=lambda stage, fraction: shown.append((stage, fraction)),
    )
    assert {stage for stage, _ in shown} == {"training heads"}
    fractions = [fraction for _, fraction in shown]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_ends_the_training_within_a_second(n_threads):
    rows, neighbors, _ = problem(3_000, 100)
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.5, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        train_heads(rows, neighbors, 50, n_passes=100_000, seed=0, n_threads=n_threads)
    assert time.monotonic() - pressed[0] < 1.0


SCRIPT = """
import numpy as np
from sklearn.datasets import make_blobs
import labelquorum as lq
from labelquorum.clustering.heads import train_heads

X, y = make_blobs(1500, 20, centers=5, cluster_std=2.0, random_state=0)
X = (X - X.mean(axis=0)).astype(np.float32)
X /= np.linalg.norm(X, axis=1, keepdims=True)
heads = train_heads(X, lq.kneighbors(X, 15)[1], 5, n_heads=8, seed=0, n_threads=1)
print(lq.clustering_accuracy(y, lq.consensus(heads.partitions(X, 1), 5)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", _core.compiled_instruction_sets())
def test_every_instruction_set_finds_the_groups(name):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"LABELQUORUM_INSTRUCTION_SET": name},
        capture_output=True,
        text=True,
    )
    if "for this build on this machine, got" in done.stderr:
        pytest.skip(f"this machine has no {name}")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.95
