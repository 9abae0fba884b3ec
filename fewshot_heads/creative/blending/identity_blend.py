"""Several people on the device, painted as one: what a morph, a portrait and a drift are made of."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, WeightsMismatch
from fewshot_heads.head import Head
from fewshot_heads.imaging import warping as warp
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.face_parts import SourceVisibility, apply_face_parts
from fewshot_heads.rendering.renderer import HeadRenderer

_RAMP = 0.5  # of half the crop: how far inside its border a background follows its head
_SOFT = 0.2  # of the features' size: how far beyond them one picture's weights reach


@dataclass(frozen=True)
class DrivingSettings:
    """How people follow a driver and are painted; keys that conf/morph.yaml, portrait.yaml and sample.yaml share."""

    motion: str = "relative"
    pose: float = 1.0
    expression: float = 1.0
    reference: int | str = "auto"
    mouth: str = "driver"
    resolution: int | str = "auto"
    batch: int = 4

    @property
    def side(self) -> int | None:
        """Pixels of a side of the frames, for `IdentityBlend`."""
        return None if self.resolution == "auto" else int(self.resolution)

    def check(self) -> None:
        check_words(self, motion=("relative", "absolute"), mouth=("driver", "inpainted"))
        if self.batch < 1:
            raise BadInput(f"batch={self.batch}: expected 1 or more")

    def follow(self, head: Head, driver: Motion, size: int) -> list[Landmarks]:
        """The head's faces, one a frame of the driver, in pixels of a size x size crop. Raises BadInput."""
        reference = None if self.reference == "auto" else int(self.reference)
        if reference is not None and not 0 <= reference < len(driver):
            raise BadInput(f"reference={reference}, but the driver has frames 0 to {len(driver) - 1}")
        moves = driver.cropped(size, within=head.usual)
        return retarget(head.landmarks[0], moves, self.motion, self.pose, self.expression, reference, size)

    def mouths(self, driver: Motion | None) -> list[MouthCrop] | None:
        """The driver's, one a frame, if they are to be shown."""
        return driver.mouths if driver and self.mouth == "driver" else None


class IdentityBlend:
    """K people of one generator.

    portraits: K faces as they sit for their first pictures, pixels of the crop; e_hats: float64 [K, E].
    tuned: somebody has a generator of their own, so each mixture has one, and frames are painted one at a time.
    resolution: pixels of a side of the frames; None takes the largest person's pictures'.
    """

    def __init__(self, reenactor: Reenactor, heads: Sequence[Head], resolution: int | None = None):
        self.size, self.device, self.inpainters = reenactor.size, reenactor.device, reenactor.inpainters
        self.generator = shipped = reenactor.networks.generator
        self.tuned = any(head.tuned for head in heads)
        if self.tuned:
            self.generator = copy.deepcopy(shipped)
            states = [head.tuned or shipped.state_dict() for head in heads]
            self._states = [{name: value.to(self.device) for name, value in state.items()} for state in states]
        resolution = resolution or max(head.textures.shape[1] for head in heads)
        self.painters = [HeadRenderer(head, self.generator, self.size, self.device, resolution) for head in heads]
        self.portraits = [head.landmarks[0] for head in heads]
        self.e_hats = np.stack([head.e_hat.numpy() for head in heads]).astype(np.float64)
        self._project = shipped.project
        # What fine-tuning added to P e_hat; nothing where there was none.
        self._added = np.stack([head.style.numpy() for head in heads]) - self._projected(self.e_hats)

    def style(self, e_hats: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """[B, P] for e_hats [B, E] of which shares [B, K] are each person's."""
        return self._projected(e_hats) + shares @ self._added

    @torch.inference_mode()
    def render(
        self,
        faces: list[Landmarks],
        rest: list[Landmarks],
        style: np.ndarray,
        weights: np.ndarray,
        around: np.ndarray | None = None,
        mouths: Sequence[MouthCrop] | None = None,
    ) -> np.ndarray:
        """Frames uint8 [B, R, R, 3].

        faces: B in pixels of the crop. rest: how each would sit for a picture: there every background is brought, so
        that heads cover heads. style: [B, P]. weights: [B, K], how much of everybody's pixels; rows sum to 1.
        around: [B, K], the weights outside the features; None takes the same. mouths: see `HeadRenderer.paint`.
        """
        around = weights if around is None else around
        if self.tuned:
            self._become(weights[0])
        styles = self._tensor(style)
        if not self.generator.textured:
            seen = [self.painters[0].visibility(face) for face in faces]
            return to_uint8(self.painters[0].composite(faces, seen, styles, large=False))
        inside = torch.from_numpy(np.stack([_features(face, self.size) for face in faces]))[:, None].to(self.device)
        side = self.painters[0].large.crops.shape[-1]
        inside = F.interpolate(inside, (side, side), mode="bilinear", align_corners=False)
        seen = [self._seen(face, row) for face, row in zip(faces, weights, strict=True)]
        result: Tensor | float = 0.0
        for k in np.flatnonzero((weights + around).any(0)):
            seat = torch.stack([_seat(self.portraits[k], face, self.size) for face in rest]).to(self.device)
            within, beyond = (self._tensor(each[:, k])[:, None, None, None] for each in (weights, around))
            share = beyond + inside * (within - beyond)
            result = result + share * self.painters[k].composite(faces, seen, styles, large=True, seat=seat)
        return apply_face_parts(to_uint8(torch.as_tensor(result)), faces, seen, self.size, mouths, self.inpainters)

    def _seen(self, face: Landmarks, weights: np.ndarray) -> SourceVisibility:
        """What the pictures of a mixture by weights [K] show, as everybody's would."""
        there = np.flatnonzero(weights)
        people, weights = [self.painters[k].visibility(face) for k in there], weights[there]
        return SourceVisibility(
            *(sum(w * part for w, part in zip(weights, parts, strict=True)) for parts in zip(*people, strict=True))
        )

    def _become(self, weights: np.ndarray) -> None:
        """The mean of everybody's generators: all were tuned from one, so what lies between them works too."""
        parts = [(float(w), state) for w, state in zip(weights, self._states, strict=True) if w]
        self.generator.load_state_dict({name: sum(w * state[name] for w, state in parts) for name in parts[0][1]})

    @torch.inference_mode()
    def _projected(self, e_hats: np.ndarray) -> np.ndarray:
        return self._project(self._tensor(e_hats)).cpu().numpy()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.device)


def load_person(reenactor: Reenactor, path: Path, face: int = 0) -> Head:
    """A saved head of this generator, or the face-th largest face of a picture. Raises as its readers do."""
    if path.suffix.lower() != ".safetensors":
        return reenactor.embed([path], face)
    head = Head.load(path)
    check_made_by(reenactor, head, str(path))
    return head


def check_words(settings: object, **known: Sequence[str]) -> None:
    """Raises BadInput for a setting that is none of its known words."""
    for name, words in known.items():
        if getattr(settings, name) not in words:
            raise BadInput(f"{name}={getattr(settings, name)!r}: expected {' or '.join(map(repr, words))}")


def check_made_by(reenactor: Reenactor, head: Head, name: str) -> None:
    """Raises WeightsMismatch, naming the head, if it is of another generator."""
    if head.generator != reenactor.checkpoint.sha256:
        raise WeightsMismatch(f"{name}: made by another generator; embed its pictures again with this one")


def _seat(portrait: Landmarks, rest: Landmarks, size: int) -> Tensor:
    """[s, s, 2]: the flow that brings a picture's head to where another rests, the border staying.

    Affine, so that what the head hides is not turned out as a spline would do; less and less of it toward the border.
    """
    seen, there = (
        warp.normalize_points(torch.from_numpy(control_points(face)).double(), size) for face in (portrait, rest)
    )
    grid = warp.identity_grid(warp.FLOW_SIZE, seen)[0]
    affine = torch.linalg.lstsq(_with_one(there), seen - there).solution
    ramp = ((1 - grid.abs()) / _RAMP).clamp(0, 1).prod(-1, keepdim=True)
    return (grid + ramp * ramp * (3 - 2 * ramp) * (_with_one(grid) @ affine)).float()


def _features(face: Landmarks, size: int) -> np.ndarray:
    """float32 [size, size]: 1 on brows, eyes, nose and mouth, 0 on hair and background, softly between."""
    inner = face.points[17:68]
    mask = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(inner.round().astype(np.int32)), 1.0)
    soft = _SOFT * float(np.ptp(inner, axis=0).max())
    reach = 2 * round(soft) + 1
    wider = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return cv2.GaussianBlur(wider, (0, 0), max(soft / 2, 0.5)).astype(np.float32)


def _with_one(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)
