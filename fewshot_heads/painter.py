"""A head on the device, ready for any landmarks: all that depends on the source alone is done once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.backdrop import Backdrop, blended, covered
from fewshot_heads.colours import face_colour, palette
from fewshot_heads.head import Head
from fewshot_heads.images import to_tensor, to_uint8
from fewshot_heads.landmarks import INNER_LIPS, Landmarks
from fewshot_heads.landmarks.geometry import Crop, carrying_points, control_points, pose_distance
from fewshot_heads.landmarks.stickman import draw_opened, draw_stickman, opened
from fewshot_heads.lids import lowered, openings, raised
from fewshot_heads.matte import person
from fewshot_heads.models.generator import Texture
from fewshot_heads.models.texture import carrying_flow, resize_flow, sample
from fewshot_heads.mouth import Mouth

_BLEND_SHARPNESS = 0.005  # pose distance over which one of several pictures gives way to another
_IN_USE = 2  # pictures blended in one frame, at most
_SPAN = 1.5  # crops: how much of a lone picture may come into view, with hair and shoulders, when the head leans


class _Pictures(NamedTuple):
    """A head's pictures at one resolution R.

    shown [K, 3, R, R]: the crops; carried [K, 3, W, W]: what moves of them, W = span * R; plate [3, R, R]: what is
    behind all heads.
    """

    shown: Tensor
    carried: Tensor
    plate: Tensor


class Seen(NamedTuple):
    """What a picture shows of a person for a face that is to be made of it.

    eyes [2]: how far they are open (`lids.openings`); mouth: how much of the face's is not in it, 0 to 1; palette
    [3, 3], brightness: what it makes of colours, and the mean level of the face in it.
    """

    eyes: np.ndarray
    mouth: float
    palette: np.ndarray
    brightness: float


class Painter:
    """Paints frames of one head.

    generator: the head's own, or the checkpoint's; size: pixels of its crop; resolution: pixels of a large frame,
    None takes the pictures' own.
    """

    def __init__(self, head: Head, generator: Any, size: int, device: torch.device, resolution: int | None = None):
        self.generator, self.landmarks, self.size, self.device = generator, head.landmarks, size, device
        self.style = head.style.to(device)[None]
        pictures, held = to_tensor(head.textures), np.stack([control_points(face) for face in head.landmarks])
        images = to_uint8(_resized(pictures, size))
        people = np.stack([person(image) for image in images])
        self.backdrop = Backdrop(images, held, people, device)
        colour = face_colour(images[0], head.landmarks[0].points)
        self.palette, self.brightness = palette(colour), float(colour.mean())
        whole, self.span = pictures, 1.0
        if len(pictures) == 1 and generator.textured:  # of several, a head keeps only the first with its surroundings
            whole, self.span = to_tensor(surroundings(head))[None], _SPAN
            people = np.stack([person(image) for image in to_uint8(_resized(whole, round(size * _SPAN)))])
        self.mattes = torch.from_numpy(people)[:, None].to(device)

        def at(side: int) -> _Pictures:
            shown = _resized(pictures, side).to(device)
            carried = shown if whole is pictures else _resized(whole, round(side * self.span)).to(device)
            return _Pictures(shown, carried, self.backdrop.plate(shown))

        resolution = resolution or pictures.shape[-1]
        self.small = at(size)
        self.large = self.small if resolution == size else at(resolution)
        # On the CPU: the spline's system is small, and its points come from there.
        self.points = torch.from_numpy(np.stack([carrying_points(face) for face in head.landmarks]))

    @torch.inference_mode()
    def paint(self, faces: Sequence[Landmarks], large: bool, mouths: Sequence[Mouth] | None = None) -> np.ndarray:
        """Frames uint8 [B, R, R, 3] for landmarks in pixels of the crop; large: at the textures' resolution.

        mouths: whose inside shows in each frame where the picture's own is shut; None leaves it to the generator.
        """
        seen = [self.seen(face) for face in faces]
        open_eyed = [raised(face, each.eyes) for face, each in zip(faces, seen, strict=True)]
        frames = to_uint8(self.compose(open_eyed, self.style.expand(len(faces), -1), large))
        return finished(frames, faces, seen, self.size, mouths)

    def seen(self, face: Landmarks) -> Seen:
        """What the picture nearest to a face, in pose and expression, shows of what that face needs."""
        if not self.generator.textured:  # lids and mouth are painted like everything else
            return Seen(np.zeros(2), 0.0, self.palette, self.brightness)
        nearest = min(self.landmarks, key=lambda own: pose_distance(own, face))
        return Seen(openings(nearest), opened(nearest, face, INNER_LIPS), self.palette, self.brightness)

    @torch.inference_mode()
    def compose(self, faces: Sequence[Landmarks], style: Tensor, large: bool, seat: Tensor | None = None) -> Tensor:
        """`paint` in [-1, 1], [B, 3, R, R], under a style [B, P] that need not be the head's own.

        seat: flow [B, s, s, 2] along which the still picture is carried first; None leaves it in its place.
        """
        stickmen = stickmen_of(faces, self.size).to(self.device)
        if not self.generator.textured:
            return self.generator(stickmen, style)
        texture, place, behind = self._texture(faces, seat)
        layers = self.generator.layers(stickmen, style, texture)
        colours = torch.from_numpy(self.palette.astype(np.float32)).to(self.device)
        layers = layers._replace(paint=torch.einsum("ij,bjhw->bihw", colours, layers.paint + 1) - 1)
        if large and self.large is not self.small:
            still = blended(self.large.shown, self.large.plate, *behind)
            texture = texture._replace(images=_picked(self.large.carried, place), still=_seated(still, seat))
        return layers.compose(texture)

    def _texture(
        self, faces: Sequence[Landmarks], seat: Tensor | None = None
    ) -> tuple[Texture, Tensor, tuple[Tensor, Tensor]]:
        """For each face the pictures nearest to it in pose and expression, their indices [B, T], and of the pictures
        behind it the indices and shares that `Backdrop.behind` gives."""
        count = len(faces)
        away = torch.tensor([[pose_distance(own, face) for own in self.landmarks] for face in faces])
        nearest, place = away.topk(min(_IN_USE, len(self.landmarks)), largest=False)
        weights = torch.softmax(-nearest / _BLEND_SHARPNESS, 1).to(self.style.device)
        held = np.stack([control_points(face) for face in faces])
        use, shares, only_heads = self.backdrop.behind(torch.from_numpy(held))
        driver = torch.from_numpy(np.stack([carrying_points(face) for face in faces]))
        source = self.points[place]
        used = place.shape[1]
        driver = driver[:, None].expand(-1, used, -1, -1)
        flows = carrying_flow(source.flatten(0, 1), driver.flatten(0, 1), self.size)
        still = _seated(blended(self.small.shown, self.small.plate, use, shares), seat)
        shown = [self.landmarks[i] for i in place[:, 0]]
        opened = [draw_opened(own, face, self.size) for own, face in zip(shown, faces, strict=True)]
        hides = [covered(control_points(own), goal, self.size) for own, goal in zip(shown, held, strict=True)]
        shut, head = (torch.from_numpy(np.stack(each)).to(still.device)[:, None] for each in (opened, hides))
        flows = flows.unflatten(0, (count, used)).to(still.device)
        images, mattes = (_picked(each, place) for each in (self.small.carried, self.mattes))
        texture = Texture(images, mattes, flows, weights, still, shut, head, _seated(only_heads, seat), self.span)
        return texture, place, (use, shares)


def finished(
    frames: np.ndarray,
    faces: Sequence[Landmarks],
    seen: Sequence[Seen],
    size: int,
    mouths: Sequence[Mouth] | None = None,
) -> np.ndarray:
    """Frames uint8 [B, R, R, 3] of faces (pixels of the crop of that size) that were painted with open eyes: the lids
    come down, and a mouth that was not seen gets the inside of the driver's, if there are mouths."""
    result = []
    for i, (frame, face, each) in enumerate(zip(frames, faces, seen, strict=True)):
        there = face.moved(np.zeros(2, np.float32), len(frame) / size)
        frame = lowered(frame, raised(there, each.eyes), there)
        if mouths:
            frame = mouths[i].between(frame, there, each.mouth, each.palette, each.brightness)
        result.append(frame)
    return np.stack(result)


def _picked(pictures: Tensor, place: Tensor) -> Tensor:
    """Of pictures or mattes [K, C, R, R] those at place [B, T]: [B, T, C, R, R]; no copies of a lone one."""
    return pictures.expand(len(place), 1, -1, -1, -1) if len(pictures) == 1 else pictures[place]


def surroundings(head: Head) -> np.ndarray:
    """The first picture around its crop, uint8 [W, W, 3] at the texture's resolution; mirrored beyond its edges."""
    crop, resolution = head.crop, head.textures.shape[1]
    margin = (_SPAN - 1) / 2 * crop.side
    return Crop(crop.left - margin, crop.top - margin, crop.side * _SPAN, round(resolution * _SPAN)).cut(head.picture)


def stickmen_of(faces: Sequence[Landmarks], size: int) -> Tensor:
    """The stickmen [B, 3, size, size] of landmarks in pixels of the crop."""
    return to_tensor(np.stack([draw_stickman(face.points, size) for face in faces]))


def _resized(pictures: Tensor, size: int) -> Tensor:
    """[K, 3, R, R] to [K, 3, size, size]; as they are where that is their size."""
    if pictures.shape[-1] == size:
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", align_corners=False, antialias=True)


def _seated(still: Tensor, seat: Tensor | None) -> Tensor:
    return still if seat is None else sample(still, resize_flow(seat, still.shape[-1]))
