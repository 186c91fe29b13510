"""What travels with the package: a small encoder, STS-B, training samples, synonyms. Licences: see `LICENCES.md`."""

from __future__ import annotations

from pathlib import Path

from sentemb.errors import DataError, nearest, shortened

PREFIX = "bundled:"

_FOLDER = Path(__file__).parent
_NAMES = {
    "mini": "mini",
    "stsb-train": "stsb-train.tsv.gz",
    "stsb-dev": "stsb-dev.tsv",
    "stsb-test": "stsb-test.tsv",
    "wiki": "wiki.txt.gz",
    "wiki-back-translated": "wiki-back-translated.tsv.gz",
    "nli": "nli-triplets.tsv.gz",
    "nli-labelled": "nli-labelled.tsv.gz",
    "synonyms": "synonyms.txt.gz",
}


def names() -> tuple[str, ...]:
    """The names that go after `bundled:`."""
    return tuple(_NAMES)


def is_bundled(name: str) -> bool:
    """Whether a model or data name means a bundled asset.

    >>> is_bundled("bundled:mini"), is_bundled("bert-base-uncased")
    (True, False)
    """
    return name.startswith(PREFIX)


def path(name: str) -> Path:
    """The file or folder of a bundled asset; the prefix `bundled:` may stand before the name or not.

    Raises:
        DataError: there is no asset of that name.
    """
    bare = name.removeprefix(PREFIX)
    if bare not in _NAMES:
        known = ", ".join(PREFIX + known for known in _NAMES)
        raise DataError(
            shortened(name), f"no bundled asset of that name.{nearest(bare, _NAMES)}", f"Use one of: {known}"
        )
    return _FOLDER / _NAMES[bare]
