"""Encoded folders of given vectors, written by the real writer without an encoder."""

from __future__ import annotations

import numpy as np

from sentemb.corpus.manifest import Manifest, Part
from sentemb.corpus.settings import EncodeSettings
from sentemb.corpus.shards import open_part


def write_encoded(folder, vectors, *, ids=None, kind="npy", shard_rows=5, status="complete", inputs=(), digests=()):
    """The rows of (N, D) vectors in parts of `shard_rows`; ids are texts, or None for row numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = EncodeSettings(
        format=kind, dtype=str(vectors.dtype), shard_rows=shard_rows, id_column=None if ids is None else "id"
    )
    model = {"name": "none", "fingerprint": "0" * 64}
    manifest = Manifest(model, vectors.shape[1], settings.to_json(), list(inputs), {}, status=status)
    for index, first in enumerate(range(0, len(vectors), shard_rows)):
        rows = vectors[first : first + shard_rows]
        own = np.arange(first, first + len(rows)) if ids is None else ids[first : first + shard_rows]
        writer = open_part(
            folder,
            index,
            kind=kind,
            dtype=settings.dtype,
            dimension=vectors.shape[1],
            with_id_column=ids is not None,
        )
        writer.write(own, rows)
        digest = digests[index] if digests else "0" * 64
        manifest.parts.append(Part(first, len(rows), digest, writer.finish()))
    manifest.write(folder)
    return manifest
