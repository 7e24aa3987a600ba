"""The base classes of the deep estimators of features: checks, scaling, training, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_choice, as_n_partitions, as_non_negative, as_positive
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import check_finite, validated_samples
from labelquorum._shared.sealed import INTEGERS, check_stored, reading
from labelquorum.clustering.base_partitions import base_partitions
from labelquorum.clustering.consensus import consensus
from labelquorum.deep.checkpoints import (
    Checkpoint,
    check_can_be_resumed,
    check_can_be_saved,
    check_n_weights,
    read_model,
    write,
)
from labelquorum.deep.losses import CLUSTERING_LOSSES
from labelquorum.deep.networks import Ensemble, LadderEnsemble, ModuleEnsemble
from labelquorum.deep.scaling import Scaling
from labelquorum.deep.training import Loss, Schedule, Training, device_of, predict

Floats = NDArray[np.floating[Any]]
Probabilities = NDArray[np.float32]

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
        self._check_above_zero("learning_rate")
        for i, width in enumerate(self.hidden):
            as_positive(width, f"hidden[{i}]")
        check_can_be_resumed(self.random_state, self.directory)

    def _check_above_zero(self, name: str) -> None:
        if as_non_negative(getattr(self, name), name) == 0:
            raise ValueError(f"{name} must be a number above 0, got 0")

    def _check_n_clusters(self, n_samples: int) -> None:
        if as_positive(self.n_clusters, "n_clusters") > n_samples:
            raise ValueError(
                f"n_clusters must be at most the number of samples, {n_samples}, got "
                f"{self.n_clusters}"
            )

    def _learn_features(self, X: Any) -> torch.Tensor:
        """Store how to scale features, and return the scaled rows of X."""
        rows = self._checked_rows(X, reset=True)
        self._scaling = Scaling.of(rows)
        return self._as_tensor(rows)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        return validated_samples(
            self,
            X,
            reset=reset,
            dtype=[np.float32, np.float64],
            ensure_min_samples=2 if reset else 1,
        )

    def _checked_rows(self, X: Any, *, reset: bool) -> Floats:
        X = self._checked(X, reset=reset)
        rows: Floats = X.toarray() if sparse.issparse(X) else X
        check_finite(rows, "X")
        return rows

    def _as_tensor(self, rows: Floats) -> torch.Tensor:
        return torch.from_numpy(self._scaling.features(rows)).to(device_of(self.device))

    def _build(self, n_outputs: int, seeds: list[int]) -> Ensemble:
        """Return untrained networks, one per seed."""
        raise NotImplementedError

    def _schedule(self, n_steps: int, labeled_batch_size: int = 0) -> Schedule:
        return Schedule(n_steps, self.batch_size, labeled_batch_size, self.learning_rate)

    @contextmanager
    def _training(
        self,
        rows: torch.Tensor,
        labels: torch.Tensor | None,
        n_outputs: int,
        n_networks: int,
        loss: Loss,
        n_steps: int,
        neighbors: torch.Tensor | None = None,
    ) -> Iterator[Training]:
        """Build the networks and yield their training, resumed if there is a checkpoint.

        `labels` are those that the networks learn first, `neighbors` those of `Training`.
        """
        random = check_random_state(self.random_state)
        self._seeds_ = [int(seed) for seed in random.randint(2**31, size=n_networks)]
        self._n_outputs = n_outputs
        self._networks = self._build(n_outputs, self._seeds_)
        checkpoint = None
        if self.directory is not None:
            parameters = self.get_params()
            settings = {name: parameters[name] for name in parameters if name not in _NOT_SETTINGS}
            checkpoint = Checkpoint(Path(self.directory), settings | {"labels": labels}, rows)
        with progress(self.verbose) as show:
            yield Training(
                self._networks,
                rows,
                loss,
                n_steps=n_steps,
                neighbors=neighbors,
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
            # JSON has no tuples.
            "tuples": [k for k, v in self.get_params().items() if isinstance(v, tuple)],
            "seeds": self._seeds_,
            "n_outputs": self._n_outputs,
            **self._scaling.facts(),
            "n_features_in_": self.n_features_in_,
        }
        for name in ("history_", "losses_", "classes_", "feature_names_in_"):
            if hasattr(self, name):
                facts[name] = np.asarray(getattr(self, name)).tolist()
        tensors = {f"network/{k}": v for k, v in self._networks.state_dict().items()}
        # Copies: joblib may have mapped the arrays into memory read-only.
        tensors["mean"] = torch.tensor(self._scaling.mean)
        for name in self._ARRAYS:
            tensors[name] = torch.tensor(getattr(self, name))
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
            If the file is damaged, holds another estimator, or has another format version.
        """
        facts, tensors = read_model(Path(path), cls.__name__)
        remedy = "save it again, or pass the network that it was fitted with"
        with reading(path, f"a saved {cls.__name__}", remedy):
            return cls._restored(facts, tensors, device, network)

    @classmethod
    def _restored(
        cls,
        facts: dict[str, Any],
        tensors: dict[str, torch.Tensor],
        device: Any,
        network: Callable[[], Any] | None,
    ) -> Self:
        parameters = facts["parameters"] | {"device": device}
        for name in facts.get("tuples", ()):  # Files of before have no such entry.
            parameters[name] = tuple(parameters[name])
        model = cls(**parameters, **({} if network is None else {"network": network}))
        model._check_parameters()
        _check_facts(facts, tensors)
        model.n_features_in_ = facts["n_features_in_"]
        if "history_" in facts:
            model.history_ = facts["history_"]
        if "losses_" in facts:
            model.losses_ = np.array(facts["losses_"], dtype=np.float32)
        if "classes_" in facts:
            model.classes_ = array_of_names(facts["classes_"])
        if "feature_names_in_" in facts:
            model.feature_names_in_ = np.array(facts["feature_names_in_"], dtype=object)
        model._seeds_, model._n_outputs = facts["seeds"], facts["n_outputs"]
        model._scaling = Scaling.of_facts(facts, tensors["mean"].numpy())
        for name in cls._ARRAYS:
            array = tensors[name].numpy()
            check_stored(
                array, name, (np.int32, np.int64), (None,) * array.ndim, (-1, model._n_outputs - 1)
            )
            setattr(model, name, array)
        if network is None:
            widths = [model.n_features_in_, *model.hidden, model._n_outputs]
            n_weights = sum(below * above for below, above in pairwise(widths))
            check_n_weights(len(model._seeds_) * n_weights, tensors)
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


class LadderEstimator(DeepEstimator):
    """An ensemble of ladder networks, or of the user's networks, that learn to see through noise.

    The clusterers among the subclasses start from base partitions.
    """

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_non_negative(self.noise, "noise")
        if len(self.denoising_costs) != 4:
            raise ValueError(
                "denoising_costs must hold 4 numbers, for the features, the first hidden layer, "
                f"the other hidden layers and the classes, got {len(self.denoising_costs)}"
            )
        for i, cost in enumerate(self.denoising_costs):
            as_non_negative(cost, f"denoising_costs[{i}]")

    def _check_clustering_parameters(self, n_samples: int) -> None:
        as_choice(self.loss, "loss", CLUSTERING_LOSSES)
        as_non_negative(self.mu, "mu")
        as_positive(self.labeled_batch_size, "labeled_batch_size")
        if self.n_partitions != 0:
            as_n_partitions(self.n_partitions)
        self._check_n_clusters(n_samples)

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


def _check_facts(facts: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Raise TypeError or ValueError unless the facts of a saved estimator are right."""
    n_features = as_positive(facts["n_features_in_"], "n_features_in_")
    n_outputs = as_positive(facts["n_outputs"], "n_outputs")
    check_stored(np.array(facts["seeds"]), "seeds", INTEGERS, (None,), (0, 2**31))
    check_stored(tensors["mean"].numpy(), "mean", np.float64, (n_features,))
    for name, n in (("feature_names_in_", n_features), ("classes_", n_outputs)):
        if name in facts and len(facts[name]) != n:
            raise ValueError(f"{name} must be {n}, got {len(facts[name])}")
