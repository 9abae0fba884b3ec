"""Edges of mattes, and the colors below them."""

import cv2
import numpy as np
import pytest

from fewshot_heads.imaging.matting import estimate_foreground, head_share, refine_matte, unmix_edges


@pytest.fixture
def disk():
    """A brown disk on a blue ground, its true matte, and one that is blurred and too wide."""
    y, x = np.mgrid[:200, :200]
    distance = np.hypot(x - 100, y - 100)
    truth = (60.5 - distance).clip(0, 1).astype(np.float32)
    inside, outside = np.array([140, 90, 60]), np.array([60, 110, 200])
    noise = np.random.default_rng(0).normal(0, 3, (200, 200, 3))
    image = truth[..., None] * inside + (1 - truth[..., None]) * outside + noise
    wide = cv2.GaussianBlur((distance < 63).astype(np.float32), (0, 0), 3)
    return image.clip(0, 255).astype(np.uint8), truth, wide


def test_an_edge_moves_to_that_of_the_image(disk):
    image, truth, wide = disk
    refined = refine_matte(image, wide, 8)
    assert refined.dtype == np.float32 and refined.min() >= 0 and refined.max() <= 1
    assert np.abs(refined - truth).mean() < 0.1 * np.abs(wide - truth).mean()


def test_an_edge_without_contrast_stays(disk):
    _, truth, wide = disk
    refined = refine_matte(np.full((200, 200, 3), 128, np.uint8), wide, 8)
    assert np.abs(refined - wide).mean() < 0.015


def test_an_ear_beside_hair_stays_opaque():
    image = np.full((200, 200, 3), 215, np.uint8)  # a wall
    image[:, :140] = 50  # hair
    image[70:130, 140:155] = (205, 150, 135)  # an ear, whose brightness is between those of both
    matte = np.zeros((200, 200), np.float32)
    matte[:, :140] = matte[70:130, 140:155] = 1
    soft = cv2.GaussianBlur(matte, (0, 0), 2)
    refined = unmix_edges(image, refine_matte(image, soft, 8))
    assert refined[75:125, 142:152].min() > 0.95
    assert refined[75:125, 160:].max() < 0.05


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_matte_without_edges_stays(disk, value):
    matte = np.full((200, 200), value, np.float32)
    np.testing.assert_allclose(refine_matte(disk[0], matte, 8), matte, atol=1e-3)


def test_the_foreground_loses_the_background_s_color(disk):
    image, truth, _ = disk
    soft = cv2.GaussianBlur(truth, (0, 0), 4)
    inside, outside = np.array([140.0, 90, 60]), np.array([60.0, 110, 200])
    mixed = (soft[..., None] * inside + (1 - soft[..., None]) * outside).astype(np.uint8)
    edge = (soft > 0.2) & (soft < 0.8)
    before, after = (np.abs(colors - inside)[edge].mean() for colors in (mixed, estimate_foreground(mixed, soft)))
    assert after < 0.25 * before


def test_where_no_body_is_near_all_is_head():
    person, head = np.zeros((2, 100, 100), np.float32)
    person[20:, 30:70] = 1
    head[20:60, 32:68] = 1
    share = head_share(person, head, 4)
    assert share[:50, 20:80].min() == 1, "the narrow rim beside the head is head, as is what lies outside of the person"
    assert share[80:, 30:70].max() == 0
    assert (person * share)[20:50, 30:70].min() == 1


def test_edge_pixels_are_unmixed(disk):
    image, truth, _ = disk
    wide = cv2.dilate(truth, np.ones((3, 3), np.uint8))
    unmixed = unmix_edges(image, wide)
    assert np.abs(unmixed - truth).max() < 0.2 < np.abs(wide - truth).max()
    assert np.abs(unmixed - truth).sum() < 0.1 * np.abs(wide - truth).sum()


def test_edges_that_nothing_separates_stay(disk):
    _, truth, _ = disk
    plain = np.full((*truth.shape, 3), 90, np.uint8)
    np.testing.assert_allclose(unmix_edges(plain, truth), truth, atol=1e-6)
    assert (unmix_edges(plain, np.ones_like(truth)) == 1).all()
