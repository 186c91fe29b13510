"""A self-contained HTML page: text, tables that sort, charts. No network, light and dark, readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from sentemb.evaluation.page_style import SORT, STYLE

Kind = Literal["figures", "text", "sentences"]
"""Of a column: figures stand right; text stands left and sorts as text; sentences are broken into lines, too."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table, of plain text.

    Attributes:
        text: what it sorts by.
        below: a smaller second line, as an interval; empty for none.
        faint: whether it explains others or comes from elsewhere.
    """

    text: str
    below: str = ""
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page that its list of contents names.

    Attributes:
        anchor: letters and hyphens, once on a page.
        heading: plain text.
        parts: HTML, made by the functions of this module and of `charts` and `scatter`.
    """

    anchor: str
    heading: str
    parts: tuple[str, ...]

    def html(self) -> str:
        """The section element."""
        inner = "\n".join(self.parts)
        return f'<section id="{escape(self.anchor, quote=True)}">\n<h2>{escape(self.heading)}</h2>\n{inner}\n</section>'


def page(title: str, sections: Sequence[str]) -> str:
    """The whole page.

    Args:
        title: its heading.
        sections: HTML, made by the functions of this module, of `charts` and of `scatter`.
    """
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="sentemb">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
<script>{SORT}</script>
</body>
</html>
"""


def long_page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A page with a sentence or two at its head, a list of contents and sections.

    Raises:
        ValueError: two sections of one anchor.
    """
    if len({part.anchor for part in sections}) < len(sections):
        raise ValueError("two sections have one anchor")
    items = "".join(
        f'<li><a href="#{escape(part.anchor, quote=True)}">{escape(part.heading)}</a></li>' for part in sections
    )
    contents = f'<nav aria-label="Contents"><ul class="contents">{items}</ul></nav>'
    return page(title, [paragraph(lead), contents, *(part.html() for part in sections)])


def section(heading: str, *parts: str) -> str:
    """A heading with what stands under it."""
    inner = "\n".join(parts)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{inner}\n</section>"


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str, *, faint: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{_class('dim' if faint else '')}>{escape(text)}</p>"


def panels(*figures: str) -> str:
    """Figures side by side as far as there is room."""
    return f'<div class="panels">{"".join(figures)}</div>'


def details(summary: str, *parts: str, opened: bool = False) -> str:
    """What unfolds on a click on its summary."""
    inner = "\n".join(parts)
    return f"<details{' open' if opened else ''}>\n<summary>{escape(summary)}</summary>\n{inner}\n</details>"


def preformatted(text: str) -> str:
    """Text whose lines and spaces are kept."""
    return f"<pre>{escape(text)}</pre>"


def table(header: Sequence[str], rows: Sequence[Sequence[str | Cell]], kinds: dict[int, Kind] | None = None) -> str:
    """A table of plain text, the first column left, the others right; a click on a head sorts by it.

    Args:
        header: headings.
        rows: cells.
        kinds: column number → what it holds; those not named hold figures.
    """
    classes = {"figures": "", "text": "text", "sentences": "text wraps"}
    of_column = [classes[(kinds or {}).get(number, "figures")] for number in range(len(header))]
    heads = "".join(
        f'<th scope="col"{_class(kind)}>{escape(cell)}</th>' for cell, kind in zip(header, of_column, strict=True)
    )
    lines = "\n".join(
        f"<tr>{''.join(_cell(cell, kind) for cell, kind in zip(row, of_column, strict=True))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>'


def _cell(cell: str | Cell, kind: str) -> str:
    if isinstance(cell, str):
        return f"<td{_class(kind)}>{escape(cell)}</td>"
    below = f" <small>{escape(cell.below)}</small>" if cell.below else ""
    return f"<td{_class(f'{kind} dim' if cell.faint else kind)}>{escape(cell.text)}{below}</td>"


def _class(names: str) -> str:
    return f' class="{names.strip()}"' if names.strip() else ""
