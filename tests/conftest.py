"""Hypothesis profiles: "quick" while developing, "ci" (at least 1,000 cases per main property)."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# Before NumPy is imported. Matrices of tests are so small that threads only wait for each other.
for library in ("OMP", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("quick", max_examples=60, **_COMMON)
settings.register_profile("ci", max_examples=500, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "quick"))

# A shell's background jobs ignore Ctrl-C, and nohup's ignore the end of the terminal. So would the
# tests, and the processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_runtest_setup(item):
    if item.get_closest_marker("deep"):
        pytest.importorskip("safetensors.torch")


@pytest.fixture(scope="session")
def digits():
    """Features and classes of scikit-learn's 1,797 digits."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


@pytest.fixture(scope="session")
def blobs():
    """Features and classes of 600 samples in five Gaussian clusters."""
    from sklearn.datasets import make_blobs

    return make_blobs(600, 6, centers=5, cluster_std=0.8, random_state=1)


@pytest.fixture(scope="module")
def one_folder(tmp_path_factory):
    """A folder for all cases of a property, which write the same files anew."""
    return tmp_path_factory.mktemp("cases")


@pytest.fixture
def no_window():
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")
