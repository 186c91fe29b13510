from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def recipe_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """r.yaml in the current folder, so that messages read `r.yaml:3: …`."""
    monkeypatch.chdir(tmp_path)
    return Path("r.yaml")
