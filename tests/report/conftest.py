"""Models and reports that several tests look at."""

from __future__ import annotations

import shutil
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from html_pages import HOSTILE
from labelquorum.report.page import report_page


class Report(NamedTuple):
    model: lq.ConsensusClusterer
    source: str
    X: np.ndarray
    classes: np.ndarray
    texts: list
    known: np.ndarray
    y: np.ndarray


@pytest.fixture(scope="session")
def hostile():
    """A report whose categories and texts hold markup, scripts and control characters."""
    pytest.importorskip("jinja2")
    X, classes = make_blobs(200, 5, centers=len(HOSTILE), cluster_std=2.5, random_state=3)
    texts = [f"{HOSTILE[k]} word{k} number{i % 7} {HOSTILE[i % 6]}" for i, k in enumerate(classes)]
    known = np.full(len(X), None, dtype=object)
    for k in range(4):
        known[np.flatnonzero(classes == k)[:8]] = HOSTILE[k]
    known[np.flatnonzero(classes == 0)[0]] = HOSTILE[1]  # wrong
    model = lq.ConsensusClusterer(len(HOSTILE), n_partitions=8, random_state=0).fit(X, known)
    y = np.array(HOSTILE, dtype=object)[classes]
    return Report(model, report_page(model, texts=texts, y=y), X, classes, texts, known, y)


@pytest.fixture(scope="session")
def fit_partitions():
    """Fit a model of given partitions; its features are all the same, so there is no map."""

    def fit(partitions, y=None, *, n_clusters=None, X=None, groups=None, **parameters):
        X = np.zeros((len(partitions), 1)) if X is None else X
        model = lq.ConsensusClusterer(n_clusters, random_state=0, **parameters)
        return model.fit(X, y, partitions=partitions, groups=groups)

    return fit


@pytest.fixture(scope="session")
def three_classes():
    """The classes of 120 samples, of which `three_categories` has noisy partitions."""
    return np.arange(120) % 3


@pytest.fixture(scope="session")
def three_categories(fit_partitions, three_classes):
    """A model of three categories with 40 samples each, without known labels."""
    rng = np.random.default_rng(0)
    is_noise = rng.random((120, 8)) < 0.15
    partitions = np.where(is_noise, rng.integers(0, 3, (120, 8)), three_classes[:, None])
    return fit_partitions(partitions, n_clusters=3)


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def chromium(downloads):
    """Chromium without a window; downloads go to a folder of their own."""
    webdriver = pytest.importorskip("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("needs the programs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):
    """Chromium; a test fails if the page wrote an error to the console."""
    chromium.get_log("browser")
    yield chromium
    assert chromium.get_log("browser") == []
