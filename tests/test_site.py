"""The documentation's site: it builds without a warning, is complete, and fetches nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hfasr
import hfasr.testing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md"))


def test_every_page_is_in_the_navigation() -> None:
    """The navigation names every page once, and no page that is not there."""
    assert sorted(re.findall(r"[\w/]+\.md", CONFIGURATION.split("\nnav:\n")[1])) == PAGES


def test_every_public_name_is_in_the_reference() -> None:
    """Each name of hfasr and hfasr.testing is on one page of the reference, once."""
    pages = [path.read_text(encoding="utf-8") for path in DOCS.glob("reference/*.md")]
    shown = Counter(name for page in pages for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE))
    packages = (hfasr, hfasr.testing)
    public = {f"{package.__name__}.{name}" for package in packages for name in package.__all__}
    assert public - set(shown) == set()
    assert {name for name, count in shown.items() if count > 1} == set()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as CI builds it."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed; the extra docs brings it")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Fetched(HTMLParser):
    """Collects what a browser fetches to show a page, and the ids that links can lead to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.ids: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev"}:
            self.urls.append(given.get("href", ""))
        self.urls += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        self.urls += re.findall(r"url\((.*?)\)", given.get("style", ""))


def is_elsewhere(url: str) -> bool:
    return re.match(r"(\w+:)?//", url.strip("\"' ")) is not None


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures of every page are the site's own."""
    pages = list(site.rglob("*.html"))
    assert len(pages) == len(PAGES) + 1  # and 404.html
    fetched = {(page.name, url) for page in pages for url in Fetched(page).urls}
    styles = {
        (style.name, url)
        for style in site.rglob("*.css")
        for url in re.findall(r"url\((.*?)\)|@import\s+(\S+)", style.read_text(encoding="utf-8"))
        for url in url
    }
    assert fetched
    assert styles
    assert {found for found in fetched | styles if is_elsewhere(found[1])} == set()


@pytest.mark.slow
def test_every_name_has_one_place(site: Path) -> None:
    """Each public name has an anchor, on one page of the site, where names in the text lead to."""
    places = Counter(
        found for page in site.rglob("*.html") for found in Fetched(page).ids if found.startswith("hfasr.")
    )
    public = {f"{package.__name__}.{name}" for package in (hfasr, hfasr.testing) for name in package.__all__}
    assert {name: places[name] for name in public if places[name] != 1} == {}
    page = (site / "comparison.html").read_text(encoding="utf-8")
    assert "#hfasr." not in page  # other clients have errors of the same names
    page = (site / "howto" / "service.html").read_text(encoding="utf-8")
    assert 'href="../reference/clients.html#hfasr.AsyncASRClient"' in page


@pytest.mark.slow
def test_examples_are_shown(site: Path) -> None:
    """Where a page shows a part of an example there is its code."""
    assert "8&lt;" not in "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    html = (site / "howto" / "service.html").read_text(encoding="utf-8")
    assert "create_app" in html
    assert "cancel_when_gone" in html


@pytest.mark.slow
def test_docstrings_are_shown_as_meant(site: Path) -> None:
    """Sessions of Python are code, and no markup of docstrings is left."""
    for page in (site / "reference").glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert "<blockquote>" not in html, page.name  # what Markdown makes of >>>
        assert ".. versionadded" not in html, page.name
        assert "Example:" not in html, page.name
        assert not re.search(r"<p>[^<]*``", html), page.name
