"""A picture of prepared data, a tile a clip, to look at before training on it."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.datasets.shards import Sample
from fewshot_heads.landmarks.stickman import draw_stickman

_TILE, _LABEL, _COLUMNS = 160, 26, 12


class ContactSheet:
    """Collects tiles: the middle frame of a clip under its stickman, with two lines of text below."""

    def __init__(self) -> None:
        self._tiles: list[np.ndarray] = []

    def add(self, sample: Sample, first_line: str, second_line: str) -> None:
        middle = len(sample.jpegs) // 2
        frame = cv2.imdecode(np.frombuffer(sample.jpegs[middle], np.uint8), cv2.IMREAD_COLOR)
        assert frame is not None  # it was compressed here
        frame = cv2.resize(frame, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
        stickman = draw_stickman(sample.landmarks[middle, :, :2], _TILE, _TILE / sample.meta["size"])[..., ::-1]
        tile = np.zeros((_TILE + _LABEL, _TILE, 3), np.uint8)
        tile[:_TILE] = np.where(stickman.any(2, keepdims=True), frame // 2 + stickman // 2, frame)
        for baseline, text in ((_TILE + 11, first_line), (_TILE + 23, second_line)):
            cv2.putText(tile, text, (2, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
        self._tiles.append(tile)

    def png(self) -> bytes:
        """The sheet as the bytes of a PNG."""
        columns = min(_COLUMNS, max(1, len(self._tiles)))
        missing = -len(self._tiles) % columns
        tiles = self._tiles + [np.zeros((_TILE + _LABEL, _TILE, 3), np.uint8)] * missing
        rows = [np.hstack(tiles[first : first + columns]) for first in range(0, len(tiles), columns)]
        return cv2.imencode(".png", np.vstack(rows))[1].tobytes()
