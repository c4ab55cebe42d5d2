"""The page in Chromium, at a desk and on a phone, in light and in dark."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.conftest import ROOT
from tests.experiments.report.browser import find_chromium
from tests.features.serve.served import Served

SIZES: dict[str, ViewportSize] = {
    "desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844},
}  # fmt: skip
PLACES = [("desk", "light"), ("phone", "dark")]
EVERYWHERE = [*PLACES, ("desk", "dark"), ("phone", "light")]
PATIENCE = 30_000  # milliseconds
expect.set_options(timeout=PATIENCE)
NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, [role=button]')]
    .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim()
        || e.labels?.[0]?.textContent.trim() || e.type === 'hidden'))
    .map(e => e.outerHTML.slice(0, 100))"""
CUT_OFF = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
DARK = "() => matchMedia('(prefers-color-scheme: dark)').matches"
PAPER = "() => getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[str]:
    """Where `related-pins serve` listens; its summary is looked at when it ends."""
    command = [sys.executable, "-m", "tests.features.serve.quick_server", "serve", "--port", "0",
               "--home", str(served.home), "--source", str(served.source)]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(2)]
        assert lines[0].startswith("Searching 84 objects and 42 images.")
        yield lines[1].split()[1]
        server.send_signal(signal.SIGTERM)
        assert re.search(r"Served [\d,]+ requests, \d+ of them refused", server.stdout.read())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: install it, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture(params=PLACES, ids="-".join)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A page that must ask no other server, complain of nothing, fit, and name its controls."""
    size, scheme = request.param
    phone = size == "phone"
    context = browser.new_context(
        base_url=address, viewport=SIZES[size], color_scheme=scheme, has_touch=phone,
        is_mobile=phone,
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.extend(
        [asked.url] if not asked.url.startswith((address, "blob:")) else []
    ))  # fmt: skip
    page.on("response", lambda answer: complaints.extend(
        [f"{answer.status} {answer.url}"] if answer.status >= 400 else []
    ))  # fmt: skip
    yield page
    assert complaints == []
    assert page.evaluate(CUT_OFF) <= 0
    assert page.evaluate(NAMELESS) == []
    context.close()


def counted(name: str) -> re.Pattern[str]:
    return re.compile(rf"{name}: \d+ pins, the likest first\.")


def touch_or_click(page: Page, name: str) -> None:
    dot = page.get_by_role("link", name=name)
    dot.tap() if page.evaluate("navigator.maxTouchPoints") else dot.click()


def hrefs(page: Page) -> list[str]:
    return [str(card.get_attribute("href")) for card in page.locator(".shown .card").all()]


def drag(page: Page) -> None:
    """From a fifth to four fifths of the picture, by mouse."""
    box = page.locator(".photo").bounding_box()
    assert box is not None
    for share, act in ((0.2, page.mouse.down), (0.8, page.mouse.up)):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"], steps=4)
        act()


def swipe(page: Page) -> None:
    """The same with a finger, as Chromium's own protocol sends it."""
    box = page.locator(".photo").bounding_box()
    assert box is not None
    protocol = page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8)):
        point = {"x": box["x"] + share * box["width"], "y": box["y"] + share * box["height"]}
        protocol.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    protocol.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize("page", EVERYWHERE, indirect=True, ids="-".join)
def test_from_a_pin_to_what_is_like_its_objects(page: Page) -> None:
    page.goto("/")
    assert page.evaluate(PAPER) == (
        "rgb(16, 19, 23)" if page.evaluate(DARK) else "rgb(255, 255, 255)"
    )
    page.get_by_role("searchbox").fill("f1-0")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Family 1 <f1-0>").click()
    page.wait_for_url("**/pins/f1-0")
    expect(page.locator(".chip[aria-current]")).to_have_text("Bag")
    bags = hrefs(page)
    touch_or_click(page, "Shoe: find what is like it")
    expect(page.locator(".chip[aria-current]")).to_have_text("Shoe")
    expect(page.get_by_role("status")).to_have_text(counted("Shoe"))
    assert hrefs(page) != bags
    assert page.locator(".shown .card .outline").count() == page.locator(".shown .card").count()
    expect(page.locator(".mark[data-selected]")).to_have_attribute("data-mark", "1")
    page.reload()
    expect(page.locator(".chip[aria-current]")).to_have_text("Shoe")


def test_a_crop_is_drawn(page: Page) -> None:
    page.goto("/pins/f1-0")
    if page.evaluate("navigator.maxTouchPoints"):
        page.get_by_role("button", name="Crop").tap()
        swipe(page)
    else:
        drag(page)
    expect(page.get_by_role("status")).to_have_text(counted("Your crop"))
    asked = page.locator(".crop .edge").bounding_box()
    whole = page.locator(".photo").bounding_box()
    assert asked is not None
    assert whole is not None
    assert asked["width"] / whole["width"] == pytest.approx(0.6, abs=0.03)
    page.get_by_role("link", name="Whole image").click()
    expect(page.locator(".crop")).to_have_count(0)


def test_a_photo_is_uploaded(page: Page, served: Served, tmp_path: Path) -> None:
    page.goto("/")
    page.set_input_files("[data-drop] [data-file] >> nth=0", served.pins["f2-3"])
    expect(page.get_by_role("status")).to_have_text(counted("Bag"))
    expect(page.get_by_role("img", name="Your photo")).to_be_visible()
    expect(page.locator("[data-shelf]")).to_be_hidden()
    assert "f2-" in str(page.locator(".shown .card").first.get_attribute("href"))
    touch_or_click(page, "Shoe: find what is like it")
    expect(page.get_by_role("status")).to_have_text(re.compile("Shoe"))


def test_what_is_no_photo_is_said(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("not a picture")
    page = browser.new_page(base_url=address)
    page.goto("/")
    page.set_input_files("[data-drop] [data-file] >> nth=0", tmp_path / "words.jpg")
    expect(page.get_by_role("status")).to_have_text(re.compile("cannot be decoded"))
    page.close()


def test_the_arm_is_switched_and_a_pair_explained(page: Page) -> None:
    page.goto("/pins/f2-0")
    page.get_by_role("link", name="Related pins").click()
    page.wait_for_url("**/related")
    expect(page.get_by_role("heading", name="targeted")).to_be_visible()
    page.get_by_label("Arm").select_option("presence")
    expect(page.get_by_role("heading", name="presence")).to_be_visible()
    assert page.url.endswith("?arm=presence")
    page.get_by_role("link", name=re.compile("What the features say")).first.click()
    expect(page.get_by_text("cosine of the two whole images, -1 to 1")).to_be_visible()


def test_everything_can_be_done_by_keyboard(browser: Browser, address: str) -> None:
    page = browser.new_page(base_url=address)
    page.goto("/pins/f1-0?object=1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.key") == "0":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".chip[aria-current]")).to_have_text("Bag")
    page.get_by_role("button", name="Crop").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".crop")).to_be_focused()
    before = page.locator(".crop .edge").bounding_box()
    for key in ("ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    after = page.locator(".crop .edge").bounding_box()
    assert before is not None
    assert after is not None
    assert (after["y"] < before["y"], after["width"] < before["width"]) == (True, True)
    page.keyboard.press("Enter")
    expect(page.locator(".chip[aria-current]")).to_have_text("Your crop")
    page.keyboard.press("Escape")
    expect(page.locator(".crop")).to_have_count(0)
    expect(page.get_by_role("button", name="Crop")).to_be_focused()
    page.close()
