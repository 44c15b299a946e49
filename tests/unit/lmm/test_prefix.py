"""The partition into shared prefixes, on hand-made rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from methods.lmm.reuse.prefix import LEAST_PREFIX, Group, common_prefix, share


def rows(*texts):
    return [np.array([ord(letter) for letter in text]) for text in texts]


def saved(groups):
    return sum((len(group.members) - 1) * group.length for group in groups)


def test_common_prefix_counts_equal_keys():
    assert common_prefix(*rows("abcd", "abxd")) == 2
    assert common_prefix(*rows("abc", "abcde")) == 3
    assert common_prefix(*rows("x", "y")) == 0


def test_rows_that_share_meet_wherever_they_stand():
    head, other = "a" * 40, "b" * 40
    groups = share(rows(head + "1", other + "1", head + "22", other + "333"))
    assert sorted(groups, key=lambda group: group.members) == [Group((0, 2), 40), Group((1, 3), 40)]


def test_equal_rows_keep_their_last_token():
    [group] = share(rows("a" * 30, "a" * 30))
    assert group.length == 29


def test_short_or_cheap_prefixes_are_left_alone():
    short = "a" * (LEAST_PREFIX - 1)
    assert all(group.length == 0 for group in share(rows(short + "1", short + "2")))
    head = "a" * LEAST_PREFIX
    assert all(group.length == 0 for group in share(rows(head + "b" * 300, head + "c" * 300)))


def test_deep_prefixes_beat_a_shallow_common_one():
    top = "t" * 20
    groups = share(rows(*(top + pair * 50 + end for pair in "ab" for end in "12")))
    assert sorted(group.length for group in groups) == [70, 70]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_partition_saves_more(seed):
    rng = np.random.default_rng(seed)
    heads = ["".join(rng.choice(list("xy"), 6)) for _ in range(3)]
    texts = ["".join(letter * 8 for letter in heads[rng.integers(3)][: rng.integers(3, 7)]) + str(i) for i in range(5)]
    keys = rows(*texts)

    def value(partition):
        total = 0
        for members in partition:
            length = min((common_prefix(keys[a], keys[b]) for a, b in itertools.combinations(members, 2)), default=0)
            length = min([length, *(len(keys[member]) - 1 for member in members)])
            total += (len(members) - 1) * length if length >= LEAST_PREFIX else 0
        return total

    best = max(value(partition) for partition in partitions(list(range(5))))
    groups = share(keys)
    assert sorted(member for group in groups for member in group.members) == list(range(5))
    # A group below the share of tokens that pays is dissolved; these rows are short enough for it never to happen.
    assert saved(groups) == best


def partitions(items):
    if not items:
        yield []
        return
    first, *rest = items
    for partition in partitions(rest):
        yield [[first], *partition]
        for index, members in enumerate(partition):
            yield [*partition[:index], [first, *members], *partition[index + 1 :]]
