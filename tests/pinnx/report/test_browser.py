"""The report in a real browser: pictures decode, nothing is asked of the network, nothing runs off a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import Browser, find_browser, started

Reported = Callable[[str], Path]

BROKEN_IMAGES = "[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on the PATH, and PINNX_BROWSER names no browser")
    with started(program, tmp_path_factory.mktemp("profile")) as running:
        yield running


def asked_for(browser: Browser) -> list[str]:
    """What the page requested, but for itself and for data that is in it."""
    urls = [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]
    return [url for url in urls[1:] if not url.startswith("data:")]


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("name", ["synthetic_unsteady_grid", "unsteady_measurements"])
def test_a_report_is_whole_in_a_browser(name: str, width: int, reported: Reported, browser: Browser) -> None:
    browser.open(reported(name) / "report.html", width=width)
    assert browser.evaluate("document.images.length") >= 4
    assert browser.evaluate(BROKEN_IMAGES) == 0
    assert browser.evaluate(TOO_WIDE) <= 0, "the page scrolls sideways"
    assert browser.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none", "no style"
    assert browser.evaluate("document.querySelector('h1').getBoundingClientRect().height") > 0
    assert asked_for(browser) == []
    assert browser.named("Log.entryAdded") == []
    assert browser.named("Runtime.exceptionThrown") == []


def test_a_dark_screen_gets_light_text(reported: Reported, browser: Browser) -> None:
    colours = []
    for dark in (False, True):
        browser.open(reported("synthetic_unsteady_grid") / "report.html", width=1200, dark=dark)
        text = browser.evaluate("getComputedStyle(document.body).color")
        colours.append(sum(int(part) for part in text[4:-1].split(",")))
    assert colours[0] < 200 < 500 < colours[1]


def test_a_broken_page_would_show(reported: Reported, browser: Browser, tmp_path: Path) -> None:
    """Each of these checks sees its fault: a damaged picture, a wide one, one from the network, a script."""
    page = (reported("synthetic_unsteady_grid") / "report.html").read_text(encoding="utf-8")
    damaged = tmp_path / "damaged.html"
    wide = '<div style="width: 3000px">wide</div><img src="http://127.0.0.1:9/x.png"><script>boom()</script>'
    damaged.write_text(page.replace("base64,iVBORw0KG", "base64,AAAAAAAAA", 1).replace("</main>", f"{wide}</main>"))
    browser.open(damaged, width=1200)
    assert browser.evaluate(BROKEN_IMAGES) == 2
    assert browser.evaluate(TOO_WIDE) > 1000
    assert browser.named("Log.entryAdded"), "its policy refuses the picture and the script, and says so"
    damaged.write_text(damaged.read_text().replace("Content-Security-Policy", "X-Nothing"))
    browser.open(damaged, width=1200)
    assert asked_for(browser) == ["http://127.0.0.1:9/x.png"]
