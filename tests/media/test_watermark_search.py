"""The mark in the pixels survives what files go through, and is seen nowhere else."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from fewshot_heads.errors import BadInput
from fewshot_heads.media import watermark_search
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.media.watermark import DIGITS, embed, spectra
from fewshot_heads.media.watermark_search import detect

HASH = "9b3ff9ad239d8736" * 4


@pytest.fixture(scope="module")
def portrait(mona) -> np.ndarray:
    """A painting, 400 pixels wide."""
    factor = 400 / mona.shape[1]
    return cv2.resize(mona, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def marked(portrait) -> np.ndarray:
    return embed(portrait, HASH)


def scaled(image, factor):
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def jpeg(image, quality):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "jpeg", quality=quality)
    return np.asarray(Image.open(data))


def without(image, left=0.0, top=0.0, right=0.0, bottom=0.0):
    height, width = image.shape[:2]
    return image[round(height * top) : round(height * (1 - bottom)), round(width * left) : round(width * (1 - right))]


def rotated(image, degrees):
    height, width = image.shape[:2]
    return cv2.warpAffine(image, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1), (width, height))


@pytest.mark.parametrize(
    "treat",
    [
        lambda image: image,
        lambda image: jpeg(image, 60),
        lambda image: scaled(image, 0.5),
        lambda image: without(image, left=0.1),
        lambda image: without(image, top=0.1),
        lambda image: without(image, right=0.1),
        lambda image: without(image, bottom=0.1),
        lambda image: jpeg(scaled(without(image, 0.1, 0.1, 0.1, 0.1), 0.5), 80),
        lambda image: jpeg(without(scaled(image, 0.83), 0.03, 0.06, 0.05, 0.02), 80),
        lambda image: without(cv2.resize(image, None, fx=1.37, fy=1.37), 0.03, 0.06, 0.05, 0.02),
        lambda image: np.pad(image, ((50, 50), (50, 50), (0, 0)), constant_values=255),
        lambda image: image[:, ::-1],
        lambda image: rotated(image, 2.2),
        lambda image: jpeg(rotated(image, -5), 80),
        lambda image: scaled(rotated(image, 3.7), 0.8),
        lambda image: cv2.resize(image, None, fx=1.1, fy=1),
        lambda image: cv2.resize(image, None, fx=1, fy=1.15),
    ],
    ids=[
        "as it is",
        "jpeg",
        "half",
        "left",
        "top",
        "right",
        "bottom",
        "all and half",
        "screenshot",
        "enlarged",
        "in a page",
        "mirrored",
        "rotated",
        "rotated clockwise",
        "rotated and smaller",
        "wider",
        "higher",
    ],
)
def test_detect__finds_the_mark_after(treat, portrait, marked):
    assert detect([np.ascontiguousarray(treat(marked))]).found
    assert not detect([np.ascontiguousarray(treat(portrait))]).found


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_detect__finds_the_mark_in_a_video_of_low_quality(tmp_path, portrait, suffix):
    with VideoWriter(tmp_path / f"low{suffix}", 25, crf=28, mark=None) as out:
        for x in range(0, 50, 10):
            out.add(embed(np.ascontiguousarray(portrait[x : x + 320, x : x + 320]), HASH))
    assert detect(read_video(tmp_path / f"low{suffix}")).found


def test_detect__reads_the_model(portrait, marked):
    assert detect([marked]).model == HASH[:DIGITS]
    assert detect([scaled(marked, 0.7)]).model == HASH[:DIGITS]
    assert detect([embed(portrait, "0a0" + HASH)]).model == "0a0"
    unnamed = detect([embed(portrait, "unknown")])
    assert unnamed.found and unnamed.model is None


def test_detect__sees_nothing_in_noise_stripes_and_darkness():
    noise = np.random.default_rng(0).integers(0, 256, (256, 384, 3), dtype=np.uint8)
    stripes = np.broadcast_to((np.arange(384) // 8 % 2 * 255).astype(np.uint8)[None, :, None], noise.shape)
    for image in (noise, np.ascontiguousarray(stripes), np.zeros_like(noise)):
        assert not detect([image]).found


def test_scores_without_the_mark__are_bounded_as_the_threshold_says(portrait):
    scores = []
    for log_scale in np.linspace(-0.3, 0.3, 31):
        for phases in watermark_search._phases(watermark_search._whitened(portrait), log_scale):
            scores.append(watermark_search._correlation(phases, spectra()[0]))
    z = np.concatenate(scores, axis=None)
    assert abs(z.std() - 1) < 0.05
    for level in (1, 2, 3, 4):
        assert (z > level).mean() <= np.exp(-(level**2) / 2)


def test_detect__without_images_is_bad_input():
    with pytest.raises(BadInput, match="at least one"):
        detect([])
