"""Several people of one generator, rendered as one face: the basis of morphs, portraits and identity transitions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.head import Head
from fewshot_heads.imaging import warping as warp
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.imaging.splines import FLOW_SIZE
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
        self.size, self.device, self.inpainters = reenactor.size, reenactor.device, reenactor.inpainters
        self.generator = shipped = reenactor.networks.generator
        self.tuned = any(head.tuned for head in heads)
        if self.tuned:
            self.generator = copy.deepcopy(shipped)
            states = [head.tuned or shipped.state_dict() for head in heads]
            self._states = [{name: value.to(self.device) for name, value in state.items()} for state in states]
        resolution = resolution or max(head.textures.shape[1] for head in heads)
        self.renderers = [HeadRenderer(head, self.generator, self.size, self.device, resolution) for head in heads]
        self.portraits = [head.landmarks[0] for head in heads]
        self.e_hats = np.stack([head.e_hat.numpy() for head in heads]).astype(np.float64)
        self._project = shipped.project
        # What fine-tuning added to P e_hat; 0 without fine-tuning.
        self._style_offsets = np.stack([head.style.numpy() for head in heads]) - self._projected(self.e_hats)

    def style(self, e_hats: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Returns AdaIN styles [B, P].

        Args:
            e_hats: [B, E], mixed identity embeddings.
            shares: [B, K], each person's share, by which the offsets of fine-tuning are mixed.
        """
        return self._projected(e_hats) + shares @ self._style_offsets

    @torch.inference_mode()
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
        styles = self._tensor(style)
        if not self.generator.textured:
            visibility = [self.renderers[0].visibility(face) for face in faces]
            return to_uint8(self.renderers[0].composite(faces, visibility, styles, large=False))
        features = np.stack([_feature_mask(face, self.size) for face in faces])
        inside = torch.from_numpy(features)[:, None].to(self.device)
        side = self.renderers[0].resolution
        inside = F.interpolate(inside, (side, side), mode="bilinear", align_corners=False)
        visibility = [self._mixed_visibility(face, row) for face, row in zip(faces, weights, strict=True)]
        frames: Tensor | float = 0.0
        for k in np.flatnonzero((weights + around).any(0)):
            flows = [_background_flow(self.portraits[k], face, self.size) for face in rest]
            share_inside, share_outside = (self._tensor(w[:, k])[:, None, None, None] for w in (weights, around))
            share = share_outside + inside * (share_inside - share_outside)
            person = self.renderers[k].composite(
                faces, visibility, styles, large=True, background_flow=torch.stack(flows).to(self.device), rest=rest
            )
            frames = frames + share * person
        images = to_uint8(torch.as_tensor(frames))
        return apply_face_parts(images, faces, visibility, self.size, mouths, self.inpainters)

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
        names = present[0][1]
        self.generator.load_state_dict({name: sum(w * state[name] for w, state in present) for name in names})

    @torch.inference_mode()
    def _projected(self, e_hats: np.ndarray) -> np.ndarray:
        return self._project(self._tensor(e_hats)).cpu().numpy()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.device)


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


def _background_flow(portrait: Landmarks, rest: Landmarks, size: int) -> Tensor:
    """Returns the flow [s, s, 2] that moves a picture's head to a rest pose.

    The flow is affine: a spline would turn out what the head hides. It fades to zero at the border.
    """
    source_points, rest_points = (
        warp.normalize_points(torch.from_numpy(control_points(face)).double(), size) for face in (portrait, rest)
    )
    grid = warp.identity_grid(FLOW_SIZE, source_points)[0]
    affine = torch.linalg.lstsq(_homogeneous(rest_points), source_points - rest_points).solution
    ramp = ((1 - grid.abs()) / _BORDER_RAMP_HALF_CROP_FRACTION).clamp(0, 1).prod(-1, keepdim=True)
    return (grid + ramp * ramp * (3 - 2 * ramp) * (_homogeneous(grid) @ affine)).float()


def _feature_mask(face: Landmarks, size: int) -> np.ndarray:
    """Returns a soft mask float32 [size, size] of brows, eyes, nose and mouth."""
    features = face.points[_FEATURES]
    margin = _FEATURE_MARGIN_SIZE_FRACTION * float(np.ptp(features, axis=0).max())
    return soft_hull(features, size, margin, max(margin / 2, _LEAST_BLUR_PIXELS))


def _homogeneous(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)
