"""`preparation.identities`: clusters of embeddings, and splits."""

import numpy as np
import pytest

from fewshot_heads.preparation.identities import assign_splits, cluster


def test_embeddings_that_point_the_same_way_are_one_person():
    random = np.random.default_rng(0)
    people = np.eye(8)[[0, 3, 0, 5, 3, 0]]
    assert cluster(people + random.normal(0, 0.05, people.shape), 0.6) == [0, 1, 0, 2, 1, 0]
    assert cluster(people[:1], 0.6) == [0] and cluster(people[:0], 0.6) == []


def test_a_split_is_by_name_and_stays_when_more_people_come():
    few = assign_splits(dict.fromkeys(map(str, range(100))), 0.1)
    more = assign_splits(dict.fromkeys(map(str, range(1000))), 0.1)
    assert all(more[name] == split for name, split in few.items())
    assert sum(split == "val" for split in more.values()) == pytest.approx(100, abs=30)
    assert assign_splits(dict.fromkeys(map(str, range(100))), 0.1, seed=1) != few


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_of_two_people_one_is_in_each_split(seed, share):
    assert sorted(assign_splits({"ann": None, "ben": None}, share, seed).values()) == ["train", "val"]


def test_no_one_is_held_out_when_none_shall_be():
    assert set(assign_splits(dict.fromkeys("abc"), 0).values()) == {"train"}
    assert assign_splits({"ann": None}, 0.9) == {"ann": "train"}


def test_given_splits_are_kept():
    given = {"ann": "val", "ben": "train", **dict.fromkeys("cdefgh")}
    splits = assign_splits(given, 0.2)
    assert splits["ann"] == "val" and splits["ben"] == "train"
    assert assign_splits({"ann": "train", "ben": "train"}, 0.5) == {"ann": "train", "ben": "train"}
