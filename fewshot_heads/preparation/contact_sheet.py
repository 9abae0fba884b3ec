"""An image of the prepared data, one tile a clip, to inspect before training."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.datasets.shards import Sample
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.landmarks.stickman import draw_stickman

_TILE_PX, _LABEL_PX = 160, 26
_MAX_COLUMNS = 12
_BASELINES_PX = (11, 23)  # of the two lines of text, below the tile's image


class ContactSheet:
    """Collects tiles: the middle frame of a clip, its stickman, two lines of text."""

    def __init__(self) -> None:
        self._tiles: list[np.ndarray] = []

    def add(self, sample: Sample, first_line: str, second_line: str) -> None:
        """Adds the tile of one clip.

        Args:
            sample: the clip.
            first_line: text below the frame.
            second_line: text below the first line.
        """
        middle = len(sample.jpegs) // 2
        frame = cv2.imdecode(np.frombuffer(sample.jpegs[middle], np.uint8), cv2.IMREAD_COLOR)
        assert frame is not None  # this project compressed it
        frame = cv2.resize(frame, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)
        points, scale = sample.landmarks[middle, :, :2], _TILE_PX / sample.meta["size"]
        stickman = draw_stickman(points, _TILE_PX, scale)[..., ::-1]
        tile = np.zeros((_TILE_PX + _LABEL_PX, _TILE_PX, 3), np.uint8)
        tile[:_TILE_PX] = np.where(stickman.any(2, keepdims=True), frame // 2 + stickman // 2, frame)
        for baseline, text in zip(_BASELINES_PX, (first_line, second_line), strict=True):
            origin = (2, _TILE_PX + baseline)
            cv2.putText(tile, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
        self._tiles.append(tile)

    def png(self) -> bytes:
        """Returns the sheet, encoded as PNG. At least one tile must have been added."""
        starts = range(0, len(self._tiles), _MAX_COLUMNS)
        grid = image_grid([self._tiles[start : start + _MAX_COLUMNS] for start in starts])
        return cv2.imencode(".png", grid)[1].tobytes()
