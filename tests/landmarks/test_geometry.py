import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks import MIRROR, Landmarks
from fewshot_heads.landmarks.control_points import control_points, warp_points
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, MEAN_HEAD, MEAN_SURFACE, SURFACE_MIRROR, fit_pose
from fewshot_heads.landmarks.pose_distance import pose_distance
from tests.faces import face

TURN = (0.1, 0.4, -0.2)


@pytest.mark.parametrize("depth", [True, False])
def test_the_pose_of_a_turned_head_is_found_again(depth):
    pose = fit_pose(face(TURN, scale=50, center=(100, 90), depth=depth))
    np.testing.assert_allclose(cv2.Rodrigues(pose.rotation)[0].ravel(), TURN, atol=2e-3)
    assert pose.scale == pytest.approx(50, rel=1e-2)
    np.testing.assert_allclose(pose.translation[:2], [100, 90], atol=0.5)


def test_a_pose_undoes_what_it_applies():
    pose = fit_pose(face(TURN))
    np.testing.assert_allclose(pose.undo(pose.apply(HEAD_ANCHORS)), HEAD_ANCHORS, atol=1e-9)


def test_the_head_anchors_move_with_the_head_and_not_with_the_mouth():
    calm, talking, turned = face(), face(mouth=0.3), face((0, 0.3, 0))
    np.testing.assert_allclose(control_points(calm)[70:], control_points(talking)[70:], atol=1e-3)
    assert np.abs(control_points(calm)[70:] - control_points(turned)[70:]).max() > 5


def test_a_face_is_carried_by_the_surface_that_faces_the_viewer():
    held, left, right = 70 + len(HEAD_ANCHORS), MEAN_SURFACE[:, 0] < -0.5, MEAN_SURFACE[:, 0] > 0.5
    front, turned = (warp_points(face((0, turn, 0), surface=0)) for turn in (0.0, 0.8))
    for points in (front, turned):
        np.testing.assert_array_equal(points[36:68, 2], 1)
        np.testing.assert_array_equal(points[68:70, 2], 0)  # irises turn in their eyes
    np.testing.assert_array_equal(front[:held, :2], control_points(face()))
    assert front[held:, 2].max() <= 0.05 and (front[held:, 2] > 0).mean() > 0.9
    far_weights, near_weights = (
        turned[held:, 2][side] for side in ((right, left) if turned[30, 0] > 128 else (left, right))
    )
    assert far_weights.max() < 0.01 < near_weights.mean()


def test_a_face_without_a_surface_is_carried_by_its_landmarks():
    points, known = warp_points(face()), warp_points(face(surface=0))
    assert points.shape == known.shape and (points[70 + len(HEAD_ANCHORS) :, 2] == 0).all()
    np.testing.assert_allclose(points[:, :2], known[:, :2], atol=0.2)


def test_landmarks_and_surface_are_their_own_mirror_image():
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(len(MEAN_HEAD)))
    np.testing.assert_allclose(MEAN_HEAD[MIRROR] * [-1, 1, 1], MEAN_HEAD, atol=0.02)
    np.testing.assert_array_equal(SURFACE_MIRROR[SURFACE_MIRROR], np.arange(len(MEAN_SURFACE)))
    np.testing.assert_allclose(MEAN_SURFACE[SURFACE_MIRROR] * [-1, 1, 1], MEAN_SURFACE, atol=1e-3)


def test_the_pose_distance_ignores_place_and_size_but_not_turn_and_mouth():
    reference = face()
    assert pose_distance(reference, face(scale=120, center=(300, 40))) < 1e-4
    assert pose_distance(reference, face((0, 0.35, 0))) > pose_distance(reference, face((0, 0.1, 0))) > 0.01
    assert pose_distance(reference, face(mouth=0.3)) > 0.01


def test_one_crop_holds_every_face_of_a_shot():
    faces = [face(center=(x, 200), scale=60) for x in (150, 200, 260)]
    crop = Crop.around(faces, 256)
    for shot_face in faces:
        points = crop.to_crop(shot_face).points
        assert points.min() > 0 and points.max() < 256


def test_landmarks_and_pixels_land_on_the_same_place_of_a_crop():
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (210, 130), 6, (255, 255, 255), -1)
    for side in (100.0, 201.0, 340.0):  # enlarged, and shrunk by averaging
        crop = Crop(150, 60, side, 128)
        rows, columns = np.nonzero(crop.cut(image)[..., 0] > 127)
        # The circle's middle is the center of pixel (210, 130): half a pixel on in edge coordinates.
        wanted = (np.array([210.5, 130.5]) - [150, 60]) * 128 / side
        np.testing.assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], wanted, atol=0.5)


def test_a_crop_beyond_the_picture_mirrors_it_and_has_no_black():
    image = np.full((80, 80, 3), 200, np.uint8)
    assert Crop(-40, -40, 160, 64).cut(image).min() == 200


def test_landmarks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"got points of shape \(68, 2\)"):
        Landmarks(np.zeros((68, 2), np.float32))


@pytest.mark.parametrize("angle", [-45, 45])
def test_a_jaw_that_a_turn_hides_lies_on_the_outline(angle):
    """A detector with depth sees it through the head: carried from there, a picture would show its eye twice."""
    turned = face((0, np.radians(angle), 0), scale=80)
    points = control_points(turned)[:70]
    left = (range(8), 36, 48, -1)
    right = (range(9, 17), 45, 54, 1)
    (jaw, eye, mouth, sign), (other, *_) = (left, right) if angle > 0 else (right, left)
    beside = [i for i in jaw if turned.points[eye, 1] < turned.points[i, 1] < turned.points[mouth, 1]]
    edge = np.interp(turned.points[beside, 1], turned.points[[eye, mouth], 1], turned.points[[eye, mouth], 0])
    assert (sign * (turned.points[beside, 0] - edge)).min() < 0, "hidden behind the face"
    assert (sign * (points[beside, 0] - edge)).min() > 4
    kept = [*other, *range(17, 70)]
    np.testing.assert_allclose(points[kept], turned.points[kept], atol=1e-3)
    np.testing.assert_allclose(points[list(jaw), 1], turned.points[list(jaw), 1], atol=1e-3)


@pytest.mark.parametrize("turn", [(0, 0, 0), (0.2, 0.25, 0.3)])
def test_a_jaw_in_sight_stays_where_it_is(turn):
    np.testing.assert_allclose(control_points(face(turn))[:70], face(turn).points, atol=1e-3)
