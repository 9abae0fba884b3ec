"""Several people of one generator, rendered as one face: the basis of morphs, portraits and identity transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.imaging.splines import FLOW_SIZE
from fewshot_heads.imaging.warping import grid_positions, normalize_points, resize
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.face_parts import SourceVisibility, apply_face_parts
from fewshot_heads.rendering.renderer import HeadRenderer

# Share of half the crop over which a background comes to rest at the border while its head moves.
_BORDER_RAMP_HALF_CROP_FRACTION = 0.5
# Share of the features' size by which the weights inside the face reach beyond brows, eyes, nose and mouth.
_FEATURE_MARGIN_SIZE_FRACTION = 0.2
_LEAST_BLUR_PIXELS = 0.5
_FEATURES = slice(17, 68)  # iBUG points of brows, nose, eyes and mouth


class IdentityBlend:
    """K people of one generator, rendered as a weighted mean.

    Attributes:
        renderers: one `HeadRenderer` for each person.
        portraits: K faces as in the first pictures, pixels of the crop.
        e_hats: float64 [K, E], identity embeddings.
        tuned: whether a person has a fine-tuned generator. Then each frame has its own mean generator.
    """

    def __init__(self, reenactor: Reenactor, heads: Sequence[Head], resolution: int | None = None):
        """Prepares the people for rendering.

        Args:
            reenactor: the library that made the heads.
            heads: K people.
            resolution: side of the frames, pixels; None takes that of the largest textures.
        """
        self.size, self.inpainters = reenactor.size, reenactor.inpainters
        self._generator = reenactor.generator
        self.tuned = any(head.tuned for head in heads)
        projection = reenactor.checkpoint.networks.generator.project
        self._projection, self._bias = (array.numpy(force=True) for array in (projection.weight, projection.bias))
        shipped = reenactor.checkpoint.networks.generator.state_dict() if self.tuned else {}
        own = {name: value.numpy(force=True) for name, value in shipped.items()}
        self._states: list[Mapping[str, np.ndarray]] = [head.tuned or own for head in heads]
        resolution = resolution or max(head.textures.shape[1] for head in heads)
        self.renderers = [HeadRenderer(head, self._generator, resolution) for head in heads]
        self.portraits = [head.landmarks[0] for head in heads]
        self.e_hats = np.stack([head.e_hat for head in heads]).astype(np.float64)
        # What fine-tuning added to P e_hat; 0 without fine-tuning.
        self._style_offsets = np.stack([head.style for head in heads]) - self._projected(self.e_hats)

    def style(self, e_hats: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Returns AdaIN styles [B, P].

        Args:
            e_hats: [B, E], mixed identity embeddings.
            shares: [B, K], each person's share, by which the offsets of fine-tuning are mixed.
        """
        return self._projected(e_hats) + shares @ self._style_offsets

    def render(
        self,
        faces: Sequence[Landmarks],
        rest: list[Landmarks],
        style: np.ndarray,
        weights: np.ndarray,
        around: np.ndarray | None = None,
        mouths: Sequence[MouthCrop] | None = None,
    ) -> np.ndarray:
        """Renders frames of the mixed person, uint8 [B, R, R, 3].

        Args:
            faces: B faces, pixels of the crop.
            rest: B faces at rest. Every background moves so that its head lies there, and heads cover heads.
            style: [B, P], see `style`.
            weights: [B, K], share of each person's pixels inside the facial features. Rows sum to 1.
            around: [B, K], shares outside the features; None takes `weights`.
            mouths: the driver's mouth of each frame; None inpaints mouths that open.
        """
        around = weights if around is None else around
        if self.tuned:
            self._load_mean_generator(weights[0])
        styles = style.astype(np.float32)
        if not self._generator.textured:
            visibility = [self.renderers[0].visibility(face) for face in faces]
            return to_uint8(self.renderers[0].composite(faces, visibility, styles))
        inside = np.stack([_feature_mask(face, self.size) for face in faces])[:, None]
        inside = resize(inside, self.renderers[0].resolution)
        visibility = [self._mixed_visibility(face, row) for face, row in zip(faces, weights, strict=True)]
        frames: np.ndarray | float = 0.0
        for k in np.flatnonzero((weights + around).any(0)):
            flows = np.stack([_background_flow(self.portraits[k], face, self.size) for face in rest])
            share_inside, share_outside = (w[:, k, None, None, None].astype(np.float32) for w in (weights, around))
            share = share_outside + inside * (share_inside - share_outside)
            frames = frames + share * self.renderers[k].composite(faces, visibility, styles, flows, rest)
        images = to_uint8(np.asarray(frames))
        images = apply_face_parts(images, faces, visibility, self.size, mouths, self.inpainters)
        return np.stack([self._with_teeth(*each) for each in zip(images, faces, weights, strict=True)])

    def _with_teeth(self, image: np.ndarray, face: Landmarks, weights: np.ndarray) -> np.ndarray:
        """Returns a frame with everybody's teeth, by weights [K]."""
        present = np.flatnonzero(weights)
        shown = (weights[k] * self.renderers[k].show_teeth(image, face) for k in present)
        return np.asarray(sum(shown)).round().clip(0, 255).astype(np.uint8)

    def _mixed_visibility(self, face: Landmarks, weights: np.ndarray) -> SourceVisibility:
        """Returns the mean visibility of a face in everybody's pictures, by weights [K]."""
        present = np.flatnonzero(weights)
        by_person = [self.renderers[k].visibility(face) for k in present]
        shares = weights[present]
        return SourceVisibility(
            *(sum(w * part for w, part in zip(shares, parts, strict=True)) for parts in zip(*by_person, strict=True))
        )

    def _load_mean_generator(self, weights: np.ndarray) -> None:
        """Loads the mean of all generators by weights [K]; it works because all were tuned from one."""
        present = [(float(w), state) for w, state in zip(weights, self._states, strict=True) if w]
        mean = {name: np.asarray(sum(w * state[name] for w, state in present)) for name in present[0][1]}
        generator = replace(self._generator, run=self._generator.tuned(mean))
        for renderer in self.renderers:
            renderer.generator = generator

    def _projected(self, e_hats: np.ndarray) -> np.ndarray:
        """Returns P e_hat, [B, P], of embeddings [B, E]."""
        return np.float32(e_hats) @ self._projection.T + self._bias


def load_person(reenactor: Reenactor, path: Path, face: int = 0) -> Head:
    """Returns a saved head, or embeds a picture.

    Args:
        reenactor: the library that embeds, and whose generator must have made a saved head.
        path: a head (.safetensors) or a picture.
        face: which face of a picture; 0 is the largest.

    Raises:
        WeightsMismatch: another generator made the saved head.
        NoFaceFound: the picture shows no such face.
        BadInput: the file cannot be read.
    """
    if path.suffix.lower() != ".safetensors":
        return reenactor.embed([path], face)
    head = Head.load(path)
    reenactor.check_made_here(head, str(path))
    return head


def _background_flow(portrait: Landmarks, rest: Landmarks, size: int) -> np.ndarray:
    """Returns the flow float32 [s, s, 2] that moves a picture's head to a rest pose.

    The flow is affine: a spline would turn out what the head hides. It fades to zero at the border.
    """
    source_points, rest_points = (
        normalize_points(control_points(face).astype(np.float64), size) for face in (portrait, rest)
    )
    grid = grid_positions(FLOW_SIZE)
    affine = np.linalg.lstsq(_homogeneous(rest_points), source_points - rest_points, rcond=None)[0]
    ramp = ((1 - np.abs(grid)) / _BORDER_RAMP_HALF_CROP_FRACTION).clip(0, 1).prod(-1, keepdims=True)
    return (grid + ramp * ramp * (3 - 2 * ramp) * (_homogeneous(grid) @ affine)).astype(np.float32)


def _feature_mask(face: Landmarks, size: int) -> np.ndarray:
    """Returns a soft mask float32 [size, size] of brows, eyes, nose and mouth."""
    features = face.points[_FEATURES]
    margin = _FEATURE_MARGIN_SIZE_FRACTION * float(np.ptp(features, axis=0).max())
    return soft_hull(features, size, margin, max(margin / 2, _LEAST_BLUR_PIXELS))


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones_like(points[..., :1])], -1)
