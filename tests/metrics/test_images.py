"""The measures of images against scikit-image, scipy, torchmetrics or values worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fewshot_heads import metrics
from fewshot_heads.errors import BadInput
from tests.faces import face as head
from tests.networks import image_pair, save_vgg19


@pytest.fixture
def pictures():
    return image_pair()


@pytest.fixture
def vgg_file(tmp_path):
    return save_vgg19(tmp_path / "vgg.npz")


def test_ssim_equals_scikit_image(pictures):
    truth, noisy = pictures
    reference = [
        structural_similarity(
            a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(truth, noisy, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(truth, noisy), reference, atol=1e-9)


def test_psnr_equals_scikit_image(pictures):
    truth, noisy = pictures
    reference = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(truth, noisy, strict=True)]
    np.testing.assert_allclose(metrics.psnr(truth, noisy), reference, atol=1e-9)


def test_l1_of_a_known_difference_is_that_difference():
    gray, lighter = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 151, np.uint8)
    np.testing.assert_allclose(metrics.l1(gray, lighter), [0.2])
    np.testing.assert_allclose(metrics.psnr(gray, lighter), [-20 * np.log10(0.2)])


def test_uint8_and_float_pictures_measure_the_same(pictures):
    truth, noisy = pictures
    for measure in (metrics.l1, metrics.psnr, metrics.ssim):
        np.testing.assert_allclose(measure(truth / 255, noisy), measure(truth, noisy), atol=1e-12)


def test_identical_pictures_have_defined_values(pictures, vgg_file):
    truth, _ = pictures
    assert metrics.l1(truth, truth).tolist() == [0, 0]
    np.testing.assert_allclose(metrics.ssim(truth, truth), 1)
    assert metrics.psnr(truth, truth).tolist() == [metrics.IDENTICAL_PSNR] * 2
    assert metrics.VGGDistance(vgg_file)(truth, truth).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        (np.zeros((16, 16, 3)), np.zeros((16, 17, 3)), "expected the same"),
        (np.zeros((16, 16)), np.zeros((16, 16)), "expected \\[N,H,W,3\\]"),
        (np.zeros((0, 16, 16, 3)), np.zeros((0, 16, 16, 3)), "expected \\[N,H,W,3\\]"),
        (np.full((16, 16, 3), 255.0), np.zeros((16, 16, 3)), "outside \\[0,1\\]"),
        (np.full((16, 16, 3), np.nan), np.zeros((16, 16, 3)), "outside \\[0,1\\]"),
        (np.zeros((16, 16, 3), int), np.zeros((16, 16, 3), int), "outside \\[0,1\\]"),
    ],
)
def test_pictures_that_cannot_be_compared_are_refused(a, b, complaint):
    with pytest.raises(BadInput, match=complaint):
        metrics.l1(a, b)


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(BadInput, match="11 or more"):
        metrics.ssim(np.zeros((10, 40, 3)), np.zeros((10, 40, 3)))


def test_vgg_distance__is_the_mean_over_layers_in_units_of_its_scale(pictures, vgg_file):
    truth, noisy = pictures
    distance = metrics.VGGDistance(vgg_file, batch=1)
    layers = [
        (a - b).abs().mean((1, 2, 3))
        for a, b in zip(
            *(distance.network(torch.tensor(p / 127.5 - 1).permute(0, 3, 1, 2).float()) for p in pictures), strict=True
        )
    ]
    expected = torch.stack(layers).mean(0).numpy() / metrics.VGG_SCALE
    np.testing.assert_allclose(distance(truth, noisy), expected, rtol=1e-4)
    np.testing.assert_allclose(distance.to_each(truth, [noisy, truth]), [expected, [0, 0]], rtol=1e-4)


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    mix = random.normal(size=(6, 6))
    return random.normal(size=(50, 6)), random.normal(0.3, 1.4, (40, 6)) @ mix


def test_the_frechet_distance_equals_scipys_matrix_root(features):
    a, b = features
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_equals_torchmetrics():
    image = pytest.importorskip("torchmetrics.image.fid")

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, images):
            return images.flatten(1).double()

    torch.manual_seed(0)
    a, b = torch.randint(0, 255, (40, 3, 2, 2), dtype=torch.uint8), torch.randint(60, 255, (30, 3, 2, 2)).byte()
    fid = image.FrechetInceptionDistance(feature=Flat(), normalize=False)
    fid.set_dtype(torch.float64)
    fid.update(a, real=True)
    fid.update(b, real=False)
    expected = fid.compute().item()
    assert metrics.frechet_distance(a.flatten(1).numpy(), b.flatten(1).numpy()) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_fewer_pictures_than_features_keeps_its_digits():
    one, two = np.zeros((2, 2048)), np.zeros((2, 2048))
    one[:, 0], two[:, 1] = (-1, 1), (-3, 3)  # variances 2 and 18 along different axes: nothing shared
    assert metrics.frechet_distance(one, two) == pytest.approx(20, rel=1e-12)
    assert metrics.frechet_distance(one, 3 * one + 1) == pytest.approx(2048 + 2 + 18 - 2 * 6, rel=1e-12)


def test_the_frechet_distance_of_degenerate_sets_is_defined(features):
    a, b = features
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    gap = np.full((1, 6), np.nan)
    assert metrics.frechet_distance(np.vstack([a, gap]), b) == metrics.frechet_distance(a, b)
    assert np.isnan(metrics.frechet_distance(a, np.vstack([b[:1], gap])))
    with pytest.raises(BadInput, match="expected \\[N,D\\]"):
        metrics.frechet_distance(a, b[:, :5])


@pytest.fixture
def still() -> tuple[np.ndarray, np.ndarray]:
    """A picture three times, and a face of 100 px in its middle."""
    picture = np.random.default_rng(0).integers(0, 200, (256, 256, 3), np.uint8)
    return np.stack([picture] * 3), np.stack([head(scale=50, center=(128, 138)).points] * 3)


def test_a_still_background_has_no_flicker_whatever_the_face_does(still):
    images, landmarks = still
    outline = np.vstack([landmarks[0], landmarks[0] - [0, 40]])  # with the hair above it
    cv2.fillConvexPoly(images[1], cv2.convexHull(outline.astype(np.int32)), (255, 255, 255))
    assert (images[1] != images[0]).mean() > 0.1
    assert metrics.flicker(images, landmarks) == 0


def test_flicker_is_the_mean_change_outside_the_head(still):
    images, landmarks = still
    images[1] += 51
    assert metrics.flicker(images, landmarks) == pytest.approx(0.2)
    assert metrics.flicker(images[1:], landmarks[1:]) == pytest.approx(0.2)
    assert metrics.flicker(images / 255, landmarks) == pytest.approx(0.2)


def test_flicker_leaves_out_where_the_head_is_in_either_picture(still):
    images, landmarks = still
    there = landmarks[0]
    landmarks[1] = there - [60, 0]  # the head goes to the left, and shows what it hid
    images[1, 60:190, 100:160] = 255
    assert metrics.flicker(images[:2], landmarks[:2]) == 0


def test_flicker_skips_missing_faces_and_is_nan_without_a_pair_or_a_background(still):
    images, landmarks = still
    images[2] += 51
    landmarks[0] = np.nan
    assert metrics.flicker(images, landmarks) == pytest.approx(0.2)
    landmarks[1] = np.nan
    assert np.isnan(metrics.flicker(images, landmarks))
    assert np.isnan(metrics.flicker(images[2:], landmarks[2:]))
    assert np.isnan(metrics.flicker(images[:0], landmarks[:0]))
    close_up = np.stack([head(scale=400, center=(128, 138)).points] * 3)
    assert np.isnan(metrics.flicker(images, close_up))
    with pytest.raises(BadInput, match="for 3 images"):
        metrics.flicker(images, landmarks[:2])
