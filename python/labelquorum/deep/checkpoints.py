"""Files of fitted models and of unfinished fits: safetensors with a JSON header, no pickle.

`write` and `read` define the format, which holds a digest of the whole file. `read_model` reads
what an estimator saved, and `Checkpoint` keeps the state of a fit, so that the same call can resume
it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from labelquorum._shared.files import replacing
from labelquorum._shared.fingerprint import fingerprint
from labelquorum._shared.sealed import FormatError, new_digest, reading
from labelquorum.deep.networks import Ensemble

_FORMAT_VERSION = 1
_LENGTH_SIZE = 8  # bytes of the number that a safetensors file begins with, the size of its header
_DIGEST_KEY, _NO_DIGEST = b'"digest":"', "0" * 32  # in the header
_BYTES_PER_READ = 1 << 22


def _plain(value: Any) -> Any:
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return value.item() if isinstance(value, np.generic) else str(value)


def write(path: Path, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write the tensors, and the facts as JSON; the file is written completely or not at all."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps({"version": _FORMAT_VERSION} | facts, default=_plain)
    content = memoryview(save(on_cpu, metadata={"labelquorum": header, "digest": _NO_DIGEST}))
    end_of_header = _LENGTH_SIZE + int.from_bytes(content[:_LENGTH_SIZE], "little")
    begin, end = _place_of_digest(bytes(content[:end_of_header]))
    digest = new_digest()
    digest.update(content)
    with replacing(path) as file:
        file.write(content[:begin])
        file.write(digest.hexdigest().encode())
        file.write(content[end:])


def read(
    path: Path, what: str = "a saved model", remedy: str = "save it again"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the facts and the tensors that `write` wrote.

    Raises ValueError if the file is not `what` it should be, or does not agree with its digest.
    """
    with open(path, "rb") as file, reading(path, what, remedy):
        length = int.from_bytes(file.read(_LENGTH_SIZE), "little")
        if not 0 < length <= file.seek(0, os.SEEK_END) - _LENGTH_SIZE:
            raise ValueError(f"its header has {length} bytes")
        file.seek(0)
        header = file.read(_LENGTH_SIZE + length)
        metadata = json.loads(header[_LENGTH_SIZE:]).get("__metadata__", {})
        facts = json.loads(metadata.get("labelquorum", "{}"))
        if facts.get("version") != _FORMAT_VERSION:
            raise FormatError(
                f"{path} must have format version {_FORMAT_VERSION}, got {facts.get('version')}: "
                "another labelquorum may read it"
            )
        if "digest" not in metadata:
            raise ValueError("it has no digest, as files of older versions")
        begin, end = _place_of_digest(header)
        digest = new_digest()
        for part in (header[:begin], _NO_DIGEST.encode(), header[end:]):
            digest.update(part)
        while part := file.read(_BYTES_PER_READ):
            digest.update(part)
        if digest.hexdigest().encode() != header[begin:end]:
            raise ValueError("its digest is that of other content")
        with safe_open(path, framework="pt") as tensors:
            return facts, {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118


def _place_of_digest(header: bytes) -> tuple[int, int]:
    """Return where the digest begins and ends; it is that of the file with zeros in this place."""
    # Within the facts, which are a string, the quotes would be escaped.
    begin = header.index(_DIGEST_KEY) + len(_DIGEST_KEY)
    return begin, begin + len(_NO_DIGEST)


def read_model(path: Path, class_name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the facts and the tensors of a saved estimator of this class."""
    facts, tensors = read(path, f"a saved {class_name}")
    if facts.get("class") != class_name:
        raise FormatError(
            f"{path} must hold a saved {class_name}, got {facts.get('class', 'another file')}"
        )
    return facts, tensors


def check_n_weights(n_declared: int, tensors: dict[str, Tensor]) -> None:
    """Refuse networks that would need more memory than the tensors of their file."""
    n_found = sum(tensor.numel() for tensor in tensors.values())
    if n_declared > n_found:
        raise ValueError(f"its networks need {n_declared} weights, but it has {n_found}")


def check_can_be_saved(random_state: Any) -> None:
    """Refuse to save a generator: JSON cannot hold one."""
    if random_state is not None and not _is_int(random_state):
        raise TypeError(
            f"random_state must be None or an int to save the model, got {random_state!r}"
        )


def check_can_be_resumed(random_state: Any, directory: Any) -> None:
    """Refuse a directory without a fixed seed: nothing would identify the fit kept there."""
    if directory is not None and not _is_int(random_state):
        raise ValueError(
            f"random_state must be an int if directory is given, got {random_state!r}: the fit "
            "kept there can only be resumed with the same seed"
        )


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer))


class State(NamedTuple):
    """How far a fit has come, and what its remaining steps need beside the ensemble."""

    round: int  # rounds completed; for set networks, the number of the one in training
    step: int  # steps of this round completed; for set networks, epochs
    n_done: int  # steps of all rounds
    history: list[dict[str, Any]]
    arrays: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]  # its state, by the number of the parameter
    order: Tensor  # (n_networks, n_samples), the samples' order in the current pass


class Checkpoint:
    """A folder with the state of one fit.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    settings : dict
        Values that identify the fit. A checkpoint with other settings is refused.
    X : Tensor
        The features. Their shape and content identify the fit as well.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], X: Tensor) -> None:
        self._settings = {"shape": list(X.shape), "content": fingerprint(X.cpu().numpy(), "X")}
        self._settings |= {name: fingerprint(value, name) for name, value in settings.items()}
        self._path = folder / "checkpoint.safetensors"
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, ensemble: Ensemble) -> State | None:
        """Restore the ensemble and return the state; None if the folder has no checkpoint.

        Raises ValueError if the checkpoint is damaged or that of another fit.
        """
        if not self._path.exists():
            return None
        what, remedy = "a checkpoint", "remove it, and the fit begins again"
        facts, tensors = read(self._path, what, remedy)
        with reading(self._path, what, remedy):
            self._check_settings(facts["settings"])
            groups = _split_names(tensors)
            ensemble.load_state_dict(groups["network"])
            for i, generator in enumerate(ensemble.generators):
                generator.set_state(groups["generator"][str(i)])
            optimizer = _split_names(groups.get("optimizer", {}))
            return State(
                facts["round"],
                facts["step"],
                facts["n_done"],
                facts["history"],
                groups.get("array", {}),
                {int(number): values for number, values in optimizer.items()},
                tensors["order"],
            )

    def _check_settings(self, stored: dict[str, Any]) -> None:
        differing = [name for name, value in self._settings.items() if stored.get(name) != value]
        if differing:
            raise FormatError(
                "directory must be empty or hold the checkpoint of the same fit, got "
                f"{self._path.parent}, a fit with different {', '.join(differing)}"
            )

    def save(self, ensemble: Ensemble, state: State) -> None:
        """Write the ensemble and the state, in place of those written before."""
        tensors = {f"network/{name}": tensor for name, tensor in ensemble.state_dict().items()}
        tensors["order"] = state.order
        for i, generator in enumerate(ensemble.generators):
            tensors[f"generator/{i}"] = generator.get_state()
        for number, values in state.optimizer.items():
            tensors |= {f"optimizer/{number}/{key}": tensor for key, tensor in values.items()}
        tensors |= {f"array/{name}": tensor for name, tensor in state.arrays.items()}
        facts = {name: getattr(state, name) for name in ("round", "step", "n_done", "history")}
        write(self._path, facts | {"settings": self._settings}, tensors)


def _split_names(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group tensors named "a/b" by a; within a group, b is the name."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    return groups
