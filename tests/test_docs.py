"""The examples of the docstrings, as the installed package has them."""

import doctest
import importlib
import pkgutil

import pytest

import labelquorum

MODULES = sorted(info.name for info in pkgutil.iter_modules(labelquorum.__path__, "labelquorum."))


@pytest.mark.parametrize("name", [n for n in MODULES if not n.endswith(("__main__", "_core"))])
def test_the_examples_of_a_module_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", labelquorum.__all__)
def test_every_public_name_has_a_docstring(name):
    assert name.startswith("__") or getattr(labelquorum, name).__doc__
