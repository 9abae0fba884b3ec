"""The inside of a mouth that opens is the driver's."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fewshot_heads import BadInput
from fewshot_heads.driving.mouth_crop import MouthCrop, color_reference
from fewshot_heads.driving.reference import choose_reference
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.imaging.face_color import FaceColor
from fewshot_heads.landmarks import INNER_LIPS
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.rendering.mouth_transfer import transfer_mouth
from fewshot_heads.rendering.renderer import HeadRenderer


@pytest.fixture(scope="module")
def motion(reenactor, driver_frames):
    return reenactor.track(driver_frames)


@pytest.fixture(scope="module")
def opened(reenactor, mona, motion):
    """Mona Lisa's painter, her face with the widest of the driver's mouths, and that mouth."""
    head = reenactor.embed([mona])
    driver = motion.cropped(reenactor.size, within=head.usual)
    # The driver smiles in every frame. With a reference of our own her smile is no part of this test.
    reference = choose_reference(CanonicalFace.of(head.landmarks[0]), map(CanonicalFace.of, driver))
    faces = retarget(head.landmarks[0], driver, reference=reference, side=reenactor.size)
    widest = int(np.argmax([CanonicalFace.of(face).mouth_opening() for face in faces]))
    painter = HeadRenderer(head, reenactor.generator)
    return painter, faces[widest], motion.mouths[widest]


def between_lips(frame, face):
    """Grey levels of a frame [R, R, 3] in the middle of a mouth, seen from the front at one size."""
    lips = face.points[INNER_LIPS].astype(np.float32)
    flat = np.float32([[0, 8], [12, 3], [24, 2], [36, 3], [48, 8], [36, 13], [24, 14], [12, 13]])
    straight, _ = cv2.estimateAffine2D(lips, flat)
    return cv2.cvtColor(cv2.warpAffine(frame, straight, (48, 16)), cv2.COLOR_RGB2GRAY)[5:11, 10:38].astype(float)


def test_teeth_are_the_drivers(reenactor, motion, driver_frames, opened):
    painter, face, mouth = opened
    number = [kept.jpeg for kept in motion.mouths].index(mouth.jpeg)
    driver_levels = between_lips(driver_frames[number], motion.landmarks[number])
    (transferred,), (inpainted,) = (painter.render([face], mouths) for mouths in ([mouth], None))
    face = face.moved(np.zeros(2, np.float32), len(inpainted) / reenactor.size)
    transferred_correlation, inpainted_correlation = (
        np.corrcoef(driver_levels.ravel(), between_lips(x, face).ravel())[0, 1] for x in (transferred, inpainted)
    )
    assert transferred_correlation > 0.85 and inpainted_correlation < 0.7
    changed = np.abs(transferred.astype(int) - inpainted).max(2) > 2
    low, high = face.points[48:68].min(0) - 2, face.points[48:68].max(0) + 2
    y, x = np.nonzero(changed)
    assert low[0] < x.min() < x.max() < high[0] and low[1] < y.min() < y.max() < high[1]


def test_a_mouth_that_has_not_opened_is_left_alone(reenactor, opened, mona):
    painter, face, mouth = opened
    source_face = painter.landmarks[0]
    assert painter.visibility(face).disocclusion[2] > 0.5 and not painter.visibility(source_face).disocclusion.any()
    (with_mouth,), (without_mouth,) = (painter.render([source_face], mouths) for mouths in ([mouth], None))
    np.testing.assert_array_equal(with_mouth, without_mouth)


def test_teeth_take_the_light_and_the_colors_of_the_picture(opened):
    _, face, mouth = opened
    frame, white = np.zeros((256, 256, 3), np.uint8), np.eye(3)
    gray = transfer_mouth(mouth, frame, face, 1.0, np.full((3, 3), 1 / 3), mouth.color.brightness)
    assert gray.any() and np.ptp(gray, axis=2).max() <= 1
    levels = [
        transfer_mouth(mouth, frame, face, 1.0, white, share * mouth.color.brightness).max()
        for share in (0.1, 0.6, 1.0, 2.0)
    ]
    assert 0 < levels[0] < 0.2 * levels[2] and levels[0] < levels[1] < levels[2] == levels[3]
    gold = transfer_mouth(mouth, frame, face, 1.0, np.diag([1.2, 1.1, 0.7]), mouth.color.brightness).astype(float)
    plain = transfer_mouth(mouth, frame, face, 1.0, white, mouth.color.brightness).astype(float)
    assert gold[..., 2].sum() < 0.7 * plain[..., 2].sum() and abs(gold[..., 0].sum() / plain[..., 0].sum() - 1) < 0.01
    half = transfer_mouth(mouth, frame, face, 0.25, white, mouth.color.brightness).astype(float)
    assert abs(half.sum() / plain.sum() - 0.5) < 0.02


@pytest.mark.parametrize("at", [(0, 100), (199, 100), (100, 0), (100, 255), (-500, 100), (100, 900)])
def test_a_mouth_at_the_edge_of_a_frame_is_laid_as_far_as_it_is_seen(opened, at):
    _, face, mouth = opened
    frame = np.full((256, 200, 3), 90, np.uint8)
    inner = face.points[INNER_LIPS].mean(0)
    result = transfer_mouth(mouth, frame, face.moved(np.float32(inner - at)), 1.0, np.eye(3), 100.0)
    large = np.full((800, 800, 3), 90, np.uint8)
    corner = np.float32([300, 300])
    large_result = transfer_mouth(mouth, large, face.moved(np.float32(inner - at - corner)), 1.0, np.eye(3), 100.0)
    expected = large_result[300:556, 300:500]
    np.testing.assert_allclose(result, expected, atol=1)  # the two positions differ in their subpixel fractions
    assert (result != 90).any() == (0 <= at[0] < 200 and 0 <= at[1] < 256)


def test_a_mouth_that_the_drivers_picture_cuts_off_is_not_shown(motion, driver_frames, opened):
    """What is beyond the edge would be a mirror image."""
    _, face, _ = opened
    driver_face = motion.landmarks[-1]
    low = int(driver_face.points[INNER_LIPS, 1].mean())
    cut = MouthCrop.of(driver_frames[-1][:low], driver_face)
    whole = MouthCrop.of(driver_frames[-1], driver_face)
    frame = np.zeros((256, 256, 3), np.uint8)
    assert whole.visible_fraction == pytest.approx(1) and cut.visible_fraction < 0.7
    assert transfer_mouth(whole, frame, face, 1.0, np.eye(3), 100.0).any()
    assert not transfer_mouth(cut, frame, face, 1.0, np.eye(3), 100.0).any()


def test_the_cast_of_the_drivers_light_is_taken_out(motion, driver_frames, opened):
    _, face, _ = opened
    frame, driver_face = np.zeros((256, 256, 3), np.uint8), motion.landmarks[-1]
    plain, golden = (
        MouthCrop.of((driver_frames[-1] * np.array(light)).clip(0, 255).astype(np.uint8), driver_face)
        for light in ((1, 1, 1), (1.05, 1.0, 0.45))
    )
    shares = []
    for mouth in (plain, golden):
        red, _, blue = transfer_mouth(mouth, frame, face, 1.0, np.eye(3), mouth.color.brightness).sum(
            (0, 1), dtype=float
        )
        shares.append(blue / red)
    assert abs(shares[1] / shares[0] - 1) < 0.25  # 0.43 with the cast left in


def test_the_drivers_colors_do_not_change_when_it_blinks(motion):
    casts = np.array([mouth.color.channel_gains for mouth in motion.mouths])
    assert np.abs(np.diff(casts, axis=0)).max() < 0.03

    skin, golden = np.array([170.0, 105, 70]), np.array([115.0, 75, 60])
    blinking = [replace(motion.mouths[0], color=FaceColor(skin, white)) for white in (golden, None, golden + 2)]
    shared = [mouth.with_color_reference(*color_reference(blinking)) for mouth in blinking]
    before, after = (np.array([mouth.color.channel_gains for mouth in mouths]) for mouths in (blinking, shared))
    assert np.ptp(before[:, 2]) > 0.05 and np.ptp(after, axis=0).max() < 1e-9
    np.testing.assert_allclose(after[0], before[[0, 2]].mean(0), atol=0.01)
    assert color_reference(blinking[1:2])[0] is None


def test_a_driver_is_in_the_light_of_its_shot(motion, reenactor, driver_frames):
    (white,) = {tuple(mouth.color.white) for mouth in motion.mouths}
    golden = [(frame * np.array([1.0, 0.8, 0.5])).astype(np.uint8) for frame in driver_frames[:6]]
    (warm,) = {tuple(mouth.color.white) for mouth in reenactor.track(golden).mouths}
    assert warm[2] / warm[0] < 0.6 * white[2] / white[0]


def test_a_large_mouth_is_kept_small_and_quickly(driver_frames, motion):
    large = cv2.resize(driver_frames[-1], None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    small, kept = (
        MouthCrop.of(driver_frames[-1], motion.landmarks[-1]),
        MouthCrop.of(large, motion.landmarks[-1].moved(np.zeros(2, np.float32), 4.0)),
    )
    assert kept.crop.size == 128 and len(kept.jpeg) < 10_000
    np.testing.assert_allclose(kept.lips / 128, small.lips / small.crop.size, atol=0.02)


def test_kept_mouths_are_small_and_hold_where_a_face_is_lost(reenactor, motion, driver_frames):
    assert len(motion.mouths) == len(motion) and max(len(mouth.jpeg) for mouth in motion.mouths) < 10_000
    assert track(driver_frames[:2], reenactor.detectors).mouths is None  # `prepare` has no use for them
    nothing = np.zeros_like(driver_frames[0])
    broken = reenactor.track([nothing, driver_frames[0], nothing, driver_frames[1]])
    assert broken.lost == [0, 2]
    jpegs = [mouth.jpeg for mouth in broken.mouths]
    assert jpegs[0] == jpegs[1] == jpegs[2] != jpegs[3]


def test_a_driver_without_pictures_and_a_painted_mouth_are_alike(reenactor, mona, motion):
    head = reenactor.embed([mona])
    landmarks_only = Motion(motion.landmarks, motion.lost, motion.shots, motion.frame_size)
    options = {"paste_back": False}
    plain = np.stack(list(reenactor.animate(head, landmarks_only, **options)))
    inpainted = np.stack(list(reenactor.animate(head, motion, mouth="inpainted", shading=0, **options)))
    np.testing.assert_array_equal(plain, inpainted)
    assert (plain != np.stack(list(reenactor.animate(head, motion, **options)))).any()
    with pytest.raises(BadInput, match="mouth='open'"):
        reenactor.animate(head, motion, mouth="open")


def test_a_tiny_face_has_a_mouth_too(motion, driver_frames):
    tiny = motion.landmarks[0].moved(np.zeros(2, np.float32), 1e-3)
    mouth = MouthCrop.of(driver_frames[0], tiny)
    assert (
        transfer_mouth(mouth, driver_frames[0], motion.landmarks[0], 1.0, np.eye(3), 100.0).shape
        == driver_frames[0].shape
    )


def sepia(frame):
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
    return (gray * np.array([1.15, 1.0, 0.75])).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("tint", [sepia, lambda frame: np.repeat(frame[..., 1:2], 3, -1)])
def test_a_film_without_colors_gives_no_mouth_to_a_face_with_colors(reenactor, mona, driver_frames, motion, tint):
    plain = reenactor.track([tint(frame) for frame in driver_frames])
    assert all(mouth.in_color for mouth in motion.mouths) and not any(mouth.in_color for mouth in plain.mouths)
    options = {"paste_back": False}
    for picture, same in ((mona, True), (np.repeat(mona[..., 1:2], 3, -1), False)):
        head = reenactor.embed([picture])
        frames, inpainted = (
            np.stack(list(reenactor.animate(head, plain, mouth=mouth, **options))) for mouth in ("driver", "inpainted")
        )
        assert (frames == inpainted).all() == same


def test_a_mouth_is_as_blurred_as_the_picture(opened):
    _, face, mouth = opened
    frame = np.full((256, 256, 3), 120, np.uint8)

    def steepest(blur):
        result = transfer_mouth(mouth, frame, face, 1.0, np.eye(3), mouth.color.brightness, blur)
        return np.abs(np.diff(result.astype(int), axis=0)).max()

    assert steepest(mouth.blur) == steepest(0.0) > 3 * steepest(0.03)
