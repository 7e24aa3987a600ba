"""Clusters within sets, learned from examples by networks that look at whole sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from labelquorum._shared.arguments import as_non_negative, as_positive
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.sealed import INTEGERS, check_stored, reading
from labelquorum.deep.checkpoints import (
    Checkpoint,
    State,
    check_can_be_resumed,
    check_can_be_saved,
    check_n_weights,
    read_model,
    write,
)
from labelquorum.deep.set_networks import SetNetwork, SetNetworks, Sizes
from labelquorum.deep.set_training import train_epoch
from labelquorum.deep.training import device_of
from labelquorum.sets.base import BaseSetClusterer, SetModel
from labelquorum.sets.examples import Examples
from labelquorum.sets.pairs import Indices

_WEIGHT_DECAY = 0.01
_WARM_UP, _COOL_DOWN = 0.1, 0.5  # shares of the epochs
# Parameters that do not change the result.
_NOT_SETTINGS = ("directory", "verbose", "device", "n_jobs")
# Attributes that a saved file holds as they are.
_SAVED_ATTRIBUTES = (
    "n_features_in_",
    "n_pair_features_",
    "offset_",
    "category_weight_",
    "item_weight_",
    "held_out_score_",
    "history_",
)


class SetClusterer(BaseSetClusterer):
    """Learn from sets of items with known clusters how to cluster the items of other sets.

    A network looks at all items of a set at once, in no order, so the meaning of an item may depend
    on the others. The network predicts the category of each item and the probability that two items
    are of one cluster. Correlation clustering turns the probabilities into clusters.

    Parameters
    ----------
    width : int, default=64
        Number of units per item; a multiple of `n_heads`.
    n_layers : int, default=2
        Number of attention layers. In each, the items of a set see each other once more.
    n_heads : int, default=4
        Number of attention heads per layer.
    dropout : float in [0, 1), default=0.1
        Share of the units that are dropped at random in training.
    n_epochs : int, default=50
        Number of times that each set is seen.
    batch_size : int, default=256
        Approximate number of items per training step. Sets are never divided.
    learning_rate : float, default=0.002
        Learning rate of AdamW. It rises at first, and in the second half it falls to 0.
    n_models : int, default=3
        Number of networks, whose probabilities are averaged. A fifth of the sets is held out from
        each, another fifth each time (a smaller part if there are more than five networks). The
        offset is tuned on the held-out sets.
    metric : str, default="b_cubed"
        The score that the offset is tuned for: "ari", or a measure of `set_scores` ("b_cubed",
        "ceaf_e", "ceaf_m", "conll", "lea", "muc" or "pairwise").
    directory : path-like, optional
        Folder to save the state of the fit to, after each epoch. A later fit with the same
        arguments resumes from it. Needs a `random_state` that is an int.
    device : str or torch.device, optional
        Device to compute on; None for a GPU if there is one, else the CPU.
    n_jobs : int, optional
        Number of threads of the correlation clustering; -1 for all cores available.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the held-out sets, the order of the sets and the pairs drawn
        from them.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    categories_ : array of shape (n_categories,)
        The categories, sorted; empty if `fit` got none.
    offset_ : float
        Log-odds above which two items count as being of one cluster.
    category_weight_ : int
        1 if P(same cluster) is multiplied by the probability that both items are of one category; 0
        if held-out sets are clustered better without, or if clusters recur (see Notes).
    item_weight_ : int
        1 if the encoded items count in P(same cluster); 0 if only the features of the pair do,
        because held-out sets are clustered better without the items, or clusters recur.
    held_out_ : list of arrays
        The indices of the sets held out from each model.
    held_out_score_ : float
        The mean `metric` of the held-out sets. Because `offset_` and both weights were chosen by
        this score, it is slightly too high.
    history_ : list of dict
        The mean loss ("loss") of each network ("model") in each epoch ("epoch").
    n_features_in_, n_pair_features_ : int
        Number of features of items and of pairs.

    See Also
    --------
    PairwiseSetClusterer : Look only at pairs, with any classifier; needs no PyTorch.
    evaluate_sets : Measure how good clusters are.

    Notes
    -----
    The layers use attention without positions (Lee et al., "Set transformer", ICML 2019), so
    another order of the items gives the same results, in that order. The features of a pair are
    `pairs`, if given, and how alike its items are: their cosine and distance, the cosine seen from
    the middle of the set, and how this cosine stands out among those of its two items (its ranks,
    its standard scores, what it lacks to their nearest neighbors). One pair head takes these
    features alone. The layers and the other pair head take `pairs`, the cosine and the distance: as
    a bias to the attention between the items, and beside the products and distances of the two
    encoded items, one per attention head. So (b, a) gives the same as (a, b).

    The loss of the pair heads is the binary cross-entropy of "same cluster". All sets have the same
    weight, and within a set the pairs of one cluster have the same total weight as the pairs of
    different clusters. The loss of the category head is the cross-entropy. P(same cluster) is
    multiplied by the probability that both items are of one category, unless that does harm (see
    `category_weight_`). A cluster gets the category that is most probable for all its items
    together.

    Held-out sets choose between the heads. If the sets show the same clusters again and again, no
    held-out set holds a new one, and what was memorized of the items would seem to help. So then
    neither the encoded items nor their categories count. Clusters of two sets that share an item
    are taken as one; they recur if at most half remain and clusters of one set stay apart.

    Sets are not padded to a common size. A set of n items takes O(n ** 2) time and memory; in
    training, about 1 GB for n = 2,000.

    Examples
    --------
    A third feature, of the first item, says which of the two other features tells the clusters:

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
    >>> predicted = model.fit(sets[:150], clusters[:150]).predict(sets[150:]).clusters
    >>> bool(lq.evaluate_sets(clusters[150:], predicted).scores["b_cubed"].f1 > 0.95)
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
            raise ValueError(
                f"width must be a multiple of n_heads={self.n_heads}, got {self.width}"
            )
        if as_non_negative(self.dropout, "dropout") >= 1:
            raise ValueError(f"dropout must be a number in [0, 1), got {self.dropout}")
        if as_non_negative(self.learning_rate, "learning_rate") == 0:
            raise ValueError("learning_rate must be a number above 0, got 0")
        check_can_be_resumed(self.random_state, self.directory)

    def _build(self, seeds: Sequence[int]) -> SetNetworks:
        sizes = Sizes(
            self.n_features_in_,
            self.n_pair_features_,
            len(self.categories_),
            self.width,
            self.n_layers,
            self.n_heads,
        )
        return SetNetworks(sizes, seeds, device_of(self.device), dropout=self.dropout)

    def _learn(
        self,
        examples: Examples,
        held_out: list[Indices],
        seeds: list[int],
        show: Callable[..., None] | None,
    ) -> list[SetModel]:
        self._networks = self._build(seeds)
        for network in self._networks:
            network.learn_scale(examples)
        checkpoint = None if self.directory is None else self._checkpoint(examples)
        state = None if checkpoint is None else checkpoint.load(self._networks)
        self.history_ = [] if state is None else state.history
        for i, network in enumerate(self._networks):
            if state is not None and i < state.round:
                continue
            sets = np.setdiff1d(np.arange(examples.items.n_sets), held_out[i])
            self._train(i, network, examples, sets, state, checkpoint, show)
            state = None
        return [*self._networks]

    def _train(
        self,
        i: int,
        network: SetNetwork,
        examples: Examples,
        sets: Indices,
        state: State | None,
        checkpoint: Checkpoint | None,
        show: Callable[..., None] | None,
    ) -> None:
        """Train network i on the sets, from the state if there is one."""
        seed, device = self._networks.seeds[i], device_of(self.device)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=_WEIGHT_DECAY, fused=True)
        first = 0
        if state is not None:
            first = state.step
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state.optimizer})
        network.train()
        for epoch in range(first, self.n_epochs):
            rng = np.random.default_rng([seed, epoch])
            with _torch_seed(int(rng.integers(2**31)), device):
                loss = train_epoch(
                    network,
                    examples,
                    sets,
                    optimizer,
                    batch_size=self.batch_size,
                    rate=partial(self._rate, epoch),
                    rng=rng,
                )
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"training diverged: the loss is {loss} in epoch {epoch + 1}; lower "
                    f"learning_rate (now {self.learning_rate:g})"
                )
            self.history_.append({"model": i, "epoch": epoch, "loss": loss})
            if checkpoint is not None:
                self._save_state(checkpoint, i, epoch + 1, optimizer)
            if show is not None:
                share = (i + (epoch + 1) / self.n_epochs) / len(self._networks)
                show("training", share, f", loss {loss:.3f}")

    def _rate(self, epoch: int, share: float) -> float:
        """Return the learning rate at a share of an epoch: it rises, then falls linearly to 0."""
        done = (epoch + share) / self.n_epochs
        return self.learning_rate * min(1.0, (done + 0.01) / _WARM_UP, (1 - done) / _COOL_DOWN)

    def _save_state(
        self, checkpoint: Checkpoint, i: int, n_epochs: int, optimizer: torch.optim.Optimizer
    ) -> None:
        state = State(
            round=i,
            step=n_epochs,
            n_done=i * self.n_epochs + n_epochs,
            history=self.history_,
            arrays={},
            optimizer=optimizer.state_dict()["state"],
            order=torch.empty(0),  # It follows from the seed and the epoch.
        )
        checkpoint.save(self._networks, state)

    def _checkpoint(self, examples: Examples) -> Checkpoint:
        parameters = self.get_params()
        settings = {name: parameters[name] for name in parameters if name not in _NOT_SETTINGS}
        settings["examples"] = examples.clusters, examples.categories, examples.items.pairs
        X = torch.from_numpy(np.concatenate(examples.items.features).astype(np.float32))
        return Checkpoint(Path(str(self.directory)), settings, X)

    def save(self, path: str | Path) -> None:
        """Save the fitted estimator to a safetensors file, with its parameters as JSON.

        Parameters
        ----------
        path : path-like
            An existing file is replaced once the new one is complete.

        Raises
        ------
        TypeError
            If random_state is a generator, which JSON cannot hold.
        """
        check_is_fitted(self)
        check_can_be_saved(self.random_state)
        facts = {"class": type(self).__name__, "parameters": self.get_params()}
        facts |= {name: getattr(self, name) for name in _SAVED_ATTRIBUTES}
        facts["held_out_"] = [sets.tolist() for sets in self.held_out_]
        facts |= {"categories": self.categories_.tolist(), "seeds": self._networks.seeds}
        write(Path(path), facts, self._networks.state_dict())

    @classmethod
    def load(cls, path: str | Path, *, device: Any = None) -> Self:
        """Load an estimator that `save` wrote.

        Parameters
        ----------
        path : path-like
        device : str or torch.device, optional
            Device to compute on; None for a GPU if there is one, else the CPU.

        Returns
        -------
        SetClusterer
            It predicts the same as the one that was saved.

        Raises
        ------
        ValueError
            If the file is damaged, holds another estimator, or has another format version.
        """
        facts, tensors = read_model(Path(path), cls.__name__)
        with reading(path, f"a saved {cls.__name__}", "save it again"):
            return cls._restored(facts, tensors, device)

    @classmethod
    def _restored(cls, facts: dict[str, Any], tensors: dict[str, Tensor], device: Any) -> Self:
        model = cls(**facts["parameters"] | {"device": device})
        for name in _SAVED_ATTRIBUTES:
            setattr(model, name, facts[name])
        model.held_out_ = [np.array(sets, dtype=np.intp) for sets in facts["held_out_"]]
        model.categories_ = array_of_names(facts["categories"])
        model._check_parameters()
        n_features = as_positive(model.n_features_in_, "n_features_in_")
        if model.n_pair_features_ != 0:
            as_positive(model.n_pair_features_, "n_pair_features_")
        check_stored(np.array(facts["seeds"]), "seeds", INTEGERS, (model.n_models,), (0, 2**31))
        check_stored(model.offset_, "offset_", np.float64, ())
        for name in ("item_weight_", "category_weight_"):
            check_stored(getattr(model, name), name, np.int64, (), (0, 1))
        n_columns = n_features + model.n_pair_features_ + len(model.categories_)
        n_weights = model.width * (8 * model.n_layers * model.width + n_columns)
        check_n_weights(model.n_models * n_weights, tensors)
        model._restore_networks(facts["seeds"], tensors)
        return model

    def _restore_networks(self, seeds: list[int], tensors: dict[str, Tensor]) -> None:
        self._networks = self._build(seeds)
        self._networks.load_state_dict(tensors)
        self._models = [*self._networks]


@contextmanager
def _torch_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators within the block, and restore them after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
