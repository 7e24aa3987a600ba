"""The models of scikit-learn that files can hold: a closed list, each with what it learned.

A file names the class, the parameters that differ from their defaults, and the learned attributes.
They are checked when they are read, so that scikit-learn's compiled code never meets a tree that
leads out of itself. Estimators to cluster with are never fitted themselves, so that they learned
nothing.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from labelquorum._shared.sealed import check_stored

_PLAIN = (type(None), bool, int, float, str)
_OUTPUT = "_sklearn_output_config"  # what `set_output` was told
_FLOATS = (np.float32, np.float64)
_COUNTS = (np.int32, np.int64)
_TREES, _BASELINE = "trees", "baseline"


class Kind(NamedTuple):
    """A class of scikit-learn."""

    module: str
    learned: tuple[str, ...] = ()
    """The attributes that `fit` sets and predictions need."""
    check: Callable[[Any], None] | None = None
    """Raises ValueError unless the learned attributes fit together."""


def _check_linear(model: Any) -> None:
    check_stored(model.coef_, "coef_", _FLOATS, (None, None))
    n_rows, n_features = model.coef_.shape
    n_classes = len(model.classes_)
    if n_features != model.n_features_in_ or n_rows != (1 if n_classes == 2 else n_classes):
        raise ValueError(f"coef_ must have a row for each class, got shape {model.coef_.shape}")
    check_stored(model.intercept_, "intercept_", _FLOATS, (n_rows,))


def _check_scaler(model: Any) -> None:
    is_needed = {"mean_": model.with_mean, "scale_": model.with_std, "var_": model.with_std}
    for name, needed in is_needed.items():
        if needed or getattr(model, name) is not None:
            check_stored(getattr(model, name), name, _FLOATS, (model.n_features_in_,))


def _check_nystroem(model: Any) -> None:
    check_stored(model.components_, "components_", _FLOATS, (None, model.n_features_in_))
    n = len(model.components_)
    check_stored(model.normalization_, "normalization_", _FLOATS, (n, n))
    check_stored(model.component_indices_, "component_indices_", _COUNTS, (n,))


_LINEAR = ("classes_", "coef_", "intercept_", "n_iter_", "n_features_in_", "feature_names_in_")
KINDS = {
    "AgglomerativeClustering": Kind("cluster"),
    "HistGradientBoostingClassifier": Kind(
        "ensemble", ("classes_", "n_features_in_", "feature_names_in_")
    ),
    "KMeans": Kind("cluster"),
    "LinearSVC": Kind("svm", _LINEAR, _check_linear),
    "LogisticRegression": Kind("linear_model", _LINEAR, _check_linear),
    "MiniBatchKMeans": Kind("cluster"),
    "Nystroem": Kind(
        "kernel_approximation",
        ("components_", "component_indices_", "normalization_", "n_features_in_"),
        _check_nystroem,
    ),
    "Pipeline": Kind("pipeline"),
    "StandardScaler": Kind(
        "preprocessing",
        ("mean_", "scale_", "var_", "n_samples_seen_", "n_features_in_", "feature_names_in_"),
        _check_scaler,
    ),
}
"""The classes, by name."""


def kind_of(value: Any) -> Kind | None:
    """Return what is known of the class of a value; None if it is not in the list."""
    kind = KINDS.get(type(value).__name__)
    return kind if kind is not None and type(value) is _class(type(value).__name__) else None


def _class(name: str) -> Any:
    return getattr(importlib.import_module(f"sklearn.{KINDS[name].module}"), name)


def learned_by(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of a model that are no defaults, and what it learned.

    Raises TypeError if the model learned anything that a file cannot hold.
    """
    defaults = inspect.signature(type(model)).parameters
    parameters = {
        name: value
        for name, value in model.get_params(deep=False).items()
        if not _is_default(value, defaults[name].default)
    }
    names = (*KINDS[type(model).__name__].learned, _OUTPUT)
    learned = {name: vars(model)[name] for name in names if name in vars(model)}
    if type(model).__name__ == "HistGradientBoostingClassifier" and "classes_" in learned:
        learned |= _trees_of(model)
    return parameters, learned


def _is_default(value: Any, default: Any) -> bool:
    return type(value) is type(default) and type(value) in _PLAIN and value == default


def restored(name: str, parameters: dict[str, Any], learned: dict[str, Any]) -> Any:
    """Return the model again.

    Raises an error of any kind if it was not written by `learned_by`: see `sealed.reading`.
    """
    model = _class(name)(**parameters)
    kind = KINDS[name]
    if name == "HistGradientBoostingClassifier" and _TREES in learned:
        model = _with_trees(model, learned.pop(_TREES), learned.pop(_BASELINE), learned)
    if not learned.keys() <= {*kind.learned, _OUTPUT}:
        raise ValueError(f"{name} has other attributes")
    check_output(learned.get(_OUTPUT, {}))
    vars(model).update(learned)
    if kind.check is not None and learned.keys() & {*kind.learned}:
        kind.check(model)
    return model


def check_output(settings: Any) -> None:
    """Raise ValueError unless this is what `set_output` stores."""
    formats = ("default", "pandas", "polars")
    if not isinstance(settings, dict) or not {*settings.values()} <= {*formats}:
        raise ValueError(f"the output of transform must be one of {', '.join(formats)}")


# ------------------------------------------------------------------------------------------ trees


def _trees_of(model: Any) -> dict[str, Any]:
    """The trees of a boosted model: the nodes of all, by column, and how many each one has."""
    predictors = [tree for iteration in model._predictors for tree in iteration]
    if any(len(tree.raw_left_cat_bitsets) for tree in predictors):
        raise TypeError("must have no features of categories to be saved: nothing is pickled")
    nodes = np.concatenate([tree.nodes for tree in predictors])
    names: tuple[str, ...] = nodes.dtype.names or ()
    columns = {name: np.ascontiguousarray(nodes[name]) for name in names}
    columns["n_nodes"] = np.array([len(tree.nodes) for tree in predictors])
    return {_TREES: columns, _BASELINE: model._baseline_prediction}


def _with_trees(model: Any, columns: dict[str, Any], baseline: Any, learned: dict[str, Any]) -> Any:
    """Put trees into a model, by way of one that is fitted to a few numbers.

    So all other attributes are those that the installed scikit-learn expects.
    """
    classes = learned["classes_"]
    n_trees_at_once = 1 if len(classes) == 2 else len(classes)
    check_stored(baseline, _BASELINE, np.float64, (1, n_trees_at_once))
    if not 2 <= len(np.unique(classes)) == classes.size or classes.dtype.kind not in "biU":
        raise ValueError("classes_ must hold two classes or more")
    fitted = type(model)(max_iter=1, early_stopping=False)
    y = np.repeat(classes, 2)
    fitted.fit(np.arange(len(y), dtype=np.float64)[:, None], y)
    example = fitted._predictors[0][0]
    nodes = _checked_nodes(columns, example.nodes.dtype, learned["n_features_in_"])
    ends = np.cumsum(columns["n_nodes"])[:-1]
    trees = [
        type(example)(part.copy(), example.binned_left_cat_bitsets, example.raw_left_cat_bitsets)
        for part in np.split(nodes, ends)
    ]
    if len(trees) % n_trees_at_once:
        raise ValueError("each iteration must have a tree for each class")
    fitted._predictors = [
        trees[i : i + n_trees_at_once] for i in range(0, len(trees), n_trees_at_once)
    ]
    fitted._baseline_prediction = baseline
    return fitted.set_params(**model.get_params(deep=False))


def _checked_nodes(columns: dict[str, Any], dtype: np.dtype[Any], n_features: Any) -> Any:
    """Return the nodes of all trees, each of which must be a tree that ends in leaves."""
    sizes = columns["n_nodes"]
    check_stored(sizes, "n_nodes", np.int64, (None,), (1, np.iinfo(np.int32).max))
    n = int(sizes.sum())
    names: tuple[str, ...] = dtype.names or ()
    for name in {*names} & columns.keys():
        check_stored(np.nan_to_num(columns[name]), name, columns[name].dtype, (n,))
    for name in ("is_leaf", "missing_go_to_left", "is_categorical"):
        check_stored(columns[name], name, np.uint8, (n,), (0, name != "is_categorical"))
    check_stored(columns["value"], "value", np.float64, (n,))
    check_stored(columns["num_threshold"].clip(-1e300, 1e300), "num_threshold", np.float64, (n,))
    # Children come after their parent, and in the same tree.
    ends = np.repeat(sizes, sizes)
    places = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_inner = columns["is_leaf"] == 0
    for name in ("left", "right"):
        check_stored(columns[name], name, np.uint32, (n,))
        children = columns[name].astype(np.int64)[is_inner]
        if not ((places[is_inner] < children) & (children < ends[is_inner])).all():
            raise ValueError(f"{name} must lead from each node to a later one of its tree")
    features = columns["feature_idx"]
    check_stored(features, "feature_idx", np.int64, (n,))
    used = features[is_inner]
    if used.size and not 0 <= used.min() <= used.max() < n_features:
        raise ValueError(f"feature_idx must be from 0 to {n_features - 1}")
    nodes = np.zeros(n, dtype)
    for name in {*names} & columns.keys():
        nodes[name] = columns[name]
    return nodes
