"""What one side of a head tells of the other: a head is nearly its own mirror image.

The reflection of a place is where the mirror image of the head has it. The image shows whether anything can be there.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import blurred_inside
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import Pose, fit_pose
from fewshot_heads.rendering.hanging import hanging_lengths

_SOLID_MATTE = 0.85  # of a silhouette: below the jaw, the matte fades into the neck
_MAX_CHANGE_HEAD_UNITS, _DEPTH_STEPS = 0.35, 20  # to each side, of the depth of hair that stands out
_TURN_SINE = (0.35, 0.55)  # of the head in its image, which then hides the other side more and more
_LEAST_GAIN_PIXELS = 0.25  # for which a larger change is worth it
_CHANGE_BLUR_PIXELS = 1.5  # standard deviation
_SAME_SURFACE_HEAD_UNITS = (0.15, 0.3)  # between the first and the second difference of depth, surfaces become two
_BESIDE_HEAD_PIXELS = (0.5, 1.0)  # of a reflection, up to which it lies on the head, and from which on the wall
# Hair that hangs so long keeps to the shoulders, not to the head's plane of symmetry. Where the image sees the other
# side, at these cosines more and more, its own hair is enough.
_HANGING_HEAD_UNITS, _SEEN_COSINE = (0.25, 0.5), (0.1, 0.3)
# The light of a side is smoother than this, and where it is not known, that of places so near. Standard deviations.
_LIGHT_HEAD_UNITS, _LIGHT_REACH_HEAD_UNITS = 0.08, 0.2
_LIT_COSINE = 0.15  # at which the image sees a place well enough to tell its light
_EQUAL_LIGHT = 0.02  # weight of equal light on both sides, against that of a side that is known all around
_MAX_LIGHT = 0.5  # logarithm
_DARK_LEVEL = 8.0  # added to levels, whose noise in the dark would be light in the logarithm
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
    possible *= np.interp(_sampled(_beside_head(matte), places), _BESIDE_HEAD_PIXELS, (1, 0))
    cells = np.argwhere(np.ones_like(matte))[:, ::-1] + 0.5
    hanging = hanging_lengths(cells, face, size).reshape(matte.shape) / pose.scale
    hangs = np.interp(hanging, _HANGING_HEAD_UNITS, (0, 1)) * np.interp(seen, _SEEN_COSINE, (0, 1))
    kept = (matte * np.maximum(possible, skin) * (1 - hangs)).astype(np.float32)
    return seen.astype(np.float32), _in_one_piece(kept, matte, skin)


def side_light(colors: np.ndarray, depth: np.ndarray, seen: np.ndarray, skin: np.ndarray, pose: Pose) -> np.ndarray:
    """Returns the light on the other side of a head over that on this one, at each place of this one, [g, g, 3].

    It is measured on skin of which the image shows both sides, and goes on around it.

    Args:
        colors: uint8 [g, g, 3], of the mirror image.
        depth: float32 [g, g], pixels of the map, of its surface.
        seen: [g, g], the cosine at which the image sees the reflection of each place.
        skin: bool [g, g].
        pose: of the head in the mirror image, pixels of the map.
    """
    mask, level = skin.astype(np.float32), np.log(colors.astype(np.float32) + _DARK_LEVEL)
    smooth = np.dstack([blurred_inside(channel, mask, _LIGHT_HEAD_UNITS * pose.scale) for channel in cv2.split(level)])
    places = _reflected(depth, pose)
    difference = np.dstack([_sampled(channel, places) for channel in cv2.split(smooth)]) - smooth
    weight = mask * (_sampled(mask, places) > 0.5) * (seen > _LIT_COSINE)
    sums = cv2.GaussianBlur(
        np.dstack([difference * weight[..., None], weight]), (0, 0), _LIGHT_REACH_HEAD_UNITS * pose.scale
    )
    mean = sums[..., :3] / (sums[..., 3:] + _EQUAL_LIGHT)
    return np.asarray(np.exp(mean.clip(-_MAX_LIGHT, _MAX_LIGHT)), np.float32)


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
