"""Rows of unequal length cut into padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches_by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Row numbers, longest first, at most `max_tokens` padded tokens a batch; a longer row is a batch of its own.

    >>> list(batches_by_length([3, 9, 4, 3], max_tokens=12))
    [[1], [2, 0, 3]]
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
