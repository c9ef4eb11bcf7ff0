"""The built site, every page of it in a browser: `make docs-check`.

FASTMLP_SITE is the folder that `make docs` has built; FASTMLP_SITE_PICTURES, if given,
a folder for pictures of some pages, to be looked at.
"""

import functools
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif("FASTMLP_SITE" not in os.environ, reason="no FASTMLP_SITE"),
    pytest.mark.skipif(
        not shutil.which("chromium"), reason="chromium is not installed"
    ),
]
SITE = Path(os.environ.get("FASTMLP_SITE", "docs/_build/html")).resolve()
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LOOKED_AT = ["index", "learn/backpropagation", "zh/learn/optimizers", "gallery/index"]
LOOKED_AT += ["explanation/costs", "reference/generated/fastmlp.MLPClassifier"]
# What is wider than the screen, and not inside of what is meant to scroll: the
# theme lets the whole article scroll, so that a page that is too wide hides from us.
WIDE = """() => {
    const page = 'html, body, .bd-article-container';
    const scrolls = e => e && (!e.matches(page)
        && getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
    return [...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1
            && e.getBoundingClientRect().left < innerWidth
            && e.checkVisibility() && !scrolls(e))
        .map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
}"""
LINKS = "() => [...document.querySelectorAll('a[href]')].map(a => a.href)"
IDS = "() => [...document.querySelectorAll('[id]')].map(e => e.id)"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages():
    files = (path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    found = sorted(file for file in files if not file.startswith("_"))
    assert len(found) > 60
    return found


def test_every_page(browser, address, pages):
    """No error in the console, nothing asked of the internet, no page wider than a
    phone, no link that leads nowhere.
    """
    troubles, links, ids = [], {}, {}
    tab = browser.new_page(viewport=PHONE)
    here = ""

    def note(kind):
        return lambda thing: troubles.append((here, kind, str(thing)))

    def ask(route):
        if not route.request.url.startswith((address, "data:")):
            note("asks the internet")(route.request.url)
        route.continue_()

    tab.route("**/*", ask)
    tab.on(
        "console", lambda m: m.type in ("error", "warning") and note("console")(m.text)
    )
    tab.on("pageerror", note("error"))
    tab.on("response", lambda r: r.status >= 400 and note(r.status)(r.url))
    for here in pages:
        tab.goto(address + here)
        width = tab.evaluate("document.documentElement.scrollWidth")
        wide = tab.evaluate(WIDE)
        if width > PHONE["width"] or wide:
            note("overflow")((width, wide[:3]))
        links[here] = tab.evaluate(LINKS)
        ids[here] = set(tab.evaluate(IDS))
    tab.close()
    for here in pages:
        for link in links[here]:
            if not is_there(link, address, ids):
                note("broken link")(link)
    assert not troubles, "\n".join(map(str, troubles))


def is_there(link, address, ids):
    url, anchor = urldefrag(urljoin(address, link))
    if not url.startswith(address):
        return True
    path = unquote(url.removeprefix(address)) or "index.html"
    path += "index.html" if path.endswith("/") else ""
    if not (SITE / path).is_file():
        return False
    return not anchor or path not in ids or unquote(anchor) in ids[path]


def test_overflow_is_seen(browser, address):
    """The check of the test above: it would find a block that is too wide."""
    tab = browser.new_page(viewport=PHONE)
    tab.goto(address + "index.html")
    assert not tab.evaluate(WIDE)
    tab.evaluate(
        "document.querySelector('article').append(Object.assign("
        "document.createElement('p'), {style: 'width: 900px', textContent: 'x'}))"
    )
    assert tab.evaluate(WIDE)
    tab.close()


def test_formulas_are_drawn_without_scripts(browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address + "learn/backpropagation.html")
    formulas = tab.locator(".formula math")
    assert formulas.count() >= 4
    for i in range(formulas.count()):
        box = formulas.nth(i).bounding_box()
        assert box["width"] > 40
        assert box["height"] > 12
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_to_look_at(browser, address, scheme, viewport, tmp_path):
    """Dark pages are dark, light ones light; the pictures are for people."""
    folder = Path(os.environ.get("FASTMLP_SITE_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    tab = browser.new_page(viewport=viewport, color_scheme=scheme)
    for page in LOOKED_AT:
        tab.goto(f"{address}{page}.html")
        color = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(color.partition("(")[2].split(",")[0])
        assert (red < 100) == (scheme == "dark"), (page, color)
        file = f"{page.replace('/', '-')}-{scheme}-{viewport['width']}.png"
        tab.screenshot(path=folder / file, full_page=True)
    tab.close()
