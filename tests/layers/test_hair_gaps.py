"""The wall that is seen between strands of hair: found where it is plain, and never in a face."""

import cv2
import numpy as np
import pytest

from fewshot_heads.layers.hair_gaps import hair_opacity
from tests.layers.test_plates import CENTER, HAIR, SIZE, SKIN, UNIT, WALL, portrait

GAP = np.s_[round(CENTER[1]) : round(CENTER[1] + 0.5 * UNIT), 186:192]


def seen_through(wall=WALL):
    """Long hair with a gap that the matte does not know: opacity of the hair, matte."""
    image, _, head, landmarks = portrait(wall, hair_width=1.5)
    plate = np.full_like(image, wall)
    image[GAP] = plate[GAP]
    return hair_opacity(cv2.GaussianBlur(image, (0, 0), 0.7), head, plate, landmarks), head


def test_a_gap_in_hair_is_transparent_and_nothing_else():
    opacity, head = seen_through()
    inside = opacity[GAP][3:-3, 2:-2]
    assert inside.max() < 0.05
    others = (cv2.erode(head, np.ones((7, 7))) > 0.99).astype(np.uint8)
    others[GAP] = 0
    assert opacity[cv2.erode(others, np.ones((7, 7))) > 0].min() > 0.95


def test_hair_that_looks_like_the_wall_between_bright_locks_has_no_gaps():
    image, _, head, landmarks = portrait(HAIR, hair_width=1.5)
    locks = (np.arange(SIZE) % 24 < 6)[None] & (image == HAIR).all(2) & (head > 0.5)
    image[locks] = SKIN
    assert (hair_opacity(image, head, np.full_like(image, HAIR), landmarks) == 1).all()


def test_a_face_that_looks_like_the_wall_keeps_its_ears():
    opacity, _ = seen_through(wall=SKIN)
    assert (opacity == 1).all()


def test_nothing_is_told_apart_before_a_picture_of_a_room():
    rng = np.random.default_rng(0)
    room = cv2.resize(rng.integers(0, 255, (32, 32, 3), np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    opacity, _ = seen_through(wall=room)
    assert (opacity == 1).all()


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_mattes_of_nothing_and_of_everything(level):
    image, _, head, landmarks = portrait()
    opacity = hair_opacity(image, np.full_like(head, level), image, landmarks)
    assert opacity.shape == head.shape and np.isfinite(opacity).all()
