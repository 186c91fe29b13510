"""Where the files that travel with sentemb outside its modules lie: suites and reference rows."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(kind: str) -> Path:
    """The folder of shipped files: in an installed wheel `sentemb/shipped/KIND`, in the repository `KIND` at its root.

    Args:
        kind: `eval/suites`, `eval/reference` or `recipes`.

    >>> (shipped("eval/suites") / "stsb.yaml").is_file()
    True
    """
    installed = _PACKAGE / "shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
