"""The line that shows that work goes on."""

from __future__ import annotations

import io
import time

from rich.console import Console

from sentemb.cli.progress import ChangingLine


def test_a_plain_line_every_ten_seconds_where_there_is_no_terminal(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    text = io.StringIO()
    with ChangingLine(Console(file=text), "reading") as line:
        for now[0] in (101.0, 110.5, 112.0, 121.0):
            line(f"[b]{now[0]}")
    assert text.getvalue() == "[b]110.5\n[b]121.0\n"


def test_a_line_that_changes_on_a_terminal():
    text = io.StringIO()
    with ChangingLine(Console(file=text, force_terminal=True, width=100), "reading") as line:
        line("1,500 texts")
        time.sleep(0.2)  # it is drawn every 80 ms
    assert "1,500 texts" in text.getvalue() and "\x1b" in text.getvalue()
