"""Renders frames of one head; what depends on the source alone is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.head import Head
from fewshot_heads.imaging.compositing import WarpInputs, correct
from fewshot_heads.imaging.convert import to_float, to_uint8
from fewshot_heads.imaging.face_color import FaceColor
from fewshot_heads.imaging.masks import disocclusion_mask
from fewshot_heads.imaging.sharpness import blur_radius
from fewshot_heads.imaging.warping import resize_flow, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.aspect_ratio import disocclusion_amount, eye_aspect_ratios
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.models.network import GeneratorNetwork, Network
from fewshot_heads.rendering.behind_head import BehindHead, resize_antialiased, rgba_layers, shown_body
from fewshot_heads.rendering.eyelids import open_eyelids
from fewshot_heads.rendering.face_parts import SourceVisibility, apply_face_parts
from fewshot_heads.rendering.gaze import iris_offsets
from fewshot_heads.rendering.head_views import HeadViews, Views, images_of_views
from fewshot_heads.rendering.skin_shading import SkinShading
from fewshot_heads.rendering.teeth import Teeth, shows_teeth


class _Images(NamedTuple):
    """A head's layers at one resolution: the views [2 K, 4, R, R], channels last in memory, and what is behind them."""

    views: np.ndarray
    behind: BehindHead


class FrameInputs(NamedTuple):
    """What the generator reads of B frames.

    Attributes:
        stickmen: float32 [B, 3, S, S], -1 to 1.
        texture: source pixels at half of the resolution S, as the generator sees them.
        large: source pixels at the resolution of the frames.
    """

    stickmen: np.ndarray
    texture: WarpInputs
    large: WarpInputs


class HeadRenderer:
    """Renders frames of one head.

    Args:
        head: the head.
        generator: the head's tuned generator, or the one of the weights.
        resolution: side R of large frames, pixels. None takes the resolution of the head's textures.
        inpainters: networks by face region (`landmarks.regions.REGIONS`). Other regions are left to the generator.
    """

    def __init__(
        self, head: Head, generator: GeneratorNetwork, resolution: int | None = None,
        inpainters: Mapping[str, Network] | None = None,
    ):  # fmt: skip
        self.generator, self.landmarks, self.size = generator, head.landmarks, generator.size
        self.inpainters, self.style = inpainters, head.style[None]
        face = head.crop.from_crop(head.landmarks[0])
        colors, blur = FaceColor.of(head.picture, face.points), blur_radius(head.picture, face)
        self.color_matrix = colors.color_matrix
        self._unopened = SourceVisibility(
            np.full(2, -np.inf), None, np.zeros(3), colors.color_matrix, colors.brightness, blur, colors.in_color
        )  # of a face that opens nothing
        self.resolution = resolution or head.textures.shape[1]
        texture_face = head.landmarks[0].moved(np.zeros(2, np.float32), head.textures.shape[1] / self.size)
        self._skin = SkinShading(head.textures[0], texture_face)
        has_teeth = generator.textured and shows_teeth(texture_face)
        self._teeth = Teeth(head.textures[0], texture_face) if has_teeth else None
        self.views = HeadViews(head.landmarks, head.heads, self.size, head.body)
        self.small = self._images(head, self.size // 2)  # as the generator sees them
        self.large = self._images(head, self.resolution)

    def _images(self, head: Head, size: int) -> _Images:
        """Returns the layers at a resolution [size, size]."""
        heads = resize_antialiased(rgba_layers(head.heads), size)
        views = np.ascontiguousarray(self.views.images(heads).transpose(0, 2, 3, 1))
        body, image, background = (
            resize_antialiased(layer, size)[0]
            for layer in (rgba_layers(head.body[None]), to_float(head.textures[:1]), to_float(head.background[None]))
        )
        continues = head.crop.top + head.crop.side < head.picture.shape[0]
        shown = shown_body(image, heads[0], body, background)
        return _Images(views.transpose(0, 3, 1, 2), BehindHead(body, background, continues, shown))

    def render(
        self, faces: Sequence[Landmarks], mouths: Sequence[MouthCrop] | None = None,
        shading: Sequence[np.ndarray] | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Returns frames uint8 [B, R, R, 3].

        Args:
            faces: landmarks of the B frames, pixels of the crop.
            mouths: the driver's mouths, one a frame, which fill a mouth that is closed in the source. None leaves the
                mouth to the inpainter.
            shading: of the driver's skin, one a frame. None leaves the skin as it is.
        """
        visibility = [self.visibility(face) for face in faces]
        frames = to_uint8(self.composite(faces, visibility, np.repeat(self.style, len(faces), 0)))
        if shading is not None:
            shaded = zip(frames, shading, faces, strict=True)
            frames = np.stack([self._skin.shade(frame, skin, face, self.size) for frame, skin, face in shaded])
        frames = apply_face_parts(frames, faces, visibility, self.size, mouths, self.inpainters)
        return np.stack([self.show_teeth(*pair) for pair in zip(frames, faces, strict=True)])

    def show_teeth(self, frame: np.ndarray, face: Landmarks) -> np.ndarray:
        """Returns a frame with the teeth that the first source image shows, if it does.

        Args:
            frame: uint8 [R, R, 3], result of `apply_face_parts`.
            face: landmarks of the frame, pixels of the crop.
        """
        if self._teeth is None:
            return frame
        return self._teeth.show(frame, face.moved(np.zeros(2, np.float32), len(frame) / self.size))

    def visibility(self, face: Landmarks) -> SourceVisibility:
        """Returns what the source images show of the eyes and the mouth of a face.

        Args:
            face: landmarks of the frame, pixels of the crop.
        """
        if not self.generator.textured:  # the network synthesizes lids and mouth like everything else
            return self._unopened
        sources = [(self.landmarks[i], weight) for i, weight in zip(*self.views.nearest(face), strict=True)]
        eyes = sum(weight * eye_aspect_ratios(source, face) for source, weight in sources)
        irises = sum(weight * iris_offsets(source) for source, weight in sources)
        disocclusion = np.asarray(sum(weight * disocclusion_amount(source, face) for source, weight in sources))
        if self._teeth is not None:
            disocclusion[2] = self._teeth.disocclusion(face)
        return self._unopened._replace(eyes=np.asarray(eyes), irises=np.asarray(irises), disocclusion=disocclusion)

    def composite(
        self,
        faces: Sequence[Landmarks],
        visibility: Sequence[SourceVisibility],
        style: np.ndarray,
        background_flow: np.ndarray | None = None,
        rest: Sequence[Landmarks] | None = None,
    ) -> np.ndarray:
        """Returns frames float32 [B, 3, R, R], -1 to 1, before `apply_face_parts`; [B, 3, S, S] without layers.

        Args:
            faces: as in `inputs`, like all but the style.
            visibility: for each face.
            style: [B, P], the head's style or another one.
            background_flow: [B, s, s, 2], or None.
            rest: B faces, or None.
        """
        if not self.generator.textured:
            return self.generator(self._stickmen(faces, visibility), style)[0]
        inputs = self.inputs(faces, visibility, background_flow, rest)
        correction = correct(self.generator, inputs.stickmen, style, inputs.texture.without_unseen())
        return correction.colored(self.color_matrix.astype(np.float32)).composite(inputs.large.without_unseen())

    def _stickmen(self, faces: Sequence[Landmarks], visibility: Sequence[SourceVisibility]) -> np.ndarray:
        open_faces = [open_eyelids(face, source.eyes) for face, source in zip(faces, visibility, strict=True)]
        return rasterize_landmarks(open_faces, self.size)

    def inputs(
        self,
        faces: Sequence[Landmarks],
        visibility: Sequence[SourceVisibility],
        background_flow: np.ndarray | None = None,
        rest: Sequence[Landmarks] | None = None,
    ) -> FrameInputs:
        """Returns what the generator reads of B frames.

        Args:
            faces: landmarks of the B frames, pixels of the crop.
            visibility: result of `visibility` for each face. Eyes that are open in the source stay open.
            background_flow: [B, s, s, 2], -1 to 1, flow along which body and background are warped. None leaves them
                in place.
            rest: B faces for which the body stands still. Its neck follows the head away from there. None takes the
                first source image's face.
        """
        open_faces = [open_eyelids(face, source.eyes) for face, source in zip(faces, visibility, strict=True)]
        views = [self.views.blend(face) for face in open_faces]
        pairs = zip(open_faces, visibility, strict=True)
        opened = [disocclusion_mask(face, source.disocclusion, self.size) for face, source in pairs]
        texture = WarpInputs(
            images=images_of_views(self.small.views, views),
            flows=np.stack([view.flows for view in views]),
            weights=np.stack([view.weights for view in views]),
            confidence=np.stack([view.confidence for view in views]),
            background=self._behind(self.small.behind, views, open_faces, background_flow, rest),
            disocclusion=np.stack(opened)[:, None],
        )
        large = texture._replace(
            images=images_of_views(self.large.views, views),
            background=self._behind(self.large.behind, views, open_faces, background_flow, rest),
        )
        return FrameInputs(rasterize_landmarks(open_faces, self.size), texture, large)

    def _behind(
        self,
        behind: BehindHead,
        views: Sequence[Views],
        faces: Sequence[Landmarks],
        background_flow: np.ndarray | None,
        rest: Sequence[Landmarks] | None,
    ) -> np.ndarray:
        """Returns body, background and the back of the head, float32 [B, 3, R, R]."""
        images = behind.follow(rest or self.landmarks[:1], faces, self.size)
        if background_flow is not None:
            images = sample(images, resize_flow(background_flow, images.shape[-1]))
        return self.views.back.draw(images, [view.back for view in views])


def rasterize_landmarks(faces: Sequence[Landmarks], size: int) -> np.ndarray:
    """Returns the stickmen of landmarks, float32 [B, 3, size, size], -1 to 1.

    Args:
        faces: landmarks, pixels of the crop.
        size: side of the crop, pixels.
    """
    return to_float(np.stack([draw_stickman(face.points, size) for face in faces]))
