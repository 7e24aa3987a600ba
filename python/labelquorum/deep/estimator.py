"""What the deep estimators share: features, networks, training, files."""

from __future__ import annotations

import json
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

from labelquorum._shared.arguments import as_choice, as_non_negative, as_positive
from labelquorum._shared.progress import progress
from labelquorum.clustering.base_partitions import base_partitions
from labelquorum.clustering.consensus import consensus
from labelquorum.deep.checkpoints import Checkpoint, read, write
from labelquorum.deep.losses import CLUSTERING
from labelquorum.deep.networks import Ensemble, LadderEnsemble, ModuleEnsemble
from labelquorum.deep.training import Loss, Schedule, Training, predict

Floats = NDArray[np.float32]

# Of all features together, as of the pixels of MNIST, for which the usual noise is known to suit.
_SPREAD = 0.3


class DeepEstimator(BaseEstimator):
    """An ensemble of networks on features; parameters are those of the subclasses."""

    _ARRAYS: tuple[str, ...] = ()  # what fit learned beside the networks, as arrays

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if tags.classifier_tags is None:
            # scikit-learn's checks of sparse input look there where there is a predict_proba.
            tags.classifier_tags = ClassifierTags()
        return tags

    def _check_parameters(self) -> None:
        for name in ("n_steps", "batch_size"):
            as_positive(getattr(self, name), name)
        for name in ("learning_rate", "noise"):
            as_non_negative(getattr(self, name), name)
        if self.learning_rate == 0:
            raise ValueError("learning_rate is 0; wanted more")
        for i, width in enumerate(self.hidden):
            as_positive(width, f"hidden[{i}]")
        if len(self.denoising_costs) != 4:
            raise ValueError(
                f"denoising_costs holds {len(self.denoising_costs)} numbers; wanted four: for "
                "features, the first hidden layer, the others, and classes"
            )
        for i, cost in enumerate(self.denoising_costs):
            as_non_negative(cost, f"denoising_costs[{i}]")
        if self.directory is not None and not isinstance(self.random_state, (int, np.integer)):
            raise ValueError(
                f"random_state is {self.random_state!r}; wanted an int where a directory is given, "
                "so that what is kept there can be told from other fits"
            )

    def _check_clusters(self, n_samples: int) -> None:
        as_choice(self.loss, "loss", CLUSTERING)
        as_non_negative(self.mu, "mu")
        as_positive(self.labeled_batch_size, "labeled_batch_size")
        if self.n_partitions != 0:
            as_positive(self.n_partitions, "n_partitions")
        if as_positive(self.n_clusters, "n_clusters") > n_samples:
            raise ValueError(
                f"n_clusters is {self.n_clusters}, X holds {n_samples} samples; wanted fewer"
            )

    def _device(self) -> torch.device:
        if self.device is not None:
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _learn_features(self, X: Any) -> torch.Tensor:
        """Keep the means and the spread of X; return its rows."""
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

    def _checked_rows(self, X: Any, *, reset: bool) -> NDArray[np.floating[Any]]:
        X = self._checked(X, reset=reset)
        rows: NDArray[np.floating[Any]] = X.toarray() if sparse.issparse(X) else X
        return rows

    def _as_tensor(self, rows: NDArray[np.floating[Any]]) -> torch.Tensor:
        # Row by row, whatever the order was: batches are rows, and so is what a checkpoint hashes.
        scaled = ((rows - self._mean) * self._factor).astype(np.float32, order="C")
        return torch.from_numpy(scaled).to(self._device())

    def _seeds(self, n: int) -> list[int]:
        return [int(seed) for seed in check_random_state(self.random_state).randint(2**31, size=n)]

    def _build(self, n_outputs: int, seeds: list[int]) -> Ensemble:
        network = getattr(self, "network", None)
        if network is not None:
            return ModuleEnsemble(network, seeds, self._device(), noise=self.noise)
        widths = [self.n_features_in_, *self.hidden, n_outputs]
        features, first, others, classes = self.denoising_costs
        costs = [features, *[first, *[others] * len(widths)][: len(self.hidden)], classes]
        return LadderEnsemble(widths, seeds, self._device(), noise=self.noise, costs=costs)

    def _schedule(self, n_steps: int, labeled_batch_size: int = 0) -> Schedule:
        return Schedule(n_steps, self.batch_size, labeled_batch_size, self.learning_rate)

    def _starts(self, X: Any, n_networks: int) -> torch.Tensor | None:
        """For each network clusters to learn from first: what half of the partitions agree on."""
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
        half = -(-self.n_partitions // 2)
        found = []
        for _ in range(n_networks):
            chosen = partitions[:, np.sort(rng.permutation(self.n_partitions)[:half])]
            found.append(consensus(chosen, self.n_clusters).astype(np.int64))
        return torch.from_numpy(np.stack(found))

    @contextmanager
    def _training(
        self, rows: torch.Tensor, n_outputs: int, n_networks: int, loss: Loss, n_steps: int
    ) -> Iterator[Training]:
        """A training of new networks, or of those that the directory kept."""
        self._seeds_ = self._seeds(n_networks)
        self._n_outputs = n_outputs
        self._networks = self._build(n_outputs, self._seeds_)
        checkpoint = None
        if self.directory is not None:
            settings = json.loads(json.dumps(self._settings(), default=_plain))
            checkpoint = Checkpoint(Path(self.directory), settings, rows)
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

    def _settings(self) -> dict[str, Any]:
        """The parameters on which the result depends."""
        apart = ("directory", "verbose", "device")
        return {name: value for name, value in self.get_params().items() if name not in apart}

    def _shares(self, X: Any) -> Floats:
        """Probabilities by each network, (n_networks, n_samples, n_outputs)."""
        check_is_fitted(self)
        rows = self._as_tensor(self._checked_rows(X, reset=False))
        shares: Floats = predict(self._networks.to(rows.device), rows).cpu().numpy()
        return shares

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
        parameters = {k: v for k, v in self.get_params().items() if k != "network"}
        if self.random_state is not None and not isinstance(self.random_state, (int, np.integer)):
            raise TypeError(f"random_state is {self.random_state!r}; wanted None or an int to save")
        facts = {
            "class": type(self).__name__,
            "parameters": parameters,
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
        write(Path(path), json.loads(json.dumps(facts, default=_plain)), tensors)

    @classmethod
    def load(
        cls, path: str | Path, *, device: Any = None, network: Callable[[], Any] | None = None
    ) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like
        device : str or torch.device, optional
            Where it computes; None for a GPU where there is one.
        network : callable, optional
            The factory of the networks, where they were the user's own.

        Returns
        -------
        estimator
            It predicts as the one that was saved.

        Raises
        ------
        ValueError
            If the file holds another estimator, or one of another format.
        """
        facts, tensors = read(Path(path))
        if facts.get("class") != cls.__name__:
            raise ValueError(f"{path} holds {facts.get('class')!r}; wanted {cls.__name__!r}")
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
        kept = {
            name.removeprefix("network/"): tensor
            for name, tensor in tensors.items()
            if name.startswith("network/")
        }
        model._networks.load_state_dict(kept)
        return model


def _plain(value: Any) -> Any:
    """What JSON has for numbers of NumPy, for functions (their names) and for devices."""
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return value.item() if isinstance(value, np.generic) else str(value)
