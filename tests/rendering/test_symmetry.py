"""What one side of a head tells of the other."""

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.pose import Pose, fit_pose
from fewshot_heads.rendering.depth import surface_normals
from fewshot_heads.rendering.symmetry import into_silhouette, other_side
from tests.faces import face

NO_SKIN = np.zeros((96, 96), bool)


def _pose(yaw):
    return Pose(cv2.Rodrigues(np.array([0, yaw, 0.0]))[0], np.array([48.0, 48.0, 0.0]), 30.0)


@pytest.mark.parametrize("yaw", [np.pi / 4, -np.pi / 4])
@pytest.mark.parametrize(("depth", "change"), [(-10, 0), (-28, 8), (28, -8)])
def test_hair_of_a_turned_head_is_moved_until_its_mirror_image_is_within_the_silhouette(yaw, depth, change):
    """At 45 degrees, the depth of a place is how far its reflection is aside."""
    matte = np.zeros((96, 96), np.float32)
    matte[:, 28:68] = 1  # 20 cells to each side of the axis
    changes = into_silhouette(np.full((96, 96), depth, np.float32), matte, _pose(yaw))
    np.testing.assert_allclose(changes[20:76, 38:58], change, atol=1.2)


def test_a_frontal_image_says_nothing_of_the_depth_of_hair():
    matte = np.zeros((96, 96), np.float32)
    matte[:, 28:40] = 1
    assert not into_silhouette(np.full((96, 96), -40, np.float32), matte, _pose(0.05)).any()


def _sphere(yaw):
    """A head that is a sphere around the center of its pose: depth, normals, matte and landmarks, 96 x 96 cells."""
    landmarks = face((0, yaw, 0), surface=0).moved(np.zeros(2, np.float32), 96 / 256)
    center_x, center_y, center_z = fit_pose(landmarks).translation
    y, x = np.mgrid[:96, :96] + 0.5
    squared = 30**2 - (x - center_x) ** 2 - (y - center_y) ** 2
    depth = (center_z - np.sqrt(np.maximum(squared, 0))).astype(np.float32)
    return depth, surface_normals(depth), (squared > 0).astype(np.float32), landmarks


def _at(landmarks, aside=0, up=0):
    """The cells of a square of 5 x 5 beside the center of the head's pose, above what hangs."""
    x, y = fit_pose(landmarks).translation[:2].astype(int) + [aside, -up]
    return np.s_[y - 2 : y + 3, x - 2 : x + 3]


def test_an_image_sees_the_other_side_of_a_frontal_head():
    depth, normals, matte, landmarks = _sphere(0.0)
    seen, kept = other_side(depth, normals, matte, NO_SKIN, landmarks)
    for aside in (-15, 0, 15):
        where = _at(landmarks, aside, up=10)
        assert np.allclose(seen[where], -normals[where][..., 2], atol=0.05) and kept[where].min() > 0.99


@pytest.mark.parametrize("yaw", [1.0, -1.0])
def test_a_turned_head_hides_its_other_side(yaw):
    depth, normals, matte, landmarks = _sphere(yaw)
    seen, kept = other_side(depth, normals, matte, NO_SKIN, landmarks)
    where = _at(landmarks, up=10)
    assert seen[where].max() == 0 and kept[where].min() > 0.99  # it faces away


def test_what_would_be_seen_beside_or_before_the_head_is_not_on_its_other_side():
    depth, normals, matte, landmarks = _sphere(0.0)
    lump, enclosed, (rows, columns) = _at(landmarks, 36, 10), _at(landmarks, 12, 18), _at(landmarks, -18, 10)
    strand = rows, slice(columns.start - 12, columns.stop)  # from the silhouette on
    matte[lump] = 1  # beside the head, on one side only
    depth[strand] -= 20  # before the head
    depth[enclosed] -= 20
    _, kept = other_side(depth, normals, matte, NO_SKIN, landmarks)
    assert kept[lump].max() == 0 and kept[rows, columns].max() == 0 and kept[_at(landmarks, up=10)].min() > 0.99
    assert kept[enclosed].min() > 0.99, "a hole in the head"


def test_skin_has_a_reflection_in_any_case():
    depth, normals, matte, landmarks = _sphere(0.0)
    before, skin = _at(landmarks, -18, up=10), NO_SKIN.copy()
    depth[before] -= 20
    skin[before] = True
    assert other_side(depth, normals, matte, skin, landmarks)[1][before].min() > 0.99


@pytest.mark.parametrize(("yaw", "least", "most"), [(0.0, 0.0, 0.01), (1.0, 0.99, 1.0)])
def test_hair_that_hangs_is_on_the_other_side_only_where_the_image_does_not_see_that(yaw, least, most):
    depth, normals, matte, landmarks = _sphere(yaw)
    low = round(float(landmarks.points[:, 1].max() + 0.8 * fit_pose(landmarks).scale))
    x = int(landmarks.points[:, 0].mean())
    matte[:] = 1
    kept = other_side(np.full_like(depth, depth.mean()), normals * 0 + [0, 0, -1], matte, NO_SKIN, landmarks)[1]
    assert least <= kept[low, x] <= most


@pytest.mark.parametrize(("beside", "is_kept"), [(0.4, True), (1.0, False)])
def test_a_reflection_that_lies_a_little_beside_the_head_is_whole(beside, is_kept):
    """Depth is a guess. Hair with stripes through which the wall is seen is worse than hair that is a little larger."""
    depth, normals, matte, landmarks = _sphere(0.0)
    x, y = fit_pose(landmarks).translation[:2]
    column = int(x)
    matte[:] = 0
    matte[:, column - 25 : column + 26] = 1
    landmarks = landmarks.moved(np.array([x - column - 0.5 - beside / 2, 0], np.float32))
    _, kept = other_side(depth, normals, matte, NO_SKIN, landmarks)
    rim = kept[int(y) - 12 : int(y) - 6, column - 25]
    assert rim.min() > 0.99 if is_kept else rim.max() == 0
