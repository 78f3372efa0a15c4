"""
Let every public name that a page or docstring writes in backquotes lead to its reference.

Pages then need no links of their own to the reference, and none of them can break. In a search, pages that explain come
before the reference, which repeats every word.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import hfasr
import hfasr.testing

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

LINK_OR_CODE = re.compile(r"<(a|h[1-6]|pre)\b.*?</\1>|<code>([\w.]+?)(\(\))?</code>", re.DOTALL)


@cache
def identifiers() -> dict[str, str]:
    """Return where each name stands that a page may write, with and without its package."""
    found = {}
    for package in (hfasr.testing, hfasr):  # the latter goes first where a name is in both
        for name in package.__all__:
            path = f"{package.__name__}.{name}"
            found[name] = found[path] = path
    return found


METHODS = {"transcribe", "transcribe_many", "transcribe_stream", "with_options", "wait_until_ready", "preload"}
"""What a page that explains means by these is the client's; in the reference it may be another's."""


def identifier(name: str, *, in_reference: bool) -> str | None:
    """Return where *name* stands, also where it is an attribute of a public name."""
    known = identifiers()
    if name in METHODS and not in_reference:
        return f"hfasr.ASRClient.{name}"
    if name in known:
        return known[name]
    owner, _, attribute = name.rpartition(".")
    if owner not in known:
        return None
    package, _, short = known[owner].rpartition(".")
    return f"{known[owner]}.{attribute}" if hasattr(getattr(import_module(package), short), attribute) else None


def is_reference(page: Page) -> bool:
    return page.file.src_uri.startswith("reference/")


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let the reference stand below other pages in the results of a search."""
    if is_reference(page):
        page.meta.setdefault("search", {"boost": 0.3})
    return markdown


def on_page_content(html: str, page: Page, **_: object) -> str:
    """
    Link the names in *html* that are not part of a link, a heading or a block of code.

    A page that also names what other libraries call the same says ``link_names: false``.
    """
    if page.meta.get("link_names") is False:
        return html
    in_reference = is_reference(page)

    def linked(match: re.Match[str]) -> str:
        target = match[2] and identifier(match[2], in_reference=in_reference)
        return f'<autoref identifier="{target}" optional>{match[0]}</autoref>' if target else match[0]

    return LINK_OR_CODE.sub(linked, html)
