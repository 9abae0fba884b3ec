"""The three layers of a portrait."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot_heads.layers import separation
from fewshot_heads.layers.parsing import Mattes
from fewshot_heads.layers.separation import separate
from tests.layers.test_plates import CHIN, HAIR, SHIRT, SKIN, UNIT, WALL, portrait


@pytest.mark.parametrize(("collar", "is_seam"), [(CHIN + 1.5 * UNIT, True), (CHIN, False)])
def test_the_seam_under_a_chin_is_on_skin_and_not_on_clothes(monkeypatch, collar, is_seam):
    image, person, head, landmarks = portrait()
    image[round(collar) :][person[round(collar) :] > 0.5] = SHIRT
    monkeypatch.setattr(separation, "parse", lambda _: Mattes(person, head))
    alpha = separate(image, landmarks).head[..., 3]
    below_chin = np.s_[round(CHIN + 0.15 * UNIT), 118:138]
    assert (alpha[below_chin].min() > 60) == is_seam


def test_the_deep_shadow_of_a_chin_goes_with_the_head(monkeypatch):
    """It has no hue. On the body it would stay as a dark line."""
    image, person, head, landmarks = portrait()
    rows = np.s_[round(CHIN + 0.02 * UNIT) : round(CHIN + 0.14 * UNIT)]
    image[rows][person[rows] > 0.5] = (14, 10, 12)  # from side to side of the neck
    shadow = rows, np.s_[118:138]
    monkeypatch.setattr(separation, "parse", lambda _: Mattes(person, head))
    layers = separate(image, landmarks)
    assert layers.head[shadow][..., 3].min() > 100 and layers.body[shadow][..., 0].min() > 100


def test_a_neck_beside_the_jaw_is_no_part_of_the_head_though_the_parser_says_so(monkeypatch):
    """It would turn with the head, as a dark tip below the ear. Hair at the same place is part of the head."""
    image, person, head, landmarks = portrait()
    jaw = round(landmarks.points[5, 1]) + 4
    head[jaw : jaw + 8, 103:107], image[jaw : jaw + 8, 103:105] = 1, (90, 60, 50)  # with the shade at its edge
    monkeypatch.setattr(separation, "parse", lambda _: Mattes(person, head))
    layers = separate(image, landmarks)
    corner = np.s_[jaw + 2 : jaw + 8, 103:105]
    assert layers.head[corner][..., 3].mean() < 80 and layers.body[corner][..., 3].mean() > 200
    lock = np.s_[jaw - 20 : jaw + 30, 70:107]
    image[lock], person[lock], head[lock] = HAIR, 1, 1
    assert separate(image, landmarks).head[corner][..., 3].min() > 200


def test_the_wall_between_strands_goes_from_the_head_before_a_guessed_neck(monkeypatch):
    """On the neck of a turned head it would be specks of wall."""
    image, person, head, landmarks = portrait(hair_width=0.8)
    gap = np.s_[round(CHIN - 0.2 * UNIT) : round(CHIN + 0.2 * UNIT), 152:155]
    image[gap] = WALL
    monkeypatch.setattr(separation, "parse", lambda _: Mattes(person, head))
    layers = separate(image, landmarks)
    assert layers.body[gap][..., 3].mean() > 128 and layers.head[gap][..., 3].mean() < 60


def test_a_neck_beside_hanging_hair_has_its_own_color_in_the_head(monkeypatch):
    """What shows through it is the neck. If it were the wall, a turned head would have a glaring wedge there."""
    image, person, head, landmarks = portrait(wall=(20, 20, 30))
    for x in (slice(98, 105), slice(151, 158)):
        strand = np.s_[round(CHIN - 0.3 * UNIT) : round(CHIN + 0.6 * UNIT), x]
        image[strand], person[strand], head[strand] = HAIR, 1, 1
    monkeypatch.setattr(separation, "parse", lambda _: Mattes(person, head))
    seam = separate(image, landmarks).head[round(CHIN) : round(CHIN) + 4, 107:110]
    np.testing.assert_allclose(seam[..., :3], np.broadcast_to(SKIN, (4, 3, 3)), atol=40)


def test_a_gap_between_strands_stays_open_beside_the_skin_of_a_neck(monkeypatch):
    image, person, head, landmarks = portrait(hair_width=0.8)
    gap = np.s_[round(CHIN - 0.2 * UNIT) : round(CHIN + 0.2 * UNIT), 152:155]
    image[gap] = WALL
    monkeypatch.setattr(separation, "parse", lambda _: Mattes(person, head))
    monkeypatch.setattr(separation, "_skin", lambda image, _: np.ones(image.shape[:2], np.float32))
    assert separate(image, landmarks).head[gap][..., 3].mean() < 60


def test_shade_that_head_and_skin_enclose_is_part_of_the_neck():
    mask, hole = np.zeros((2, 40, 40), bool)
    hole[:20], mask[5:10, 5:10], mask[15:30, 20:30] = True, True, True
    enclosed = separation._enclosed(mask, hole)
    assert enclosed[5:10, 5:10].all() and enclosed.sum() == 25, "a collar goes on below the margin of the head"
