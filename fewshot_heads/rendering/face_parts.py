"""Face parts laid over a composited frame: eyelids, eyes and the inside of a mouth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.regions import EYES, MOUTH
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.rendering.eyelids import close_eyelids, open_eyelids
from fewshot_heads.rendering.mouth_transfer import transfer_mouth
from fewshot_heads.rendering.region_compositing import inpaint


class SourceVisibility(NamedTuple):
    """What pictures show of a person for a face that is to be made of them.

    eyes [2]: how far they are open (`lids.eye_aspect_ratios`); opened [3]: how much of the face's eyes and mouth is
    not in them
    (`landmarks.stickman.disocclusion_amount`); palette [3, 3], brightness: what they make of colors, and the mean
    level of the face
    in them.
    """

    eyes: np.ndarray
    disocclusion: np.ndarray
    color_matrix: np.ndarray
    brightness: float


def apply_face_parts(
    frames: np.ndarray,
    faces: Sequence[Landmarks],
    seen: Sequence[SourceVisibility],
    size: int,
    mouths: Sequence[MouthCrop] | None = None,
    inpainters: Mapping[str, Inpainter] | None = None,
) -> np.ndarray:
    """Composed frames uint8 [B, R, R, 3] of faces (pixels of the crop of that size): lids come down over eyes that were
    made open; what no picture shows gets a painted inside, and a mouth the driver's, if there are mouths."""
    result, inpainters = [], inpainters or {}
    for i, (frame, face, each) in enumerate(zip(frames, faces, seen, strict=True)):
        there = face.moved(np.zeros(2, np.float32), len(frame) / size)
        frame = close_eyelids(frame, open_eyelids(there, each.eyes), there)
        if "eyes" in inpainters:
            for eye, share in zip(EYES, each.disocclusion[:2], strict=True):
                frame = inpaint(eye, frame, there, share, each.color_matrix, inpainters["eyes"])
        mouth, share = mouths[i] if mouths else None, each.disocclusion[2]
        if "mouth" in inpainters and (mouth is None or mouth.visibility_weight < 1):
            frame = inpaint(MOUTH, frame, there, share, each.color_matrix, inpainters["mouth"])
        if mouth is not None:
            frame = transfer_mouth(mouth, frame, there, share, each.color_matrix, each.brightness)
        result.append(frame)
    return np.stack(result)
