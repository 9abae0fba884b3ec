"""A head on the device, ready for any landmarks: all that depends on the source alone is done once."""

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
from fewshot_heads.imaging.segmentation import person_matte
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
    pick_images,
    refine_middle,
    resize_images,
    surroundings,
    unmirrored_bounds,
)
from fewshot_heads.rendering.symmetry import MirrorCompletion

_BLEND_SHARPNESS = 0.007  # pose distance over which one of several pictures gives way to another
_IN_USE = 4  # pictures blended in one frame, at most
_LEAST = 1e-6  # what of several pictures each counts that are all as near as the next


class HeadRenderer:
    """Paints frames of one head.

    generator: the head's own, or the checkpoint's; size: pixels of its crop; resolution: pixels of a large frame,
    None takes the pictures' own; inpainters: by part, of what opens (`landmarks.regions.REGIONS`), others are left
    to the generator.
    """

    def __init__(
        self, head: Head, generator: Any, size: int, device: torch.device, resolution: int | None = None,
        inpainters: Mapping[str, Inpainter] | None = None,
    ):  # fmt: skip
        self.generator, self.landmarks, self.size, self.device = generator, head.landmarks, size, device
        self.inpainters = inpainters
        self.style = head.style.to(device)[None]
        pictures, held = to_tensor(head.textures), np.stack([control_points(face) for face in head.landmarks])
        images = to_uint8(resize_images(pictures, size))
        people = np.stack([person_matte(image) for image in images])
        self.backdrop = BackgroundModel(images, held, people, device)
        colors = FaceColor.of(head.picture, head.crop.from_crop(head.landmarks[0]).points)
        self.color_matrix, self.brightness = colors.color_matrix, colors.brightness
        whole, self.crop_ratio, self.other_side = pictures, 1.0, None
        if len(pictures) == 1 and generator.textured:  # of several, a head keeps only the first with its surroundings
            whole, self.crop_ratio = to_tensor(surroundings(head))[None], WIDE_CROP_RATIO
            wide = person_matte(to_uint8(resize_images(whole, round(size * WIDE_CROP_RATIO)))[0])
            people = refine_middle(wide, people[0])[None]
            self.other_side = MirrorCompletion.of(head.landmarks[0], size)
        self.alpha_mattes = torch.from_numpy(people)[:, None].to(device)

        def at(side: int) -> SourceImages:
            shown = resize_images(pictures, side).to(device)
            if whole is pictures:
                return SourceImages(shown, shown, self.backdrop.plate(shown))
            carried = resize_images(whole, round(side * self.crop_ratio)).to(device)
            plate = clean_plate_wide(
                carried[0], people[0], held[0], self.crop_ratio, unmirrored_bounds(head, len(people[0]))
            )
            return SourceImages(shown, carried, plate)

        resolution = resolution or pictures.shape[-1]
        self.small = at(size)
        self.large = self.small if resolution == size else at(resolution)
        # On the CPU: the spline's system is small, and its points come from there.
        self.points = torch.from_numpy(np.stack([warp_points(face) for face in head.landmarks]))

    @torch.inference_mode()
    def render(self, faces: Sequence[Landmarks], large: bool, mouths: Sequence[MouthCrop] | None = None) -> np.ndarray:
        """Frames uint8 [B, R, R, 3] for landmarks in pixels of the crop; large: at the textures' resolution.

        mouths: whose inside shows in each frame where the picture's own is shut; None has it painted.
        """
        seen = [self.visibility(face) for face in faces]
        frames = to_uint8(self.composite(faces, seen, self.style.expand(len(faces), -1), large))
        return apply_face_parts(frames, faces, seen, self.size, mouths, self.inpainters)

    def visibility(self, face: Landmarks) -> SourceVisibility:
        """What the pictures that are in use for a face show of what it needs."""
        if not self.generator.textured:  # lids and mouth are painted like everything else
            return SourceVisibility(np.full(2, -np.inf), np.zeros(3), self.color_matrix, self.brightness)
        weights, place = (each[0].tolist() for each in self._used([face]))
        eyes = sum(
            weight * eye_aspect_ratios(self.landmarks[i], face) for weight, i in zip(weights, place, strict=True)
        )
        fresh = sum(
            weight * disocclusion_amount(self.landmarks[i], face) for weight, i in zip(weights, place, strict=True)
        )
        return SourceVisibility(np.asarray(eyes), np.asarray(fresh), self.color_matrix, self.brightness)

    def _used(self, faces: Sequence[Landmarks]) -> tuple[Tensor, Tensor]:
        """For each face the pictures nearest to it in pose and expression: weights [B, T], rows sum to 1; indices."""
        away = torch.tensor([[pose_distance(own, face) for own in self.landmarks] for face in faces])
        nearest, place = away.topk(min(_IN_USE + 1, len(self.landmarks)), largest=False)
        weights = torch.softmax(-nearest / _BLEND_SHARPNESS, 1)
        if len(self.landmarks) > _IN_USE:  # the last in use counts nothing when the next takes its place
            weights, place = (weights[:, :-1] - weights[:, -1:]).clamp_min(_LEAST), place[:, :-1]
            weights = weights / weights.sum(1, keepdim=True)
        return weights, place

    @torch.inference_mode()
    def composite(
        self,
        faces: Sequence[Landmarks],
        seen: Sequence[SourceVisibility],
        style: Tensor,
        large: bool,
        seat: Tensor | None = None,
    ) -> Tensor:
        """Frames [B, 3, R, R] in [-1, 1], yet to be `apply_face_parts`, under a style [B, P] that need not be
        the head's own.

        seen: what pictures show for each face; eyes that they show open stay open.
        seat: flow [B, s, s, 2] along which the still picture is carried first; None leaves it in its place.
        """
        wide = [open_eyelids(face, each.eyes) for face, each in zip(faces, seen, strict=True)]
        stickmen = rasterize_landmarks(wide, self.size).to(self.device)
        if not self.generator.textured:
            return self.generator(stickmen, style)
        weights, place = self._used(faces)
        texture, behind = self._texture(wide, weights.to(self.device), place, seat)
        layers = self.generator.layers(stickmen, style, texture)
        colors = torch.from_numpy(self.color_matrix.astype(np.float32)).to(self.device)
        layers = layers._replace(synthesized=torch.einsum("ij,bjhw->bihw", colors, layers.synthesized + 1) - 1)
        if large and self.large is not self.small:
            still = blend_backgrounds(self.large.crops, self.large.background_plate, *behind)
            texture = texture._replace(images=pick_images(self.large.wide, place), background=_seated(still, seat))
        frames = layers.composite(texture)
        return self.other_side.apply(frames, texture, wide) if self.other_side else frames

    def _texture(
        self, faces: Sequence[Landmarks], weights: Tensor, place: Tensor, seat: Tensor | None
    ) -> tuple[WarpInputs, tuple[Tensor, Tensor]]:
        """Pictures at place [B, T] for the faces, and what is behind: indices and shares, as of
        `BackgroundModel.behind`.
        """
        count = len(faces)
        held = np.stack([control_points(face) for face in faces])
        use, shares, only_heads = self.backdrop.render(torch.from_numpy(held))
        driver = torch.from_numpy(np.stack([warp_points(face) for face in faces]))
        source = self.points[place]
        used = place.shape[1]
        driver = driver[:, None].expand(-1, used, -1, -1)
        flows = tps_flow_from_landmarks(source.flatten(0, 1), driver.flatten(0, 1), self.size)
        still = _seated(blend_backgrounds(self.small.crops, self.small.background_plate, use, shares), seat)
        shown = [self.landmarks[i] for i in place[:, 0]]
        fresh = [disocclusion_mask(own, face, self.size) for own, face in zip(shown, faces, strict=True)]
        hides = [
            head_occlusion_mask(control_points(own), goal, self.size) for own, goal in zip(shown, held, strict=True)
        ]
        shut, head = (torch.from_numpy(np.stack(each)).to(still.device)[:, None] for each in (fresh, hides))
        flows = flows.unflatten(0, (count, used)).to(still.device)
        images, mattes = (pick_images(each, place) for each in (self.small.wide, self.alpha_mattes))
        texture = WarpInputs(
            images, mattes, flows, weights, still, shut, head, _seated(only_heads, seat), self.crop_ratio
        )
        return texture, (use, shares)


def rasterize_landmarks(faces: Sequence[Landmarks], size: int) -> Tensor:
    """The stickmen [B, 3, size, size] of landmarks in pixels of the crop."""
    return to_tensor(np.stack([draw_stickman(face.points, size) for face in faces]))


def _seated(still: Tensor, seat: Tensor | None) -> Tensor:
    return still if seat is None else sample(still, resize_flow(seat, still.shape[-1]))
