"""How long work shows that it goes on, on stderr."""

from __future__ import annotations

import time

from rich.console import Console

SECONDS_BETWEEN_LINES = 10.0
"""Where stderr is no terminal."""


class ChangingLine:
    """A line with a spinner that changes on a terminal; else a plain line every ten seconds, for a log.

    Args:
        console: where to.
        first: what the line says before it is told anything; seen on a terminal only.
    """

    def __init__(self, console: Console, first: str) -> None:
        self._console, self._said = console, time.monotonic()
        self._status = console.status(first) if console.is_terminal else None

    def __enter__(self) -> ChangingLine:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, line: str) -> None:
        """Says `line`, if it is time to."""
        if self._status is not None:
            self._status.update(line)
        elif time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss.

    >>> clock(184.2), clock(7384)
    ('3:04', '2:03:04')
    """
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
