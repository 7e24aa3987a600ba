"""The public names, their parameters and defaults equal a stored list.

A change of the interface is a decision: after one, write the list anew with
``python tests/whole/test_public_api.py`` and say in the changelog what changed.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

STORED = Path(__file__).resolve().parents[1] / "data" / "public_api.json"
NEEDS = {"labelquorum.dask": "distributed", "labelquorum.deep": "safetensors.torch"}
MODULES = ["labelquorum", "labelquorum.dask", "labelquorum.deep", "labelquorum.review"]
MODULES.append("labelquorum.text")


def parameters_of(function):
    """Names, kinds and defaults of the parameters, without types."""
    if inspect.isbuiltin(function):
        return "built-in"
    signature = inspect.signature(function)
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def members_of(kind):
    """The public methods and properties of a class, without those of scikit-learn and Python."""
    members = {}
    for name, value in inspect.getmembers(kind):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(value, property) and value.fget.__module__.startswith("labelquorum"):
            members[name] = "property"
        elif getattr(value, "__module__", "").startswith("labelquorum"):
            members[name] = parameters_of(value) if inspect.isroutine(value) else "attribute"
    return members


def interface_of(module):
    """What a module makes public."""
    public = {}
    for name in sorted(importlib.import_module(module).__all__):
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value):
            public[name] = members_of(value)
        elif inspect.isroutine(value):
            public[name] = parameters_of(value)
        else:
            public[name] = type(value).__name__
    return public


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(module, marks=pytest.mark.deep) if module.endswith("deep") else module
        for module in MODULES
    ],
)
def test_the_interface_is_the_stored_one(module):
    if module in NEEDS:
        pytest.importorskip(NEEDS[module])
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert interface_of(module) == stored[module]


def test_public_classes_bear_the_name_of_the_package():
    package = importlib.import_module("labelquorum")
    classes = [getattr(package, name) for name in package.__all__]
    assert {kind.__module__ for kind in classes if inspect.isclass(kind)} == {"labelquorum"}


if __name__ == "__main__":
    interface = {module: interface_of(module) for module in MODULES}
    STORED.write_text(json.dumps(interface, indent=1, sort_keys=True) + "\n", encoding="utf-8")
