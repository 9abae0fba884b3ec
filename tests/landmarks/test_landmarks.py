import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, Landmarks, detector
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.face_alignment import FaceAlignmentDetector
from fewshot_heads.landmarks.pose import MEAN_SURFACE, fit_pose, mirrored
from tests.faces import face

JAW_OPEN = 25  # of MediaPipe's blendshapes


@pytest.fixture(scope="module")
def mediapipe():
    return detector("mediapipe")


def test_mona_lisa_has_one_face_with_depth_and_her_irises_in_her_eyes(mediapipe, mona):
    (face,) = mediapipe.detect(mona)
    assert face.points.shape == (70, 2) and face.depth.shape == (70,) and 0 < face.confidence <= 1
    for iris, eye in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        low, high = face.points[eye].min(0) - 2, face.points[eye].max(0) + 2
        assert (low < face.points[iris]).all() and (face.points[iris] < high).all()
    nose_tip, temple = face.depth[30], face.depth[0]
    assert nose_tip < temple, "larger depth is farther away"


def test_mona_lisas_blendshapes_are_those_of_mediapipe_itself_and_her_landmarks_are_near_its(mediapipe, mona):
    expected = json.loads((Path(__file__).parent / "mona_lisa_mediapipe.json").read_text(encoding="utf-8"))
    (face,) = mediapipe.detect(mona)
    np.testing.assert_allclose(face.to_array()[:70], expected["landmarks"], atol=0.025 * face.size)
    np.testing.assert_allclose(mediapipe.expression(mona), expected["blendshapes"], atol=0.01)


def test_mona_lisas_surface_is_about_where_the_mean_heads_is(mediapipe, mona):
    (face,) = mediapipe.detect(mona)
    distance = np.linalg.norm((fit_pose(face).undo(face.surface) - MEAN_SURFACE)[:, :2], axis=1)
    assert distance.mean() < 0.08 and distance.max() < 0.3  # head units; a wrong order of the points would give 0.5


@pytest.mark.parametrize("surface", [None, 0])
def test_landmarks_are_stored_with_the_surface_they_have(surface):
    stored = face((0.1, 0.2, 0), surface=surface)
    loaded = Landmarks.from_array(stored.to_array())
    assert loaded.has_depth and loaded.has_surface == (surface is not None)
    np.testing.assert_array_equal(loaded.to_array(), stored.to_array())
    wanted = face((0.1, 0.2, 0), scale=30, center=(54, 44), surface=surface)
    np.testing.assert_allclose(stored.moved(np.array([20, 40]), 0.5).to_array(), wanted.to_array(), atol=1e-3)


def test_a_mirrored_picture_has_about_the_mirrored_face_nearer_if_the_detector_sees_both(driver_frames):
    frame, differences = driver_frames[0], []
    for flip_input in (False, True):
        finder = detector("mediapipe", flip_input=flip_input)
        direct, flipped = (finder.detect(image)[0] for image in (frame, np.ascontiguousarray(frame[:, ::-1])))
        back = mirrored(flipped, frame.shape[1])
        differences.append(np.linalg.norm(back.points - direct.points, axis=1).mean() / direct.size)
    alone, both = differences
    assert both < 0.75 * alone and both < 0.01


@pytest.mark.parametrize("flip_input", [False, True])
def test_a_face_that_moved_little_is_followed_as_exactly_as_it_is_detected(driver_frames, flip_input):
    finder = detector("mediapipe", flip_input=flip_input)
    (face,) = finder.detect(driver_frames[0])
    for offset in (0.0, 0.05, 0.1):
        last = face.moved(np.array([-offset, offset], np.float32) * face.size)
        followed = finder.follow(driver_frames[0], last)
        assert np.linalg.norm(followed.points - face.points, axis=1).mean() < 0.01 * face.size


def test_a_face_far_from_its_last_place_is_not_followed(mediapipe, driver_frames):
    (face,) = mediapipe.detect(driver_frames[0])
    far = face.moved(np.array([-0.6, 0.0], np.float32) * face.size)
    assert mediapipe.follow(driver_frames[0], far) is None
    assert mediapipe.follow(np.full_like(driver_frames[0], 90), face) is None


def test_a_glance_sees_about_where_the_face_is(mediapipe, driver_frames):
    (face,) = mediapipe.detect(driver_frames[0])
    seen = mediapipe.glance(driver_frames[0])
    assert np.linalg.norm(seen.points - face.points, axis=1).mean() < 0.05 * face.size
    assert mediapipe.glance(np.full_like(driver_frames[0], 90)) is None


def test_a_surface_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"surface of shape \(3, 3\), expected \(151, 3\)"):
        Landmarks(np.zeros((70, 2), np.float32), surface=np.zeros((3, 3), np.float32))


def test_a_small_face_in_a_large_picture_is_found_in_its_place(mediapipe, mona):
    (original,) = mediapipe.detect(mona)
    large = np.full((1600, 2000, 3), 90, np.uint8)
    large[1100 : 1100 + mona.shape[0], 150 : 150 + mona.shape[1]] = mona
    face = mediapipe.detect(large)[0]
    np.testing.assert_allclose(face.points, original.points + [150, 1100], atol=0.05 * original.size)


def test_several_faces_come_the_largest_first(mediapipe, mona):
    small = cv2.resize(mona, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    both = np.full((mona.shape[0], mona.shape[1] + small.shape[1], 3), 60, np.uint8)
    both[: small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = mona
    faces = mediapipe.detect(both)
    assert len(faces) == 2 and faces[0].size > faces[1].size and faces[0].box[0] > small.shape[1]


def test_there_is_no_face_in_noise(mediapipe):
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    assert mediapipe.detect(noise) == []


def head_crop(mediapipe, image: np.ndarray, size: int = 256) -> np.ndarray:
    return Crop.around(mediapipe.detect(image)[:1], size).cut(image)


def test_a_talking_mouth_is_more_open_than_mona_lisas(mediapipe, mona, driver_frames):
    shut, talking = (mediapipe.expression(head_crop(mediapipe, image)) for image in (mona, driver_frames[9]))
    assert shut.shape == (52,) and shut.dtype == np.float32
    assert min(shut.min(), talking.min()) >= 0 and max(shut.max(), talking.max()) <= 1
    assert talking[JAW_OPEN] > shut[JAW_OPEN] + 0.03


def test_the_expression_is_that_of_the_largest_face(mediapipe, mona, driver_frames):
    for sizes in ((256, 160), (160, 256)):
        crops = [head_crop(mediapipe, image, size) for image, size in zip((mona, driver_frames[9]), sizes, strict=True)]
        both = np.full((256, sum(sizes), 3), 60, np.uint8)
        both[: sizes[0], : sizes[0]], both[: sizes[1], sizes[0] :] = crops
        single_scores = [mediapipe.expression(crop)[JAW_OPEN] for crop in crops]
        expected, margin = single_scores[int(np.argmax(sizes))], 0.5 * (single_scores[1] - single_scores[0])
        assert abs(mediapipe.expression(both)[JAW_OPEN] - expected) < margin


def test_noise_has_no_expression(mediapipe):
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    assert mediapipe.expression(noise) is None


def test_an_unknown_backend_names_the_known_ones():
    with pytest.raises(BadInput, match="use 'mediapipe' or 'face_alignment'"):
        detector("dlib")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_face_alignments_points_become_landmarks_with_irises(dimensions):
    points = np.random.default_rng(0).uniform(50, 150, (68, dimensions)).astype(np.float32)
    answers = ([points, points * 2], None, [[0, 0, 1, 1, 0.9], [0, 0, 1, 1, 0.8]])
    network = SimpleNamespace(get_landmarks_from_image=lambda image, return_bboxes: answers)
    large, small = FaceAlignmentDetector(dimensions, network=network).detect(np.zeros((300, 300, 3), np.uint8))
    np.testing.assert_allclose(large.points[:68], points[:, :2] * 2)
    np.testing.assert_allclose(small.points[RIGHT_IRIS], points[RIGHT_EYE, :2].mean(0), rtol=1e-5)
    assert (small.depth is None) == (dimensions == 2)
    if dimensions == 3:
        np.testing.assert_allclose(np.abs(large.depth[:68]), 2 * np.abs(points[:, 2]))
        assert large.depth[30] < large.depth[[0, 16]].mean(), "the nose is nearer than the temples"


def test_face_alignment_without_a_face_or_with_a_doubtful_one_finds_none():
    for answers in ((None, None, None), ([np.ones((68, 2), np.float32)], None, [[0, 0, 1, 1, 0.2]])):
        network = SimpleNamespace(get_landmarks_from_image=lambda image, return_bboxes, a=answers: a)
        assert FaceAlignmentDetector(network=network).detect(np.zeros((64, 64, 3), np.uint8)) == []


def test_face_alignment_follows_a_face_in_a_window_around_its_last_place():
    last, sizes = face(center=(150, 140), scale=20), []
    left, top = (last.box[:2] + last.box[2:]) / 2 - 0.95 * last.size

    def answer(image, return_bboxes):
        sizes.append(max(image.shape[:2]) / last.size)
        return [last.points[:68] - np.floor([left, top])], None, [[0, 0, 1, 1, 0.9]]

    finder = FaceAlignmentDetector(network=SimpleNamespace(get_landmarks_from_image=answer))
    followed = finder.follow(np.zeros((300, 300, 3), np.uint8), last)
    np.testing.assert_allclose(followed.points[:68], last.points[:68], atol=1e-3)
    outside = last.moved(np.array([500.0, 0.0], np.float32))
    assert finder.follow(np.zeros((300, 300, 3), np.uint8), outside) is None
    assert len(sizes) == 1 and 1.8 < sizes[0] < 2.0


def test_face_alignment_without_its_weights_names_the_other_backend(monkeypatch):
    face_alignment = pytest.importorskip("face_alignment")

    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(face_alignment, "FaceAlignment", unreachable)
    with pytest.raises(BadInput, match="landmarks=mediapipe"):
        detector("face_alignment")
