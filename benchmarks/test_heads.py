"""Train clustering heads, beside PyTorch on the same objective with the same numbers of steps.

Both draw pairs at random, so that results differ by chance. The last test holds the kernel to its
floor: with the instructions of AVX-512 for bytes it is at least four times as fast as PyTorch in
single precision, both with the same number of threads.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_limits

import labelquorum as lq
from _recorder import timed as seconds_of
from labelquorum import _core
from labelquorum.clustering.heads import train_heads

torch = pytest.importorskip("torch")

N_COLUMNS, N_NEIGHBORS, N_HEADS, N_CLUSTERS = 384, 25, 16, 20
BATCH, TEMPERATURE, SHARING, MOMENTUM, RATE = 1024, 0.05, 0.6, 0.98, 0.03
LEAST_RATIO = 4.0
SIZES = {
    "n_rows": {"small": [5_000], "full": [20_000]},
    "n_passes": {"small": [5], "full": [60]},
}


@cache
def prepared(n_rows):
    """Rows of length 1 in groups, their near neighbors, and the groups."""
    X, groups = make_blobs(n_rows, N_COLUMNS, centers=N_CLUSTERS, cluster_std=6.0, random_state=0)
    X = (X - X.mean(axis=0)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, lq.kneighbors(X, N_NEIGHBORS, recall=0.95)[1], groups


def by_torch(X, neighbors, n_passes):
    """Train heads in PyTorch, all in one product; return the teacher's logits."""
    torch.manual_seed(0)
    rows = torch.from_numpy(X)
    near = torch.from_numpy(neighbors.astype(np.int64))
    student = torch.randn(N_HEADS, N_COLUMNS, N_CLUSTERS, requires_grad=True)
    teacher = student.detach().clone()
    means = torch.full((N_HEADS, 1, N_CLUSTERS), 1 / N_CLUSTERS)
    n_steps = n_passes * (len(X) // BATCH)
    optimizer = torch.optim.AdamW([student], lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)

    def log_probabilities(weights, x):
        directions = torch.nn.functional.normalize(weights, dim=1)
        logits = torch.bmm(x.expand(N_HEADS, *x.shape), directions) / TEMPERATURE
        return torch.log_softmax(logits, dim=2)

    for _ in range(n_steps):
        i = torch.randint(len(X), (BATCH,))
        x, y = rows[i], rows[near[i, torch.randint(N_NEIGHBORS, (BATCH,))]]
        with torch.no_grad():
            log_q = [log_probabilities(teacher, side) for side in (x, y)]
            q = [log.exp() for log in log_q]
            weight = (q[0] * q[1]).sum(dim=2)
        loss = 0.0
        for side, other in ((x, log_q[1]), (y, log_q[0])):
            shared = SHARING * (log_probabilities(student, side) + other) - means.log()
            loss = loss - (weight * shared.logsumexp(dim=2)).mean(dim=1).sum() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            teacher.lerp_(student, 1 - MOMENTUM)
            means.lerp_((q[0] + q[1]).mean(dim=1, keepdim=True) / 2, 0.1)
    return (rows @ torch.nn.functional.normalize(teacher, dim=1)).numpy()


def by_labelquorum(X, neighbors, n_passes, n_threads):
    return train_heads(
        X, neighbors, N_CLUSTERS, n_heads=N_HEADS, n_passes=n_passes, seed=0, n_threads=n_threads
    )


def mean_accuracy(partitions, groups):
    return float(np.mean([lq.clustering_accuracy(groups, labels) for labels in partitions.T]))


def test_labelquorum(timed, benchmark, n_rows, n_passes, threads):
    X, neighbors, groups = prepared(n_rows)
    heads = timed(
        f"{N_HEADS} heads, {n_rows:,} rows, {n_passes} passes",
        lambda: by_labelquorum(X, neighbors, n_passes, threads),
        rows=n_rows * n_passes,
    )
    accuracy = mean_accuracy(heads.partitions(X, threads), groups)
    benchmark.extra_info["accuracy of a head"] = accuracy


def test_torch(timed, benchmark, n_rows, n_passes, threads):
    X, neighbors, groups = prepared(n_rows)
    torch.set_num_threads(threads)
    logits = timed(
        f"{N_HEADS} heads, {n_rows:,} rows, {n_passes} passes",
        lambda: by_torch(X, neighbors, n_passes),
        once=True,
        rows=n_rows * n_passes,
    )
    accuracy = mean_accuracy(logits.argmax(axis=2).T, groups)
    benchmark.extra_info["accuracy of a head"] = accuracy


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_kernel_is_at_least_four_times_as_fast_as_torch(n_rows, n_threads):
    if _core.instruction_set() != "avx512_bf16":
        pytest.skip("the floor is for AVX-512 with products of bytes, without AMX")
    X, neighbors, _ = prepared(n_rows)
    ours, theirs = [], []
    torch.set_num_threads(n_threads)
    with threadpool_limits(n_threads):
        for _ in range(3):  # in turns, so that other work on the machine slows both
            ours.append(seconds_of(lambda: by_labelquorum(X, neighbors, 5, n_threads))[0])
            theirs.append(seconds_of(lambda: by_torch(X, neighbors, 5))[0])
    assert min(theirs) / min(ours) >= LEAST_RATIO, (theirs, ours)
