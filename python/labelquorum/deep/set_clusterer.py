"""Clustering of sets, learned from examples, by a network that looks at whole sets."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from labelquorum._shared.arguments import as_non_negative, as_positive
from labelquorum.deep.checkpoints import Checkpoint, State, read, write
from labelquorum.deep.set_networks import (
    SetNetwork,
    SetNetworks,
    Sizes,
    as_tensors,
    batch_of,
    chunks_of,
)
from labelquorum.sets.base import (
    BaseSetClusterer,
    Examples,
    Floats,
    Rows,
    SetModel,
    draw_pairs,
    names_of,
    places_of,
)

_PAIRS_PER_SET = 4096  # of which a network learns in a step
_SQUARES_PER_CHUNK = 1 << 20  # of sizes of sets that are computed at once
_WEIGHT_DECAY = 0.01
_WARM_UP, _COOL_DOWN = 0.1, 0.5  # shares of the epochs
_MOST_GRADIENT = 1.0


class SetClusterer(BaseSetClusterer):
    """Learns from sets of items with known clusters how to cluster the items of other sets.

    A network looks at all items of a set at once (in no order), so that an item's meaning may
    depend on the others. It says of which category each item is and how probable it is that two
    items are of one cluster; correlation clustering makes clusters of that.

    Parameters
    ----------
    width : int, default=64
        Units for each item; a multiple of `n_heads`.
    n_layers : int, default=2
        Layers of attention; each lets the items of a set see each other once more.
    n_heads : int, default=4
        Heads of each.
    dropout : float in [0, 1), default=0.1
        Share of the units left out at random in training.
    n_epochs : int, default=50
        Times that each set is seen.
    batch_size : int, default=256
        Items of a training step, about; sets stay whole.
    learning_rate : float, default=0.002
        Of AdamW; it rises at first and falls to 0 in the second half.
    n_models : int, default=3
        Networks, of which each does not see a fifth of the sets (or, of more than five, as many
        parts as there are networks); on those the offset is tuned. Their probabilities are
        averaged.
    metric : str, default="b_cubed"
        What the offset is tuned for: "ari", or a measure of `set_scores` ("b_cubed", "ceaf_e",
        "ceaf_m", "conll", "lea", "muc" or "pairwise").
    directory : path-like, optional
        Where to keep the state after each epoch: a fit with the same arguments goes on from there.
        `random_state` then has to be an int.
    device : str or torch.device, optional
        None for a GPU where there is one, else the processor.
    n_jobs : int, optional
        Number of threads of the correlation clustering; -1 for all cores available.
    random_state : int, RandomState instance or None, default=None
        Decides the weights at the start, which sets are held out, their order, and the pairs seen.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    categories_ : array of shape (n_categories,)
        The categories.
    offset_ : float
        Log-odds above which two items rather are of one cluster.
    category_weight_ : int
        1 where P(same cluster) is multiplied by the probability that both items are of one
        category, 0 where sets held out are clustered better without.
    held_out_ : list of arrays
        The numbers of the sets that each model has not seen.
    held_out_score_ : float
        The mean `metric` of the sets held out, with these two, which were chosen among a few by
        this score; it therefore is a little too good.
    history_ : list of dict
        The mean loss of each network ("model") in each epoch.
    n_features_in_, n_pair_features_ : int
        Features of items and of pairs.

    See Also
    --------
    PairwiseSetClusterer : looks at pairs alone, with any classifier; needs no PyTorch.
    evaluate_sets : how good clusters are.

    Notes
    -----
    Attention without positions (Lee et al., "Set transformer", ICML 2019): another order of the
    items gives the same results in that order. What is known of pairs (their cosine, their distance
    and `pairs`) adds to the attention that two items pay each other. The pair head takes
    products and distances of two encoded items, one for each head, and what is known of the pair,
    so that (b, a) gives the same.
    Its loss is the binary cross-entropy of "same cluster", in which sets weigh the same, and within
    a set the pairs of one cluster as much as those of two; that of the category head is
    cross-entropy. P(same) is multiplied by the probability that both items are of one category
    (unless that does harm: see `category_weight_`); a cluster has the category that is most
    probable by all of its items.

    Sets of a batch are not filled up to the same size. A set of n items takes O(n ** 2) time and
    memory; in training, about 1 GB for n = 2,000.

    Examples
    --------
    Which of two features tells the clusters, a third feature of one of the items says:

    >>> import numpy as np
    >>> import labelquorum as lq
    >>> rng = np.random.default_rng(0)
    >>> sets, clusters = [], []
    >>> for _ in range(200):
    ...     items = rng.integers(2, size=(8, 3)).astype(float)
    ...     items[:, 2] = 0
    ...     which = rng.integers(2)
    ...     items[0, 2] = 2 * which - 1
    ...     sets.append(items)
    ...     clusters.append(items[:, which].astype(int))
    >>> model = lq.SetClusterer(
    ...     width=16, n_layers=1, n_epochs=8, batch_size=32, learning_rate=0.01, n_models=1,
    ...     random_state=0,
    ... )
    >>> found = model.fit(sets[:150], clusters[:150]).predict(sets[150:]).clusters
    >>> bool(lq.evaluate_sets(clusters[150:], found).scores["b_cubed"].f1 > 0.95)
    True
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        *,
        width: int = 64,
        n_layers: int = 2,
        n_heads: int = 4,
        dropout: float = 0.1,
        n_epochs: int = 50,
        batch_size: int = 256,
        learning_rate: float = 0.002,
        n_models: int = 3,
        metric: str = "b_cubed",
        directory: str | Path | None = None,
        device: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.width = width
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.dropout = dropout
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.n_models = n_models
        self.metric = metric
        self.directory = directory
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name in ("width", "n_layers", "n_heads", "n_epochs", "batch_size"):
            as_positive(getattr(self, name), name)
        if self.width % self.n_heads:
            raise ValueError(f"width is {self.width}; wanted a multiple of n_heads={self.n_heads}")
        if as_non_negative(self.dropout, "dropout") >= 1:
            raise ValueError(f"dropout is {self.dropout}; wanted less than 1")
        if as_non_negative(self.learning_rate, "learning_rate") == 0:
            raise ValueError("learning_rate is 0; wanted more")
        if self.directory is not None and not isinstance(self.random_state, (int, np.integer)):
            raise ValueError(
                f"random_state is {self.random_state!r}; wanted an int where a directory is given, "
                "so that what is kept there can be told from other fits"
            )

    def _device(self) -> torch.device:
        if self.device is not None:
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _built(self, seeds: Sequence[int]) -> SetNetworks:
        sizes = Sizes(
            self.n_features_in_,
            self.n_pair_features_,
            len(self.categories_),
            self.width,
            self.n_layers,
            self.n_heads,
        )
        return SetNetworks(sizes, seeds, self._device(), dropout=self.dropout)

    def _learn(
        self,
        examples: Examples,
        held_out: list[Rows],
        seeds: list[int],
        show: Callable[..., None] | None,
    ) -> list[SetModel]:
        self._networks = networks = self._built(seeds)
        scales = [_scale(of) for of in (examples.items.features, examples.items.pairs or [])]
        for network in networks:
            network.learn_scale(*scales)
        checkpoint, state = None, None
        if self.directory is not None:
            checkpoint = self._checkpoint(examples)
            state = checkpoint.load(networks)
        self.history_ = [] if state is None else state.history
        n_done = 0 if state is None else state.round
        for i, network in enumerate(networks):
            if i < n_done:
                continue
            chosen = np.setdiff1d(np.arange(len(examples.items)), held_out[i])
            optimizer = torch.optim.AdamW(
                network.parameters(), weight_decay=_WEIGHT_DECAY, fused=True
            )
            first = 0
            if state is not None and state.round == i:
                first = state.step
                optimizer.load_state_dict(optimizer.state_dict() | {"state": state.optimizer})
            network.train()
            for epoch in range(first, self.n_epochs):
                rng = np.random.default_rng([seeds[i], epoch])
                with _torch_seed(int(rng.integers(2**31)), self._device()):
                    loss = self._epoch(network, examples, chosen, optimizer, epoch, rng)
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"the loss is {loss} in epoch {epoch + 1}; lower learning_rate (it is "
                        f"{self.learning_rate:g})"
                    )
                self.history_.append({"model": i, "epoch": epoch, "loss": loss})
                if checkpoint is not None:
                    kept = optimizer.state_dict()["state"]
                    # Orders follow from the seed and the epoch: none is kept.
                    n_epochs = i * self.n_epochs + epoch + 1
                    none = torch.empty(0)
                    state_now = State(i, epoch + 1, n_epochs, self.history_, {}, kept, none)
                    checkpoint.save(networks, state_now)
                if show is not None:
                    share = (i + (epoch + 1) / self.n_epochs) / len(seeds)
                    show("training", share, f", loss {loss:.3f}")
        return [*networks]

    def _epoch(
        self,
        network: SetNetwork,
        examples: Examples,
        chosen: Rows,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        rng: np.random.Generator,
    ) -> float:
        """The mean loss of a set."""
        sizes = np.array([len(features) for features in examples.items.features])
        order = rng.permutation(chosen)
        total, n_done = 0.0, 0
        # A batch goes on until it has as many items.
        ends = np.flatnonzero(np.diff(np.cumsum(sizes[order]) // self.batch_size) > 0) + 1
        for batch in np.split(order, ends):
            done = (epoch + n_done / len(order)) / self.n_epochs
            rate = min(1.0, (done + 0.01) / _WARM_UP, (1 - done) / _COOL_DOWN)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * rate
            optimizer.zero_grad(set_to_none=True)
            for chunk in chunks_of(batch, sizes, _SQUARES_PER_CHUNK):
                loss = self._loss(network, examples, chunk, rng)
                if loss.requires_grad:
                    torch.autograd.backward(loss / len(batch))
                total += float(loss.detach())
            torch.nn.utils.clip_grad_norm_(network.parameters(), _MOST_GRADIENT)
            optimizer.step()
            n_done += len(batch)
        return total / len(order)

    def _loss(
        self, network: SetNetwork, examples: Examples, chunk: list[int], rng: np.random.Generator
    ) -> Tensor:
        """The sum over sets."""
        device = self._device()
        batch = batch_of([as_tensors(*examples.items.of(i), device) for i in chunk])
        items, own, kinds = network.encode(batch)
        total = torch.zeros((), device=device)
        first, second, places, pairs, same, weights = [], [], [], [], [], []
        n_items = n_pairs = 0
        for i, of_set in zip(chunk, batch.pairs, strict=True):
            clusters = examples.clusters[i]
            n = len(clusters)
            drawn = draw_pairs(clusters, _PAIRS_PER_SET, rng)
            first.append(drawn.first + n_items)
            second.append(drawn.second + n_items)
            at = places_of(drawn.first, drawn.second, n)
            places.append(at + n_pairs)
            pairs.append(of_set[torch.from_numpy(at)])
            same.append(drawn.same)
            weights.append(drawn.weights)
            if kinds is not None and examples.categories is not None:
                known = torch.from_numpy(examples.categories[i].astype(np.int64)).to(device)
                if (known >= 0).any():
                    said = kinds[n_items : n_items + n]
                    total = total + cross_entropy(said, known, ignore_index=-1)
            n_items, n_pairs = n_items + n, n_pairs + n * (n - 1) // 2
        a, b, c = (torch.from_numpy(np.concatenate(of)) for of in (first, second, places))
        wanted, weight = (
            torch.from_numpy(np.concatenate(of).astype(np.float32)).to(device)
            for of in (same, weights)
        )
        if len(a):
            found = network.log_odds(items[a], items[b], own[c], torch.cat(pairs))
            total = total + binary_cross_entropy_with_logits(
                found, wanted, weight=weight, reduction="sum"
            )
        return total

    def _checkpoint(self, examples: Examples) -> Checkpoint:
        apart = ("directory", "verbose", "device", "n_jobs")
        settings = {name: of for name, of in self.get_params().items() if name not in apart}
        content = hashlib.blake2b(digest_size=16)
        for of in (examples.clusters, examples.categories or [], examples.items.pairs or []):
            for array in of:
                content.update(np.ascontiguousarray(array).data)
        settings["sizes"] = [len(of) for of in examples.clusters]
        settings["examples"] = content.hexdigest()
        settings = json.loads(json.dumps(settings, default=_plain))
        X = torch.from_numpy(np.concatenate(examples.items.features).astype(np.float32))
        return Checkpoint(Path(str(self.directory)), settings, X)

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to a file of safetensors; its settings are JSON in it.

        Parameters
        ----------
        path : path-like
            Replaced if it exists, once the new one is whole.

        Raises
        ------
        TypeError
            If random_state is a generator, which no JSON holds.
        """
        check_is_fitted(self)
        if self.random_state is not None and not isinstance(self.random_state, (int, np.integer)):
            raise TypeError(f"random_state is {self.random_state!r}; wanted None or an int to save")
        facts = {"class": type(self).__name__, "parameters": self.get_params()}
        facts |= {name: getattr(self, name) for name in _LEARNED}
        facts["held_out_"] = [part.tolist() for part in self.held_out_]
        facts |= {"categories": self.categories_.tolist(), "seeds": self._networks.seeds}
        tensors = self._networks.state_dict()
        write(Path(path), json.loads(json.dumps(facts, default=_plain)), tensors)

    @classmethod
    def load(cls, path: str | Path, *, device: Any = None) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like
        device : str or torch.device, optional
            Where it computes; None for a GPU where there is one.

        Returns
        -------
        SetClusterer
            It predicts as the one that was saved.

        Raises
        ------
        ValueError
            If the file holds another estimator, or one of another format.
        """
        facts, tensors = read(Path(path))
        if facts.get("class") != cls.__name__:
            raise ValueError(f"{path} holds {facts.get('class')!r}; wanted {cls.__name__!r}")
        model = cls(**facts["parameters"] | {"device": device})
        for name in _LEARNED:
            setattr(model, name, facts[name])
        model.held_out_ = [np.array(part, dtype=np.intp) for part in facts["held_out_"]]
        model.categories_ = names_of(facts["categories"])
        model._networks = model._built(facts["seeds"])
        model._networks.load_state_dict(tensors)
        model._models = [*model._networks]
        return model


_LEARNED = (
    "n_features_in_",
    "n_pair_features_",
    "offset_",
    "category_weight_",
    "held_out_score_",
    "history_",
)


def _scale(arrays: Sequence[Floats]) -> tuple[Tensor, Tensor]:
    """The mean and the spread of each column of arrays one below the other."""
    columns = next((of.shape[1] for of in arrays), 0)
    n, total, squares = 0, np.zeros(columns), np.zeros(columns)
    for array in arrays:
        n += len(array)
        total += array.sum(axis=0, dtype=np.float64)
    mean = total / max(1, n)
    for array in arrays:
        squares += ((array - mean) ** 2).sum(axis=0)
    return torch.from_numpy(mean), torch.from_numpy(np.sqrt(squares / max(1, n)))


@contextmanager
def _torch_seed(seed: int, device: torch.device) -> Iterator[None]:
    """The random numbers of a block follow from the seed, and those after it do not."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _plain(value: Any) -> Any:
    """What JSON has for numbers of NumPy and for devices."""
    return value.item() if isinstance(value, np.generic) else str(value)
