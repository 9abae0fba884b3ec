"""From source images to a head, and from a head with moving landmarks to frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fewshot_heads.driving.covered_mouth import mouth_is_covered
from fewshot_heads.driving.motion import Motion
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.source_detection import SourceFace
from fewshot_heads.errors import check_whole
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_float
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.layers.separation import separate
from fewshot_heads.models.network import GeneratorNetwork, Network
from fewshot_heads.rendering.outpainting import outpaint
from fewshot_heads.rendering.parallel import in_parallel
from fewshot_heads.rendering.paste_back import Paster
from fewshot_heads.rendering.renderer import HeadRenderer, rasterize_landmarks
from fewshot_heads.rendering.source_crop import crop_with_hair, texture_size

MAX_RESOLUTION = 2048  # side of a square crop, pixels; textures have up to 1024


def embed_sources(sources: Sequence[SourceFace], adjust_crops: bool, embedder: Network, sha256: str) -> Head:
    """Returns the head of one person from source images with their faces.

    Args:
        sources: the K images.
        adjust_crops: whether crops grow for hair and hats (`crop_with_hair`).
        embedder: the embedder.
        sha256: hash of its weights file.
    """
    images, faces, crops, turns = zip(*sources, strict=True)
    if adjust_crops:
        crops = [crop_with_hair(image, face, crop) for image, face, crop, _ in sources]
    resolution = texture_size(crops)
    cropped = list(zip(images, crops, strict=True))
    landmarks = [crop.to_crop(face) for face, crop in zip(faces, crops, strict=True)]
    e_hat, style = embed_crops(np.stack([crop.cut(image) for image, crop in cropped]), landmarks, embedder)
    large = [face.moved(np.zeros(2, np.float32), resolution / embedder.size) for face in landmarks]
    textures = np.stack([_texture(*each, resolution) for each in zip(images, crops, large, strict=True)])
    first = separate(textures[0], large[0])
    others = [separate(texture, face).head for texture, face in zip(textures[1:], large[1:], strict=True)]
    return Head(
        e_hat, style, textures, np.stack([first.head, *others]), first.body, first.background,
        landmarks, images[0], crops[0], sha256, turns=turns[0],
    )  # fmt: skip


def _texture(image: np.ndarray, crop: Crop, face: Landmarks, resolution: int) -> np.ndarray:
    """Returns the pixels of a crop, continued beyond the edges of the image, uint8 [R, R, 3].

    Args:
        image: uint8 [H, W, 3].
        crop: of the image.
        face: landmarks, pixels of the texture.
        resolution: side R of the texture, pixels.
    """
    crop = replace(crop, size=resolution)
    return outpaint(crop.cut(image), crop.inside(image), face)


def retargeted_faces(
    head: Head, driver: Motion, size: int, motion: str = "relative", pose: float = 1.0, expression: float = 1.0,
    reference: int | None = None, still_body: bool = True, full: bool = False, parts: Mapping[str, float] | None = None,
) -> Sequence[Landmarks]:  # fmt: skip
    """Returns the landmarks of a head that moves like a driver, pixels of the crop.

    Args:
        head: the head.
        driver: what the driver does.
        size: side S of the generator's crop, pixels.
        motion: as in `Reenactor.animate`, like the others.
        pose: gain of the head pose.
        expression: gain of the expression.
        reference: driver frame that corresponds to the source image. None: that of the motion, or chosen.
        still_body: whether the head stays on its shoulders.
        full: whether the largest centered square of the driver's frames is taken.
        parts: part of the face -> gain.
    """
    driver_faces = driver.cropped(size, full, None if full else head.usual)
    reference = driver.reference if reference is None else reference
    return retarget(
        head.landmarks[0], driver_faces, motion, pose, expression, reference, size,
        still_body=still_body, still_mouth=mouth_is_covered(head), parts=parts,
    )  # fmt: skip


def embed_crops(crops: np.ndarray, faces: Sequence[Landmarks], embedder: Network) -> tuple[np.ndarray, np.ndarray]:
    """Returns the identity e_hat [E] of one person, and the style [P], float32.

    Args:
        crops: uint8 [K, S, S, 3].
        faces: K faces, pixels of the crops.
        embedder: the embedder.
    """
    e_hat, style = embedder(to_float(crops)[None], rasterize_landmarks(faces, crops.shape[1])[None])
    return e_hat[0], style[0]


class FrameRenderer:
    """Renders one head, and places it in the source image. Several threads may share a renderer.

    Args:
        head: the head.
        generator: the generator, whose weights the head's own replace.
        inpainters: networks by face region.
        paste_back: whether the head is pasted back into the source image. Else frames are square crops.
        resolution: side of a square crop, 64 to 2048 pixels. None takes that of the head's textures.

    Raises:
        BadInput: the resolution is out of range.
    """

    def __init__(
        self, head: Head, generator: GeneratorNetwork, inpainters: Mapping[str, Network], paste_back: bool,
        resolution: int | None = None,
    ):  # fmt: skip
        if resolution is not None:
            check_whole("resolution", resolution, 64, MAX_RESOLUTION)
        self.head, self.size = head, generator.size
        if head.tuned is not None:
            generator = replace(generator, run=generator.tuned(head.tuned))
        self._renderer = HeadRenderer(head, generator, None if paste_back else resolution, inpainters)
        self._paster = Paster(head.picture, head.crop, head.person) if paste_back else None

    def render(
        self, faces: Sequence[Landmarks], mouths: Sequence[MouthCrop] | None = None,
        shading: Sequence[np.ndarray] | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Returns square crops of the head, uint8 [B, R, R, 3].

        Args:
            faces: landmarks of the B frames, pixels of the crop.
            mouths: the driver's mouths, one a frame; None leaves all mouths to the inpainter.
            shading: of the driver's skin, one a frame; None leaves the skin as it is.
        """
        return self._renderer.render(faces, mouths, shading)

    def paste(self, crop: np.ndarray) -> np.ndarray:
        """Returns the upright frame of a crop, uint8 [H, W, 3].

        Args:
            crop: uint8 [R, R, 3], of `render`.
        """
        return self._paster.paste(crop) if self._paster else crop

    def place(self, crop: np.ndarray) -> np.ndarray:
        """Returns the frame of a crop, turned as the source image was given, uint8 [H, W, 3].

        Args:
            crop: uint8 [R, R, 3], of `render`.
        """
        return self.head.as_given(self.paste(crop))

    def frames(
        self, faces: Sequence[Landmarks], mouths: Sequence[MouthCrop] | None = None, batch: int = 1,
        shading: Sequence[np.ndarray] | None = None,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Yields the upright frames of many faces, uint8 [H, W, 3].

        Args:
            faces: landmarks of the frames, pixels of the crop.
            mouths: the driver's mouths, one a frame; None leaves all mouths to the inpainter.
            batch: frames per call of the generator. Some batches are rendered in parallel.
            shading: of the driver's skin, one a frame; None leaves the skin as it is.
        """

        rows = (slice(first, first + batch) for first in range(0, len(faces), batch))
        batches = ((faces[row], mouths and mouths[row], shading and shading[row]) for row in rows)
        for crops in in_parallel(lambda inputs: self.render(*inputs), batches):
            yield from map(self.paste, crops)
