"""The documentation in a real browser: for everybody, at every width, and without a network."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import http_server

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs"
AXE = Path(__file__).parents[1] / "vendor/axe.min.js"
PAGES = (
    "index", "gallery", "explorer", "formulas", "elsewhere", "reproduced-spectra", "commands/qtrain-train",
    "api", "api/data",
)  # fmt: skip
ALL, COLOURS = "{resultTypes: ['violations']}", "{resultTypes: ['violations'], runOnly: ['color-contrast']}"
VIEWS = (
    ("desktop", "light", ALL),
    ("desktop", "dark", COLOURS),
    ("phone", "dark", ALL),
    ("phone", "light", COLOURS),
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the documentation as it is now."""
    pytest.importorskip("furo", reason="the documentation's theme is not installed")
    built = DOCS / "_build/html"
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-n", "-b", "html", DOCS, built]
    subprocess.run(command, check=True, timeout=300)
    with http_server(built) as (where, _):
        yield where


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(name: str, site: str, browser: Any) -> None:
    """No serious finding of axe-core, nothing wider than the window, nothing from elsewhere, no error."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda asked: asked.url.startswith((site, "blob:", "data:")) or wrong.append(asked.url)
    )
    page.goto(f"{site}/{name}.html")
    page.evaluate(AXE.read_text())
    for size, scheme, rules in VIEWS:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        found = page.evaluate(f"axe.run({rules})")["violations"]
        serious = [
            (one["id"], [node["html"][:150] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], (size, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), size
    formulas = page.locator(".math.notranslate").count()
    assert page.locator(".math.notranslate .katex-html").count() == formulas
    assert page.locator(".katex-error").count() == 0
    assert wrong == []
    page.close()
