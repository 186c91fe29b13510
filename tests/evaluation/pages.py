"""Reading a page as a browser would: every tag opened and closed, ids once, the text of tables."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = ("meta", "br", "hr", "img", "input", "link")
_BY_THEMSELVES = ("line", "polyline", "path")  # in SVG, written <line …/>


class Page(HTMLParser):
    """A page taken apart.

    Attributes:
        tables: each a list of rows, each a list of the cells' text, heads included.
        ids: in their order.
        text: all that is shown, scripts and styles left out.
        links: values of href and src.
        tags: names, in their order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.headings: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"
        assert html.startswith("<!doctype html>")

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        assert len(given) == len(attributes), f"an attribute twice: {attributes}"
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src", "xlink:href") if name in given]
        assert not [name for name in given if name.startswith("on")], given
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag in ("h1", "h2", "h3", "summary"):
            self.headings.append("")

    def handle_startendtag(self, tag, attributes):
        assert tag in _BY_THEMSELVES, f"<{tag}/> is no HTML"
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> within {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if {"script", "style"} & set(self.open):
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        elif {"h1", "h2", "h3", "summary"} & set(self.open):
            self.headings[-1] += data


def read_page(html: str) -> Page:
    """The page, if it is well formed, has each id once, and asks for nothing from elsewhere."""
    page = Page(html)
    assert len(page.ids) == len(set(page.ids)), page.ids
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links), page.links
    markup = re.sub(r">[^<]*<", "><", html)
    assert not re.search(r"https?://|//\w|@import|url\(", re.sub(r"<style>.*?</style>", "", markup, flags=re.S))
    assert not re.search(r"https?://|@import|url\(", "".join(re.findall(r"<(?:style|script)>(.*?)</", html, re.S)))
    assert page.tags.count("script") == page.tags.count("style") == 1
    return page
