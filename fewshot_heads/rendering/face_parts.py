"""Applies face parts to a composited frame: eyelids, eyes and the inside of a mouth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.regions import EYELIDS, EYES, MOUTH
from fewshot_heads.models.network import Network
from fewshot_heads.rendering.eyelids import close_eyelids, closed_shares, open_eyelids
from fewshot_heads.rendering.gaze import turn_irises
from fewshot_heads.rendering.mouth_transfer import transfer_mouth
from fewshot_heads.rendering.region_compositing import inpaint, opacity_of

# Between these shares of the lids' gap, the painted lid appears over the warped one. A lid that only begins to move
# looks as it does in the source.
_PAINTED = (0.3, 0.65)


class SourceVisibility(NamedTuple):
    """What the source images show of the eyes and the mouth of one frame.

    Attributes:
        eyes: [2], how far the source's eyes are open, right eye first (`eye_aspect_ratios`).
        irises: [2, 3], head units, where the source's irises are (`iris_offsets`). None leaves irises as they are.
        disocclusion: [3], 0 to 1, how far eyes and mouth open beyond the source (`disocclusion_amount`).
        color_matrix: [3, 3], from neutral colors to those of the source image.
        brightness: mean level of the source's face, 0 to 255.
        blur: of the source's face, over the face's size (`blur_radius`).
        in_color: whether the source's face has colors.
    """

    eyes: np.ndarray
    irises: np.ndarray | None
    disocclusion: np.ndarray
    color_matrix: np.ndarray
    brightness: float
    blur: float = 0.0
    in_color: bool = True


def apply_face_parts(
    frames: np.ndarray,
    faces: Sequence[Landmarks],
    visibility: Sequence[SourceVisibility],
    size: int,
    mouths: Sequence[MouthCrop] | None = None,
    inpainters: Mapping[str, Network] | None = None,
) -> np.ndarray:
    """Returns the frames with eyelids closed, and with the inside of disoccluded eyes and mouths.

    The inside of a mouth comes from the driver, if `mouths` are given and visible, or from the inpainter. A
    black-and-white driver gives no mouth to a source with colors.

    Args:
        frames: uint8 [B, R, R, 3], result of `HeadRenderer.composite`.
        faces: landmarks of the frames, pixels of the crop.
        visibility: what the source images show, for each frame.
        size: side S of the crop, pixels.
        mouths: the driver's mouths, one a frame; None leaves all mouths to the inpainter.
        inpainters: networks by face region (`landmarks.regions.REGIONS`). Other regions stay as they are.
    """
    result, inpainters = [], inpainters or {}
    for i, (frame, crop_face, source) in enumerate(zip(frames, faces, visibility, strict=True)):
        face = crop_face.moved(np.zeros(2, np.float32), len(frame) / size)
        open_face = open_eyelids(face, source.eyes)
        if source.irises is not None:
            frame = turn_irises(frame, source.irises, source.eyes, open_face)
        closed = closed_shares(open_face, face)
        frame = close_eyelids(frame, open_face, closed)
        if "lids" in inpainters:
            for lid, share in zip(EYELIDS, closed, strict=True):
                opacity = float(np.interp(share, _PAINTED, (0, 1)))
                frame = inpaint(lid, frame, face, opacity, source.color_matrix, inpainters["lids"], keep_detail=True)
        if "eyes" in inpainters:
            for eye, disocclusion in zip(EYES, source.disocclusion[:2], strict=True):
                opacity = opacity_of(disocclusion)
                frame = inpaint(eye, frame, face, opacity, source.color_matrix, inpainters["eyes"])
        mouth, disocclusion = mouths[i] if mouths else None, source.disocclusion[2]
        if mouth is not None and source.in_color and not mouth.in_color:
            mouth = None  # a gray mouth in a colored face
        if "mouth" in inpainters and (mouth is None or mouth.visibility_weight < 1):
            opacity = opacity_of(disocclusion)
            frame = inpaint(MOUTH, frame, face, opacity, source.color_matrix, inpainters["mouth"])
        if mouth is not None:
            frame = transfer_mouth(
                mouth, frame, face, disocclusion, source.color_matrix, source.brightness, source.blur
            )
        result.append(frame)
    return np.stack(result)
