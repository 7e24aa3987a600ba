"""A small static model, made here: a vector for each of some words."""

from __future__ import annotations

import numpy as np
import pytest

TOPICS = [
    ["password", "login", "account", "reset", "locked"],
    ["parcel", "delivery", "track", "lost", "late"],
    ["invoice", "refund", "charged", "pay", "bill"],
]
COMMON = ["my", "the", "please", "is", "where", "a"]
N_COLUMNS = 8


def save_static_model(folder):
    """Write a model of model2vec in which the words of a topic are near each other."""
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", "[PAD]", *(word for topic in TOPICS for word in topic), *COMMON]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    rng = np.random.RandomState(0)
    vectors = 0.1 * rng.normal(size=(len(words), N_COLUMNS)).astype(np.float32)
    for k, topic in enumerate(TOPICS):
        vectors[[words.index(word) for word in topic], k] += 1
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder


def questions(n, seed=0):
    """Texts of three or four words about the topics, and the number of the topic of each."""
    rng = np.random.RandomState(seed)
    topics = rng.randint(len(TOPICS), size=n)
    texts = [
        " ".join([rng.choice(COMMON), *rng.choice(TOPICS[k], 2, replace=False), rng.choice(COMMON)])
        for k in topics
    ]
    return texts, topics
