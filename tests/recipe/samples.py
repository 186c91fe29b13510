"""Two recipes to break, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentemb.errors import ConfigError
from sentemb.recipe.loader import load_recipe

GOOD = """\
encoder: {name: bundled:mini, pooling: cls}
method:
  kind: simcse
  temperature: 0.05
data:
  source: bundled:wiki
train:
  batch_size: 8
"""
STAGES = """\
stages:
  - name: first
    method: {kind: simcse}
    data: {source: bundled:wiki}
  - name: second
    method:
      kind: sbert_regression
    data:
      source: bundled:stsb-train
      columns:
        - score
        - sentence1
        - sentence2
    train:
      seed: 7
"""


def messages(file: Path, text: str, *overrides: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(file), overrides)
    return str(caught.value).splitlines()
