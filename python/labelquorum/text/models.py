"""Language models that embed texts: find one by a name or folder, load it, and tell it apart.

A folder or a name on the Hugging Face hub stands for a model of sentence-transformers or, if its
``config.json`` or ``modules.json`` says that it is static, of model2vec. Both packages are optional
and imported only here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from labelquorum._shared.sealed import in_short, new_digest

_INSTALL = 'pip install "labelquorum[text]"'
_OWNER = "sentence-transformers"  # of names without an owner
_DESCRIPTIONS = ("config.json", "modules.json")  # every model has one
_STATIC = "StaticEmbedding"  # the module of a model of model2vec
_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?", re.ASCII)  # on the hub
_BYTES_PER_READ = 1 << 22


class Model(NamedTuple):
    """A model that is loaded."""

    encode: Any
    """Takes a list of texts and returns an array with a row for each."""
    identity: str
    """What tells it from other models, and from itself after a change."""


def load_model(model: str | os.PathLike[str], name: str, *, verbose: bool = False) -> Model:
    """Load the model of a folder or name.

    Parameters
    ----------
    model : str or path-like
        A folder, or a name on the hub, from where it is fetched unless it was before.
    name : str
        That of the argument, for messages.
    verbose : bool, default=False
        Let the packages show how they fetch and load.

    Raises
    ------
    ImportError
        If the package for it is missing.
    ValueError
        If there is no such model, or it cannot be loaded.
    """
    place = os.fspath(model)
    folder = Path(place)
    if folder.is_dir():
        identity = _digest(folder)
    elif folder.exists() or isinstance(model, os.PathLike) or len(folder.parts) > 2:
        raise ValueError(f"{name} must be a folder or the name of a model, got {place!r}")
    else:
        place, folder = _found_on_hub(place, name)
        identity = f"{place} {folder.name}"
    return Model(_encode(place, folder, name, place, verbose), identity)


def load_fetched(model: str, name: str, *, verbose: bool = False) -> Model:
    """Load a model that was fetched from the hub before, by its name; nothing else is looked at.

    The name may come from a stranger: no folder of this name is opened, and nothing is fetched.

    Raises
    ------
    ImportError
        If the package for it is missing.
    ValueError
        If no such model was fetched, or it cannot be loaded.
    """
    if not _NAME.fullmatch(model):
        raise ValueError(f"{name} {model!r} is no name of a model on the Hugging Face hub")
    full, folder = _found_on_hub(model, name, may_fetch=False)
    return Model(_encode(str(folder), folder, name, model, verbose), f"{full} {folder.name}")


def _encode(place: str, folder: Path, name: str, model: Any, verbose: bool) -> Any:
    """Load the model at a place, which the package for it understands."""
    is_static = _is_static(folder)
    try:
        return _static(place) if is_static else _sentence(place, verbose)
    except ImportError as error:
        package = "model2vec" if is_static else "sentence-transformers"
        raise ImportError(f"{name} {model!r} needs {package} ({error}): {_INSTALL}") from error
    except Exception as error:  # of any type: the packages have no error of their own
        raise ValueError(
            f"{name} must be a model that can be loaded, got {model!r} ({in_short(error)})"
        ) from error


def _static(place: str) -> Any:
    from model2vec import StaticModel

    # By default it would fetch a model again that was fetched before.
    return StaticModel.from_pretrained(place, force_download=False).encode


def _sentence(place: str, verbose: bool) -> Any:
    from sentence_transformers import SentenceTransformer

    with _bars(verbose):
        model = SentenceTransformer(place)
    return partial(model.encode, show_progress_bar=False)  # the caller shows it


@contextmanager
def _bars(verbose: bool) -> Iterator[None]:
    """Leave the progress bars of loading a model as they are, or hide them."""
    from transformers.utils import logging

    is_shown = logging.is_progress_bar_enabled()
    if not verbose:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if is_shown:
            logging.enable_progress_bar()


def _found_on_hub(model: str, name: str, *, may_fetch: bool = True) -> tuple[str, Path]:
    """Return the full name of a model, and the folder of its descriptions in the local cache."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise ImportError(
            f"{name} {model!r} is no folder, and as a name it needs sentence-transformers or "
            f"model2vec ({error}): {_INSTALL}"
        ) from error
    reason = f"{name} must be a folder or the name of a model, got {model!r}"
    names = [model] if "/" in model else [f"{_OWNER}/{model}", model]
    for is_local in (True, False) if may_fetch else (True,):
        for full in names:
            folder = None
            for file in _DESCRIPTIONS:
                try:
                    folder = Path(hf_hub_download(full, file, local_files_only=is_local)).parent
                except LocalEntryNotFoundError as error:
                    if not is_local and folder is None:  # the network cannot be reached
                        raise ValueError(
                            f"{reason}, which is no folder, was not fetched before, and cannot be "
                            f"fetched now ({in_short(error)})"
                        ) from error
                except Exception:  # of any type: the hub has no such file, or none of this name
                    continue
            if folder is not None:
                return full, folder
    if not may_fetch:
        raise ValueError(f"{name} {model!r} was not fetched from the Hugging Face hub before")
    raise ValueError(f"{reason}, which is no folder and which the Hugging Face hub does not have")


def _is_static(folder: Path) -> bool:
    """Say whether a model is one of model2vec, of any version."""
    config, modules = (_json(folder / name) for name in _DESCRIPTIONS)
    if not isinstance(config, dict):
        return False
    if "model_type" in config:
        return bool(config["model_type"] == "model2vec")
    found = modules if isinstance(modules, list) else []
    kinds = [str(module.get("type")) for module in found if isinstance(module, dict)]
    return any(kind.endswith(_STATIC) for kind in kinds)


def _json(path: Path) -> Any:
    """Return what a file says; None if there is none or it is no JSON, which the packages name."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _digest(folder: Path) -> str:
    """Return a digest of the files in a folder and of their names."""
    digest = new_digest()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            digest.update(
                f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode()
            )
            with open(path, "rb") as file:
                while block := file.read(_BYTES_PER_READ):
                    digest.update(block)
    text: str = digest.hexdigest()
    return text
