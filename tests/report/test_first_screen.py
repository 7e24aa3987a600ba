"""The first screen, the map and the cards in a browser, of 5, 70 and 300 categories."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import labelquorum as lq
from html_pages import find, wait_for

pytest.importorskip("jinja2")
WORDS = ["lost", "card", "login", "refund", "parcel", "invoice", "price", "size", "color", "return"]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The files of reports by number of categories; a sixth of the categories is known."""
    folder = tmp_path_factory.mktemp("reports")
    paths = {}

    def report(n_categories):
        if n_categories not in paths:
            rng = np.random.default_rng(n_categories)
            n = 20 * n_categories
            classes = rng.integers(0, n_categories, n)
            middles = rng.normal(size=(n_categories, 12))
            X = (middles[classes] + 0.15 * rng.normal(size=(n, 12))).astype(np.float32)
            noise = rng.integers(0, n_categories, (n, 8))
            partitions = np.where(rng.random((n, 8)) < 0.1, noise, classes[:, None])
            y = np.full(n, None, dtype=object)
            for k in range(n_categories // 6 + 1):
                y[np.flatnonzero(classes == k)[:4]] = f"known topic {k}"
            y[np.flatnonzero(classes == 1)[-1]] = "known topic 0"  # wrong
            partitions[np.flatnonzero(classes == 1)[-1]] = 1
            texts = [
                f"{WORDS[k % 10]} {WORDS[(k // 10 + k + 1) % 10]} topic{k} number {i}"
                for i, k in enumerate(classes.tolist())
            ]
            model = lq.ConsensusClusterer(n_categories, random_state=0)
            model.fit(X, y, partitions=partitions)
            paths[n_categories] = folder / f"{n_categories}.html"
            model.report(paths[n_categories], texts=texts)
        return paths[n_categories]

    return report


@pytest.fixture
def opened(reports, browser):
    """Open a report on a screen of some size and scheme."""

    def open_report(n_categories, width, height=900, scheme="light"):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        browser.get(reports(n_categories).as_uri())
        wait_for(lambda: names_on_map(browser))
        return browser

    yield open_report
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def names_on_map(page):
    """The boxes of the names: left, top, right, bottom, in pixels of the map."""
    return page.execute_script(
        "const at = document.getElementById('map-frame').getBoundingClientRect();"
        "return [...document.querySelectorAll('#map-names text')].map((name) => {"
        "const box = name.getBoundingClientRect();"
        "return [box.left - at.left, box.top - at.top, box.right - at.left, box.bottom - at.top]})"
    )


def n_overlaps(boxes):
    """How many pairs of boxes share more than the room around letters."""
    left, top, right, bottom = np.array(boxes).T
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    high = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    meets = (wide > 0.5) & (high > 2)
    return (np.count_nonzero(meets) - len(boxes)) // 2


SCREENS = [(390, "light"), (390, "dark"), (1400, "light"), (1400, "dark")]


@pytest.mark.slow
@pytest.mark.parametrize("n_categories", [5, 70, 300])
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_four_answers_come_first_and_names_do_not_overlap(
    opened, reports, n_categories, width, scheme
):
    assert reports(n_categories).stat().st_size < 5_000_000
    page = opened(n_categories, width, scheme=scheme)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    bottoms = []
    for answer in ("about", "new", "trust", "next"):
        box = find(page, f"#{answer}").rect
        bottoms.append(box["y"] + box["height"])
        assert len(find(page, f"#{answer}").text.split()) > 5
    if width == 1400:
        assert max(bottoms) <= 900
    assert len(page.find_elements("css selector", "#about li")) == min(10, n_categories)
    assert 2 <= len(page.find_elements("css selector", "#next li")) <= 4
    for jargon in ("partition", "pseudo", "consensus", "co-association", "cluster"):
        assert jargon not in find(page, "#overview").text
    names = names_on_map(page)
    assert len(names) >= min(n_categories, 15 if width == 390 else 45)
    assert n_overlaps(names) == 0
    assert np.array(names).min() >= 0
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(background.split("(")[1].split(",")[0]) < 128) == (scheme == "dark")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1400])
def test_the_map_zooms_by_button_wheel_and_key_and_names_stay_apart(opened, width):
    from selenium.webdriver.common.keys import Keys

    page = opened(70, width)
    frame = find(page, "#map-frame")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)

    def zoom():
        return float(frame.get_attribute("data-zoom"))

    assert zoom() == 1
    for _ in range(3):
        find(page, "#map-in").click()
    assert zoom() == pytest.approx(1.5**3, abs=0.01)
    before = names_on_map(page)
    assert n_overlaps(before) == 0
    frame.send_keys(Keys.ARROW_RIGHT)
    wait_for(lambda: names_on_map(page) != before)
    assert n_overlaps(names_on_map(page)) == 0
    frame.send_keys("+")
    assert zoom() > 1.5**3
    wheel = (
        "const box = arguments[0].getBoundingClientRect();"
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: 100, ctrlKey: true,"
        "clientX: box.left + 50, clientY: box.top + 50, bubbles: true, cancelable: true}))"
    )
    closer = zoom()
    page.execute_script(wheel, frame)
    assert zoom() < closer
    find(page, "#map-all").click()
    assert zoom() == 1


@pytest.mark.slow
def test_the_map_is_moved_by_dragging(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(70, 1400)
    frame = find(page, "#map-frame")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)
    for _ in range(2):
        find(page, "#map-in").click()
    before = wait_for(lambda: names_on_map(page))
    ActionChains(page).drag_and_drop_by_offset(frame, 80, 40).perform()
    wait_for(lambda: names_on_map(page) != before)


def test_a_search_of_the_map_counts_points_and_the_pointer_reads_one(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(5, 1400)
    find(page, "#map-search").send_keys("TOPIC3 ")
    status = find(page, "#map-status").text
    assert status == f"{status.split()[0]} of 100 points match"
    assert 0 < int(status.split()[0]) < 100
    wait_for(lambda: len(names_on_map(page)) == 1)  # that of the only category with a match
    find(page, "#map-search").clear()
    find(page, "#map-search").send_keys("no such text")
    wait_for(lambda: find(page, "#map-status").text == "0 of 100 points match")
    wait_for(lambda: not names_on_map(page))
    page.execute_script(
        "arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))",
        find(page, "#map-search"),
    )
    frame = find(page, "#map-frame")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)
    x, y, _, _ = wait_for(lambda: names_on_map(page))[0]
    middle = frame.size["width"] / 2, frame.size["height"] / 2

    def reads():
        """Whether a point near this place says something; the places form a spiral."""
        for turn in range(120):
            across = x + 2 * turn * np.cos(turn / 3) - middle[0]
            down = y + 2 * turn * np.sin(turn / 3) - middle[1]
            if abs(across) > middle[0] - 5 or abs(down) > middle[1] - 5:
                continue
            chain = ActionChains(page, duration=0)
            chain.move_to_element_with_offset(frame, int(across), int(down)).perform()
            if find(page, "#map-tip").is_displayed():
                return True
        return False

    assert reads()
    assert "topic" in find(page, "#map-tip").text
    assert "confidence" in find(page, "#map-tip").text


@pytest.mark.slow
def test_cards_are_collapsed_after_twenty_searched_and_linked(opened):
    page = opened(70, 1400)

    def shown():
        cards = page.find_elements("css selector", "#cards > article")
        return [card for card in cards if card.is_displayed()]

    assert len(shown()) == 20
    assert find(page, '[data-count="cards"]').text == "20 of 70 categories"
    search = find(page, '[data-search="cards"]')
    search.send_keys("known topic 9")
    assert {"known topic 9" in card.text for card in shown()} == {True}
    search.clear()
    search.send_keys(" ")
    last = page.find_elements("css selector", "#cards > article")[-1].get_attribute("id")
    page.execute_script("location.hash = arguments[0]", last)
    wait_for(lambda: find(page, f"#{last}").is_displayed())
    assert len(shown()) == 70
    opened(70, 1400)
    page.execute_script("arguments[0].click()", find(page, "#all-cards"))
    assert len(shown()) == 70
    assert not find(page, "#all-cards").is_displayed()


def test_the_rename_table_has_a_row_for_each_category_to_fill_in(opened, downloads):
    page = opened(5, 1400)
    path = downloads / "rename.csv"
    path.unlink(missing_ok=True)
    find(page, '[data-file="rename.csv"]').click()
    wait_for(path.exists)
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    assert header == ["label", "name", "new_name"]
    labels = {label for label, _, _ in rows}
    assert labels == {"known topic 0", "new 0", "new 1", "new 2", "new 3"}
    for label, name, new_name in rows:
        assert (name == label) == label.startswith("known")
        assert new_name == ""


@pytest.mark.slow
@pytest.mark.parametrize("n_categories", [70, 300])
def test_each_line_of_the_merge_tree_has_its_category(opened, n_categories):
    page = opened(n_categories, 1400)
    svg, rows = find(page, ".tree-body svg").rect, page.find_elements("css selector", ".tree li")
    assert len(rows) == n_categories
    last = rows[-1].rect
    assert abs(last["y"] + last["height"] - (svg["y"] + svg["height"])) < 2
