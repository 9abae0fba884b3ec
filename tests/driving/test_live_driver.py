"""The driver in front of a live camera, from faces that a scripted detector reports."""

import numpy as np
import pytest

from fewshot_heads.driving.live_driver import LiveDriver
from fewshot_heads.driving.smoothing import CausalSmoother, smoothed
from fewshot_heads.landmarks.pose import mirrored
from tests.faces import face

FRAME = np.zeros((256, 256, 3), np.uint8)


class Scripted:
    """A detector that reports one face after another, None for a lost one, and counts its glances at whole frames."""

    def __init__(self):
        self.shown, self.glances = None, 0

    def glance(self, image):
        self.glances += 1
        return self.shown and self.shown.moved(np.array([1.0, 2.0], np.float32))  # is not exact

    def follow(self, image, last):
        return self.shown

    def detect(self, image):
        raise AssertionError("a live driver is never searched for")


def position(landmarks):
    return landmarks.points.mean(0)


def play(faces, before=lambda number, driver: None):
    """What a driver gives for each face of a script, 25 a second, and the detector."""
    detector = Scripted()
    driver, results = LiveDriver(detector, smooth=0, mouths=False), []
    for number, shown in enumerate(faces):
        before(number, driver)
        detector.shown = shown
        results.append(driver.update(FRAME, 10 + number / 25))
    return results, detector


def test_the_first_face_is_the_reference_and_faces_are_followed():
    faces = [None, face(), face(center=(130, 128)), face(center=(133, 128))]
    glances = []
    (before, *seen), detector = play(faces, before=lambda number, driver: glances.append(driver._detector.glances))
    assert before is None
    for result, shown in zip(seen, faces[1:], strict=True):
        np.testing.assert_allclose(result.landmarks.points, shown.points, atol=1e-3)
        np.testing.assert_allclose(result.reference.points, faces[1].points, atol=1e-3)
    assert glances[1] > glances[0] and glances[2] == detector.glances  # until there is somebody


def test_recalibration_takes_the_next_face_as_reference():
    faces = [face(), face(center=(131, 128)), face(center=(134, 128))]
    results, _ = play(faces, before=lambda number, driver: number == 2 and driver.recalibrate())
    np.testing.assert_allclose(results[1].reference.points, faces[0].points, atol=1e-3)
    np.testing.assert_allclose(results[2].reference.points, faces[2].points, atol=1e-3)


def test_a_lost_driver_is_held_then_eases_to_the_reference_and_back_without_a_jump():
    away = face(center=(168, 128))
    on_the_way = [face(center=(128 + 4 * i, 128)) for i in range(10)]
    results, _ = play([*on_the_way, away, *[None] * 50, *[away] * 12])
    places = np.array([position(result.landmarks)[0] for result in results])
    first, last = places[0], places[10]
    assert places[11:22] == pytest.approx(np.full(11, last), abs=0.01)  # held for less than half a second
    assert places[60] == pytest.approx(first, abs=0.01)  # eased back
    assert places[-1] == pytest.approx(last, abs=0.01)  # and there again
    assert np.abs(np.diff(places[10:61])).max() < 2.5
    assert np.abs(np.diff(places[61:])).max() < 12  # within .3 s


def test_mirroring_mirrors_reference_and_face_without_a_jump():
    turned = face(turn=(0, 0.2, 0), center=(140, 128))
    faces = [face(center=(138, 128)), turned, mirrored(turned, 256)]
    results, detector = play(faces, before=lambda number, driver: number == 2 and driver.mirror(256))
    np.testing.assert_allclose(results[2].reference.points, mirrored(faces[0], 256).points, atol=1e-3)


def test_the_causal_filter_knows_only_the_past_and_takes_noise_away():
    random = np.random.default_rng(0)
    noisy = [face(shape=random.normal(0, 0.01, (70, 3))) for _ in range(30)]
    smoother, again = CausalSmoother(1.0), CausalSmoother(1.0)
    result = [smoother.smooth(one, i / 25) for i, one in enumerate(noisy)]
    begun = [again.smooth(one, i / 25) for i, one in enumerate(noisy[:15])]
    np.testing.assert_array_equal(result[14].points, begun[14].points)
    jitter = [np.abs(np.diff([one.points for one in faces[5:]], axis=0)).mean() for faces in (noisy, result)]
    assert jitter[1] < 0.5 * jitter[0]
    offline = np.abs(np.diff([one.points for one in list(smoothed(noisy))[5:]], axis=0)).mean()
    assert jitter[1] == pytest.approx(offline, rel=0.7)


def test_a_causal_filter_of_strength_0_changes_nothing():
    one = face()
    assert CausalSmoother(0).smooth(one, 0.0) is one
