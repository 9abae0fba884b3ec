import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.face_detector import FaceDetector, anchors, decode, merge_overlapping


def test_two_anchors_lie_in_each_cell_of_the_fine_grid_and_six_in_the_coarse_one():
    centers = anchors()
    assert centers.shape == (896, 2)
    np.testing.assert_allclose(centers[:4], [[1 / 32, 1 / 32]] * 2 + [[3 / 32, 1 / 32]] * 2)
    np.testing.assert_allclose(
        centers[[511, 512, 517, 518]], [[31 / 32] * 2, [1 / 16] * 2, [1 / 16] * 2, [3 / 16, 1 / 16]]
    )


def test_boxes_and_points_are_decoded_from_their_anchor():
    offsets = np.arange(16, dtype=np.float32)[None] * 8  # pixels of 128
    (found,) = decode(offsets, np.array([[0.5, 0.25]]))
    np.testing.assert_allclose(found[0], [0.5, 0.25 + 1 / 16])
    np.testing.assert_allclose(found[1], [2 / 16, 3 / 16])  # a size has no anchor
    np.testing.assert_allclose(found[7], [0.5 + 14 / 16, 0.25 + 15 / 16])


def detection(x: float, size: float = 0.2) -> np.ndarray:
    return np.array([[x, 0.5], [size, size], *[[x, 0.5]] * 6])


def test_overlapping_detections_are_averaged_by_their_scores():
    # Shifted by a third of their side, boxes have half of their union in common.
    found = np.stack([detection(0.34), detection(0.3), detection(0.3 + 0.2 / 3 + 0.01), detection(0.8)])
    faces = merge_overlapping(found, np.array([0.6, 0.9, 0.5, 0.7]))
    assert len(faces) == 3
    np.testing.assert_allclose(faces[0], detection((0.6 * 0.34 + 0.9 * 0.3) / 1.5))
    np.testing.assert_allclose([face[0, 0] for face in faces[1:]], [0.8, 0.3 + 0.2 / 3 + 0.01])
    assert merge_overlapping(np.empty((0, 8, 2)), np.empty(0)) == []


@pytest.fixture(scope="module")
def find_faces():
    return FaceDetector(min_confidence=0.4)


def test_the_square_of_mona_lisa_holds_her_face_and_turns_with_it(find_faces, mona):
    (face,) = find_faces(mona, 6)
    (left, top), (right, bottom) = (face.center + sign * face.side / 2 for sign in (-1, 1))
    assert left < 94 and top < 113 and right > 197 and bottom > 213  # the box of her landmarks
    assert face.side < 2 * 103 and abs(face.angle) < 0.2
    clockwise = cv2.getRotationMatrix2D(face.center.astype(float), -20, 1.0)
    (turned,) = find_faces(cv2.warpAffine(mona, clockwise, mona.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), 6)
    assert 8 < np.degrees(turned.angle - face.angle) < 25


def test_without_a_least_confidence_only_boxes_with_an_area_are_faces(mona):
    find_any = FaceDetector(min_confidence=0.0)
    (face,) = find_any(mona, 1)
    assert np.linalg.norm(face.center - [145, 163]) < 20
    assert all(face.side > 0 for face in find_any(np.zeros((200, 300, 3), np.uint8), 6))


def test_no_more_faces_are_found_than_asked_for(find_faces, mona):
    both = np.hstack([mona, mona])
    assert (len(find_faces(both, 6)), len(find_faces(both, 1))) == (2, 1)
