import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.report.browser import Browser, find_chromium
from tests.experiments.report.report_rows import DATE, reported

OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"
CUT_OFF = """
[...document.querySelectorAll('main *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.right > document.documentElement.clientWidth + 1 && !e.closest('.scroll, pre');
}).map(e => e.outerHTML.slice(0, 80))
"""
NOT_SHOWN = """
[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)
"""
UNREACHABLE = """
[...document.querySelectorAll('main *')].filter(e => {
    const scrolls = ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
    return scrolls && e.scrollWidth > e.clientWidth && e.tabIndex < 0;
}).map(e => e.outerHTML.slice(0, 80))
"""
TINY = """
[...document.querySelectorAll('.plot text')]
    .filter(t => t.getBoundingClientRect().height < 9).map(t => t.textContent)
"""


@pytest.fixture(scope="module")
def page() -> Path:
    return reported() / "reports" / str(DATE) / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: install it, or set CHROMIUM to its path")
    with Browser(program, tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width, scheme)
    for state in ("closed", "open"):
        assert browser.value("document.documentElement.scrollWidth") <= width, state
        assert browser.value(CUT_OFF) == [], state
        browser.value(OPEN_ALL)
    assert browser.value(NOT_SHOWN) == []
    assert browser.value(TINY) == []
    assert browser.requested() == [page.as_uri()]
    assert browser.complaints() == []


def test_it_is_dark_for_who_wants_it_dark(browser: Browser, page: Path) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        browser.open(page, 390, scheme)
        colour = browser.value(
            "getComputedStyle(document.querySelector('section')).backgroundColor"
        )
        shades[scheme] = sum(json.loads(f"[{colour[4:-1]}]"))
        text = browser.value("getComputedStyle(document.querySelector('.plot text')).fill")
        ink = sum(json.loads(f"[{text[4:-1]}]"))
        assert abs(ink - shades[scheme]) > 200, scheme
    assert shades["dark"] < 150 < 700 < shades["light"]


def test_a_query_opens_by_keyboard_and_is_selected_whole(browser: Browser, page: Path) -> None:
    browser.open(page, 390, "light")
    details = "document.querySelector('figure .sql')"
    browser.value(f"{details}.querySelector('summary').focus()")
    assert not browser.value(f"{details}.open")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r",
                     windowsVirtualKeyCode=13)  # fmt: skip
    assert browser.value(f"{details}.open")
    code = f"{details}.querySelector('code')"
    assert browser.value(f"getComputedStyle({code}).userSelect") == "all"


def test_all_that_scrolls_can_be_reached_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page, 390, "light")
    browser.value(OPEN_ALL)
    assert browser.value(UNREACHABLE) == []


def test_what_overflows_is_noticed(browser: Browser, tmp_path: Path) -> None:
    wide = tmp_path / "wide.html"
    wide.write_text(
        "<meta name='viewport' content='width=device-width'><main><p style='width: 900px'>wide</p>"
        "</main><script>console.error(1)</script>"
    )
    browser.open(wide, 390, "light")
    assert browser.value("document.documentElement.scrollWidth") > 390
    assert len(browser.value(CUT_OFF)) == 1
    assert browser.complaints()
