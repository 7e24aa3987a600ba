"""The base class of the deep estimators of features: checks, scaling, training, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import as_choice, as_n_partitions, as_non_negative, as_positive
from labelquorum._shared.progress import progress
from labelquorum.clustering.base_partitions import base_partitions
from labelquorum.clustering.consensus import consensus
from labelquorum.deep.checkpoints import (
    Checkpoint,
    as_json,
    check_can_be_resumed,
    check_can_be_saved,
    read_model,
    write,
)
from labelquorum.deep.losses import CLUSTERING_LOSSES
from labelquorum.deep.networks import Ensemble, LadderEnsemble, ModuleEnsemble
from labelquorum.deep.training import Loss, Schedule, Training, device_of, predict

Floats = NDArray[np.floating[Any]]
Probabilities = NDArray[np.float32]

# The standard deviation that all features together are scaled to. It is that of the pixels of
# MNIST, for which the default noise is known to suit.
_SPREAD = 0.3
# Parameters that do not change the result.
_NOT_SETTINGS = ("directory", "verbose", "device")


class DeepEstimator(BaseEstimator):
    """An ensemble of networks on features. The subclasses define the parameters and `fit`."""

    # The arrays that `fit` learned beside the networks, by the names of their attributes. Files
    # hold them under these names.
    _ARRAYS: tuple[str, ...] = ()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if tags.classifier_tags is None:
            # scikit-learn's checks of sparse input expect these tags beside a predict_proba.
            tags.classifier_tags = ClassifierTags()
        return tags

    def _check_parameters(self) -> None:
        for name in ("n_steps", "batch_size"):
            as_positive(getattr(self, name), name)
        for name in ("learning_rate", "noise"):
            as_non_negative(getattr(self, name), name)
        if self.learning_rate == 0:
            raise ValueError("learning_rate must be a number above 0, got 0")
        for i, width in enumerate(self.hidden):
            as_positive(width, f"hidden[{i}]")
        if len(self.denoising_costs) != 4:
            raise ValueError(
                "denoising_costs must hold 4 numbers, for the features, the first hidden layer, "
                f"the other hidden layers and the classes, got {len(self.denoising_costs)}"
            )
        for i, cost in enumerate(self.denoising_costs):
            as_non_negative(cost, f"denoising_costs[{i}]")
        check_can_be_resumed(self.random_state, self.directory)

    def _check_clustering_parameters(self, n_samples: int) -> None:
        as_choice(self.loss, "loss", CLUSTERING_LOSSES)
        as_non_negative(self.mu, "mu")
        as_positive(self.labeled_batch_size, "labeled_batch_size")
        if self.n_partitions != 0:
            as_n_partitions(self.n_partitions)
        if as_positive(self.n_clusters, "n_clusters") > n_samples:
            raise ValueError(
                f"n_clusters must be at most the number of samples, {n_samples}, got "
                f"{self.n_clusters}"
            )

    def _learn_features(self, X: Any) -> torch.Tensor:
        """Store how to scale features, and return the scaled rows of X."""
        rows = self._checked_rows(X, reset=True)
        self._mean = rows.mean(axis=0, dtype=np.float64)
        spread = np.sqrt(np.mean([np.var(column, dtype=np.float64) for column in rows.T]))
        self._factor = _SPREAD / float(spread) if spread > 0 else 1.0
        return self._as_tensor(rows)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        return validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=[np.float32, np.float64],
            reset=reset,
            ensure_min_samples=2 if reset else 1,
        )

    def _checked_rows(self, X: Any, *, reset: bool) -> Floats:
        X = self._checked(X, reset=reset)
        rows: Floats = X.toarray() if sparse.issparse(X) else X
        return rows

    def _as_tensor(self, rows: Floats) -> torch.Tensor:
        # In C order, whatever order X has: batches are rows, and checkpoints hash the memory.
        scaled = ((rows - self._mean) * self._factor).astype(np.float32, order="C")
        return torch.from_numpy(scaled).to(device_of(self.device))

    def _build(self, n_outputs: int, seeds: list[int]) -> Ensemble:
        network = getattr(self, "network", None)
        device = device_of(self.device)
        if network is not None:
            return ModuleEnsemble(network, seeds, device, noise=self.noise)
        widths = [self.n_features_in_, *self.hidden, n_outputs]
        features, first, others, classes = self.denoising_costs
        hidden = [first, *[others] * len(widths)][: len(self.hidden)]
        costs = [features, *hidden, classes]
        return LadderEnsemble(widths, seeds, device, noise=self.noise, costs=costs)

    def _schedule(self, n_steps: int, labeled_batch_size: int = 0) -> Schedule:
        return Schedule(n_steps, self.batch_size, labeled_batch_size, self.learning_rate)

    def _initial_labels(self, X: Any, n_networks: int) -> torch.Tensor | None:
        """Return clusters for each network to learn first, of shape (n_networks, n_samples).

        They are the consensus of a random half of the base partitions; None without partitions.
        """
        if not self.n_partitions:
            return None
        partitions = base_partitions(
            self._checked(X, reset=False),
            self.n_clusters,
            n_partitions=self.n_partitions,
            directory=None if self.directory is None else Path(self.directory) / "partitions",
            random_state=self.random_state,
            n_jobs=torch.get_num_threads(),
            verbose=self.verbose,
        )
        rng = check_random_state(self.random_state)
        n_half = -(-self.n_partitions // 2)
        labels = []
        for _ in range(n_networks):
            half = np.sort(rng.permutation(self.n_partitions)[:n_half])
            labels.append(consensus(partitions[:, half], self.n_clusters).astype(np.int64))
        return torch.from_numpy(np.stack(labels))

    @contextmanager
    def _training(
        self, rows: torch.Tensor, n_outputs: int, n_networks: int, loss: Loss, n_steps: int
    ) -> Iterator[Training]:
        """Build the networks and yield their training, resumed if there is a checkpoint."""
        random = check_random_state(self.random_state)
        self._seeds_ = [int(seed) for seed in random.randint(2**31, size=n_networks)]
        self._n_outputs = n_outputs
        self._networks = self._build(n_outputs, self._seeds_)
        checkpoint = None
        if self.directory is not None:
            parameters = self.get_params()
            settings = {name: parameters[name] for name in parameters if name not in _NOT_SETTINGS}
            checkpoint = Checkpoint(Path(self.directory), as_json(settings), rows)
        with progress(self.verbose) as show:
            yield Training(
                self._networks,
                rows,
                loss,
                n_steps=n_steps,
                compile=self.compile,
                checkpoint=checkpoint,
                show=show,
            )

    def _probabilities(self, X: Any) -> Probabilities:
        """Return the probabilities by each network, (n_networks, n_samples, n_outputs)."""
        check_is_fitted(self)
        rows = self._as_tensor(self._checked_rows(X, reset=False))
        probabilities: Probabilities = predict(self._networks.to(rows.device), rows).cpu().numpy()
        return probabilities

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
        facts = {
            "class": type(self).__name__,
            "parameters": {k: v for k, v in self.get_params().items() if k != "network"},
            "seeds": self._seeds_,
            "n_outputs": self._n_outputs,
            "factor": self._factor,
            "n_features_in_": self.n_features_in_,
        }
        for name in ("history_", "classes_", "feature_names_in_"):
            if hasattr(self, name):
                facts[name] = np.asarray(getattr(self, name)).tolist()
        tensors = {f"network/{k}": v for k, v in self._networks.state_dict().items()}
        tensors["mean"] = torch.from_numpy(self._mean)
        for name in self._ARRAYS:
            tensors[name] = torch.from_numpy(getattr(self, name))
        write(Path(path), facts, tensors)

    @classmethod
    def load(
        cls, path: str | Path, *, device: Any = None, network: Callable[[], Any] | None = None
    ) -> Self:
        """Load an estimator that `save` wrote.

        Parameters
        ----------
        path : path-like
        device : str or torch.device, optional
            Device to compute on; None for a GPU if there is one, else the CPU.
        network : callable, optional
            The factory of the networks, if the estimator was fitted with one.

        Returns
        -------
        estimator
            It predicts the same as the one that was saved.

        Raises
        ------
        ValueError
            If the file holds another estimator, or has another format version.
        """
        facts, tensors = read_model(Path(path), cls.__name__)
        parameters = facts["parameters"] | {"device": device}
        model = cls(**parameters, **({} if network is None else {"network": network}))
        model.n_features_in_ = facts["n_features_in_"]
        if "history_" in facts:
            model.history_ = facts["history_"]
        if "classes_" in facts:
            model.classes_ = np.array(facts["classes_"])
        if "feature_names_in_" in facts:
            model.feature_names_in_ = np.array(facts["feature_names_in_"], dtype=object)
        model._seeds_, model._n_outputs = facts["seeds"], facts["n_outputs"]
        model._factor, model._mean = facts["factor"], tensors["mean"].numpy()
        for name in cls._ARRAYS:
            setattr(model, name, tensors[name].numpy())
        model._networks = model._build(model._n_outputs, model._seeds_)
        prefix = "network/"
        model._networks.load_state_dict(
            {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
        )
        return model
