"""The study of painted necks and backs: ratios of the truth to a result, and the table."""

import re

import numpy as np
import pytest

from benchmarks.studies import painted
from benchmarks.studies.painted import differences, painted_parts, table
from fewshot_heads.layers.parsing import Mattes
from fewshot_heads.rendering.head_parts import HeadParts
from tests.faces import face
from tests.rendering.test_hanging import turned_about_the_neck

SIZE = 128
EVERYWHERE, NOWHERE = np.ones((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)


@pytest.fixture
def all_hair_and_skin(monkeypatch):
    whole = EVERYWHERE.astype(np.float32)
    monkeypatch.setattr(painted, "parse", lambda _: Mattes(whole, whole))
    monkeypatch.setattr(painted, "like_skin", lambda *_: EVERYWHERE)
    monkeypatch.setattr(painted, "find_head_parts", lambda *_: HeadParts(*[EVERYWHERE] * 5))


def test_light_and_contrast_are_those_of_the_truth_over_the_result(all_hair_and_skin):
    noise = np.random.default_rng(0).normal(0, 1, (SIZE, SIZE, 1))
    levels = (116 + 12 * noise, 56 + 3 * noise)
    truth, result = (np.repeat(np.rint(level).clip(0, 255).astype(np.uint8), 3, 2) for level in levels)
    light, contrast = differences(result, truth, {"neck": NOWHERE, "back": EVERYWHERE}, face())["back"]
    np.testing.assert_allclose(np.exp(light), 2, atol=0.05)
    np.testing.assert_allclose(np.exp(contrast), 2, atol=0.2)


def test_too_few_pixels_tell_nothing(all_hair_and_skin):
    image = np.full((SIZE, SIZE, 3), 100, np.uint8)
    assert not differences(image, image, {"neck": NOWHERE, "back": NOWHERE}, face())


def test_the_table_has_medians_over_people():
    pairs = {name: [(np.log(np.full(3, light)), np.zeros(2))] for name, light in (("a", 1.0), ("b", 1.2), ("c", 3.0))}
    assert re.search(r"neck, 3 people, 3 pairs \| 1\.20 \| 1\.20 \| 1\.20 \| 1\.00 \| 1\.00", table({"neck": pairs}))


def test_a_head_that_turns_shows_what_is_painted(reenactor, mona):
    head = reenactor.embed([mona])
    faces = [turned_about_the_neck(head.landmarks[0], turn) for turn in ((0, 0, 0), (0, 0.5, 0), (-0.4, 0, 0))]
    still, aside, up = (painted_parts(head, face, reenactor.size) for face in faces)
    assert not still["back"].any() and aside["back"].sum() > 100
    assert up["neck"].sum() > still["neck"].sum() + 50
