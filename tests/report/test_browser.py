"""The page in a browser: needs Selenium, Chromium and its driver."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

import labelquorum as lq
from html_pages import HOSTILE, Page, find, wait_for
from labelquorum.review import read_csv

pytest.importorskip("jinja2")


@pytest.fixture
def page(browser, hostile, tmp_path):
    """The hostile report, opened; none of its data may run as a script."""
    path = tmp_path / "report.html"
    path.write_text(hostile.source, encoding="utf-8")
    browser.get(path.as_uri())
    title = f"{len(HOSTILE)} categories of 200 texts"
    assert browser.title == title
    yield browser
    assert browser.title == title


def column_of(browser, table, column):
    """The texts of the first column of that name, in the rows that are not hidden."""
    script = "const table = document.getElementById(arguments[0]);"
    script += "const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);"
    script += "const place = names.indexOf(arguments[1]);"
    script += "return [...table.tBodies[0].rows]"
    script += ".filter((row) => !row.hidden).map((row) => row.cells[place].textContent)"
    return browser.execute_script(script, table, column)


@pytest.mark.slow
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
    loaded = wait_for(lambda: browser.execute_script(script))  # milliseconds
    assert 0 < loaded < 3000


def test_images_are_shown(three_categories, browser, tmp_path):
    path = tmp_path / "report.html"
    three_categories.report(path, images=np.random.default_rng(0).random((120, 8, 8)))
    browser.get(path.as_uri())
    script = "return [...document.images].map((image) => image.complete && image.naturalWidth)"
    widths = browser.execute_script(script)
    assert len(widths) > 100
    assert set(widths) == {8}


@pytest.mark.slow
def test_a_click_on_a_column_sorts_numbers_both_ways(page, hostile):
    sizes = hostile.model.category_table_["size"].tolist()
    page.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    for direction, expected in (("ascending", sorted(sizes)), ("descending", sorted(sizes)[::-1])):
        find(page, "#category-table th:nth-child(4) button").click()
        assert [int(text) for text in column_of(page, "category-table", "samples")] == expected
        header = find(page, "#category-table th:nth-child(4)")
        assert header.get_attribute("aria-sort") == direction


def test_a_search_hides_the_other_rows(page):
    n_rows = len(column_of(page, "check-table", "order"))
    find(page, '[data-search="check-table"]').send_keys("NEW 0")
    matches = column_of(page, "check-table", "category")
    assert 0 < len(matches) < n_rows
    status = find(page, '[data-count="check-table"]').text
    assert status == f"{len(matches)} of {n_rows} rows"


def test_a_download_has_all_rows_and_an_empty_column(page, hostile, downloads):
    find(page, '[data-search="check-table"]').send_keys("NEW 0")
    find(page, '[data-csv="check-table"]').click()
    path = downloads / "samples-to-check.csv"
    wait_for(path.exists)
    header, *rows = Page(hostile.source).table("check-table")
    with open(path, newline="", encoding="utf-8-sig") as file:
        csv_header, *lines = csv.reader(file)
    assert csv_header == [*header, "label"]
    assert [line[1] for line in lines] == [row[1] for row in rows]
    assert {line[-1] for line in lines} == {""}
    categories = {line[header.index("category")] for line in lines}
    assert "'" + HOSTILE[2] in categories, "a spreadsheet must not run it"
    assert HOSTILE[1] in categories


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_downloaded_check_list_is_read_back(
    browser, downloads, tmp_path, fit_partitions, delimiter
):
    """Filled in as a spreadsheet would, with labels that look like formulas."""
    names = [f"{i} {start}" for i, start in enumerate(HOSTILE)]
    names[0], names[1] = "=1+1", "'quoted'" + "x" * 200
    classes = np.arange(240) % len(names)
    y = np.full(240, None, dtype=object)
    y[: len(names)] = names
    model = fit_partitions(np.column_stack([classes] * 2), y)
    path = tmp_path / "report.html"
    model.report(path, texts=[f"text {i}; \"it\", 'so'\n=more" for i in range(240)], y=None)
    browser.get(path.as_uri())
    target = downloads / "samples-to-check.csv"
    target.unlink(missing_ok=True)
    find(browser, '[data-csv="check-table"]').click()
    wait_for(target.exists)
    with open(target, newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    category, label, sample = (header.index(name) for name in ("category", "label", "sample"))
    for i, row in enumerate(rows):
        row[label] = row[category] if i % 2 else ""
    filled = tmp_path / "filled.csv"
    with open(filled, "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    answers = read_csv(filled, 240)
    checked = np.array([int(row[sample]) for row in rows[1::2]])
    np.testing.assert_array_equal(np.flatnonzero(answers.n_answers), np.sort(checked))
    printable = np.isin(classes[checked], range(5))  # the last name has control characters
    for i in checked[printable]:
        assert answers.labels[i] == model.labels_[i]
    assert (
        lq.label_quality(np.where(classes < 5, model.labels_, None), answers.labels).n_right
        == printable.sum()
    )


LONG_NAMES = ["x" * 200, "https://example.com/" + "a-b" * 60, "\u540d" * 200, "new 10", "new 2"]


@pytest.fixture
def long_names(browser, tmp_path):
    """A report with long names and texts without spaces, opened."""
    rng = np.random.default_rng(0)
    classes = np.arange(300) % 8
    y = np.full(300, None, dtype=object)
    y[:5] = LONG_NAMES
    y[5] = "new 2"  # wrong
    X = 9 * np.eye(8)[classes] + rng.normal(size=(300, 8))
    is_noise = rng.random((300, 6)) < 0.1
    partitions = np.where(is_noise, rng.integers(0, 8, (300, 6)), classes[:, None])
    partitions[5] = 0
    model = lq.ConsensusClusterer(8, random_state=0).fit(X, y, partitions=partitions)
    path = tmp_path / "report.html"
    texts = ["word" * 100 if i % 2 else f"this is text {i} " * 9 for i in range(300)]
    model.report(path, texts=texts, y=np.array([f"class{k}" * 30 for k in classes], dtype=object))
    browser.get(path.as_uri())
    return browser


@pytest.mark.parametrize("width", [360, 1280])
def test_long_names_and_texts_fit_the_page(long_names, width):
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500}
    long_names.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert long_names.execute_script("return document.documentElement.scrollWidth") <= width
        script = (
            "return [...document.querySelectorAll('td.content')].map((cell) => {"
            "const box = cell.getBoundingClientRect(), around = cell.closest('.wide');"
            "const outer = around.getBoundingClientRect();"
            "return [box.left - outer.left, outer.right - box.right, box.width]})"
        )
        cells = np.array(long_names.execute_script(script))
        assert len(cells) >= 200
        assert (cells[:, :2] >= -1).all(), "a text is visible without scrolling"
        assert cells[:, 2].min() >= 250
    finally:
        long_names.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_names_that_are_cut_have_the_full_name_as_title(long_names):
    script = "return [...document.querySelectorAll('#category-table tbody th')].map((e) => e.title)"
    titles = long_names.execute_script(script)
    assert set(LONG_NAMES[:3]) <= set(titles)
    names = column_of(long_names, "category-table", "category")
    assert names.index("new 2") < names.index("new 10")


def test_arrow_keys_and_the_pointer_read_the_heat_map(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    cells = find(page, "#cells")
    cells.send_keys(Keys.ARROW_RIGHT)
    assert re.search(r" and .*: \d+% together", find(page, "#cell-text").text)
    cells.send_keys(Keys.ARROW_LEFT)
    assert re.search(r"^within .*: \d+% together", find(page, "#cell-text").text)
    left, bottom = -cells.size["width"] // 2 + 2, cells.size["height"] // 2 - 2
    ActionChains(page).move_to_element_with_offset(cells, left, bottom).perform()
    assert re.search(r" and .*: \d+% together", find(page, "#cell-text").text)


def test_the_outline_of_a_cell_lies_on_the_heat_map(page):
    """The cells that the script divides are those of the picture."""
    from selenium.webdriver.common.keys import Keys

    find(page, "#cells").send_keys(Keys.ARROW_LEFT)
    cells, image = find(page, "#cells").rect, find(page, "#agreement svg image").rect
    for name in ("x", "y", "width", "height"):
        assert abs(cells[name] - image[name]) <= 2, name
    cell = find(page, "#cell").rect
    assert abs(cell["width"] - cells["width"] / len(HOSTILE)) <= 1
    assert abs(cell["x"] - cells["x"]) <= 1


def test_the_name_of_a_category_shows_it_alone(page):
    from selenium.webdriver.common.action_chains import ActionChains

    name = wait_for(lambda: page.find_elements("css selector", "#map-names text"))[0]
    text = name.text
    ActionChains(page).move_to_element(name).click().perform()
    wait_for(lambda: find(page, "#map-status").text.startswith(f"{text}: "))
    (alone,) = wait_for(
        lambda: len(found := page.find_elements("css selector", "#map-names text")) == 1 and found
    )
    assert alone.text == text
    ActionChains(page).move_to_element(alone).click().perform()
    wait_for(lambda: len(page.find_elements("css selector", "#map-names text")) > 1)
    assert find(page, "#map-status").text == ""


def test_the_first_stop_of_the_keyboard_leads_to_the_content(page):
    from selenium.webdriver.common.keys import Keys

    find(page, "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to content"


def test_the_page_fits_phones_and_has_dark_colors(page):
    size = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 360
        colors = set()
        for scheme in ("light", "dark"):
            features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            page.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
            colors.add(page.execute_script("return getComputedStyle(document.body).color"))
        assert len(colors) == 2
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
