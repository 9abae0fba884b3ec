"""Shades the source's skin where the driver's folds."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.driving.covered_mouth import shows_no_lips
from fewshot_heads.imaging.face_color import color_deviations
from fewshot_heads.imaging.splatting import splat
from fewshot_heads.imaging.warping import normalize_points
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.face_map import CELL_HEAD_UNITS, cell_positions, facing, skin_mask
from fewshot_heads.landmarks.pose import fit_pose

_MAP_CELLS = 128  # side of the splatted map, for the crop
_THICKNESS_HEAD_UNITS = 0.1  # in one cell, points this far behind each other belong to one surface
_SKIN_DEVIATIONS, _NO_SKIN_DEVIATIONS = 4.0, 7.0  # standard deviations of the skin's color, between which skin ends
_INVISIBLE = 0.005  # logarithm of a change that no level shows
_UNSEEN_COSINE, _SEEN_COSINE = 0.1, 0.4  # of the angle between skin and viewer, where a fold begins to be seen


class SkinShading:
    """The skin of a source image, on which folds may lie: not on hair, a beard, glasses or a hand, nor beside a mask.

    Args:
        image: uint8 RGB [R, R, 3], the source image.
        face: its landmarks, pixels of the image.
    """

    def __init__(self, image: np.ndarray, face: Landmarks):
        self._skin: np.ndarray | None = None
        # A mask may cover so much of the face that its color counts as the skin's.
        if face.has_surface and not shows_no_lips(image, face):
            x, y = cell_positions(face)[..., :2].astype(np.float32).transpose(2, 0, 1) - np.float32(0.5)
            colors = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            deviations = cv2.medianBlur(color_deviations(colors, skin_mask() > 0.5).astype(np.float32), 3)
            skin = (_NO_SKIN_DEVIATIONS - deviations) / (_NO_SKIN_DEVIATIONS - _SKIN_DEVIATIONS)
            self._skin = cv2.blur(skin.clip(0, 1), (3, 3))

    def shade(self, frame: np.ndarray, shading: np.ndarray, face: Landmarks, size: int) -> np.ndarray:
        """Returns the frame with the shading of folds, uint8 [R, R, 3].

        Args:
            frame: uint8 [R, R, 3].
            shading: float32 [CELLS, CELLS], logarithms (`driving.shading`).
            face: landmarks of the frame, pixels of the crop.
            size: side of the crop, pixels.
        """
        if self._skin is None or not face.has_surface or np.abs(shading).max() < _INVISIBLE:
            return frame
        positions = cell_positions(face)
        seen = (facing(positions) - _UNSEEN_COSINE) / (_SEEN_COSINE - _UNSEEN_COSINE)
        kept = skin_mask() > 0
        values, points = (shading * self._skin * seen.clip(0, 1))[kept], positions[kept]
        points[:, :2] = normalize_points(points[:, :2], size)
        scale = fit_pose(face).scale
        density = (_MAP_CELLS / size * scale * CELL_HEAD_UNITS) ** -2 / 2
        result = splat(
            points, values[:, None].astype(np.float32), np.ones(len(points), np.float32), _MAP_CELLS,
            _THICKNESS_HEAD_UNITS * scale, density,
        )  # fmt: skip
        gains = np.exp(result.values[..., 0] * result.coverage)
        gains = cv2.resize(gains, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return cv2.multiply(frame, cv2.merge([gains] * 3), dtype=cv2.CV_8U)
