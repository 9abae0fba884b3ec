"""The body under a moving head."""

import numpy as np
import pytest
import torch

from fewshot_heads.landmarks.pose import NECK, NECK_TOP, fit_pose
from fewshot_heads.rendering.behind_head import BehindHead
from tests.rendering.test_hanging import turned_about_the_neck
from tests.rendering.test_head_surface import SIZE, measured_face


@pytest.fixture
def behind():
    """A black background, before which a white column stands in the middle."""
    body = torch.full((4, SIZE, SIZE), -1.0)
    middle = slice(SIZE // 2 - 10, SIZE // 2 + 10)
    body[:3, :, middle], body[3], body[3, :, middle] = 1.0, 0.0, 1.0
    return BehindHead(body, torch.full((3, SIZE, SIZE), -1.0), continues=True)


def column(frame, row):
    """The middle of the white column in a row."""
    return float(np.flatnonzero(frame[0, 0, round(row)] > 0).mean())


def test_a_body_under_a_still_head_stands_still(behind):
    face = measured_face()
    torch.testing.assert_close(behind.follow([face], [face], SIZE), behind.still.reshape(1, 3, SIZE, SIZE))


def test_a_neck_leans_with_the_skull_softly_from_the_shoulders_on(behind):
    source = measured_face()
    target = turned_about_the_neck(source, (0, 0.6, 0))
    frame = behind.follow([source], [target], SIZE)
    before, after = fit_pose(source), fit_pose(target)
    top, base = before.apply(NECK_TOP)[0], before.apply(NECK)[0]
    shift = (after.apply(NECK_TOP) - before.apply(NECK_TOP))[0, 0]
    assert abs(shift) > 5
    still = SIZE / 2 - 0.5
    assert column(frame, top[1]) - still == pytest.approx(shift, abs=1)
    start = base[1] + 0.5 * (base[1] - top[1])
    assert column(frame, (top[1] + start) / 2) - still == pytest.approx(shift / 2, abs=1)
    assert column(frame, start + 2) == pytest.approx(still, abs=0.6)
    shifts = np.array([column(frame, row) for row in np.linspace(start, top[1], 9)]) - still
    steps = np.abs(np.diff(shifts))
    assert steps[[0, -1]].max() < 0.5 * steps[4]
