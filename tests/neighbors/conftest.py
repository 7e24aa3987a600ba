"""Fixtures that make small data sets get an index."""

from __future__ import annotations

import pytest

from labelquorum.neighbors import faiss_index, tuned_index


@pytest.fixture
def small_sets_have_indexes(monkeypatch):
    """Lower the sizes from which an index is built to what a test can afford."""
    monkeypatch.setattr(tuned_index, "_EXACT_BELOW", 1000)
    monkeypatch.setattr(tuned_index, "_MIN_HELD_OUT", 400)
    monkeypatch.setattr(tuned_index, "_FAILURES_IN_SAMPLE", 4)


@pytest.fixture(params=["graph", "lists"])
def method(request, small_sets_have_indexes, monkeypatch):
    """Both kinds of index, one after the other."""
    if request.param == "lists":
        monkeypatch.setattr(faiss_index.Graph, "n_bytes", lambda *_: 1 << 62)
    return request.param
