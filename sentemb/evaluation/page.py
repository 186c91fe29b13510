"""A self-contained HTML page: text, tables that sort, charts. No network, light and dark, readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1d2330; --dim: #5d6678; --rule: #d8dde6; --shade: #f4f6f9;
  --c0: #2563c9; --c1: #c2410c; --c2: #15803d; --c3: #7e3fb8; --c4: #b8860b; --c5: #0e7490;
  --c6: #be185d; --c7: #57606f; }
@media (prefers-color-scheme: dark) { :root { --back: #14171d; --text: #e4e8ef; --dim: #9aa4b5; --rule: #333a47;
  --shade: #1c2129; --c0: #7fb0ff; --c1: #ff9d66; --c2: #6bd38a; --c3: #c9a2f2; --c4: #e6c15a; --c5: #5fd0e0;
  --c6: #f48fb8; --c7: #b4bcc9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p, li { max-width: 46rem; } .dim { color: var(--dim); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { background: var(--shade); cursor: pointer; } thead th[aria-sort="ascending"]::after { content: " ▲"; }
thead th[aria-sort="descending"]::after { content: " ▼"; }
figure { margin: 1rem 0; overflow-x: auto; } svg { width: 100%; min-width: 34rem; height: auto; }
svg text { fill: var(--dim); font-size: 12px; }
svg .label { fill: var(--text); font-size: 13px; } .grid { stroke: var(--rule); }
.line { fill: none; stroke-width: 2; } .level { stroke-width: 1; stroke-dasharray: 2 4; } .dot { stroke: var(--back); }
.dashed { stroke-dasharray: 6 4; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; font-size: 0.9rem; }
.key { display: inline-block; width: 1.4rem; margin-right: 0.4rem; vertical-align: middle; border-top: 3px solid; }
.key.dashed { border-top-style: dashed; }
""" + "".join(
    f".line.s{n}, .level.s{n} {{ stroke: var(--c{n}); }} .dot.s{n} {{ fill: var(--c{n}); }} "
    f".key.s{n} {{ border-color: var(--c{n}); }}\n"
    for n in range(8)
)

_SORT = """
for (const head of document.querySelectorAll("thead th")) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = row => row.cells[column].textContent, number = row => parseFloat(text(row).replace("\\u2212", "-"));
    const order = (a, b) => {
      const x = number(a), y = number(b);
      if (isNaN(x) && isNaN(y)) return text(a).localeCompare(text(b));
      return isNaN(x) ? -1 : isNaN(y) ? 1 : x - y;
    };
    for (const row of [...body.rows].sort((a, b) => down ? order(b, a) : order(a, b))) body.append(row);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
"""


def page(title: str, sections: Sequence[str]) -> str:
    """The whole page.

    Args:
        title: its heading.
        sections: HTML, made by the functions of this module and of `charts`.
    """
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="sentemb">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
<script>{_SORT}</script>
</body>
</html>
"""


def section(heading: str, *parts: str) -> str:
    """A heading with what stands under it."""
    inner = "\n".join(parts)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{inner}\n</section>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text, the first column left, the others right; a click on a head sorts by it."""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>'
