"""The measures against scikit-image or values worked out by hand, and what they give for degenerate input."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.common import bootstrap, settings, strict_json
from benchmarks.quality import MEASURES, choose_frames, summarise
from benchmarks.speed import repeated, spread
from fewshot_heads import metrics
from fewshot_heads.errors import BadInput
from fewshot_heads.extractors import ARCFACE_POINTS, BGR_MEAN, FaceFeatures, MobileFaceNet, VGG19Features, align_face
from fewshot_heads.video import VideoWriter, read_video


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
def faceres_file(tmp_path):
    random, channels = np.random.default_rng(0), 32
    arrays = {"conv1.weight": random.normal(0, 0.02, (32, 3, 3, 3)), "conv1.bias": random.normal(0, 0.1, 32)}
    for i, out in enumerate((64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024), 1):
        arrays[f"conv_dw_{i}.weight"] = random.normal(0, 0.4, (channels, 1, 3, 3))
        arrays[f"conv_dw_{i}.scale"] = random.uniform(0.5, 1.5, channels)
        arrays[f"conv_dw_{i}.bias"] = random.normal(0, 0.1, channels)
        arrays[f"conv_pw_{i}.weight"] = random.normal(0, (2 / channels) ** 0.5, (out, channels, 1, 1))
        arrays[f"conv_pw_{i}.bias"] = random.normal(0, 0.1, out)
        channels = out
    np.savez(tmp_path / "faceres.npz", **{name: array.astype(np.float16) for name, array in arrays.items()})
    return tmp_path / "faceres.npz"


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
    grey, lighter = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 151, np.uint8)
    np.testing.assert_allclose(metrics.l1(grey, lighter), [0.2])
    np.testing.assert_allclose(metrics.psnr(grey, lighter), [-20 * np.log10(0.2)])


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


def test_alignment_undoes_any_turn_scale_and_shift():
    rows, columns = torch.meshgrid(torch.arange(400.0), torch.arange(400.0), indexing="ij")
    ramp = torch.stack([rows, columns, torch.zeros(400, 400)])
    landmarks = face(scale=2.0, angle=0.4, shift=(150.0, 90.0))
    aligned = align_face(ramp, landmarks)
    for (x, y), (source_x, source_y) in zip(ARCFACE_POINTS, landmarks[[36, 42, 30, 48, 54]], strict=True):
        seen_y, seen_x = aligned[:2, round(y), round(x)].tolist()
        expected = np.array([source_x, source_y]) - 0.5  # pixel edges at integers, the ramp counts centres
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


def test_compared_frames_are_evenly_spaced_and_never_a_source():
    judged, run = choose_frames(101, 5, np.array([0]))
    assert judged.tolist() == [1, 26, 51, 75, 100]
    assert run.tolist() == [48, 49, 50, 51, 52]
    assert choose_frames(4, 32, np.array([0, 3]))[0].tolist() == [1, 2]
    with pytest.raises(BadInput, match="leaves none"):
        choose_frames(2, 32, np.array([0, 1]))


def test_an_identity_with_many_clips_counts_once_and_failures_not_at_all():
    def row(identity: str, value: float) -> dict:
        return {"identity": identity, "columns": {"warp": dict.fromkeys(MEASURES, value)}}

    rows = [row("a", 1.0), row("a", 3.0), row("b", 6.0), {"identity": "c", "failed": "BadInput: no face"}]
    summary = summarise(rows)["warp"]["l1"]
    assert (summary["mean"], summary["low"], summary["high"]) == (4.0, 2.0, 6.0)
    assert summarise(rows[-1:]) == {}


def test_the_spread_is_median_smallest_and_largest():
    assert spread([4.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 4.0}


def test_a_repeated_clip_is_as_long_as_asked_at_the_same_rate(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", like=25) as out:
        for level in range(20):
            out.add(np.full((64, 64, 3), level * 10, np.uint8))
    longer = read_video(repeated(str(tmp_path / "clip.mp4"), 3, tmp_path / "long.mp4"))
    assert longer.duration == pytest.approx(3.0, abs=0.1)
    brightness = [frame.mean() for frame in longer]
    assert sum(b < a - 100 for a, b in pairwise(brightness)) == 3  # begins again three times
