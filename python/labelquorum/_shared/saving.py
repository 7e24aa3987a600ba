"""One file for each fitted estimator: what `save` writes, and how it is read.

The file is an archive (see `archive`) of one JSON object and arrays. The object names the format,
its version and the class; values are encoded by `encoding`, so that nothing in a file can run.
"""

from __future__ import annotations

import os
from typing import Any

from sklearn.utils.validation import check_is_fitted

from labelquorum import _core
from labelquorum._shared.archive import ArchiveReader, write_archive
from labelquorum._shared.arguments import as_positive
from labelquorum._shared.encoding import Decoder, Encoder, set_attributes
from labelquorum._shared.sealed import FormatError
from labelquorum._shared.sklearn_models import check_output

FORMAT_VERSION = 1
_PACKAGE = "labelquorum"
_OUTPUT = "_sklearn_output_config"


class Saved:
    """An estimator that `save` writes to one file, and `labelquorum.load` reads.

    A subclass says which classes of values it holds, and checks what was read: compiled code and
    later methods count on it.
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one file, which `labelquorum.load` opens.

        Parameters
        ----------
        path : path-like
            The file, usually named .lq. If it exists, it is replaced once the new one is complete.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError
            If a parameter is an object that cannot be stored without pickle.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        if type(self).__module__.partition(".")[0] != _PACKAGE:
            raise TypeError(
                f"only estimators of this package can be saved, got {type(self).__qualname__}, a "
                "class of your own"
            )
        encoder = Encoder(all_parts(type(self)))
        meta = {
            "format": class_name(type(self)),
            "version": FORMAT_VERSION,
            "labelquorum": _core.build_info()["version"],
            "state": {
                name: encoder.encode_all(values) for name, values in self.__saved_state__().items()
            },
        }
        write_archive(path, meta, encoder.arrays)

    @classmethod
    def __saved_parts__(cls) -> tuple[type, ...]:
        """Return the classes of the values that `fit` sets, beside arrays and plain values."""
        return ()

    def __saved_state__(self) -> dict[str, dict[str, Any]]:
        """Return the parameters and what `fit` learned."""
        parameters: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined]
        learned = {name: value for name, value in vars(self).items() if name not in parameters}
        return {"parameters": parameters, "learned": learned}

    @classmethod
    def __of_saved_state__(cls, parameters: dict[str, Any], learned: dict[str, Any]) -> Any:
        """Make a fitted estimator of what `__saved_state__` returned."""
        model = cls(**parameters)
        check_output(learned.get(_OUTPUT, {}))
        set_attributes(model, {name: learned[name] for name in learned if name != _OUTPUT})
        vars(model).update({name: learned[name] for name in learned if name == _OUTPUT})
        return model

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`.

        Here, these are the number and names of the features. Subclasses check the rest.
        """
        n_features = getattr(self, "n_features_in_", None)
        if hasattr(self, "n_features_in_"):
            as_positive(n_features, "n_features_in_")
        if hasattr(self, "feature_names_in_"):
            names = self.feature_names_in_
            if names.shape != (n_features,) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"feature_names_in_ must be {n_features} strings")


def class_name(kind: type) -> str:
    """Return the name of a public class, as files have it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def all_parts(kind: type) -> set[type]:
    """Return the classes of the values that an estimator holds, and those of values within them."""
    parts = {*kind.__saved_parts__()} if issubclass(kind, Saved) else set[type]()
    return parts.union(*map(all_parts, parts))


def read_saved(archive: ArchiveReader, kind: type[Saved], path: str | os.PathLike[str]) -> Any:
    """Read an estimator of this class from an open archive.

    Raises an error of any kind if the file is damaged: see `sealed.reading`.
    """
    meta = archive.meta()
    if meta["version"] != FORMAT_VERSION:
        raise FormatError(
            f"{os.fspath(path)} must have version {FORMAT_VERSION} of the file format, got "
            f"{meta['version']}: a newer labelquorum may read it"
        )
    decoder = Decoder(all_parts(kind), archive.array)
    state = {name: decoder.decode_all(values) for name, values in meta["state"].items()}
    model = kind.__of_saved_state__(**state)
    model.__check_saved__()
    return model
