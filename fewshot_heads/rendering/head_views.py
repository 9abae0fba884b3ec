"""Chooses among the views of a head: source images and their mirror images, before the painted back.

A head is nearly its own mirror image (Hassner et al., CVPR 2015), so the mirror image of a source image is one more
view. It shows the side that the image does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.opencv_maps import sample_map
from fewshot_heads.imaging.splatting import box_mean
from fewshot_heads.imaging.warping import grid_positions
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import fit_pose, mirrored, view_turn
from fewshot_heads.landmarks.pose_distance import pose_distance
from fewshot_heads.rendering.back_of_head import BackOfHead, BackProjection
from fewshot_heads.rendering.behind_head import body_flow
from fewshot_heads.rendering.head_surface import CELLS, HeadSurface, Projection

_MAX_IMAGES_PER_FRAME = 2
_WEIGHT_POSE_DISTANCE_SCALE = 0.007  # pose distance over which the weight of a source image falls by a factor of e
_MIN_IMAGE_WEIGHT = 1e-6  # keeps the sum of weights above 0 if all images are at the same distance
# Another view replaces the nearest image where it is sharper by this. On pictures that turn by 20 to 40 degrees, CSIM
# is .695, .725 and .727 for penalties of .15, .3 and .45, and L1 in the head .072, .072 and .075.
_OTHER_VIEW_PENALTY = 0.3
_BLENDED_SHARPNESS, _LEAST_BLENDED_SHARPNESS = 0.12, 0.04  # below the best score, over which a view fades out
_MIRRORED_TURN = 0.1  # radians from the nearest image, up to which the mirror image shows nothing
# Of hair, between which the back replaces it, and of the seam under a jaw, between which the neck does.
_LOST_SHARPNESS, _KEPT_SHARPNESS = 0.5, 0.75
_LEAST_BEYOND, _CRACK = (np.ones((cells, cells), np.uint8) for cells in (3, 5))  # see `_rim`
_NOTHING = Projection(grid_positions(CELLS), *np.zeros((6, CELLS, CELLS), np.float32))


class Views(NamedTuple):
    """What the V views contribute to a frame, on a map of c x c cells.

    Attributes:
        indices: int [V], 0 to K - 1 for an image, K to 2 K - 1 for its mirror image.
        flows: [V, c, c, 2], positions in the views, -1 to 1.
        weights: [V, c, c], 0 to 1. They sum to 1 where the head is.
        confidence: [1, c, c], 0 to 1, the sharpness of what the views contribute.
        back: what is behind the views, see `BackOfHead.project`.
    """

    indices: np.ndarray
    flows: np.ndarray
    weights: np.ndarray
    confidence: np.ndarray
    back: BackProjection


class HeadViews:
    """The views of a head, whose surfaces are computed once.

    Args:
        landmarks: K faces, pixels of their crops.
        heads: uint8 [K, R, R, 4], RGB and alpha of the heads in the crops.
        size: side of the crops, pixels.
        body: uint8 [R, R, 4], RGB and alpha of the body.
    """

    def __init__(self, landmarks: Sequence[Landmarks], heads: np.ndarray, size: int, body: np.ndarray):
        self.landmarks, self.size = list(landmarks), size
        self._body = cv2.resize(body[..., 3], (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        bodies = np.full_like(heads[..., 3], 255)
        bodies[0] = body[..., 3]  # of the other images it is not kept
        sources = list(zip(landmarks, heads, bodies, strict=True))
        self.surfaces = [HeadSurface(face, head, size, alpha) for face, head, alpha in sources]
        self.surfaces += [
            HeadSurface(mirrored(face, size), _flipped(head), size, _flipped(alpha), is_mirror_image=True)
            for face, head, alpha in sources
        ]
        self.back = BackOfHead(heads[0], landmarks[0], size, body)

    def images(self, heads: np.ndarray) -> np.ndarray:
        """Returns the layers of all views, float32 [2 K, 4, R, R]: a mirror image has the light of the side it shows.

        Args:
            heads: float32 [K, 4, R, R], colors from -1 to 1 and alpha from 0 to 1.
        """
        side, mirrored = heads.shape[-1], heads[..., ::-1].copy()
        for image, surface in zip(mirrored, self.surfaces[len(heads) :], strict=True):
            light = cv2.resize(surface.light, (side, side), interpolation=cv2.INTER_LINEAR)
            image[:3] = ((image[:3] + 1) * light.transpose(2, 0, 1) - 1).clip(-1, 1)
        return np.concatenate([heads, mirrored])

    def nearest(self, face: Landmarks) -> tuple[list[int], list[float]]:
        """Returns the source images nearest to a face, and their weights, which sum to 1.

        Args:
            face: landmarks, pixels of the crop.
        """
        distances = np.array([pose_distance(source, face) for source in self.landmarks])
        indices = distances.argsort(kind="stable")[: _MAX_IMAGES_PER_FRAME + 1]
        weights = np.exp((distances[indices[0]] - distances[indices]) / _WEIGHT_POSE_DISTANCE_SCALE)
        if len(distances) > _MAX_IMAGES_PER_FRAME:  # an image has no weight when the next one replaces it
            weights, indices = np.maximum(weights[:-1] - weights[-1], _MIN_IMAGE_WEIGHT), indices[:-1]
        return indices.tolist(), (weights / weights.sum()).tolist()

    def blend(self, face: Landmarks) -> Views:
        """Returns the views of a frame: the nearest images, and the mirror image of the first of them.

        Args:
            face: landmarks of the frame, pixels of the crop.
        """
        images, shares = self.nearest(face)
        indices = [*images, len(self.landmarks) + images[0]]
        turn = view_turn(self.surfaces[images[0]].pose, fit_pose(face))
        mirror_image = self.surfaces[indices[-1]].project(face) if turn > _MIRRORED_TURN else _NOTHING
        projections = [*(self.surfaces[i].project(face) for i in images), mirror_image]
        penalties = [_OTHER_VIEW_PENALTY * (1 - share / max(shares)) for share in shares]
        weights, confidence = _weigh(projections, [*penalties, _OTHER_VIEW_PENALTY])
        flow = body_flow(self.landmarks[:1], [face], self.size, CELLS)
        body = self._body if flow is None else sample_map(self._body[..., None], flow[0], "border")[..., 0]
        back = self.back.project(face, body)
        weights *= _kept(weights, confidence, projections, back.opacity)
        weights *= [1 - _lost_seam(view, body) for view in projections]
        flows = np.stack([projection.flow for projection in projections])
        return Views(np.array(indices), flows, weights, confidence[None], back)


def _flipped(image: np.ndarray) -> np.ndarray:
    """Returns the mirror image of a layer [R, R] or [R, R, 4]."""
    return np.ascontiguousarray(image[:, ::-1])


def images_of_views(images: np.ndarray, views: Sequence[Views]) -> np.ndarray:
    """Returns the images of the views of B frames, float32 [B, V, 4, R, R]; frames with the same views share memory.

    Args:
        images: float32 [2 K, 4, R, R].
        views: of the B frames.
    """
    indices = np.stack([view.indices for view in views])
    in_memory = images.transpose(0, 2, 3, 1)  # as in `rendering.renderer`
    if (indices != indices[0]).any():
        return in_memory[indices].transpose(0, 1, 4, 2, 3)
    first = indices[0].tolist()
    chosen = in_memory[: len(first)] if first == list(range(len(first))) else in_memory[first]  # a copy only if needed
    return np.broadcast_to(chosen.transpose(0, 3, 1, 2), (len(views), len(first), *images.shape[1:]))


def _lost_seam(view: Projection, body: np.ndarray) -> np.ndarray:
    """Returns the share of a view that is left out, [c, c]: a seam that would be a veil on the wall, or streaks.

    Args:
        view: the view.
        body: float32 [c, c], 0 to 1, opacity of the body in the frame.
    """
    return np.maximum(view.seam - body, view.seam * (1 - _kept_share(view.sharpness)))


def _kept(
    weights: np.ndarray, confidence: np.ndarray, projections: Sequence[Projection], back: np.ndarray
) -> np.ndarray:
    """Returns the share of the views that is kept before the back, [c, c]: less where hair is stretched too far.

    Args:
        weights: [V, c, c].
        confidence: [c, c], the sharpness of the views times their weights.
        projections: of the V views.
        back: [c, c], opacity of the back.
    """
    shown = np.maximum(weights.sum(0), 1e-6)
    skin = sum(view.skin * weight for view, weight in zip(projections, weights, strict=True)) / shown
    return np.maximum(np.maximum(_kept_share(confidence / shown), skin), 1 - back)


def _kept_share(sharpness: np.ndarray) -> np.ndarray:
    """Returns how much is kept of a surface that may be stretched too far, 0 to 1."""
    return ((sharpness - _LOST_SHARPNESS) / (_KEPT_SHARPNESS - _LOST_SHARPNESS)).clip(0, 1)


def _weigh(projections: Sequence[Projection], penalties: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weight of each view in each cell [V, c, c], and the confidence [c, c]; float32.

    Args:
        projections: of V views. The last is the mirror image of the first.
        penalties: what is subtracted from each view's sharpness.
    """
    first, other = projections[0], projections[-1]
    sharpness = np.stack([view.sharpness * (view.opacity > 0.5) for view in projections])
    # The soft edge of a view is less than another view behind it.
    opaque = np.stack([(2 * view.opacity - 1).clip(0, 1) for view in projections])
    scores = sharpness * opaque - np.array(penalties, np.float32)[:, None, None]
    is_shown = first.opacity > 0.5
    scores[1:] -= _rim(is_shown, scores[1:].max(0) > scores[0])
    scores[0] = np.maximum(scores[0], other.seen * is_shown)  # on either surface
    # Views fade into each other, but not into nothing, which would be a ghost.
    fading = np.where(is_shown, np.float32(_BLENDED_SHARPNESS), np.float32(_LEAST_BLENDED_SHARPNESS))
    shares = np.maximum(scores - scores.max(0) + fading, 0)
    shares /= shares.sum(0)
    weights = np.stack([box_mean(share) * view.coverage for share, view in zip(shares, projections, strict=True)])
    return weights, (weights * sharpness).sum(0)


def _rim(shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the thin rim by which another view is larger than the nearest image, bool [c, c]: there it is no news.

    Cracks within the nearest image are no rim.

    Args:
        shown: bool [c, c], where the nearest image shows the head.
        wanted: bool [c, c], where another view shows more.
    """
    whole = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_CLOSE, _CRACK)
    beyond = (wanted & (whole == 0)).astype(np.uint8)
    return beyond > cv2.morphologyEx(beyond, cv2.MORPH_OPEN, _LEAST_BEYOND)
