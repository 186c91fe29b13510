"""What a model card may say of the machine it was made on: no folder, no user name, only the names of files."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_SEGMENT = r"[^\s/\\\"'`,;:<>|]+"
_PATH = re.compile(
    rf"(?<![\w/.<)\]\\])(?:file://|~\w*|\.{{1,2}}|[A-Za-z]:|\\)?[/\\](?:{_SEGMENT}[/\\])*({_SEGMENT})[/\\]?"
)
_NO_NAME = "a local folder"


def is_hub_name(name: str, *, near: Path | None = None) -> bool:
    """Whether an encoder's name means the hub: `owner/name` or `name`, and no folder here is called so.

    Args:
        name: as it stands in a recipe.
        near: a folder, as the run folder; a name that is a path from it or from a folder above it is local.

    >>> is_hub_name("princeton-nlp/sup-simcse-bert-base-uncased"), is_hub_name("runs/a/encoder"), is_hub_name("./mini")
    (True, False, False)
    """
    if not _HUB_NAME.fullmatch(name):
        return False
    above = [] if near is None else [near.absolute(), *near.absolute().parents]
    return not any((folder / name).exists() for folder in [Path(), *above])


def public_encoder(name: str, *, near: Path | None = None) -> str:
    """A hub name or `bundled:` name as it is, a path as the name of its last folder.

    >>> public_encoder("bundled:mini"), public_encoder("/home/ann/models/tiny/")
    ('bundled:mini', 'tiny')
    """
    return name if name.startswith("bundled:") or is_hub_name(name, near=near) else _last_part(name)


def public_source(source: str) -> str:
    """A data source without the folders of this machine; `bundled:`, `hf://` and paths under `data:` stay.

    >>> public_source("/home/ann/wiki.txt"), public_source("data:nli/train.jsonl"), public_source("hf://owner/name/test")
    ('wiki.txt', 'data:nli/train.jsonl', 'hf://owner/name/test')
    """
    if source == "-" or source.startswith(("bundled:", "hf://")):
        return source
    if source.startswith("data:"):
        inside = source.removeprefix("data:")
        leaves = inside.startswith(("/", "\\", "~")) or ":" in inside or ".." in inside
        return f"data:{_last_part(inside)}" if leaves else source
    return _last_part(source)


def without_paths(text: str) -> str:
    """Free text in which each path is cut down to its last name; addresses of the web stay.

    >>> without_paths("from /home/ann/wiki.txt, as https://example.org/a says")
    'from wiki.txt, as https://example.org/a says'
    """
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(f"{home}/", "/")  # a home with a space in its name; what is left is cut below
    return _PATH.sub(r"\1", text)


def public_recipe(value: Any, key: str = "", block: str = "", near: Path | None = None) -> Any:
    """A resolved recipe, or a part of it, fit to be published: values only are changed, and only where they hold paths.

    Args:
        value: the recipe, as read from YAML.
        key: the key that `value` stands under.
        block: the key that the mapping around `value` stands under.
        near: the run folder, to tell a hub name from a folder.
    """
    if isinstance(value, dict):
        return {name: public_recipe(part, str(name), key, near) for name, part in value.items()}
    if isinstance(value, list):
        return [public_recipe(part, key, block, near) for part in value]
    if not isinstance(value, str):
        return value
    if key in ("source", "dev", "suite"):
        return public_source(value)
    if (block, key) == ("encoder", "name"):
        return public_encoder(value, near=near)
    return without_paths(value)


def _last_part(path: str) -> str:
    name = PurePosixPath(path.replace("\\", "/")).name
    return _NO_NAME if name in ("", "..", "~") else name
