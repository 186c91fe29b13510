"""Files of public GitHub repositories at a fixed commit, with the size and sha256 that were seen there
(`pinned.json`).
"""

from __future__ import annotations

import json
from pathlib import Path

from _download import Remote

_REPOSITORIES = json.loads(Path(__file__).with_name("pinned.json").read_text(encoding="utf-8"))


def pinned(repository: str, path: str) -> Remote:
    """One file of a repository; kept as `raw/OWNER/NAME/path`."""
    entry = _REPOSITORIES[repository]
    url = f"https://raw.githubusercontent.com/{repository}/{entry['commit']}/{path}"
    known = entry["files"][path]
    return Remote(url, f"{repository}/{path}", known["size"], f"sha256:{known['sha256']}")
