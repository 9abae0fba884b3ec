"""Heads with mattes: how they are labelled, and what is drawn from them."""

import cv2
import numpy as np
import pytest
import torch

from fewshot_heads import BadInput
from fewshot_heads.datasets import parsing_labels
from fewshot_heads.datasets.brush import brush_strokes
from fewshot_heads.datasets.episodes import EpisodeSettings
from fewshot_heads.datasets.parsing_crops import ParsingCrops
from fewshot_heads.datasets.parsing_labels import LabelStore, label_image
from fewshot_heads.landmarks import Landmarks
from tests.footage import StandInSegmenter, mona_footage

STRONG = EpisodeSettings(k_shot=1, augment=1.0, degradation_prob=0.5)


@pytest.fixture(scope="module")
def clips():
    return mona_footage()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(parsing_labels, "Segmenter", StandInSegmenter)
    return LabelStore(tmp_path, "selfie.tflite", "hair.tflite")


def label(clip, person, hair):
    return label_image(clip.frames[0], Landmarks.from_array(clip.landmarks[0]), person, hair)


class Fixed:
    """A segmenter with one answer."""

    def __init__(self, matte):
        self.answer = matte

    def matte(self, image):
        return self.answer


def box(clip, left, top, right, bottom):
    """A mask of a box, in face boxes around the face's middle."""
    face = Landmarks.from_array(clip.landmarks[0])
    center, mask = (face.box[:2] + face.box[2:]) / 2, np.zeros((clip.size, clip.size), np.float32)
    x0, y0, x1, y1 = (np.array([left, top, right, bottom]) * face.size + np.tile(center, 2)).round().astype(int)
    mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = 1
    return mask


def test_the_head_is_face_ears_and_hair_and_the_rest_is_body(clips):
    clip = clips[0]
    person = np.maximum(box(clip, -0.55, -0.8, 0.55, 1), box(clip, -1, 0.8, 1, 2))
    hair = box(clip, 0.3, -0.8, 0.55, 0.8)  # long, at one side
    found = label(clip, Fixed(person), Fixed(hair))
    assert found.trusted and (found.head <= found.person + 1e-6).all()
    assert found.head[box(clip, -0.2, -0.4, 0.2, 0.2) > 0].min() > 0.9, "the face"
    assert found.head[box(clip, 0.4, 0.5, 0.5, 0.65) > 0].mean() > 0.8, "long hair"
    assert found.head[box(clip, -0.5, 0.65, -0.2, 0.8) > 0].mean() < 0.2, "the neck"
    assert found.person[box(clip, -0.5, 0.65, -0.2, 0.8) > 0].mean() > 0.8


def test_a_stranger_s_hair_is_not_this_head(clips):
    clip = clips[0]
    person = box(clip, -0.4, -0.6, 0.4, 2)
    stranger = np.zeros_like(person)
    stranger[:, :6] = stranger[:6] = 1
    stranger[:, 20:] *= 0
    found = label(clip, Fixed(np.maximum(person, stranger)), Fixed(stranger))
    assert found.head[:, :4].max() < 0.1 and found.person[:, :4].max() < 0.1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_segmenter_that_finds_nobody_or_no_background_is_not_trusted(clips, value):
    constant = Fixed(np.full((clips[0].size,) * 2, value, np.float32))
    assert not label(clips[0], constant, constant).trusted


def test_a_label_is_made_once_and_kept(clips, store, monkeypatch):
    image, face = clips[0].frames[0], Landmarks.from_array(clips[0].landmarks[0])
    first = store(image, face)
    assert len(list(store.folder.glob("*.png"))) == 1
    monkeypatch.setattr(parsing_labels, "label_image", None)
    again = store(image, face)
    for one, other in zip(first[:2], again[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=1 / 255)
    assert again.trusted == first.trusted


def test_a_sample_is_the_same_whenever_it_is_asked_for(clips, store):
    one, again, other = (ParsingCrops(clips, 8, STRONG, seed, labels=store) for seed in (0, 0, 1))
    for index in range(8):
        sample = one[index]
        assert sample.image.shape == (3, 128, 128) and sample.mattes.shape == (2, 128, 128)
        assert -1 <= sample.image.min() <= sample.image.max() <= 1
        assert sample.mattes.min() >= 0 and (sample.mattes[1] <= sample.mattes[0] + 1e-5).all()
        assert all(map(torch.equal, sample, again[index]))
    assert not torch.equal(one[3].image, other[3].image)


def test_without_augmentation_a_sample_is_a_frame(clips, store):
    plain = ParsingCrops(clips, 4, EpisodeSettings(k_shot=1), labels=store)
    samples = [plain[index] for index in range(4)]
    frames = [((sample.image.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy() for sample in samples]
    assert all(any((frame == truth).all() for clip in clips for truth in clip.frames) for frame in frames)


def test_a_sample_may_be_smaller_than_the_footage(clips, store):
    sample = ParsingCrops(clips, 2, STRONG, labels=store, size=64)[1]
    assert sample.image.shape == (3, 64, 64) and sample.mattes.shape == (2, 64, 64)


def test_footage_on_which_the_teachers_disagree_is_refused(clips, store, monkeypatch):
    monkeypatch.setattr(StandInSegmenter, "matte", lambda self, image: np.zeros(image.shape[:2], np.float32))
    with pytest.raises(BadInput, match="agree on none"):
        ParsingCrops(clips, 1, STRONG, labels=store)[0]


def test_brush_strokes_keep_colors_and_change_texture(clips):
    image = cv2.GaussianBlur(clips[0].frames[0], (0, 0), 2)
    painted = brush_strokes(image, np.random.default_rng(4))
    assert painted.dtype == np.uint8 and painted.shape == image.shape
    blurred = (cv2.blur(x.astype(np.float32), (31, 31)) for x in (image, painted))
    assert np.abs(np.subtract(*blurred)).mean() < 8
    texture, before = (np.abs(np.diff(x.astype(float), axis=0)).mean() for x in (painted, image))
    assert texture > 1.05 * before
