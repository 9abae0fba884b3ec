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


def test_mona_lisas_surface_is_about_where_the_mean_heads_is(mediapipe, mona):
    (seen,) = mediapipe.detect(mona)
    apart = np.linalg.norm((fit_pose(seen).undo(seen.surface) - MEAN_SURFACE)[:, :2], axis=1)
    assert apart.mean() < 0.08 and apart.max() < 0.3  # head units; a wrong order of the points would give 0.5


@pytest.mark.parametrize("surface", [None, 0])
def test_landmarks_are_stored_with_the_surface_they_have(surface):
    seen = face((0.1, 0.2, 0), surface=surface)
    again = Landmarks.from_array(seen.to_array())
    assert (again.surface is None) == (surface is None)
    np.testing.assert_array_equal(again.to_array(), seen.to_array())
    wanted = face((0.1, 0.2, 0), scale=30, center=(54, 44), surface=surface)
    np.testing.assert_allclose(seen.moved(np.array([20, 40]), 0.5).to_array(), wanted.to_array(), atol=1e-3)


def test_a_mirrored_picture_has_the_mirrored_face(mediapipe, driver_frames):
    frame = driver_frames[0]
    seen, again = (mediapipe.track(image).to_array() for image in (frame, np.ascontiguousarray(frame[:, ::-1])))
    back = mirrored(Landmarks.from_array(again), frame.shape[1]).to_array()
    np.testing.assert_allclose(back, seen, atol=1e-3)
    once = detector("mediapipe", flip_input=False).track(frame).to_array()
    assert 1e-3 < np.abs(once - seen)[:, :2].mean() / Landmarks.from_array(seen).size < 0.02


def test_a_surface_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"surface of shape \(3, 3\), expected \(151, 3\)"):
        Landmarks(np.zeros((70, 2), np.float32), surface=np.zeros((3, 3), np.float32))


def test_a_small_face_in_a_large_picture_is_found_in_its_place(mediapipe, mona):
    (alone,) = mediapipe.detect(mona)
    large = np.full((1600, 2000, 3), 90, np.uint8)
    large[1100 : 1100 + mona.shape[0], 150 : 150 + mona.shape[1]] = mona
    face = mediapipe.detect(large)[0]
    np.testing.assert_allclose(face.points, alone.points + [150, 1100], atol=0.05 * alone.size)


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
        alone = [mediapipe.expression(crop)[JAW_OPEN] for crop in crops]
        assert abs(mediapipe.expression(both)[JAW_OPEN] - alone[int(np.argmax(sizes))]) < 0.5 * (alone[1] - alone[0])


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


def test_face_alignment_without_its_weights_names_the_other_backend(monkeypatch):
    face_alignment = pytest.importorskip("face_alignment")

    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(face_alignment, "FaceAlignment", unreachable)
    with pytest.raises(BadInput, match="landmarks=mediapipe"):
        detector("face_alignment")
