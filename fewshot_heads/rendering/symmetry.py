"""What one side of a head tells of the other: a head is nearly its own mirror image.

The reflection of a place is where the mirror image of the head has it. The image shows whether anything can be there.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import Pose, fit_pose
from fewshot_heads.rendering.hanging import hanging_lengths

_SOLID_MATTE = 0.85  # of a silhouette: below the jaw, the matte fades into the neck
_MAX_CHANGE_HEAD_UNITS, _DEPTH_STEPS = 0.35, 20  # to each side, of the depth of hair that stands out
_TURN_SINE = (0.35, 0.55)  # of the head in its image, which then hides the other side more and more
_LEAST_GAIN_PIXELS = 0.25  # for which a larger change is worth it
_CHANGE_BLUR_PIXELS = 1.5  # standard deviation
_SAME_SURFACE_HEAD_UNITS = (0.15, 0.3)  # between the first and the second difference of depth, surfaces become two
# Hair that hangs so long keeps to the shoulders, not to the head's plane of symmetry. Where the image sees the other
# side, at these cosines more and more, its own hair is enough.
_HANGING_HEAD_UNITS, _SEEN_COSINE = (0.25, 0.5), (0.1, 0.3)
_LEAST_PIECE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # of hair; less is no strand


def into_silhouette(depth: np.ndarray, matte: np.ndarray, pose: Pose) -> np.ndarray:
    """Returns the least change of depth that puts the reflection of each place into the silhouette, float32 [g, g].

    Hair that stood out on the hidden side would be seen beside the head. The less a head is turned, the less of it is
    hidden, and the more a difference of its sides is no matter of depth.

    Args:
        depth: float32 [g, g], pixels of the map.
        matte: float32 [g, g], 0 to 1, the head.
        pose: of the head, pixels of the map.
    """
    across, change = pose.rotation[:, 0], np.zeros_like(depth)
    motion = -2 * across[2] * across[:2]  # of a reflection in the image, for a change of depth by 1
    reach = pose.scale * np.interp(abs(across[2]), _TURN_SINE, (0, _MAX_CHANGE_HEAD_UNITS))
    if reach == 0:
        return change
    beside, places = _beside_head(matte), _reflected(depth, pose)[..., :2]
    least = _sampled(beside, places)
    for step in sorted(np.linspace(-reach, reach, 2 * _DEPTH_STEPS + 1), key=abs):
        gap = _sampled(beside, places + step * motion)
        nearer = gap < least - _LEAST_GAIN_PIXELS
        least[nearer], change[nearer] = gap[nearer], step
    return cv2.GaussianBlur(change, (0, 0), _CHANGE_BLUR_PIXELS)


def other_side(
    depth: np.ndarray, normals: np.ndarray, matte: np.ndarray, skin: np.ndarray, face: Landmarks
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is known of the other side of a head, which is taken for the reflection of this one.

    Args:
        depth: float32 [g, g], pixels of the map.
        normals: float32 [g, g, 3], unit normals of the surface.
        matte: float32 [g, g], 0 to 1, the head.
        skin: bool [g, g], which has a reflection in any case.
        face: landmarks, pixels of the map.

    Returns:
        The cosine at which the image sees the reflection of each place, 0 if it faces away, and the matte without the
        hair that has no reflection: the image shows a wall there, or something behind it. Both float32 [g, g], 0 to 1.
    """
    pose, size = fit_pose(face), len(matte)
    places, outward = _reflected(depth, pose), normals - 2 * (normals @ pose.rotation[:, :1]) * pose.rotation[:, 0]
    seen = -np.minimum(outward[..., 2], 0)
    before = (_sampled(depth, places) - places[..., 2]) / pose.scale  # the surface that the image shows there
    possible = np.interp(before, _SAME_SURFACE_HEAD_UNITS, (1, 0))
    possible *= (1 - _sampled(_beside_head(matte), places)).clip(0, 1)
    cells = np.argwhere(np.ones_like(matte))[:, ::-1] + 0.5
    hanging = hanging_lengths(cells, face, size).reshape(matte.shape) / pose.scale
    hangs = np.interp(hanging, _HANGING_HEAD_UNITS, (0, 1)) * np.interp(seen, _SEEN_COSINE, (0, 1))
    kept = (matte * np.maximum(possible, skin) * (1 - hangs)).astype(np.float32)
    return seen.astype(np.float32), _in_one_piece(kept, matte, skin)


def _in_one_piece(kept: np.ndarray, matte: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Returns the part of a matte [g, g] that is kept, without strands, islands and enclosed holes."""
    opened: np.ndarray = cv2.morphologyEx(kept, cv2.MORPH_OPEN, _LEAST_PIECE)
    _, gaps = cv2.connectedComponents(np.pad(opened < 0.5, 1, constant_values=True).astype(np.uint8))
    outside = np.isin(gaps, np.unique(gaps[np.pad(matte, 1) < 0.5]))[1:-1, 1:-1]
    opened = np.where(outside | (opened >= 0.5), opened, matte)
    _, pieces = cv2.connectedComponents((opened > 0).astype(np.uint8))
    return opened * np.isin(pieces, np.unique(pieces[skin])) if skin.any() else opened


def _reflected(depth: np.ndarray, pose: Pose) -> np.ndarray:
    """Returns the places of a surface after reflection in the head's plane of symmetry, [g, g, 3], pixels."""
    y, x = np.mgrid[: len(depth), : len(depth)] + 0.5
    places, across = np.dstack([x, y, depth]), pose.rotation[:, 0]
    reflected: np.ndarray = places - 2 * ((places - pose.translation) @ across)[..., None] * across
    return reflected


def _sampled(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns a map's values [g, g] at places [g, g, 2 or 3], pixels; beyond its edges, those of the edges."""
    x, y = cv2.split(places[..., :2].astype(np.float32) - 0.5)
    return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _beside_head(matte: np.ndarray) -> np.ndarray:
    """Returns how far each cell is beside a head, float32 [g, g], pixels of the map."""
    return cv2.distanceTransform((matte < _SOLID_MATTE).astype(np.uint8), cv2.DIST_L2, 5)
