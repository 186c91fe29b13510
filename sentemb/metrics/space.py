"""All the figures of one embedding space at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sentemb.errors import DataError
from sentemb.metrics.bias import count_words, frequency_correlations, length_correlation, overlap_correlation
from sentemb.metrics.geometry import uniformity
from sentemb.metrics.hubness import hubness
from sentemb.metrics.isotropy import isoscore, mean_cosine, partition_isotropy
from sentemb.metrics.rank import centred_effective_rank, effective_rank, participation_ratio
from sentemb.metrics.rows import unit_rows
from sentemb.metrics.similarity import paired_cosine

Array = np.ndarray[Any, np.dtype[Any]]

HUBNESS_NEIGHBOURS = 10  # Radovanović et al. 2010
FREQUENCY_NEIGHBOURS = 5  # the middle one of Li et al. 2020, Table 1
_PARTNERS = 10  # of each sentence, for the two figures of pairs


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """Figures of N vectors of width D. Only figures of one N compare, as nearly all depend on it.

    Attributes:
        n_vectors: N.
        width: D.
        isoscore: 0 (one axis) to 1 (equal variance on all axes).
        partition_isotropy: 0 to 1 (isotropic); falls with the scale of the vectors.
        mean_cosine: of all pairs, −1/(N−1) to 1; 0 is isotropic.
        uniformity: −8 to 0 (all alike); lower is more uniform.
        effective_rank: of the rows as they are, 1 to min(N, D).
        centred_effective_rank: of the rows less their mean, 1 to min(N−1, D).
        participation_ratio: of the variances, 1 to min(N−1, D).
        hubness: skewness of the 10-occurrences by cosine; about 0 without hubs.
        frequency_norm: Spearman of mean log word frequency with the L2 norm; None without sentences, or where either
            side is all alike. So for all below.
        frequency_neighbour_distance: Spearman of mean log word frequency with the mean L2 distance to the 5 nearest.
        overlap_correlation: Spearman of cosine with the Jaccard index of the words, over pairs of the sentences.
        length_correlation: Spearman of cosine with the difference in words, over the same pairs.
    """

    n_vectors: int
    width: int
    isoscore: float
    partition_isotropy: float
    mean_cosine: float
    uniformity: float
    effective_rank: float
    centred_effective_rank: float
    participation_ratio: float
    hubness: float
    frequency_norm: float | None = None
    frequency_neighbour_distance: float | None = None
    overlap_correlation: float | None = None
    length_correlation: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Numbers and None only, by the names above."""
        return asdict(self)


def describe_space(vectors: Array, sentences: Sequence[str] | None = None) -> SpaceReport:
    """Every figure of `isotropy`, `rank`, `hubness`, `geometry.uniformity` and, with sentences, `bias`.

    Takes O(N² D) time and O(N (D + 256)) memory: a few thousand rows, say 5,000, are enough and take seconds.

    Word frequencies are those of the sentences themselves. The pairs for overlap and length are each row with 10
    others at fixed distances spread over 1 … (N−1)/2, cyclically: no randomness, and each row in as many pairs as any
    other. They are chance pairs, with little overlap; `bias.overlap_correlation` takes pairs of your own.

    Args:
        vectors: (N, D) float, N ≥ 11, D ≥ 2, finite, no zero row, not all alike.
        sentences: N texts that the vectors stand for, at least two of them with words, or None.

    Raises:
        DataError: what any of the figures refuses, or not one sentence a vector.

    >>> report = describe_space(np.vstack([np.eye(6), -np.eye(6)]))
    >>> round(report.isoscore, 4), round(report.mean_cosine, 4), report.frequency_norm
    (1.0, -0.0909, None)
    """
    place = "describe_space"
    unit_rows(place, vectors, HUBNESS_NEIGHBOURS + 1)
    if sentences is not None and len(sentences) != len(vectors):
        raise DataError(place, f"{len(vectors)} vectors of {len(sentences)} sentences", "Pass one vector a sentence")
    return SpaceReport(
        n_vectors=vectors.shape[0],
        width=vectors.shape[1],
        isoscore=isoscore(vectors),
        partition_isotropy=partition_isotropy(vectors),
        mean_cosine=mean_cosine(vectors),
        uniformity=uniformity(vectors),
        effective_rank=effective_rank(vectors),
        centred_effective_rank=centred_effective_rank(vectors),
        participation_ratio=participation_ratio(vectors),
        hubness=hubness(vectors, n_neighbours=HUBNESS_NEIGHBOURS),
        **({} if sentences is None else _figures_of_words(vectors, sentences)),
    )


def _figures_of_words(vectors: Array, sentences: Sequence[str]) -> dict[str, float | None]:
    frequency = frequency_correlations(
        vectors, sentences, counts=count_words(sentences), n_neighbours=FREQUENCY_NEIGHBOURS
    )
    n = len(sentences)
    shifts = np.unique(np.linspace(1, (n - 1) // 2, _PARTNERS).round().astype(int))
    similarities = np.concatenate([paired_cosine(vectors, np.roll(vectors, -shift, axis=0)) for shift in shifts])
    first = list(sentences) * len(shifts)
    second = [sentences[(row + shift) % n] for shift in shifts for row in range(n)]
    return {
        "frequency_norm": frequency.norm,
        "frequency_neighbour_distance": frequency.neighbour_distance,
        "overlap_correlation": overlap_correlation(similarities, first, second),
        "length_correlation": length_correlation(similarities, first, second),
    }
