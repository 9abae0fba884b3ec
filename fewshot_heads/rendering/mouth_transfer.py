"""Transfers the inside of the driver's mouth between the source's lips.

Averbuch-Elor et al., "Bringing Portraits to Life", SIGGRAPH Asia 2017.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.driving.mouth_crop import BOX_RATIO, MouthCrop
from fewshot_heads.imaging.convert import to_float, to_uint8
from fewshot_heads.imaging.splines import tps_flow
from fewshot_heads.imaging.warping import normalize_points, resize_flow, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.regions import MOUTH
from fewshot_heads.rendering.region_compositing import composite, opacity_of

_FLOW_CELLS = 24  # side of the flow's grid, enough because the spline is smooth
_STIFFNESS = 1e-2  # regularization of the spline: lip landmarks are accurate to about a pixel
_LIGHT_EXPONENT = 0.7  # of the ratio of the face brightnesses, which comes from the light and in part from the skin
_DARKEST_SKIN = 0.4  # of the brightness ratio; skins do not differ by more, so the rest is light and darkens all alike


def transfer_mouth(
    mouth: MouthCrop,
    frame: np.ndarray,
    face: Landmarks,
    disocclusion: float,
    color_matrix: np.ndarray,
    brightness: float,
    blur: float = 0.0,
) -> np.ndarray:
    """Returns the frame with the driver's mouth inside the inner lips of the face.

    Args:
        mouth: the driver's mouth of the same frame.
        frame: uint8 [H, W, 3].
        face: landmarks in pixels of the frame.
        disocclusion: how far the mouth opens beyond the source, 0 to 1.
        color_matrix: [3, 3], from neutral colors to those of the source image.
        brightness: mean level of the source's face, 0 to 255.
        blur: of the source's face over its size (`blur_radius`). A sharper mouth is blurred as much.
    """
    disocclusion *= mouth.visibility_weight
    if disocclusion <= 0:
        return frame
    box = MOUTH.crop_box(face, BOX_RATIO)
    ratio = brightness / max(mouth.color.brightness, 1.0)
    light = float(np.clip(ratio, _DARKEST_SKIN, 1.0)) ** _LIGHT_EXPONENT * min(ratio / _DARKEST_SKIN, 1.0)
    gains = color_matrix * (light / color_matrix.sum(1).max()) @ np.diag(1 / mouth.color.channel_gains)
    warped = _warp_to_lips(mouth, box.to_crop(face).points[MOUTH.surround], box.size)
    missing_blur = float(np.sqrt(max(blur**2 - mouth.blur**2, 0.0))) * face.size
    return composite(MOUTH, frame, face, box, np.clip(warped @ gains.T, 0, 255), opacity_of(disocclusion), missing_blur)


def _warp_to_lips(mouth: MouthCrop, lips: np.ndarray, size: int) -> np.ndarray:
    """Returns the mouth's image with its lips at given points, uint8 [size, size, 3].

    Args:
        mouth: the driver's mouth.
        lips: [20, 2], the wanted points, pixels of the result.
        size: side of the result, pixels.
    """
    image = np.asarray(cv2.imdecode(np.frombuffer(mouth.jpeg, np.uint8), cv2.IMREAD_COLOR))
    source, target = normalize_points(mouth.lips, len(image)), normalize_points(lips, size)
    flow = tps_flow(source, target, _FLOW_CELLS, stiffness=_STIFFNESS)
    return to_uint8(sample(to_float(image)[None], resize_flow(flow, size)))[0]
