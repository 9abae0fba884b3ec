"""The measures of faces against values worked out by hand, and what they give without a face."""

from __future__ import annotations

from importlib import util

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.color import rgb2lab

from fewshot_heads import metrics
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import detector
from tests.faces import face as head
from tests.networks import alignable_face, image_pair, save_mobilefacenet


@pytest.fixture
def pictures():
    return image_pair()


@pytest.fixture
def identity_file(tmp_path):
    return save_mobilefacenet(tmp_path / "identity.pt")


def test_akd_is_the_mean_euclidean_distance_of_the_68_points():
    a = np.random.default_rng(0).random((2, 70, 2))
    b = a + np.array([3.0, 4.0])
    b[:, 68:] += 100  # the irises do not count
    np.testing.assert_allclose(metrics.akd(a, b), [5, 5])
    b[1] = np.nan
    assert np.isnan(metrics.akd(a, b)).tolist() == [False, True]


def test_jitter_is_zero_for_even_motion_and_four_a_for_an_alternating_one():
    time = np.arange(9.0)
    even = np.ones((9, 70, 2)) * time[:, None, None]
    assert metrics.jitter(even) == 0
    assert metrics.jitter(even + 0.5 * (-1) ** time[:, None, None]) == pytest.approx(2.0)


def test_jitter_skips_frames_without_a_face_and_is_nan_when_too_few_are_left():
    landmarks = np.ones((9, 70, 2)) * (np.arange(9.0) ** 2)[:, None, None]
    landmarks[4] = np.nan
    assert metrics.jitter(landmarks) == pytest.approx(2.0)
    assert np.isnan(metrics.jitter(landmarks[3:6]))
    assert np.isnan(metrics.jitter(landmarks[:2]))


def test_csim_is_the_cosine_and_nan_without_an_embedding():
    a = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [np.nan, 1.0]])
    b = np.array([[2.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(metrics.csim(a, b), [1, 0.5**0.5, np.nan, np.nan])


def test_identity__of_the_same_face_moved_stays(identity_file):
    random = np.random.default_rng(0)
    small = torch.from_numpy(random.random((1, 3, 14, 14))).float()
    picture = F.interpolate(small, size=(224, 224), mode="bicubic").clamp(0, 1)
    shifted = F.pad(picture, (20, 12, 8, 24))
    identity = metrics.Identity(identity_file)
    a, b, other, missing = (
        identity(image[0].permute(1, 2, 0).numpy(), landmarks[None])[0]
        for image, landmarks in (
            (picture, alignable_face(1.5, shift=(20, 20))),
            (shifted, alignable_face(1.5, shift=(40, 28))),
            (1 - picture, alignable_face(1.5, shift=(20, 20))),
            (picture, np.full((70, 2), np.nan)),
        )
    )
    assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(a - other)
    assert np.isnan(missing).all()
    assert np.isnan(metrics.csim(a, missing))


def test_identity__has_the_name_of_its_network_and_takes_landmarks_with_depth(identity_file, pictures):
    landmarks = np.stack([alignable_face(0.3), alignable_face(0.3)])
    deep = np.concatenate([landmarks, np.full((2, 70, 1), np.nan)], 2)
    identity = metrics.Identity(identity_file)
    assert identity.name == "MobileFaceNet"
    np.testing.assert_array_equal(identity(pictures[0], deep), identity(pictures[0], landmarks))
    with pytest.raises(BadInput, match="for 2 images"):
        identity(pictures[0], landmarks[:1])


def test_identity__of_dlib_recognizes_a_person_and_tells_two_apart(mona, driver_frames):
    pytest.importorskip("dlib")
    if util.find_spec("face_recognition_models") is None:
        pytest.skip("needs face-recognition-models")
    finder, identity = detector("mediapipe"), metrics.Identity("dlib")
    (person,), other = finder.detect(mona), finder.detect(driver_frames[0])[0]
    shifted = person.moved(np.array([15, 10]))
    a = identity(mona, person.points[None])[0]
    b = identity(mona[10:, 15:], shifted.points[None])[0]
    c, missing = identity(np.stack([driver_frames[0]] * 2), np.stack([other.points, np.full((70, 2), np.nan)]))
    assert identity.name == "dlib ResNet" and a.shape == (128,)
    assert metrics.csim(a, b) > 0.99
    assert metrics.csim(a, c) < 0.93
    assert np.isnan(missing).all()


def stack(*faces) -> np.ndarray:
    return np.stack([each.to_array() for each in faces])


def test_the_pose_error_is_the_angle_between_two_heads():
    a = stack(head(), head((0.1, 0.2, 0)), head((0, 0.25, 0)), head())
    b = stack(head((0, 0.3, 0), scale=90, center=(50, 70), mouth=0.3), head((0.1, 0.2, 0)), head((0, -0.5, 0)), head())
    b[3] = np.nan
    np.testing.assert_allclose(metrics.pose_error(a, b)[:3], np.degrees([0.3, 0, 0.75]), atol=1e-3)
    assert np.isnan(metrics.pose_error(a, b)[3]) and np.isnan(metrics.pose_error(b, a)[3])
    with pytest.raises(BadInput, match="pixels and depth"):
        metrics.pose_error(a[..., :2], b[..., :2])


def test_the_skin_tone_is_the_angle_of_lightness_and_yellow():
    face = head()
    light, dark = (np.full((200, 200, 3), color, np.uint8) for color in ((235, 205, 180), (90, 60, 45)))
    for image in (light, dark):
        lightness, _, yellow = rgb2lab(image[:1, :1])[0, 0]
        assert metrics.skin_tone(image, face.points) == pytest.approx(
            np.degrees(np.arctan2(lightness - 50, yellow)), abs=0.2
        )
    assert metrics.skin_tone(light, face.points) > 41 > 10 > metrics.skin_tone(dark, face.points)
    assert np.isnan(metrics.skin_tone(light, np.full((70, 2), np.nan)))
    assert np.isnan(metrics.skin_tone(light, face.points + 1000)), "no cheek in the picture"


@pytest.fixture
def other_shape() -> np.ndarray:
    """A wider jaw and a longer nose, head units [70,3]."""
    shape = np.zeros((70, 3))
    shape[2:6, 0], shape[11:15, 0], shape[28:31, 2] = -0.1, 0.1, -0.08
    return shape


def test_a_shape_that_stays_leaks_nothing_and_the_drivers_leaks_all(other_shape):
    source = head().to_array()
    driver = stack(head((0, 0.2, 0.1), shape=other_shape), head((0.2, 0, 0), 80, shape=other_shape, mouth=0.2))
    kept = stack(head((0, -0.3, 0), 45, (90, 100), mouth=0.3), head((0.1, 0.1, 0.3)))
    taken = stack(head((0, -0.3, 0), 45, (90, 100), shape=other_shape, mouth=0.3))
    half = stack(head((0.1, 0.1, 0), shape=other_shape / 2))
    assert metrics.shape_leak(source, kept, driver) == pytest.approx(0, abs=1e-4)
    assert metrics.shape_leak(source, taken, driver) == pytest.approx(1, abs=1e-4)
    assert metrics.shape_leak(source, half, driver) == pytest.approx(0.5, abs=0.02)


def test_the_leak_skips_missing_faces_and_is_nan_without_any_or_between_equals(other_shape):
    source, driver = head().to_array(), stack(head(shape=other_shape))
    missing = np.full((1, 70, 3), np.nan)
    assert metrics.shape_leak(source, np.vstack([driver, missing]), driver) == pytest.approx(1)
    assert np.isnan(metrics.shape_leak(source, missing, driver))
    assert np.isnan(metrics.shape_leak(source, driver[:0], driver))
    assert np.isnan(metrics.shape_leak(missing[0], driver, driver))
    assert np.isnan(metrics.shape_leak(source, driver, source[None]))
