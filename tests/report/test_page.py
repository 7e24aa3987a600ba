"""The report: its parts, its numbers, its size; that nothing in the data gets out of its place."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import pickle
import re
import shutil
import time
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError

import labelquorum as lq
from labelquorum.cli.main import main
from labelquorum.report.page import report_page

pytest.importorskip("jinja2")

SECTIONS = ["done", "categories", "agreement", "map", "coverage", "check", "rounds", "each"]
HOSTILE = [
    "<script>document.title = 'hacked'</script>",
    "</script></style></svg><img src=x onerror=\"document.title = 'hacked'\">",
    '=HYPERLINK("http://localhost/")',
    "\" onmouseover=\"document.title = 'hacked'\" '",
    "{{ 7 * 7 }} {% raw %} $x_{2}$ \\frac{",
    "line\u2028separator\u2029\u202eright to left &amp; \x00\x01\ud800 \x1b[31m",
]
EMPTY_ELEMENTS = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and the text in each."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements = []  # (name, attributes, list of texts)
        self.open = []
        self.feed(source)
        self.close()
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names)
        self.elements.append((tag, dict(attributes), []))
        if tag not in EMPTY_ELEMENTS:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data):
        innermost = self.elements[self.open[-1]][0] if self.open else ""
        for i in self.open[-1:] if innermost in ("script", "style") else self.open:
            self.elements[i][2].append(data)

    def all(self, tag, **wanted):
        return [
            (attributes, "".join(texts))
            for name, attributes, texts in self.elements
            if name == tag
            and all(attributes.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]

    def one(self, tag, **wanted):
        (found,) = self.all(tag, **wanted)
        return found

    @property
    def text(self):
        return " ".join(self.one("body")[1].split())

    def table(self, name):
        """The rows of a table, as lists of texts, the columns' names first."""
        start = next(
            i for i, (_, attributes, _) in enumerate(self.elements) if attributes.get("id") == name
        )
        rows = []
        for tag, _, texts in self.elements[start + 1 :]:
            if tag == "table":
                break
            if tag == "tr":
                rows.append([])
            elif tag in ("th", "td") and rows:
                rows[-1].append(" ".join("".join(texts).split()))
        return rows


@pytest.fixture(scope="module")
def sample():
    X, classes = make_blobs(200, 5, centers=len(HOSTILE), cluster_std=2.5, random_state=3)
    texts = [f"{HOSTILE[k]} word{k} number{i % 7} {HOSTILE[i % 6]}" for i, k in enumerate(classes)]
    known = np.full(len(X), None, dtype=object)
    for k in range(4):
        known[np.flatnonzero(classes == k)[:8]] = HOSTILE[k]
    known[np.flatnonzero(classes == 0)[0]] = HOSTILE[1]  # wrong
    return X, classes, texts, known


@pytest.fixture(scope="module")
def hostile(sample):
    """A model of categories with hostile names, and its report with hostile texts."""
    X, classes, texts, known = sample
    model = lq.ConsensusClusterer(len(HOSTILE), n_partitions=8, random_state=0).fit(X, known)
    y = np.array(HOSTILE, dtype=object)[classes]
    return model, report_page(model, texts=texts, y=y)


def fitted(partitions, y=None, *, n_clusters=None, X=None, **parameters):
    """A model of given partitions, whose features say nothing, so that there is no map."""
    X = np.zeros((len(partitions), 1)) if X is None else X
    return lq.ConsensusClusterer(n_clusters, random_state=0, **parameters).fit(
        X, y, partitions=partitions
    )


@pytest.fixture(scope="module")
def plain():
    """Three categories of 40 samples, without known labels."""
    classes = np.arange(120) % 3
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random((120, 8)) < 0.15, rng.integers(0, 3, (120, 8)), classes[:, None])
    return fitted(noisy, n_clusters=3), classes


def test_all_parts_are_there(hostile, sample):
    model, source = hostile
    page = Page(source)
    assert [attributes["id"] for attributes, _ in page.all("section")] == SECTIONS
    for name in SECTIONS:
        assert page.all("a", href=f"#{name}")
    table = page.table("category-table")
    assert len(table) == 1 + len(HOSTILE)
    cards = page.all("article")
    assert len(cards) == len(HOSTILE)
    for name, (_, text) in zip(model.classes_, cards, strict=True):
        word = f"word{HOSTILE.index(name)}" if name in HOSTILE else "word"
        for part in ("Typical", "On the border", "True labels", "Near", word):
            assert part in text
    assert len(page.table("check-table")) == 1 + 200 - np.count_nonzero(sample[3] != None)  # noqa: E711
    assert len(page.table("suspect-table")) == 1 + len(model.suspect_labels_) == 2
    names = json.loads(page.one("script", type="application/json")[1])["names"]
    assert len(names) == len(HOSTILE)
    assert len(page.all("option")) == 1 + len(HOSTILE)


def test_what_is_in_the_data_stays_text(hostile):
    _, source = hostile
    page = Page(source)
    scripts = page.all("script")
    assert [attributes.get("type") for attributes, _ in scripts] == ["application/json", None]
    for tag, attributes, _ in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag != "img"  # these are texts
        for name in ("href", "src", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:,", "data:image/png;base64,"))
    names = json.loads(scripts[0][1])["names"]
    assert HOSTILE[0] in names
    data = scripts[0][1]
    assert not set(data) & set("<>&\u2028\u2029")
    assert HOSTILE[0] in page.text
    assert "{{ 7 * 7 }} {% raw %} $x_{2}$ \\frac{" in page.text
    assert not set(source) & set("\x00\x01\x1b\ud800")
    source.encode()
    # Ids are unique, and what is referred to is there.
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes, _ in page.elements:
        for name in ("href", "xlink:href", "aria-labelledby"):
            if name in attributes and not attributes[name].startswith("data:"):
                assert attributes[name].removeprefix("#") in ids, tag
    for place in re.findall(r"url\(#(.*?)\)", source):
        assert place in ids


def test_only_the_reports_own_script_may_run(hostile):
    page = Page(hostile[1])
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    script = page.all("script")[-1][1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_table_says_what_the_estimator_says(hostile, sample):
    model, source = hostile
    _, classes, _, known = sample
    pd = pytest.importorskip("pandas")
    names, *rows = Page(source).table("category-table")
    found = pd.DataFrame(rows, columns=names)
    expected = model.category_table_
    assert found["samples"].astype(int).tolist() == expected["size"].tolist()
    assert found["confidence"].astype(float).tolist() == expected["confidence"].round(3).tolist()
    assert found["known labels"].astype(int).tolist() == expected["n_labeled"].tolist()
    assert found["suspect"].astype(int).tolist() == expected["n_suspect"].tolist()
    assert found["kind"].tolist() == ["known"] * 4 + ["new"] * 2
    share = found["its share"].str.rstrip("%").astype(float) / 100
    np.testing.assert_allclose(share, expected["nearest_share"], atol=6e-4)
    unknown = known == None  # noqa: E711
    for k, right in enumerate(found["right"][:4]):
        of_category = classes[(model.labels_ == model.classes_[k]) & unknown]
        mean = (np.array(HOSTILE, dtype=object)[of_category] == model.classes_[k]).mean()
        assert right == f"{mean:.1%}"


def test_without_true_labels_nothing_is_called_precision(plain):
    model, classes = plain
    text = Page(report_page(model)).text
    assert "this is no precision" in text
    assert "The features of all samples are the same, so there is no map." in text
    assert "labels that are right" not in text
    measured = Page(report_page(model, y=classes)).text
    assert f"labels that are right{lq.clustering_accuracy(classes, model.labels_):.1%}" in measured
    assert "Measured on 120 samples" in measured


def test_the_same_model_gives_the_same_file(sample, hostile, tmp_path):
    X, classes, texts, _ = sample
    model, source = hostile
    y = np.array(HOSTILE, dtype=object)[classes]
    path = tmp_path / "report.html"
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "text.color": "red"}):
        pickle.loads(pickle.dumps(model)).report(path, X=X, texts=texts, y=y)
        assert mpl.rcParams["font.size"] == 30
    assert path.read_bytes() == source.encode()
    assert list(tmp_path.iterdir()) == [path]


def test_many_categories_long_names_and_large_images_stay_small():
    n_categories, n = 1200, 3600
    classes = np.arange(n) % n_categories
    y = np.array([f"{k} " + '"' * 300 for k in range(n_categories)], dtype=object)[classes]
    y[2 * n_categories + 1 :] = None
    model = fitted(np.stack([classes, classes // 2], axis=1), y, n_clusters=n_categories)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(n, 24, 24, 3), dtype=np.uint8)
    texts = [f"{i} " + "'" * 2000 for i in range(n)]
    source = report_page(model, texts=texts, images=images)
    assert len(source.encode()) < 5_000_000
    page = Page(source)
    assert len(page.all("article")) == 200
    assert len(page.table("category-table")) == 1001
    assert "The 1000 largest of 1200 are shown." in page.text


def test_images_are_what_was_given(plain):
    from PIL import Image

    model, _ = plain
    values = np.linspace(0, 1, 120)[:, None, None] * np.ones((4, 6))
    page = Page(report_page(model, images=values))
    shown = {attributes["alt"]: attributes["src"] for attributes, _ in page.all("img")}
    assert len(shown) > 60
    scale = [float(name.removeprefix("sample ")) for name in shown]
    low, high = min(scale) / 119, max(scale) / 119
    for name, source in shown.items():
        kind, content = source.split(",")
        assert kind == "data:image/png;base64"
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        grey = (high - int(name.removeprefix("sample ")) / 119) / (high - low)
        np.testing.assert_allclose(image, np.full((4, 6), 255 * grey), atol=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_colours_stay_and_large_images_shrink(plain, dtype):
    from PIL import Image

    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    images = np.broadcast_to(colors[np.arange(120) % 3][:, None, None], (120, 200, 100, 3))
    given = images if dtype == np.uint8 else images / 255
    for attributes, _ in Page(report_page(plain[0], images=given)).all("img"):
        kind, content = attributes["src"].split(",")
        assert kind == "data:image/jpeg;base64"
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        assert image.shape == (96, 48, 3)
        color = colors[int(attributes["alt"].removeprefix("sample ")) % 3].astype(int)
        assert np.abs(image - color).max() < 10


def test_features_say_what_sets_numbers_apart():
    pd = pytest.importorskip("pandas")
    classes = np.arange(90) % 3
    X = pd.DataFrame(
        {"same": np.ones(90), "<b>tells</b>": classes == 1, "noise": np.arange(90) % 7}
    )
    for given in (X, sparse.csr_matrix(X.to_numpy(float))):
        model = fitted(np.repeat(classes[:, None], 4, axis=1), n_clusters=3, X=given)
        cards = [text for _, text in Page(report_page(model, X=given)).all("article")]
        name = "feature 1" if sparse.issparse(given) else "<b>tells</b>"
        assert sum(f"{name}: 1 (all: 0.333)" in " ".join(card.split()) for card in cards) == 1
        assert all("same" not in card and "feature 0" not in card for card in cards)


@pytest.mark.parametrize("case", ["one", "three", "all known", "abstaining", "closed", "groups"])
def test_unusual_models_have_a_report(case):
    classes = np.arange(30) % 3
    partitions = np.repeat(classes[:, None], 4, axis=1)
    y, parameters, groups = None, {"n_clusters": 3}, None
    if case == "one":
        parameters["n_clusters"] = 1
    elif case == "three":
        classes, partitions = classes[:3], partitions[:3]
    elif case == "all known":
        y = classes
    elif case == "abstaining":
        partitions[:5] = -1
    elif case == "closed":
        y = np.where(classes < 2, classes, -1)
        parameters["discover"] = False
    else:
        groups = np.arange(30) % 6
    n_clusters = parameters.pop("n_clusters")
    model = lq.ConsensusClusterer(n_clusters, random_state=0, **parameters).fit(
        np.zeros((len(partitions), 1)), y, partitions=partitions, groups=groups
    )
    page = Page(report_page(model, texts=[f"text {i % 4}" for i in range(len(classes))]))
    assert len(page.all("article")) == model.n_clusters_
    text = page.text
    assert ("There is nothing to check" in text) == (case in ("all known", "closed"))
    assert ("Agreement of categories" in text) == (model.n_clusters_ > 1)
    assert ("without a label" in text) == (case in ("abstaining", "closed"))
    assert ("groups" in text) == (case == "groups")
    if case != "all known":
        truth = np.append(classes[1:], 7)
        assert "labels that are right" in Page(report_page(model, y=truth)).text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.zeros((9, 1))}, ValueError, "X holds 9 samples, .* fitted on 120; wanted as"),
        ({"X": np.zeros((120, 2))}, ValueError, "X has 2 features"),
        ({"X": np.full((120, 1), np.nan)}, ValueError, "NaN"),
        ({"texts": ["a"]}, ValueError, "texts holds 1 samples, .* fitted on 120"),
        ({"texts": "a"}, TypeError, "texts is a str"),
        ({"texts": [1] * 120}, TypeError, "texts holds 1"),
        ({"images": np.zeros((120, 4))}, ValueError, r"images has shape \(120, 4\); wanted"),
        ({"images": np.zeros((120, 4, 4, 2))}, ValueError, "images has shape"),
        ({"images": np.zeros((7, 4, 4))}, ValueError, "images holds 7 samples"),
        ({"images": [["a"]]}, TypeError, "images has dtype"),
        ({"images": np.full((120, 4, 4), np.nan)}, ValueError, "images holds NaN or infinity"),
        ({"images": np.full((120, 4, 4, 3), 2.0)}, ValueError, "images holds colours from 2.0"),
        ({"y": [0]}, ValueError, "y holds 1 samples, .* fitted on 120"),
        ({"y": [-1] * 120}, ValueError, "y holds no label that was not given to fit"),
        ({"y": [0.5] * 120}, TypeError, "y holds floats"),
    ],
)
def test_bad_arguments_are_named_and_leave_nothing(plain, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        plain[0].report(tmp_path / "report.html", **arguments)
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_written_are_an_error(plain, tmp_path):
    with pytest.raises(OSError, match="cannot be written: No such file or directory"):
        plain[0].report(tmp_path / "absent" / "report.html")
    with pytest.raises(OSError, match="is a folder"):
        plain[0].report(tmp_path)
    with pytest.raises(NotFittedError):
        lq.ConsensusClusterer().report(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_what_the_estimator_says(tmp_path, capsys):
    X, y = load_digits(return_X_y=True)
    X, y = X[:150], y[:150]
    source, truth = tmp_path / "digits.npy", tmp_path / "truth.txt"
    np.save(source, X)
    truth.write_text("".join(f"{label}\n" for label in y))
    command = ["report", str(source), "--n-clusters", "5", "--seed", "1", "--image-shape", "8x8"]
    assert main([*command, "--truth", str(truth)]) == 0
    found = (tmp_path / "digits-report.html").read_text(encoding="utf-8")
    output = capsys.readouterr()
    assert "150 samples, 64 features" in output.out
    assert "digits-report.html: written after" in output.out
    model = lq.ConsensusClusterer(5, random_state=1).fit(X)
    expected = report_page(model, X=X, images=X.reshape(-1, 8, 8), y=y)
    without_settings = re.compile(r"<details>.*?</details>", re.DOTALL)
    assert without_settings.sub("", found) == without_settings.sub("", expected)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--texts", "SHORT"], 1, "short.txt: 1 texts, but .*X.npy has 30 samples"),
        (["--truth", "SHORT"], 1, "short.txt: 1 labels, but .*X.npy has 30 samples"),
        (["--texts", "absent.txt"], 1, "absent.txt: No such file"),
        (["--text-column", "a"], 2, "--text-column needs --texts"),
        (["--image-shape", "8x8"], 2, "--image-shape 8x8 needs 64 features, but .*X.npy has 4"),
        (["--image-shape", "8"], 2, "must be a height and a width such as 8x8, got '8'"),
        (["--image-shape", "2x2", "--texts", "SHORT"], 2, "not allowed with"),
        (["--out", "SHORT", "--texts", "SHORT"], 2, "--out must be another file than --texts"),
        (["--out", "SHORT", "--truth", "SHORT"], 2, "--out must be another file than --truth"),
        (["--out", "SOURCE"], 2, "--out must be another file than FILE"),
        (["--no-discover"], 2, "--no-discover needs known labels"),
    ],
)
def test_the_command_refuses_what_does_not_fit(tmp_path, capsys, options, code, message):
    source, short = tmp_path / "X.npy", tmp_path / "short.txt"
    np.save(source, np.arange(120.0).reshape(30, 4))
    short.write_text("a\n")
    paths = {"SHORT": str(short), "SOURCE": str(source)}
    try:
        found = main(["report", str(source), *(paths.get(o, o) for o in options), "--quiet"])
    except SystemExit as stop:  # how argparse ends
        found = stop.code
    assert found == code
    assert re.search(message, capsys.readouterr().err)
    assert sorted(tmp_path.iterdir()) == [source, short]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    """Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


def column_of(browser, table, column):
    script = "return [...document.getElementById(arguments[0]).tBodies[0].rows]"
    script += ".filter((row) => !row.hidden).map((row) => row.cells[arguments[1]].textContent)"
    return browser.execute_script(script, table, column)


def test_a_million_rows_are_quick_to_open(browser, tmp_path):
    n = 1_000_000
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 20, n, dtype=np.int8)
    partitions = np.where(rng.random((n, 4)) < 0.05, (classes[:, None] + 1) % 20, classes[:, None])
    X = (classes[:, None] * [1, -1] + rng.normal(size=(n, 2))).astype(np.float32)
    model = lq.ConsensusClusterer(20, random_state=0).fit(X, partitions=partitions)
    path = tmp_path / "report.html"
    model.report(path, X=X)
    assert path.stat().st_size < 1_000_000
    browser.get(path.as_uri())
    assert browser.title == "20 categories of 1,000,000 samples"
    script = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
    for _ in range(100):  # the event may not have ended
        if loaded := browser.execute_script(script):
            break
        time.sleep(0.05)
    assert 0 < loaded < 3000
    assert browser.get_log("browser") == []


def test_images_are_shown_in_a_browser(plain, browser, tmp_path):
    path = tmp_path / "report.html"
    plain[0].report(path, images=np.random.default_rng(0).random((120, 8, 8)))
    browser.get(path.as_uri())
    script = "return [...document.images].map((image) => image.complete && image.naturalWidth)"
    widths = browser.execute_script(script)
    assert len(widths) > 100
    assert set(widths) == {8}
    assert browser.get_log("browser") == []


def test_the_page_works_in_a_browser(hostile, browser, downloads, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    model, source = hostile
    path = tmp_path / "report.html"
    path.write_text(source, encoding="utf-8")
    browser.get(path.as_uri())
    title = f"{len(HOSTILE)} categories of 200 samples"
    assert browser.title == title

    def find(selector):
        return browser.find_element(By.CSS_SELECTOR, selector)

    # Sorting: numbers as numbers, both ways.
    sizes = model.category_table_["size"].tolist()
    for direction, expected in (("ascending", sorted(sizes)), ("descending", sorted(sizes)[::-1])):
        find("#category-table th:nth-child(3) button").click()
        assert [int(text) for text in column_of(browser, "category-table", 2)] == expected
        assert find("#category-table th:nth-child(3)").get_attribute("aria-sort") == direction

    # Searching.
    search = find('[data-search="check-table"]')
    n_rows = len(column_of(browser, "check-table", 0))
    search.send_keys("NEW 0")
    found = column_of(browser, "check-table", 2)
    assert 0 < len(found) < n_rows
    status = find('[data-count="check-table"]').text
    assert status == f"{len(found)} of {n_rows} rows"

    # The table as a file: all rows, whatever was searched for.
    find('[data-csv="check-table"]').click()
    saved = downloads / "samples-to-check.csv"
    for _ in range(100):
        if saved.exists():
            break
        time.sleep(0.05)
    names, *rows = Page(source).table("check-table")
    with open(saved, newline="", encoding="utf-8-sig") as file:
        header, *lines = csv.reader(file)
    assert header == [*names, "true_label"]
    assert [line[1] for line in lines] == [row[1] for row in rows]
    assert {line[-1] for line in lines} == {""}
    assert "'" + HOSTILE[2] in {line[2] for line in lines}
    assert HOSTILE[1] in {line[2] for line in lines}

    # The heat map by keyboard.
    cells = find("#cells")
    cells.send_keys(Keys.ARROW_RIGHT)
    assert re.search(r" and .*: \d+% together", find("#cell-text").text)

    # One category on the map.
    highlight = Select(find("#highlight"))
    highlight.select_by_value("0")
    assert "dim" not in (find("#map-c0").get_attribute("class") or "")
    assert find("#map-c1").get_attribute("class") == "dim"

    # The first stop of the keyboard leads to the content.
    browser.refresh()
    find("body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the content"

    # Phones, and the dark.
    size = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    colors = set()
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        colors.add(browser.execute_script("return getComputedStyle(document.body).color"))
    assert len(colors) == 2

    assert browser.title == title
    assert browser.get_log("browser") == []
