"""The head as a surface: its depth, and how it turns."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewshot_heads.imaging.warping import grid_positions
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import Pose, fit_pose, mirrored, view_turn
from fewshot_heads.rendering import head_views
from fewshot_heads.rendering.behind_head import rgba_layers
from fewshot_heads.rendering.depth import head_depth
from fewshot_heads.rendering.head_surface import CELLS, HeadSurface, Projection
from fewshot_heads.rendering.head_views import HeadViews, _weigh, images_of_views
from tests.faces import face

SIZE = 256
BODY = np.full((SIZE, SIZE, 4), 255, np.uint8)  # behind the whole head


def oval(landmarks, size=SIZE):
    """A head's matte: an ellipse that is larger than its face."""
    low, high = landmarks.points.min(0), landmarks.points.max(0)
    center, half = (low + high) / 2, (high - low) * [0.62, 0.72]
    matte = np.zeros((size, size), np.float32)
    cv2.ellipse(matte, (center.tolist(), (2 * half).tolist(), 0), 1.0, -1, cv2.LINE_AA)
    return matte


def layer(matte, color=(30, 40, 90)):
    """A head layer of one color, uint8 [S, S, 4]."""
    return np.dstack([np.full((*matte.shape, 3), color, np.uint8), np.rint(255 * matte).astype(np.uint8)])


def measured_face(rotation=(0, 0, 0), **options):
    return face(rotation, surface=0, **options)


def at(projection, points):
    """Returns the flow of a projection at points, pixels."""
    where = torch.from_numpy(points.astype(np.float32))[None, None] * 2 / SIZE - 1
    flow = F.grid_sample(torch.from_numpy(projection.flow).permute(2, 0, 1)[None], where, align_corners=False)
    return (flow[0, :, 0].T.numpy() + 1) * SIZE / 2


def test_a_sphere_is_inflated_from_a_disk():
    """Outside the face the depth falls off to the silhouette, and only there."""
    landmarks = measured_face()
    depth = head_depth(landmarks.moved(np.zeros(2, np.float32), 96 / SIZE), cv2.resize(oval(landmarks), (96, 96)))
    middle = landmarks.points[30] * 96 / SIZE
    row = depth[int(middle[1]) - 8]
    nearest = int(row[20:76].argmin()) + 20
    assert abs(nearest - middle[0]) < 6
    assert (np.diff(row[nearest + 3 : 76]) > -0.2).all() and row[-1] - row[nearest] > 15
    assert np.abs(np.diff(depth, axis=1)).max() < 2.0  # no step that splatting would tear


@pytest.mark.parametrize("matte", [np.zeros((96, 96), np.float32), np.ones((96, 96), np.float32)])
def test_a_matte_of_nothing_or_everything_has_a_depth(matte):
    depth = head_depth(measured_face().moved(np.zeros(2, np.float32), 96 / SIZE), matte)
    assert np.isfinite(depth).all()


def test_a_head_in_its_own_pose_stays_where_it_is():
    landmarks = measured_face()
    projection = HeadSurface(landmarks, layer(oval(landmarks)), SIZE).project(landmarks)
    inside = cv2.resize(oval(landmarks), (CELLS, CELLS), interpolation=cv2.INTER_AREA) > 0.9
    moved = (projection.flow - grid_positions(CELLS))[inside] * SIZE / 2
    assert np.abs(moved).max() < 0.2  # pixels
    assert projection.coverage[inside].min() == 1


@pytest.mark.parametrize("rotation", [(0, 0.5, 0), (0.3, 0, 0), (0, -0.3, 0.3)])
def test_landmarks_land_on_the_landmarks_of_the_target(rotation):
    source, target = measured_face(), measured_face(rotation, mouth=0.1)
    found = at(HeadSurface(source, layer(oval(source)), SIZE).project(target), target.points[27:68])
    assert np.abs(found - source.points[27:68]).mean() < 2  # pixels


def test_a_turned_head_hides_its_far_side():
    source = measured_face()
    surface = HeadSurface(source, layer(oval(source)), SIZE)
    frontal, turned = surface.project(source), surface.project(measured_face((0, 0.7, 0)))
    assert turned.coverage.sum() < frontal.coverage.sum() * 1.1
    shown = turned.flow[turned.coverage > 0.9]
    sides = [(shown[:, 0] < 0).mean(), (shown[:, 0] > 0).mean()]
    assert max(sides) > 1.5 * min(sides)


def test_the_mirror_image_shows_what_the_image_does_not():
    source, target = measured_face((0, 0.6, 0)), measured_face((0, -0.6, 0))
    views = HeadViews([source], layer(oval(source))[None], SIZE, BODY)
    own, other = views.blend(source), views.blend(target)
    assert own.weights[1].sum() < 0.05 * own.weights[0].sum()
    assert other.weights[1].sum() > other.weights[0].sum()
    assert other.weights.sum(0).max() <= 1 + 1e-5


def test_a_roll_shows_nothing_of_the_mirror_image():
    source = measured_face((0, 0.6, 0))
    matte = oval(source)
    matte[60:200, 195:250] = 1  # a scarf on one side only
    views = HeadViews([source], layer(matte)[None], SIZE, BODY)
    rolled = Landmarks.from_array(Pose(*_rolled(fit_pose(source))).apply(CanonicalFace.of(source).shape))
    assert views.blend(rolled).weights[1].sum() < 10  # cells; if a roll counted as a turn, 107


@pytest.mark.parametrize("body_follows", [False, True])
def test_the_seam_under_a_chin_is_seen_on_the_neck_only_and_hair_beside_it_everywhere(monkeypatch, body_follows):
    if not body_follows:
        monkeypatch.setattr(head_views, "body_flow", lambda *_: None)
    source, way = measured_face(), 24
    (x, y), matte, neck = source.points[8].astype(int), oval(source), BODY.copy()
    matte[y + 4 :] *= 0.5  # the soft seam on the neck, and hair on the right of it
    neck[:, x + 8 :] = 0
    views = HeadViews([source], layer(matte)[None], SIZE, neck)
    still, moved = (views.blend(face).weights[0] for face in (source, source.moved(np.array([-way, 0], np.float32))))
    rows = np.s_[(y + 8) // 2 : (y + 16) // 2]
    seam, hair = np.s_[(x - 6) // 2 : x // 2], np.s_[(x + 14) // 2 : (x + 20) // 2]
    assert still[rows, seam].min() > 0.95 and still[rows, hair].min() > 0.95
    aside = way // 2  # on the wall, if the neck is still where it was
    of_seam, of_hair = (moved[rows, place.start + aside : place.stop + aside] for place in (seam, hair))
    assert of_hair.min() > 0.95 and (of_seam.min() > 0.95 if body_follows else of_seam.max() < 0.05)


def test_the_images_of_all_views_are_not_copied():
    source = measured_face((0, 0.6, 0))
    views = [HeadViews([source], layer(oval(source))[None], SIZE, BODY).blend(source)] * 2
    images = np.random.default_rng(0).random((2, 4, 8, 8), np.float32)
    chosen = images_of_views(images, views)
    np.testing.assert_array_equal(chosen[1], images)
    assert np.shares_memory(chosen, images)


def test_what_stands_out_on_one_side_of_a_frontal_head_has_no_mirror_image():
    """The image would show it on the other side too."""
    source, target = measured_face(), measured_face((0, 0.3, 0))
    matte = oval(source)
    matte[:90, 150:200] = 1  # a bun on one side only
    weights = HeadViews([source], layer(matte)[None], SIZE, BODY).blend(target).weights
    other_side = np.s_[: 90 // 2, (SIZE - 200) // 2 : (SIZE - 160) // 2]
    assert (weights[1] * 1.0)[other_side].max() < 0.1


def test_of_several_images_the_nearest_shows_the_face():
    left, right = measured_face((0, 0.5, 0)), measured_face((0, -0.5, 0))
    views = HeadViews([left, right], np.stack([layer(oval(left)), layer(oval(right))]), SIZE, BODY)
    for index, target in enumerate((left, right)):
        view = views.blend(target)
        assert view.indices[0] == index and view.weights[0].sum() > 0.8 * view.weights.sum()


def test_landmarks_without_depth_make_a_surface_too():
    full = measured_face()
    flat = Landmarks(full.points, None, 1.0)
    projection = HeadSurface(flat, layer(oval(full)), SIZE).project(Landmarks(face((0, 0.2, 0)).points, None, 1.0))
    assert np.isfinite(projection.flow).all() and projection.coverage.max() == 1


def _rolled(pose, angle=0.5):
    """Rotation, translation and scale of a pose that is turned in the image."""
    turn = cv2.Rodrigues(np.array([0, 0, angle]))[0]
    return turn @ pose.rotation, pose.translation, pose.scale


def test_the_turn_of_the_view_does_not_count_a_roll():
    pose = fit_pose(measured_face((0.1, 0.4, 0.2)))
    assert view_turn(pose, Pose(*_rolled(pose))) == pytest.approx(0, abs=1e-6)
    assert view_turn(pose, fit_pose(measured_face((0.1, 0.7, 0.2)))) == pytest.approx(0.3, abs=0.02)


def test_the_mirror_image_of_a_pose_is_its_mirror_image():
    landmarks = measured_face((0.1, 0.4, 0.2))
    pose, other = fit_pose(landmarks), fit_pose(mirrored(landmarks, SIZE))
    flip = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(other.rotation, flip @ pose.rotation @ flip, atol=0.02)


@pytest.mark.parametrize(("in_gap", "weight"), [(True, 1), (False, 0)])
def test_a_gap_in_the_image_is_closed_by_the_mirror_image(in_gap, weight):
    full, none = np.ones((CELLS, CELLS), np.float32), np.zeros((CELLS, CELLS), np.float32)
    gap = full.copy()
    gap[40:60, 40:60] = 0
    flow = np.zeros((CELLS, CELLS, 2), np.float32)
    image = Projection(flow, gap, gap, 0.1 * full, none, full, none)  # torn by a large turn
    mirror_image = Projection(flow, full, full, full, 0.9 * full, full, none)
    weights, _ = _weigh([image, mirror_image], [0, 0.3])
    assert weights[1, 50, 50 if in_gap else 90] == pytest.approx(weight)


def test_a_mirror_image_that_is_hardly_larger_shows_no_rim_beside_the_head():
    full, none = np.ones((CELLS, CELLS), np.float32), np.zeros((CELLS, CELLS), np.float32)
    head, larger = none.copy(), none.copy()
    head[40:80, 40:80], larger[40:80, 38:90] = 1, 1  # by two cells on one side, by ten on the other
    flow = np.zeros((CELLS, CELLS, 2), np.float32)
    image = Projection(flow, full, head, full, none, none, none)
    mirror_image = Projection(flow, full, larger, full, none, none, none)
    weights, _ = _weigh([image, mirror_image], [0, 0.3])
    assert weights[1, 60, 38] == 0 and weights[1, 60, 85] == 1


def test_a_mirror_image_has_the_light_of_the_side_that_it_shows():
    landmarks = measured_face((0, 0, 0))
    points = landmarks.points.round().astype(np.int32)
    head = np.zeros((1, SIZE, SIZE, 4), np.uint8)
    cv2.fillConvexPoly(head[0], cv2.convexHull(points), (200, 150, 120, 255))
    middle = int(landmarks.points[30, 0])
    head[0, :, middle:, :3] = 0.6 * head[0, :, middle:, :3]  # lit from one side
    views = HeadViews([landmarks], head, SIZE, np.zeros_like(head[0]))
    (picture, mirror_image), unlit = views.images(rgba_layers(head)), rgba_layers(head)[0, ..., ::-1]
    for x, y in landmarks.points[[3, 13]].round().astype(int):
        at = np.s_[:3, y, middle + int(0.8 * (x - middle))]
        assert (np.abs(mirror_image[at] - picture[at]) < 0.5 * np.abs(unlit[at] - picture[at])).all()
