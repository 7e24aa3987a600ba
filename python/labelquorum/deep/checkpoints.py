"""Networks and arrays in files of safetensors, with a JSON of what they are; no pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from labelquorum._shared.files import replacing
from labelquorum.deep.networks import Ensemble

FORMAT_VERSION = 1


def write(path: Path, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a file whole, or not at all."""
    here = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"version": FORMAT_VERSION} | facts)
    with replacing(path) as file:
        file.write(save(here, metadata={"labelquorum": text}))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write` wrote."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("labelquorum", "{}"))
        if facts.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"{path} has format {facts.get('version')}; this version reads {FORMAT_VERSION}"
            )
        return facts, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


class State(NamedTuple):
    """How far a fit has come, and what the rest of it depends on beside the ensemble."""

    round: int
    step: int  # of the round
    n_done: int  # steps of all rounds
    history: list[dict[str, Any]]
    arrays: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    order: Tensor  # of the samples in the pass that goes on, (n_networks, n_samples)


class Checkpoint:
    """A folder with the state of one fit."""

    def __init__(self, folder: Path, settings: dict[str, Any], X: Tensor) -> None:
        content = hashlib.blake2b(X.cpu().numpy().data, digest_size=16).hexdigest()
        self._settings = {"shape": list(X.shape), "content": content} | settings
        self._path = folder / "checkpoint.safetensors"
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, ensemble: Ensemble) -> State | None:
        """Put the ensemble back to where it was, if anything was kept."""
        if not self._path.exists():
            return None
        facts, tensors = read(self._path)
        kept = facts["settings"]
        differing = [name for name, value in self._settings.items() if kept.get(name) != value]
        if differing:
            raise ValueError(
                f"directory {self._path.parent} holds the checkpoint of another fit: other "
                f"{', '.join(differing)}; wanted an empty folder, or the same arguments"
            )
        groups: dict[str, dict[str, Tensor]] = {"array": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            groups.setdefault(kind, {})[rest] = tensor
        ensemble.load_state_dict(groups["network"])
        for i, generator in enumerate(ensemble.generators):
            generator.set_state(groups["generator"][str(i)])
        optimizer: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            number, _, key = name.partition("/")
            optimizer.setdefault(int(number), {})[key] = tensor
        return State(
            facts["round"],
            facts["step"],
            facts["n_done"],
            facts["history"],
            groups["array"],
            optimizer,
            tensors["order"],
        )

    def save(self, ensemble: Ensemble, state: State) -> None:
        """Keep the ensemble and the state."""
        tensors = {f"network/{name}": tensor for name, tensor in ensemble.state_dict().items()}
        tensors["order"] = state.order
        for i, generator in enumerate(ensemble.generators):
            tensors[f"generator/{i}"] = generator.get_state()
        for number, values in state.optimizer.items():
            tensors |= {f"optimizer/{number}/{key}": tensor for key, tensor in values.items()}
        tensors |= {f"array/{name}": tensor for name, tensor in state.arrays.items()}
        facts = {name: getattr(state, name) for name in ("round", "step", "n_done", "history")}
        write(self._path, facts | {"settings": self._settings}, tensors)
