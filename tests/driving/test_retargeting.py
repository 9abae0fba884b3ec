import numpy as np
import pytest

from fewshot_heads.driving.reference import choose_reference
from fewshot_heads.driving.retargeting import PARTS, retarget
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, NECK, fit_pose
from tests.faces import face

WIDE = MEAN_HEAD * [0.25, 0.0, 0.0] * (np.arange(70) < 17)[:, None]  # a driver with a broad jaw
DRIVER = [face((0, a, 0), shape=WIDE, mouth=m, scale=80) for a, m in ((0.3, 0.2), (0.0, 0.0), (-0.2, 0.1), (0.2, 0.3))]


def eyes(opening, turn=(0.0, 0.0, 0.0)):
    """A face whose lids are apart by a factor of the mean head's."""
    shape = np.zeros((70, 3))
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        middle = (MEAN_HEAD[upper, 1] + MEAN_HEAD[lower, 1]) / 2
        for index in (upper, lower):
            shape[index, 1] = (opening - 1) * (MEAN_HEAD[index, 1] - middle)
    return face(turn, shape=shape)


def test_the_reference_is_the_driver_frame_nearest_to_the_source():
    faces = [CanonicalFace.of(landmarks) for landmarks in DRIVER]
    assert choose_reference(CanonicalFace.of(face()), faces) == 1
    assert choose_reference(CanonicalFace.of(face((0, 0.28, 0), mouth=0.2)), faces) == 0


def test_a_source_with_narrow_eyes_is_no_reason_for_a_frame_in_a_blink():
    driver = [eyes(0.6), eyes(1.0), eyes(1.05), eyes(1.0)]  # narrow in frame 0 only
    canonical = [CanonicalFace.of(frame) for frame in driver]
    assert choose_reference(CanonicalFace.of(eyes(0.7)), canonical) == 1
    asleep = [CanonicalFace.of(frame) for frame in (eyes(1.0), eyes(0.1), eyes(1.0))]
    assert choose_reference(CanonicalFace.of(eyes(0.05)), asleep) == 1


def test_the_drivers_face_shape_does_not_leak_into_the_source():
    source = face()
    rigid_jaw = [0, 4, 8, 12, 16]
    for moved in retarget(source, DRIVER):
        source_jaw, moved_jaw = CanonicalFace.of(source).shape[rigid_jaw], CanonicalFace.of(moved).shape[rigid_jaw]
        driver_width = np.ptp(MEAN_HEAD[rigid_jaw, 0]) * 1.25
        assert abs(np.ptp(moved_jaw[:, 0]) - np.ptp(source_jaw[:, 0])) < 0.1 * (driver_width - np.ptp(source_jaw[:, 0]))


def test_a_driver_of_the_same_person_is_followed_exactly():
    frames = ((0.0, 0.0), (0.3, 0.2), (-0.3, 0.1))
    driver = [face((0.1, a, 0.05), mouth=m, center=(120 + 30 * a, 130)) for a, m in frames]
    for moved, wanted in zip(retarget(driver[0], driver, reference=0), driver, strict=True):
        np.testing.assert_allclose(moved.points, wanted.points, atol=0.05)


def test_the_surface_goes_as_the_drivers_and_keeps_its_own_shape():
    bulge = np.where(np.arange(151)[:, None] == 60, [0, 0, -0.2], 0)  # the source's own
    moving = np.where(np.arange(151)[:, None] == 20, [0.1, 0, 0], 0)  # what the skin of the driver's cheek does
    driver = [face(surface=0), face((0, 0.2, 0), scale=60, surface=moving)]
    (_, moved) = retarget(face(surface=bulge), driver, reference=0)
    wanted = face((0, 0.2, 0), surface=bulge + moving)
    np.testing.assert_allclose(moved.surface, wanted.surface, atol=0.2)


def test_of_a_driver_without_a_surface_the_landmarks_move_it():
    calm, talking = face(surface=0), face((0, 0.2, 0), mouth=0.3)
    (_, moved) = retarget(calm, [face(), talking], reference=0)
    still = face((0, 0.2, 0), surface=0).surface
    dropped = (moved.surface - still)[:, 1] / 60
    chin, brow = MEAN_SURFACE[:, 1] > 0.9, MEAN_SURFACE[:, 1] < -0.2
    assert dropped[chin].max() > 0.02 and np.abs(dropped[brow]).max() < 0.01
    assert retarget(face(), [calm], reference=0)[0].surface is None


def test_absolute_motion_is_the_drivers_landmarks_themselves():
    assert retarget(face(), DRIVER, motion="absolute") == DRIVER


def test_strength_zero_leaves_pose_and_expression_as_they_are():
    source = face((0.0, 0.1, 0.0))
    for moved in retarget(source, DRIVER, pose=0, expression=0):
        np.testing.assert_allclose(moved.points, source.points, atol=1e-2)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.5])
def test_a_part_has_a_strength_of_its_own(part, strength):
    change = np.random.default_rng(0).uniform(-0.01, 0.01, (70, 3))
    change[[61, 62, 63]] = change[[67, 66, 65]] = 0  # the opening of a mouth is another rule
    driver = [face(), face(shape=change)]
    (_, usual), (_, changed) = (list(retarget(face(), driver, reference=0, parts=p)) for p in (None, {part: strength}))
    moved = [CanonicalFace.of(result).shape - CanonicalFace.of(face()).shape for result in (usual, changed)]
    inside = np.isin(np.arange(70), PARTS[part])
    np.testing.assert_allclose(moved[1][~inside], moved[0][~inside], atol=2e-3)
    np.testing.assert_allclose(moved[1][inside], strength * moved[0][inside], atol=3e-3)


def test_brows_go_farther_than_the_drivers_as_a_warped_brow_counts_for_less():
    raised = np.where(np.isin(np.arange(70), PARTS["brows"])[:, None], [0, -0.1, 0], 0)
    (_, moved) = retarget(face(), [face(), face(shape=raised)], reference=0)
    change = CanonicalFace.of(moved).shape - CanonicalFace.of(face()).shape
    np.testing.assert_allclose(change, 1.3 * raised, atol=1e-3)


def test_the_corners_of_the_eyes_stay_when_the_drivers_shift():
    corners = np.isin(np.arange(70), [36, 39, 42, 45])
    shifted = face(shape=corners[:, None] * [0, 0.03, 0])
    (_, moved) = retarget(face(), [face(), shifted], reference=0)
    source, driver, result = (CanonicalFace.of(f).shape for f in (face(), shifted, moved))
    shift = (driver - source)[corners, 1].mean()
    assert shift > 0.01
    assert abs((result - source)[corners, 1].mean()) < shift / 2


def test_lips_of_no_strength_leave_a_mouth_closed():
    (_, moved) = retarget(face(), [face(), face(mouth=0.4)], reference=0, parts={"lips": 0})
    assert CanonicalFace.of(moved).mouth_opening() == pytest.approx(CanonicalFace.of(face()).mouth_opening(), abs=0.01)


def test_a_part_that_no_face_has_is_an_error():
    with pytest.raises(BadInput, match="'ears'.*brows"):
        retarget(face(), DRIVER, parts={"ears": 1})
    with pytest.raises(BadInput, match="gaze"):
        retarget(face(), DRIVER, parts={"gaze": float("nan")})


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
def test_the_head_turns_by_the_strength(strength):
    driver = [face((0, a, 0)) for a in (0.0, 0.3)]
    turned = fit_pose(retarget(face(), driver, pose=strength, reference=0)[1])
    assert np.arctan2(turned.rotation[0, 2], turned.rotation[0, 0]) == pytest.approx(0.3 * strength, abs=0.02)


def test_a_closed_eye_closes_narrow_and_wide_eyes_alike():
    driver = [eyes(1.0), eyes(0.05)]
    for height in (0.7, 1.0, 1.3):
        closed = retarget(eyes(height), driver, reference=0)[1]
        source_ratio = CanonicalFace.of(eyes(height)).eye_opening(RIGHT_EYE)
        assert CanonicalFace.of(closed).eye_opening(RIGHT_EYE) < 0.25 * source_ratio


def test_lips_never_cross():
    source = face(mouth=0.02)
    driver = [face(mouth=0.3), face(mouth=0.0)]  # closing by more than the source is open
    closed = retarget(source, driver, reference=0)[1].points
    assert (closed[[67, 66, 65], 1] - closed[[61, 62, 63], 1]).min() > -1e-3


def looking(landmarks) -> np.ndarray:
    """[2] degrees from the camera's axis, sideways and up or down."""
    rotation = fit_pose(landmarks).rotation
    return np.degrees(np.arctan2(rotation[:2, 2], rotation[2, 2]))


def test_a_head_turns_freely_up_to_40_degrees_and_never_beyond_70():
    angles = np.radians(np.arange(-85, 86, 5))
    driver = [face((0, a, 0)) for a in angles]
    straight = int(np.abs(angles).argmin())
    turned = np.array([looking(moved)[0] for moved in retarget(face(), driver, reference=straight)])
    wanted = np.array([looking(moved)[0] for moved in driver])
    free = np.abs(wanted) < 42
    np.testing.assert_allclose(turned[free], wanted[free], atol=1.0)
    assert 60 < np.abs(turned).max() < 70
    assert (np.diff(turned) * np.sign(np.diff(wanted)) > -0.2).all(), "held back, but never turned round"


def test_a_head_turned_away_may_turn_back_and_hardly_farther():
    source = face((0, np.radians(38), 0))
    driver = [face((0, np.radians(a), 0)) for a in (0, -40, 50)]
    same, back, farther = (looking(moved)[0] for moved in retarget(source, driver, reference=0))
    source_angle = looking(source)[0]
    assert same == pytest.approx(source_angle, abs=0.1)
    assert abs(back - source_angle) == pytest.approx(40, abs=2)
    assert abs(farther) < 71


def test_leaning_sideways_is_free():
    driver = [face((0, 0, a)) for a in (0.0, 0.9)]
    moved = retarget(face(), driver, reference=0)[1]
    np.testing.assert_allclose(moved.points, driver[1].points, atol=0.05)


def test_a_face_stays_in_its_crop():
    source = face(center=(128, 128))
    driver = [face(center=(128 + x, 128), scale=s) for x, s in ((0, 80), (150, 80), (-300, 80), (20, 400))]
    for moved in retarget(source, driver, reference=0, side=256):
        assert moved.box.min() > -1e-2 and moved.box.max() < 256.01
    wanders = retarget(source, driver, reference=0)[1]
    assert wanders.box[2] > 256, "without edges it goes where the driver goes"
    near = [face(center=(128, 128)), face(center=(140, 120))]
    for free, kept in zip(
        retarget(source, near, reference=0), retarget(source, near, reference=0, side=256), strict=True
    ):
        np.testing.assert_array_equal(free.points, kept.points)


def neck(landmarks):
    """Where a head sits on its shoulders, in pixels."""
    return fit_pose(landmarks).apply(NECK)[0, :2]


def test_a_head_stays_on_shoulders_that_stand_still():
    source, unit = face(center=(128, 128)), fit_pose(face()).scale
    steps = np.arange(0, 400, 10.0)
    driver = [face(center=(128 + x, 128)) for x in steps]
    moved = retarget(source, driver, reference=0, still_body=True)
    displacement = np.array([neck(landmarks)[0] for landmarks in moved]) - neck(source)[0]
    np.testing.assert_allclose(displacement[steps < 0.25 * unit], steps[steps < 0.25 * unit], atol=0.1)
    assert displacement.max() < 0.401 * unit < steps.max()
    assert (np.diff(displacement) > -1e-3).all(), "held back, but never turned round"
    grown = retarget(source, [face(scale=s) for s in (60, 66, 200)], reference=0, still_body=True)
    sizes = [fit_pose(landmarks).scale / unit for landmarks in grown]
    assert sizes[1] == pytest.approx(66 / 60, abs=0.01) and 1.2 < sizes[2] < 1.31
    np.testing.assert_allclose(neck(grown[2]), neck(source), atol=0.4 * unit)


def test_leaning_and_turning_leave_a_head_on_its_shoulders():
    driver = []
    for angles in ((0, 0, 0), (0, 0, 0.4), (0.3, 0, 0), (0, 0.5, 0)):
        turned = face(angles)
        driver.append(turned.moved((neck(turned) - neck(face())).astype(np.float32), 1.0))
    free, held = (retarget(face(), driver, reference=0, still_body=still) for still in (False, True))
    for free_face, held_face in zip(free, held, strict=True):
        np.testing.assert_allclose(free_face.points, held_face.points, atol=0.1)


@pytest.mark.parametrize("quarter", [1, -1])
@pytest.mark.parametrize("motion", ["relative", "absolute"])
def test_a_driver_that_lies_on_a_side_moves_a_head_as_if_it_stood(quarter, motion):
    driver = [face(), face((0, 0.4, 0)), face((0.2, 0, 0.1), center=(150, 120))]
    middle, turn = np.array([128, 128, 0]), np.array([[0, -quarter, 0], [quarter, 0, 0], [0, 0, 1]])
    lying = [Landmarks.from_array(((each.to_array() - middle) @ turn.T + middle).astype(np.float32)) for each in driver]
    expected, result = (retarget(face((0, 0.1, 0)), frames, motion, side=256) for frames in (driver, lying))
    for wanted, own in zip(expected, result, strict=True):
        np.testing.assert_allclose(own.to_array(), wanted.to_array(), atol=0.01)
