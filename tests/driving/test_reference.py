"""The neutral face of a driver who smiles all the time."""

import numpy as np

from fewshot_heads.driving.reference import _DISPLACEMENT, reference_face, smile_score, without_smile
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.landmarks import RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import turn_between
from tests.driving.test_retargeting import eyes
from tests.faces import face

NEUTRAL = CanonicalFace.of(face(surface=0)).shape


def smiling(smiles):
    """The face with so many mean smiles."""
    pose = CanonicalFace.of(face(surface=0)).pose
    return Landmarks.from_array(pose.apply(NEUTRAL + smiles * _DISPLACEMENT).astype(np.float32))


def test_a_smile_widens_the_mouth_and_lifts_its_corners():
    assert smile_score(NEUTRAL + _DISPLACEMENT) > smile_score(NEUTRAL) + 0.05
    corners, center = _DISPLACEMENT[[48, 54]], _DISPLACEMENT[[51, 57]]
    assert corners[0, 0] < 0 < corners[1, 0] and corners[:, 1].mean() < center[:, 1].mean()
    np.testing.assert_allclose(corners[0], corners[1] * [-1, 1, 1], atol=1e-3)  # the same on both sides


def test_a_broad_smile_is_taken_off_the_reference():
    broad = NEUTRAL + 2 * _DISPLACEMENT
    result = without_smile(broad, NEUTRAL)
    assert smile_score(NEUTRAL) - 0.02 < smile_score(result) < smile_score(broad) - 0.08


def test_a_neutral_reference_and_a_source_that_smiles_as_much_stay():
    broad = NEUTRAL + 2 * _DISPLACEMENT
    np.testing.assert_array_equal(without_smile(NEUTRAL, NEUTRAL), NEUTRAL)
    np.testing.assert_array_equal(without_smile(broad, broad), broad)
    np.testing.assert_array_equal(without_smile(NEUTRAL, broad), NEUTRAL)


def test_a_face_without_surface_has_a_neutral_face_too():
    assert without_smile((NEUTRAL + 2 * _DISPLACEMENT)[:70], NEUTRAL[:70]).shape == (70, 3)


def test_a_driver_who_never_rests_makes_a_neutral_source_smile():
    driver = [smiling(2), smiling(2.2)]
    score = [smile_score(CanonicalFace.of(found).shape) for found in retarget(smiling(0), driver)]
    assert score[0] > smile_score(NEUTRAL) + 0.05
    own = retarget(smiling(0), driver, reference=0)  # who names the reference, means it
    assert abs(smile_score(CanonicalFace.of(own[0]).shape) - smile_score(NEUTRAL)) < 0.03


def test_a_driver_of_itself_is_unchanged():
    driver = [smiling(2), smiling(0.5)]
    result = retarget(smiling(2), driver)
    assert abs(result[0].points - driver[0].points)[:36].max() < 0.05
    assert abs(result[0].points - driver[0].points)[36:].max() < 0.5  # lids are those of usual eyes


def test_errors_of_the_detector_are_averaged():
    random = np.random.default_rng(0)
    shapes = random.normal(0, 0.03, (40, 70, 3))
    driver = [face((0, 0.02 * i % 0.3, 0), shape=shape) for i, shape in enumerate(shapes)]
    usual = CanonicalFace.of(face()).shape
    steady = np.r_[0:4, 13:17, 27:36]
    errors = [np.abs(CanonicalFace.of(frame).shape - usual)[steady].mean() for frame in driver]
    found = reference_face(CanonicalFace.of(face()), driver)
    assert np.abs(found.shape - usual)[steady].mean() < 0.5 * min(errors)


def test_a_driver_who_looks_down_most_of_the_time_opens_no_eyes_wide():
    """The nearest frames in pose show narrow eyes, which are not the driver's usual ones."""
    driver = [*[eyes(0.5)] * 6, *[eyes(1.0, (0.4, 0, 0))] * 4]
    moved = [CanonicalFace.of(found) for found in retarget(eyes(1.0), driver)]
    openings = [found.eye_opening(RIGHT_EYE) / CanonicalFace.of(eyes(1.0)).eye_opening(RIGHT_EYE) for found in moved]
    np.testing.assert_allclose(openings, [0.5] * 6 + [1.0] * 4, atol=0.1)


def test_a_driver_who_is_silent_only_when_turned_is_not_turned_at_rest():
    """The head looks where the driver looks, though frames with a closed mouth are turned."""
    speaking = NEUTRAL.copy()
    speaking[[49, 50, 51, 52, 53, 61, 62, 63], 1] -= 0.05
    speaking[[55, 56, 57, 58, 59, 65, 66, 67], 1] += 0.15
    front, turned = (CanonicalFace.of(face((0, yaw, 0), surface=0)).pose for yaw in (0.02, 0.5))
    driver = [front.apply(speaking)] * 12 + [turned.apply(NEUTRAL)] * 12
    driver = [Landmarks.from_array(points.astype(np.float32)) for points in driver]
    moved = [CanonicalFace.of(found) for found in retarget(face(surface=0), driver)]
    assert np.degrees(turn_between(moved[0].pose, front)) < 3
    assert np.degrees(turn_between(moved[-1].pose, turned)) < 3
    assert moved[0].mouth_opening() > moved[-1].mouth_opening() + 0.1
