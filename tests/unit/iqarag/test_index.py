"""Search against a plain sort, exact and by codes, in memory and mapped from disk."""

from __future__ import annotations

import numpy as np
import pytest

from methods.iqarag import index as indices


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((6000, 6)) @ rng.standard_normal((6, 33))).astype(np.float32)


def by_hand(features: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    return np.argsort(np.linalg.norm(features.astype(float) - query, axis=1), kind="stable")[:k].tolist()


def test_exact_search_is_a_sort_by_l2(features):
    query = features[17] + 0.01
    nearest, distances = indices.nearest(indices.exact_index(features), None, query, 25)
    assert nearest.tolist() == by_hand(features, query, 25)
    np.testing.assert_allclose(distances, np.linalg.norm(features[nearest].astype(float) - query, axis=1), rtol=1e-6)
    assert (np.diff(distances) >= 0).all()


def test_all_neighbours_and_more_than_there_are(features):
    few = features[:40]
    nearest, distances = indices.nearest(indices.exact_index(few), None, few[3], 1000)
    assert nearest.tolist() == by_hand(few, few[3], 40)
    assert distances[0] == 0


def test_equal_distances_come_by_index():
    same = np.zeros((60, 4), np.float32)
    nearest, _ = indices.nearest(indices.exact_index(same), None, np.ones(4, np.float32), 5)
    assert nearest.tolist() == [0, 1, 2, 3, 4]


def test_codes_find_the_same_neighbours(features):
    exact, codes = indices.exact_index(features), indices.compressed_index(features)
    assert codes.d == 34  # an odd number of features is filled up
    for number in (0, 999, 4321):
        query = features[number] + 0.02
        nearest, distances = indices.nearest(exact, codes, query, 10)
        assert nearest.tolist() == by_hand(features, query, 10)
        assert distances[0] == pytest.approx(np.linalg.norm(features[nearest[0]].astype(float) - query))


def test_codes_are_not_asked_for_more_than_they_short_list(features):
    small = features[:1500]
    exact, codes = indices.exact_index(small), indices.compressed_index(small)
    nearest, _ = indices.nearest(exact, codes, small[0], 1500)
    assert sorted(nearest.tolist()) == list(range(1500))


def test_a_saved_index_is_mapped_and_gives_the_same(features, tmp_path):
    for name, index in (("exact", indices.exact_index(features)), ("codes", indices.compressed_index(features))):
        indices.save(index, tmp_path / name)
        assert not (tmp_path / f"{name}.partial").exists()
    exact, codes = indices.load(tmp_path / "exact"), indices.load(tmp_path / "codes")
    np.testing.assert_array_equal(indices.features_of(exact), features)
    assert indices.nearest(exact, codes, features[5], 7)[0].tolist() == by_hand(features, features[5], 7)


def test_a_broken_index_is_a_sentence(tmp_path):
    (tmp_path / "features.faiss").write_bytes(b"not an index")
    with pytest.raises(ValueError, match="not a readable index"):
        indices.load(tmp_path / "features.faiss")


@pytest.mark.parametrize(("query", "sentence"), [
    (np.zeros(7, np.float32), "same encoder"), (np.full(33, np.nan, np.float32), "NaN"),
])
def test_a_query_that_cannot_be_searched(features, query, sentence):
    with pytest.raises(ValueError, match=sentence):
        indices.nearest(indices.exact_index(features), None, query, 3)


def test_when_a_set_is_large():
    assert not indices.is_large(10_000, 1_000)
    assert indices.is_large(100_000, 1_000)
