"""Teeth of a source image under lips that move."""

from dataclasses import replace

import numpy as np
import pytest

from fewshot_heads.landmarks import INNER_LIPS, LOWER_INNER_LIP, UPPER_INNER_LIP
from fewshot_heads.landmarks.pose import rotate_3d
from fewshot_heads.landmarks.regions import MOUTH
from fewshot_heads.rendering.teeth import Teeth, shows_teeth
from tests.faces import face

SIZE = 256
SMILE = face(center=(128, 128), scale=60, mouth=0.25)


def smiling():
    """A gray face whose mouth is full of teeth: bright, with a dark line between each two rows of four pixels."""
    image, inside = np.full((SIZE, SIZE, 3), 120, np.uint8), MOUTH.mask(SMILE, SIZE) > 0.5
    rows = np.where(np.arange(SIZE) % 4 == 0, 40, 220).astype(np.uint8)
    image[inside] = np.broadcast_to(rows[:, None, None], image.shape)[inside]
    return image


def with_lips(opening, shift=0.0):
    """The smile, whose lower lip lies at another distance from the upper one, over the distance there; both shifted."""
    points = SMILE.points.copy()
    top = points[UPPER_INNER_LIP, 1].mean()
    points[INNER_LIPS, 1] = top + opening * (points[INNER_LIPS, 1] - top) + shift
    return replace(SMILE, points=points)


def between_lips(frame, lips):
    """The column of pixels in the middle of the mouth, and where its lips are."""
    x = round(float(lips.points[UPPER_INNER_LIP[1], 0]))
    top, bottom = (float(lips.points[lip, 1].mean()) for lip in (UPPER_INNER_LIP, LOWER_INNER_LIP))
    return frame[:, x, 0].astype(float), top, bottom


@pytest.fixture
def teeth():
    return Teeth(smiling(), SMILE)


def test_only_an_open_mouth_shows_teeth():
    assert shows_teeth(SMILE) and not shows_teeth(with_lips(0.1))


def test_the_source_itself_stays_as_it_is(teeth):
    image = smiling()
    assert np.abs(teeth.show(image, SMILE).astype(int) - image).max() <= 2
    assert teeth.disocclusion(SMILE) == 0


@pytest.mark.parametrize("opening, shift", [(0.6, 0.0), (0.5, 5.0)])
def test_lips_that_close_pass_over_teeth_that_stay(teeth, opening, shift):
    lips, image = with_lips(opening, shift), smiling()
    frame = teeth.show(np.full_like(image, 120), lips)
    column, top, bottom = between_lips(frame, lips)
    inside = slice(round(top) + 4, round(bottom) - 4)
    np.testing.assert_allclose(column[inside], image[inside, round(float(lips.points[62, 0])), 0], atol=12)
    assert teeth.disocclusion(lips) == 0


def test_a_mouth_that_opens_wide_has_teeth_of_their_own_length_above_what_is_behind(teeth):
    lips = with_lips(2.2)
    behind = np.full((SIZE, SIZE, 3), 60, np.uint8)
    column, top, bottom = between_lips(teeth.show(behind, lips), lips)
    gap = (bottom - top) / 2.2
    assert teeth.disocclusion(lips) == 1
    assert column[round(top) + 3 : round(top + gap) - 3].mean() > 140
    assert column[round(top + 1.3 * gap) : round(bottom) - 3].max() <= 60


def test_a_lip_that_rises_takes_the_teeth_along(teeth):
    """No second row appears between the lip and the teeth."""
    points = with_lips(1.2).points.copy()
    points[INNER_LIPS, 1] -= 0.2 * (points[LOWER_INNER_LIP, 1].mean() - points[UPPER_INNER_LIP, 1].mean())
    lips = replace(SMILE, points=points)
    column, top, _ = between_lips(teeth.show(np.zeros((SIZE, SIZE, 3), np.uint8), lips), lips)
    assert column[round(top) + 2 : round(top) + 8].mean() > 100


def test_a_head_that_turns_far_shows_other_teeth(teeth):
    turned = rotate_3d(SMILE, np.array([0, 1.0, 0]))
    frame = np.full((SIZE, SIZE, 3), 77, np.uint8)
    np.testing.assert_array_equal(teeth.show(frame, turned), frame)
