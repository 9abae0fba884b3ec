"""Renders frames of one head; what depends on the source alone is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_tensor, to_uint8
from fewshot_heads.imaging.face_color import FaceColor
from fewshot_heads.imaging.masks import disocclusion_mask
from fewshot_heads.imaging.warping import resize_flow, sample, tps_flow_from_landmarks
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.aspect_ratio import disocclusion_amount, eye_aspect_ratios
from fewshot_heads.landmarks.control_points import control_points, warp_points
from fewshot_heads.landmarks.pose_distance import pose_distance
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.models.compositing import WarpInputs
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.rendering.background import BackgroundModel, blend_backgrounds
from fewshot_heads.rendering.background_inpainting import clean_plate_wide
from fewshot_heads.rendering.eyelids import open_eyelids
from fewshot_heads.rendering.face_parts import SourceVisibility, apply_face_parts
from fewshot_heads.rendering.occlusion import head_occlusion_mask
from fewshot_heads.rendering.source_images import (
    WIDE_CROP_RATIO,
    SourceImages,
    person_mattes,
    pick_images,
    resize_images,
    surroundings,
    unmirrored_bounds,
)
from fewshot_heads.rendering.symmetry import MirrorCompletion

_WEIGHT_POSE_DISTANCE_SCALE = 0.007  # pose distance over which the weight of a source image falls by a factor of e
_MAX_IMAGES_PER_FRAME = 4
_MIN_IMAGE_WEIGHT = 1e-6  # keeps the sum of weights above 0 if all images are at the same distance


class HeadRenderer:
    """Renders frames of one head.

    Images and masks lie in four square pixel spaces: the generator's crop S x S, the textures R x R, and a single
    source image with its surroundings, W x W with W = crop_ratio * R, and its matte V x V. The source image itself is
    the fifth.

    Args:
        head: the head.
        generator: the head's tuned generator, or the one of the checkpoint.
        size: S, pixels.
        device: device of the generator.
        resolution: R of large frames, pixels. None takes the resolution of the head's textures.
        inpainters: networks by face region (`landmarks.regions.REGIONS`). Other regions are left to the generator.
    """

    def __init__(
        self, head: Head, generator: Any, size: int, device: torch.device, resolution: int | None = None,
        inpainters: Mapping[str, Inpainter] | None = None,
    ):  # fmt: skip
        self.generator, self.landmarks, self.size, self.device = generator, head.landmarks, size, device
        self.inpainters = inpainters
        self.style = head.style.to(device)[None]
        textures, head_points = to_tensor(head.textures), np.stack([control_points(face) for face in head.landmarks])
        images = to_uint8(resize_images(textures, size))
        mattes = person_mattes(head, size)
        alpha_mattes = mattes.crops  # [K, S, S]
        self.background = BackgroundModel(images, head_points, alpha_mattes, device)
        colors = FaceColor.of(head.picture, head.crop.from_crop(head.landmarks[0]).points)
        self.color_matrix, self.brightness = colors.color_matrix, colors.brightness
        wide_images, self.crop_ratio, self.other_side = textures, 1.0, None  # [K, 3, R, R]
        if mattes.wide is not None and generator.textured:
            wide_images, self.crop_ratio = to_tensor(surroundings(head))[None], WIDE_CROP_RATIO  # [1, 3, W, W]
            alpha_mattes = mattes.wide[None]  # [1, V, V]
            self.other_side = MirrorCompletion.of(head.landmarks[0], size)
        self.alpha_mattes = torch.from_numpy(alpha_mattes)[:, None].to(device)

        def source_images(side: int) -> SourceImages:
            crops = resize_images(textures, side).to(device)
            if wide_images is textures:
                return SourceImages(crops, crops, self.background.plate(crops))
            wide = resize_images(wide_images, round(side * self.crop_ratio)).to(device)
            bounds = unmirrored_bounds(head, len(alpha_mattes[0]))
            plate = clean_plate_wide(wide[0], alpha_mattes[0], head_points[0], self.crop_ratio, bounds)
            return SourceImages(crops, wide, plate)

        resolution = resolution or textures.shape[-1]
        self.small = source_images(size)
        self.large = self.small if resolution == size else source_images(resolution)
        # On the CPU, because the spline's system is small and is solved there.
        self.points = torch.from_numpy(np.stack([warp_points(face) for face in head.landmarks]))

    @torch.inference_mode()
    def render(self, faces: Sequence[Landmarks], large: bool, mouths: Sequence[MouthCrop] | None = None) -> np.ndarray:
        """Returns frames uint8 [B, R, R, 3], or [B, S, S, 3].

        Args:
            faces: landmarks of the B frames, pixels of the crop.
            large: whether frames have the resolution R; else they have S.
            mouths: the driver's mouths, one a frame, which fill a mouth that is closed in the source. None leaves the
                mouth to the inpainter.
        """
        visibility = [self.visibility(face) for face in faces]
        frames = to_uint8(self.composite(faces, visibility, self.style.expand(len(faces), -1), large))
        return apply_face_parts(frames, faces, visibility, self.size, mouths, self.inpainters)

    def visibility(self, face: Landmarks) -> SourceVisibility:
        """Returns what the source images show of the eyes and the mouth of a face.

        Args:
            face: landmarks of the frame, pixels of the crop.
        """
        if not self.generator.textured:  # the network synthesizes lids and mouth like everything else
            return SourceVisibility(np.full(2, -np.inf), np.zeros(3), self.color_matrix, self.brightness)
        weights, indices = (row[0].tolist() for row in self._nearest_images([face]))
        eyes = sum(
            weight * eye_aspect_ratios(self.landmarks[i], face) for weight, i in zip(weights, indices, strict=True)
        )
        disocclusion = sum(
            weight * disocclusion_amount(self.landmarks[i], face) for weight, i in zip(weights, indices, strict=True)
        )
        return SourceVisibility(np.asarray(eyes), np.asarray(disocclusion), self.color_matrix, self.brightness)

    def _nearest_images(self, faces: Sequence[Landmarks]) -> tuple[Tensor, Tensor]:
        """Returns weights and indices [B, T] of the source images nearest to each face.

        Each row of weights sums to 1.
        """
        distances = torch.tensor([[pose_distance(source, face) for source in self.landmarks] for face in faces])
        nearest, indices = distances.topk(min(_MAX_IMAGES_PER_FRAME + 1, len(self.landmarks)), largest=False)
        weights = torch.softmax(-nearest / _WEIGHT_POSE_DISTANCE_SCALE, 1)
        if len(self.landmarks) > _MAX_IMAGES_PER_FRAME:  # an image has no weight when the next one replaces it
            weights, indices = (weights[:, :-1] - weights[:, -1:]).clamp_min(_MIN_IMAGE_WEIGHT), indices[:, :-1]
            weights = weights / weights.sum(1, keepdim=True)
        return weights, indices

    @torch.inference_mode()
    def composite(
        self,
        faces: Sequence[Landmarks],
        visibility: Sequence[SourceVisibility],
        style: Tensor,
        large: bool,
        background_flow: Tensor | None = None,
    ) -> Tensor:
        """Returns frames [B, 3, R, R], or [B, 3, S, S], -1 to 1, before `apply_face_parts`.

        Args:
            faces: landmarks of the B frames, pixels of the crop.
            visibility: result of `visibility` for each face. Eyes that are open in the source stay open.
            style: [B, P], the head's style or another one.
            large: whether frames have the resolution R; else they have S.
            background_flow: [B, s, s, 2], -1 to 1, flow along which the background is warped. None leaves the
                background in place.
        """
        open_faces = [open_eyelids(face, source.eyes) for face, source in zip(faces, visibility, strict=True)]
        stickmen = rasterize_landmarks(open_faces, self.size).to(self.device)
        if not self.generator.textured:
            return self.generator(stickmen, style)
        weights, indices = self._nearest_images(faces)
        texture, background_blend = self._texture(open_faces, weights.to(self.device), indices, background_flow)
        layers = self.generator.layers(stickmen, style, texture)
        colors = torch.from_numpy(self.color_matrix.astype(np.float32)).to(self.device)
        layers = layers._replace(synthesized=torch.einsum("ij,bjhw->bihw", colors, layers.synthesized + 1) - 1)
        if large and self.large is not self.small:
            background = blend_backgrounds(self.large.crops, self.large.background_plate, *background_blend)
            background = shift_background(background, background_flow)
            texture = texture._replace(images=pick_images(self.large.wide, indices), background=background)
        frames = layers.composite(texture)
        return self.other_side.apply(frames, texture, open_faces) if self.other_side else frames

    def _texture(
        self, faces: Sequence[Landmarks], weights: Tensor, indices: Tensor, background_flow: Tensor | None
    ) -> tuple[WarpInputs, tuple[Tensor, Tensor]]:
        """Returns the source pixels at the resolution S, and the blend of backgrounds.

        Args:
            faces: landmarks of the B frames, pixels of the crop.
            weights: [B, T], of the source images in use.
            indices: [B, T], of the source images in use.
            background_flow: [B, s, s, 2], or None.

        Returns:
            The texture, and indices and weights of the backgrounds as `BackgroundModel.render` returns them.
        """
        batch, count = indices.shape
        head_points = np.stack([control_points(face) for face in faces])
        background_indices, background_weights, unknown = self.background.render(torch.from_numpy(head_points))
        target_points = torch.from_numpy(np.stack([warp_points(face) for face in faces]))
        source_points = self.points[indices]
        target_points = target_points[:, None].expand(-1, count, -1, -1)
        flows = tps_flow_from_landmarks(source_points.flatten(0, 1), target_points.flatten(0, 1), self.size)
        background = blend_backgrounds(
            self.small.crops, self.small.background_plate, background_indices, background_weights
        )
        background = shift_background(background, background_flow)
        nearest_faces = [self.landmarks[i] for i in indices[:, 0]]
        disocclusion = [
            disocclusion_mask(source, face, self.size) for source, face in zip(nearest_faces, faces, strict=True)
        ]
        head_mask = [
            head_occlusion_mask(control_points(source), points, self.size)
            for source, points in zip(nearest_faces, head_points, strict=True)
        ]
        texture = WarpInputs(
            images=pick_images(self.small.wide, indices),
            alpha_mattes=pick_images(self.alpha_mattes, indices),
            flows=flows.unflatten(0, (batch, count)).to(background.device),
            weights=weights,
            background=background,
            disocclusion=torch.from_numpy(np.stack(disocclusion)).to(background.device)[:, None],
            head_mask=torch.from_numpy(np.stack(head_mask)).to(background.device)[:, None],
            background_unknown=shift_background(unknown, background_flow),
            crop_ratio=self.crop_ratio,
        )
        return texture, (background_indices, background_weights)


def rasterize_landmarks(faces: Sequence[Landmarks], size: int) -> Tensor:
    """Returns the stickmen of landmarks, [B, 3, size, size], -1 to 1.

    Args:
        faces: landmarks, pixels of the crop.
        size: side of the crop, pixels.
    """
    return to_tensor(np.stack([draw_stickman(face.points, size) for face in faces]))


def shift_background(background: Tensor, background_flow: Tensor | None) -> Tensor:
    """Returns the background, or a mask of it, warped along a flow, [B, C, R, R].

    Args:
        background: [B, C, R, R].
        background_flow: [B, s, s, 2], -1 to 1. None leaves the background in place.
    """
    if background_flow is None:
        return background
    return sample(background, resize_flow(background_flow, background.shape[-1]))
