"""Tone mapping of HDR video (HLG and PQ) to the 8-bit levels of SDR video.

Transfer functions: ITU-R BT.2100-2, tables 4 and 5. Tone curve: ITU-R BT.2390-8, section 5.4.1. Levels of white: ITU-R
BT.2408-5, section 2.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc

_PEAK_NITS = 1000.0  # brightest light of a nominal HLG display, to which PQ footage is mastered most often
_WHITE_NITS = 203.0  # diffuse white of HDR video, which SDR video shows as its brightest level
# Footage whose brightest light is darker than diffuse white is raised to it, but not by more than this factor.
_MAX_EXPOSURE = 3.0
_BRIGHTEST_QUANTILE = 0.999  # of a frame's pixels; a spark is no white
_MIN_EXPOSED_NITS = 20.0  # a first frame that is darker than this is a fade from black and says nothing
_DISPLAY_GAMMA = 2.4  # of SDR video, ITU-R BT.1886
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
# Linear RGB of BT.2020 and Display P3 to BT.709: ITU-R BT.2087-0 for the first, SMPTE EG 432-1 for the second.
_TO_BT709: dict[int, list[list[float]]] = {
    ColorPrimaries.BT2020: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    ColorPrimaries.SMPTE432: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]],
    ColorPrimaries.BT709: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}
_CODES = np.arange(65536) / 65535.0
_ROWS = 64  # processed at a time, so a frame of 8K takes no gigabyte of floats


class ToneMap:
    """Maps the frames of one HDR video to SDR.

    The exposure is that of one frame, so it does not change within a video.

    Args:
        hlg: whether the transfer function is HLG; else it is PQ.
        primaries: color primaries, as FFmpeg numbers them. Unknown primaries are those of BT.2020.
        first: uint16 RGB [H, W, 3], the first frame of the video.
    """

    def __init__(self, hlg: bool, primaries: int, first: np.ndarray) -> None:
        self._hlg = hlg
        self._light = (_hlg_scene_light(_CODES) if hlg else pq_to_nits(_CODES)).astype(np.float32)
        self._matrix = np.array(_TO_BT709.get(primaries, _TO_BT709[ColorPrimaries.BT2020]), np.float32)
        self._exposure = self._first_exposure(first)
        self._levels = (255 * _CODES ** (1 / _DISPLAY_GAMMA) + 0.5).astype(np.uint8)
        # The curve is smooth in PQ, so equal steps there need few entries.
        codes = np.linspace(0, 1, 1024)
        self._curve = pq_to_nits(codes), compressed(pq_to_nits(codes))

    @classmethod
    def of(cls, frame: Any, first: np.ndarray) -> ToneMap:
        """Returns the tone map of a video for which `is_hdr` holds.

        Args:
            frame: the first PyAV frame.
            first: its pixels, uint16 RGB [H, W, 3].
        """
        return cls(frame.color_trc == ColorTrc.ARIB_STD_B67, frame.color_primaries, first)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Returns a frame as uint8 RGB [H, W, 3] of SDR video.

        Args:
            image: uint16 RGB [H, W, 3], full range, with the transfer function and primaries of the video.
        """
        result = np.empty(image.shape, np.uint8)
        for top in range(0, len(image), _ROWS):
            nits = self._exposure * self._nits(image[top : top + _ROWS])
            brightest = np.maximum(nits.max(-1, keepdims=True), 1e-4)
            # One factor for the three channels keeps the hue.
            light = nits * (np.interp(brightest, *self._curve) / brightest / _WHITE_NITS).astype(np.float32)
            result[top : top + _ROWS] = self._levels[(light.clip(0, 1) * 65535 + 0.5).astype(np.uint16)]
        return result

    def _nits(self, image: np.ndarray) -> np.ndarray:
        """Returns the light of a display, float32 [H, W, 3], cd/m2 of the primaries of BT.709, at least 0."""
        light = self._light[image]
        if self._hlg:  # the OOTF of a display of 1000 cd/m2
            light *= _PEAK_NITS * (light @ _LUMINANCE_2020)[..., None] ** 0.2
        return np.maximum(light @ self._matrix.T, 0)

    def _first_exposure(self, first: np.ndarray) -> float:
        """Returns the factor of the light, from the first frame."""
        step = max(len(first) // 256, 1)
        brightest = float(np.quantile(self._nits(first[::step, ::step]).max(-1), _BRIGHTEST_QUANTILE))
        if brightest < _MIN_EXPOSED_NITS:
            return 1.0
        return float(np.clip(_WHITE_NITS / brightest, 1.0, _MAX_EXPOSURE))


def is_hdr(frame: Any) -> bool:
    """Returns whether a PyAV frame has the transfer function HLG or PQ."""
    return frame.color_trc in (ColorTrc.ARIB_STD_B67, ColorTrc.SMPTE2084)


def pq_to_nits(codes: np.ndarray) -> np.ndarray:
    """Returns the light of PQ codes from 0 to 1, cd/m2."""
    power = codes ** (1 / 78.84375)
    return 10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def nits_to_pq(nits: np.ndarray) -> np.ndarray:
    """Returns the PQ codes, 0 to 1, of light in cd/m2."""
    power = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg_scene_light(codes: np.ndarray) -> np.ndarray:
    """Returns the scene's linear light, 0 to 1, of HLG codes from 0 to 1."""
    bright = (np.exp((codes - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(codes <= 0.5, codes**2 / 3, bright)


def compressed(nits: np.ndarray) -> np.ndarray:
    """Returns light up to 1000 cd/m2 compressed to 203 cd/m2, unchanged below the knee at 88 cd/m2.

    Args:
        nits: [N], cd/m2. Brighter light is taken for 1000 cd/m2.
    """
    peak, white = nits_to_pq(np.array([_PEAK_NITS, _WHITE_NITS]))
    code, target = np.minimum(nits_to_pq(nits) / peak, 1), white / peak
    knee = 1.5 * target - 0.5
    t = np.maximum(code - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * target
    return pq_to_nits(peak * np.where(code < knee, code, spline))
