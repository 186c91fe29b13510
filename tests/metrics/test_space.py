from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from sentemb.errors import DataError
from sentemb.metrics import bias, geometry, hubness, isotropy, rank
from sentemb.metrics.space import SpaceReport, describe_space


def texts(n: int, rng: np.random.Generator) -> list[str]:
    return [" ".join(rng.choice(list("aabcdefg"), size=rng.integers(1, 7))) for _ in range(n)]


def test_the_figures_are_those_of_the_functions(rng):
    x, sentences = rng.normal(size=(40, 5)) + 0.5, texts(40, rng)
    report = describe_space(x, sentences)
    assert (report.n_vectors, report.width) == (40, 5)
    assert report.isoscore == isotropy.isoscore(x)
    assert report.partition_isotropy == isotropy.partition_isotropy(x)
    assert report.mean_cosine == isotropy.mean_cosine(x)
    assert report.uniformity == geometry.uniformity(x)
    assert report.effective_rank == rank.effective_rank(x)
    assert report.centred_effective_rank == rank.centred_effective_rank(x)
    assert report.participation_ratio == rank.participation_ratio(x)
    assert report.hubness == hubness.hubness(x, n_neighbours=10)
    frequency = bias.frequency_correlations(x, sentences, counts=bias.count_words(sentences), n_neighbours=5)
    assert (report.frequency_norm, report.frequency_neighbour_distance) == frequency


@pytest.mark.parametrize("n", [12, 21])
def test_every_pair_counts_once_where_there_are_few(n, rng):
    """With 21 rows the distances 1 … 10 make all 210 pairs; with 12 rows those at distance 6 are left out."""
    x, sentences = rng.normal(size=(n, 5)) + 0.5, texts(n, rng)
    cosines, overlaps, differences = [], [], []
    for i in range(n):
        for j in range(i):
            if 2 * (i - j) == n:
                continue
            cosines.append(x[i] @ x[j] / np.sqrt((x[i] @ x[i]) * (x[j] @ x[j])))
            a, b = sentences[i].split(), sentences[j].split()
            overlaps.append(len(set(a) & set(b)) / len(set(a) | set(b)))
            differences.append(abs(len(a) - len(b)))
    report = describe_space(x, sentences)
    assert report.overlap_correlation == pytest.approx(stats.spearmanr(cosines, overlaps).statistic, abs=1e-9)
    assert report.length_correlation == pytest.approx(stats.spearmanr(cosines, differences).statistic, abs=1e-9)


@pytest.mark.parametrize("n", [11, 12, 60, 101])
def test_bag_of_words_vectors_follow_the_overlap_of_their_own_pairs(n, rng):
    """Fails if a similarity were set beside the words of another pair."""
    sets = [set(sentence.split()) for sentence in texts(n, rng)]
    sentences = [" ".join(sorted(words)) for words in sets]
    x = np.array([[float(letter in words) for letter in "abcdefg"] for words in sets])
    overlap = describe_space(x, sentences).overlap_correlation
    assert overlap is not None
    assert overlap > 0.97


def test_without_sentences_the_figures_of_words_are_none_and_the_rest_the_same(rng):
    x, sentences = rng.normal(size=(30, 4)), texts(30, rng)
    bare, full = describe_space(x).to_json(), describe_space(x, sentences).to_json()
    of_words = ["frequency_norm", "frequency_neighbour_distance", "overlap_correlation", "length_correlation"]
    assert [name for name in bare if bare[name] is None] == of_words
    assert all(isinstance(full[name], float) for name in of_words)
    assert {name: bare[name] for name in bare if name not in of_words} == {
        name: full[name] for name in full if name not in of_words
    }


def test_json_and_back(rng):
    report = describe_space(rng.normal(size=(20, 3)).astype(np.float32), texts(20, rng))
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert SpaceReport(**read) == report
    assert list(read) == [field.name for field in dataclasses.fields(SpaceReport)]


def test_sentences_all_of_one_kind_give_none_not_an_error(rng):
    report = describe_space(rng.normal(size=(12, 3)), ["the cat"] * 12)
    assert report.frequency_norm is report.overlap_correlation is report.length_correlation is None


def test_whitening_and_collapse_move_each_figure_the_way_its_docstring_says(rng):
    x = rng.normal(size=(400, 8)) * 2.0 ** -np.arange(8) + [3.0, *[0.0] * 7]
    centred = x - x.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    raw, white = describe_space(x), describe_space(centred @ axes.T / values * np.sqrt(399))
    assert raw.isoscore < 0.2 < 0.99 < white.isoscore
    assert white.centred_effective_rank == pytest.approx(8.0)
    assert white.participation_ratio == pytest.approx(8.0)
    assert raw.partition_isotropy < white.partition_isotropy
    assert abs(white.mean_cosine) < 0.05 < raw.mean_cosine
    assert white.uniformity < raw.uniformity
    assert raw.effective_rank < 4 < 7.9 < white.effective_rank


@pytest.mark.parametrize(
    ("vectors", "sentences", "message"),
    [
        (np.ones((10, 3)), None, "describe_space: 10 vectors, but 11 or more are needed"),
        (np.ones((12, 3)), ["a"] * 11, "describe_space: 12 vectors of 11 sentences"),
        (np.ones((12, 3)), None, "all 12 vectors are alike"),
        (np.vstack([np.ones((11, 3)), np.zeros((1, 3))]), None, "describe_space: vector 11 is zero"),
        (np.full((12, 3), np.nan), None, "describe_space: vector 0 holds a value that is not finite"),
        (np.arange(12.0)[:, None] + 1.0, None, "1 dimension"),
        (np.random.default_rng(0).normal(size=(12, 3)), ["..."] * 12, "0 of 12 sentences hold a word"),
    ],
)
def test_what_is_no_space_is_refused(vectors, sentences, message):
    with pytest.raises(DataError, match=message):
        describe_space(vectors, sentences)
