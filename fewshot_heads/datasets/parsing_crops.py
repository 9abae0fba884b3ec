"""Draws heads with mattes from footage, on which the parsing network is trained."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from fewshot_heads.datasets.batches import ParsingBatch
from fewshot_heads.datasets.brush import brush_strokes
from fewshot_heads.datasets.clips import Clip
from fewshot_heads.datasets.degradation import Degradation
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
from fewshot_heads.datasets.parsing_labels import LabelStore, ParsingLabel
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.imaging.matting import estimate_foreground
from fewshot_heads.imaging.resizing import resized
from fewshot_heads.landmarks import Landmarks

_MAX_FRAMES = 20  # frames that are drawn until the teachers agree on one
_COMPOSITE_PROBABILITY = 0.5  # of another background
_CAMOUFLAGE_PROBABILITY = 0.3  # of another background with the colors of the hair
_PAINT_PROBABILITY = 0.25  # of brush strokes
_FRAMED_PROBABILITY = 0.5  # of another framing without another background
_LOG_ZOOM = (-0.55, 0.3)  # a footage crop is 2.2 faces, so from 4 to 1.6 faces
_ROTATION_STD_DEGREES = 12
_SHIFT_STD_CROP_FRACTION = 0.1
_MAX_LOG_STRETCH = 0.15  # other aspect ratios are resized to a square
_GRAY_PROBABILITY = 0.15
_FILL_WINDOWS = ((15, 1.0), (61, 1e-2), (201, 1e-4))  # side in pixels, and weight
_CUT_OFF = 0.15  # mean opacity of the top row from which a head is cut off


class ParsingCrops(Episodes):
    """A dataset of labelled heads.

    Sample i is a pure function of (seed, i), as in `Episodes`.

    Args:
        clips: footage of one frame size.
        length: number of samples.
        settings: how samples are drawn. `k_shot`, `sampling` and `patch_size` have no effect beyond clips' length.
        seed: of all random numbers.
        labels: mattes of the frames.
        size: side of the samples, pixels; None is that of the footage.

    Raises:
        BadInput: the teachers agree on none of the drawn frames. The error occurs when a sample is read.
    """

    def __init__(
        self, clips: Sequence[Clip], length: int, settings: EpisodeSettings, seed: int = 0, *, labels: LabelStore,
        size: int | None = None,
    ):  # fmt: skip
        super().__init__(clips, length, settings, seed)
        self.labels = labels
        self.size = size or self.size

    def __getitem__(self, index: int) -> ParsingBatch:  # type: ignore[override]
        random = np.random.default_rng((self.seed, index))
        image, label = self._draw_labelled(random)
        mattes = np.dstack([label.person, label.head])
        if self.settings.augment:
            if random.random() < _COMPOSITE_PROBABILITY:
                image, mattes = self._composite(image, mattes, random)
            elif random.random() < _FRAMED_PROBABILITY:
                matrix = _draw_framing(mattes, self.size, random)
                image, mattes = (_placed(x, matrix, self.size) for x in (image, mattes))
            if random.random() < 0.5:
                image, mattes = image[:, ::-1], mattes[:, ::-1]
            image = self._worn(_recolored(image.astype(np.float32), random), random)
        return ParsingBatch(to_tensor(np.ascontiguousarray(image)), torch.from_numpy(mattes.transpose(2, 0, 1).copy()))

    def _draw_labelled(self, random: np.random.Generator) -> tuple[np.ndarray, ParsingLabel]:
        """Draws a frame on which the teachers agree, with its label."""
        for _ in range(_MAX_FRAMES):
            _, clip = self._draw(random)
            frame = int(random.integers(len(clip.frames)))
            image = clip.frames[frame]
            label = self.labels(image, Landmarks.from_array(np.asarray(clip.landmarks)[frame]))
            if label.trusted:
                mattes = [resized(matte, self.size) for matte in (label.person, label.head)]
                return resized(image, self.size), ParsingLabel(mattes[0], mattes[1], True)
        raise BadInput(f"the segmenters agree on none of {_MAX_FRAMES} frames; is the footage of heads?")

    def _composite(
        self, image: np.ndarray, mattes: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns image and mattes, in another framing and before another background."""
        foreground = estimate_foreground(image, mattes[..., 0])
        if random.random() < 0.5:
            foreground = _recolored(foreground, random)
        matrix = _draw_framing(mattes, self.size, random)
        foreground, mattes = (_placed(x, matrix, self.size) for x in (foreground, mattes))
        background = self._draw_background(random)
        if random.random() < _CAMOUFLAGE_PROBABILITY:
            background = _camouflaged(background, foreground, mattes[..., 1])
        alpha = mattes[..., :1]
        return (alpha * foreground + (1 - alpha) * background).clip(0, 255).astype(np.uint8), mattes

    def _draw_background(self, random: np.random.Generator) -> np.ndarray:
        """Draws another frame's background, an enlarged detail of a frame, or a gradient, float32 [S, S, 3]."""
        kind, size = random.random(), self.size
        if kind < 0.15:
            corners = random.uniform(0, 255, (1, 1, 3)) + random.normal(0, 30, (2, 2, 3)) * random.integers(2)
            background = cv2.resize(corners.astype(np.float32), (size, size))
        elif kind < 0.6:
            image, label = self._draw_labelled(random)
            background = _without_person(image, label.person)
            if random.random() < 0.3:
                background = cv2.GaussianBlur(background, (0, 0), random.uniform(1, 6))
        else:
            _, clip = self._draw(random)
            image = clip.frames[int(random.integers(len(clip.frames)))]
            side = int(random.integers(clip.size // 12, clip.size // 2))
            left, top = random.integers(clip.size - side, size=2)
            detail = image[top : top + side, left : left + side]
            background = cv2.resize(detail, (size, size), interpolation=cv2.INTER_CUBIC)
            background = background + random.normal(0, random.uniform(0, 15), (size, size, 1))
        background = background[:, ::-1] if random.random() < 0.5 else background
        return _recolored(background.astype(np.float32), random).astype(np.float32)

    def _worn(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns an image that may be painted, degraded or coarse, uint8 [S, S, 3]."""
        image = image.clip(0, 255).astype(np.uint8)
        if random.random() < _PAINT_PROBABILITY:
            image = brush_strokes(image, random)
        if random.random() < 0.15:
            side = int(random.integers(self.size // 4, self.size))
            image = cv2.resize(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), (self.size,) * 2)
        if self.settings.degradation_prob and random.random() < self.settings.degradation_prob:
            image = Degradation.draw(random).apply(image)
        return image


def _draw_framing(mattes: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Draws an affine map [2, 3]. A head that is cut off at the top of the image stays cut off."""
    zoom, angle = np.exp(random.uniform(*_LOG_ZOOM)), random.normal(0, _ROTATION_STD_DEGREES)
    is_cut = mattes[0, :, 0].mean() > _CUT_OFF
    if is_cut:
        zoom, angle = max(zoom, 1.0), angle / 3
    stretch = np.exp(random.uniform(-_MAX_LOG_STRETCH, _MAX_LOG_STRETCH))
    matrix = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom), np.float64)
    matrix = np.diag([stretch, 1 / stretch]) @ matrix
    matrix[:, 2] += (np.array([1 - stretch, 1 - 1 / stretch]) * size / 2).tolist()
    matrix[:, 2] += random.normal(0, _SHIFT_STD_CROP_FRACTION, 2) * size
    top = float((matrix @ [size / 2, 0, 1])[1])
    if is_cut:
        matrix[1, 2] -= max(top, 0)
    elif zoom < 1 and random.random() < 0.5:  # the lower edge of the image is that of the footage
        matrix[1, 2] += size - float((matrix @ [size / 2, size, 1])[1])
    return matrix


def _placed(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Returns an image in another framing; its edges are repeated outward."""
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _without_person(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Returns the background, smoothly continued behind the person, float32 [S, S, 3]."""
    clear = (cv2.dilate(person, np.ones((7, 7), np.uint8)) < 0.05).astype(np.float32)[..., None]
    pixels = image.astype(np.float32)
    layers = np.dstack([pixels * clear, clear])
    spread = np.sum([cv2.blur(layers, (side, side)) * weight for side, weight in _FILL_WINDOWS], axis=0)
    filled = (spread[..., :3] + 1e-6 * pixels.mean((0, 1))) / (spread[..., 3:] + 1e-6)
    return pixels * clear + filled * (1 - clear)


def _camouflaged(background: np.ndarray, foreground: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Returns a background with the mean color and the contrast of the head just inside its outline, which is hair."""
    solid = (head > 0.9).astype(np.uint8)
    rim = foreground[(solid > 0) & (cv2.erode(solid, np.ones((9, 9), np.uint8)) == 0)]
    if not len(rim):
        return background
    contrast = min(float(rim.std(0).mean() / max(background.std((0, 1)).mean(), 1e-6)), 1)
    return (rim.mean(0) + contrast * (background - background.mean((0, 1)))).astype(np.float32)


def _recolored(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns an image with other brightness, contrast and colors, float32 [S, S, 3], 0 to 255."""
    gray = image.mean(2, keepdims=True)
    saturation = 0.0 if random.random() < _GRAY_PROBABILITY else random.uniform(0.4, 1.5)
    pixels = ((gray + (image - gray) * saturation) / 255).clip(0, 1) ** np.exp(random.normal(0, 0.3))
    gain = np.exp(random.normal(0, 0.15) + random.normal(0, 0.1, 3))
    return ((pixels * gain + random.normal(0, 0.05)) * 255).clip(0, 255)
