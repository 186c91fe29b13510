"""What a page looks like, and the script that sorts its tables. Light and dark; from 320 pixels wide."""

from __future__ import annotations

from sentemb.evaluation.axes import N_COLOURS

_DASHES = ("none", "9 4", "2 3", "9 3 2 3", "5 3", "14 4", "2 6", "12 3 2 3 2 3")
"""Of series 0 … 7, so that lines differ without colour."""

STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1d2330; --dim: #5d6678; --rule: #d8dde6; --shade: #f4f6f9;
  --c0: #2563c9; --c1: #c2410c; --c2: #15803d; --c3: #7e3fb8; --c4: #b8860b; --c5: #0e7490;
  --c6: #be185d; --c7: #57606f; }
@media (prefers-color-scheme: dark) { :root { --back: #14171d; --text: #e4e8ef; --dim: #9aa4b5; --rule: #333a47;
  --shade: #1c2129; --c0: #7fb0ff; --c1: #ff9d66; --c2: #6bd38a; --c3: #c9a2f2; --c4: #e6c15a; --c5: #5fd0e0;
  --c6: #f48fb8; --c7: #b4bcc9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 0.4rem; overflow-wrap: anywhere; }
p, li { max-width: 46rem; overflow-wrap: anywhere; } .dim { color: var(--dim); }
.wide { overflow-x: auto; margin: 0.8rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap;
  vertical-align: top; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
td.text:first-child { white-space: normal; min-width: 9.5rem; overflow-wrap: anywhere; }
th.wraps, td.wraps { white-space: normal; min-width: 11rem; max-width: 22rem; overflow-wrap: anywhere; }
td small { display: block; color: var(--dim); }
thead th { background: var(--shade); cursor: pointer; vertical-align: bottom; }
thead th[aria-sort="ascending"]::after { content: " ▲"; } thead th[aria-sort="descending"]::after { content: " ▼"; }
figure { margin: 1rem 0; overflow-x: auto; } svg { width: 100%; min-width: 34rem; height: auto; }
figcaption { font-size: 0.9rem; overflow-wrap: anywhere; }
figure.panel { margin: 0.4rem 0; min-width: 0; } figure.panel svg { min-width: 0; max-width: 30rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0.6rem 1rem; }
svg text { fill: var(--dim); font-size: 12px; }
svg .label { fill: var(--text); font-size: 13px; } .grid { stroke: var(--rule); }
.line { fill: none; stroke-width: 2; } .level { stroke-width: 1; stroke-dasharray: 2 4; } .dot { stroke: var(--back); }
.line.filled { fill-opacity: 0.18; } .mark { fill-opacity: 0.75; } .mark.many { fill-opacity: 0.4; }
.legend { list-style: none; padding: 0; margin: 0.3rem 0; display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem;
  font-size: 0.9rem; }
svg.key { width: 28px; min-width: 28px; max-width: 28px; height: 12px; margin-right: 0.4rem; vertical-align: middle; }
.contents { columns: 2 14rem; padding-left: 1.2rem; } a { color: var(--c0); }
details { border: 1px solid var(--rule); border-radius: 6px; margin: 0.5rem 0; padding: 0 0.8rem; }
details[open] { padding-bottom: 0.6rem; }
summary { cursor: pointer; padding: 0.45rem 0; font-weight: 600; overflow-wrap: anywhere; }
details details summary { font-weight: 400; }
pre { background: var(--shade); padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; }
""" + "".join(
    f".line.s{n} {{ stroke: var(--c{n}); stroke-dasharray: {_DASHES[n]}; }} .level.s{n} {{ stroke: var(--c{n}); }} "
    f".line.filled.s{n}, .dot.s{n}, .mark.s{n}, .cell.s{n} {{ fill: var(--c{n}); }} "
    f".line.s{n}.again {{ stroke-width: 1; }}\n"
    for n in range(N_COLOURS)
)

SORT = """
for (const head of document.querySelectorAll("thead th")) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const isText = head.classList.contains("text");
    const text = row => row.cells[column].textContent;
    const number = row => isText ? NaN : parseFloat(text(row).replace("\\u2212", "-").replaceAll(",", ""));
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
