"""Without the extra that deep models need, the import says how to get it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["torch", "safetensors"])
def test_a_missing_package_is_named(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None
import labelquorum.deep
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.returncode == 1
    assert 'pip install "labelquorum[deep]"' in process.stderr
