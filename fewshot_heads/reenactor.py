"""The library's front door: pictures to a `Head`, a `Head` and a driver to frames."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.errors import BadInput, NoFaceFound, WeightsMismatch, check_at_least, check_choice
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Detector, Landmarks, detectors
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.images import read_image
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint, load_inpainters, pick_device
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.rendering.paste_back import Paster
from fewshot_heads.rendering.renderer import HeadRenderer, rasterize_landmarks
from fewshot_heads.rendering.source_crop import choose_crops, texture_size
from fewshot_heads.rendering.source_images import person_mattes, segment_head

if TYPE_CHECKING:
    from fewshot_heads.training.head_tuner import FineTuningConfig

logger = logging.getLogger(__name__)

Pictures = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]


class Reenactor:
    """Animates heads. Holds the networks and the landmark detector; heads and motions are plain values.

    checkpoint: the networks; make one with `from_pretrained`.
    device: "auto", "cpu", "cuda", "mps" ...
    searchers: detectors of landmarks; two look at two frames of a driver at once.
    inpainters: by part, of what opens and no picture shows (`landmarks.regions.REGIONS`); None takes the shipped ones.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        searchers: Sequence[Detector] | None = None,
        inpainters: Mapping[str, Inpainter] | None = None,
    ):
        if isinstance(checkpoint.networks, Inpainter):
            raise WeightsMismatch(
                f"{checkpoint.path}: paints a part of a face only; take weights of the realtime preset"
            )
        self.device = pick_device(device)
        self.checkpoint = checkpoint
        self.networks = checkpoint.networks.to(self.device)
        chosen = load_inpainters() if inpainters is None else inpainters
        self.inpainters = {part: inpainter.to(self.device) for part, inpainter in chosen.items()}
        self.detectors = list(searchers or detectors())
        self.size: int = checkpoint.about["spec"]["size"]

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "realtime",
        device: str = "auto",
        landmarks: str = "mediapipe",
        inpainters: Sequence[str | Path] = ("mouth", "eyes"),
    ) -> Reenactor:
        """model, inpainters: shipped presets or paths to a `.safetensors`; landmarks: the detector's backend."""
        return cls(load_checkpoint(model), device, detectors(landmarks), load_inpainters(inpainters))

    def provenance(self, composite: bool = True) -> Provenance:
        """The mark for a `VideoWriter`; composite: the head is pasted back into the real picture."""
        return Provenance(self.checkpoint.name, self.checkpoint.sha256, composite)

    @torch.inference_mode()
    def embed(self, pictures: Pictures, face: int | Sequence[int] = 0, crop: str = "auto") -> Head:
        """One person from a picture or K of them (paths, or uint8 [H, W, 3]).

        The first picture is the one that moves: its background stays. The others add views of the face and, where they
        show the same scene (frames of one video), of what the head hides.
        face: which face of each picture, or one number for each of them; 0 is the largest. crop: "auto" frames the
        head; "full" takes each picture as already framed. Raises NoFaceFound, naming the picture.
        """
        check_choice("crop", crop, ("auto", "full"))
        if isinstance(pictures, (str, Path)) or (isinstance(pictures, np.ndarray) and pictures.ndim < 4):
            pictures = [pictures]
        which = [face] * len(pictures) if isinstance(face, int) else list(face)
        if not which or len(which) != len(pictures):
            raise BadInput(f"embed got {len(pictures)} pictures and {len(which)} faces; it needs one of each at least")
        shots = [self._shot(*each, crop) for each in zip(pictures, range(len(pictures)), which, strict=True)]
        images, faces, crops = zip(*shots, strict=True)
        if crop == "auto":
            crops = choose_crops(images, faces, crops)
        resolution = texture_size(crops)
        framed = list(zip(images, crops, strict=True))
        textures = np.stack([replace(crop, size=resolution).cut(image) for image, crop in framed])
        frames = to_tensor(np.stack([crop.cut(image) for image, crop in framed])).to(self.device)
        landmarks = [crop.to_crop(face) for face, crop in zip(faces, crops, strict=True)]
        stickmen = rasterize_landmarks(landmarks, self.size).to(self.device)
        e_hat = self.networks.embedder(frames[None], stickmen[None]).mean(1)
        style = self.networks.generator.project(e_hat)
        sha256 = self.checkpoint.sha256
        head = Head(e_hat[0].cpu(), style[0].cpu(), textures, landmarks, images[0], crops[0], sha256)
        return segment_head(head, self.size)

    def fine_tune(
        self,
        head: Head,
        pictures: Pictures | None = None,
        steps: int | None = None,
        tuning: FineTuningConfig | None = None,
        criterion: Mapping[str, Mapping[str, Any]] | None = None,
        on_step: Callable[[int, int], object] | None = None,
    ) -> Head:
        """The same person with a generator of its own: stage two of Zakharov et al., ICCV 2019, sec. 3.3.

        pictures: T of that person to learn from; None takes the head's own. steps: None goes by their number.
        tuning, criterion: the settings and the table of terms; None takes those of conf/fine_tune.yaml.
        on_step: called with (steps done, steps in all). Raises as `embed` does.
        """
        from fewshot_heads.training.fine_tuning import fine_tune_head

        self.check_made_here(head)
        learner = head if pictures is None else self.embed(pictures)
        return fine_tune_head(self.checkpoint, head, learner, steps, tuning, criterion, on_step)

    def _shot(
        self, picture: str | Path | np.ndarray, index: int, face: int, crop: str
    ) -> tuple[np.ndarray, Landmarks, Crop]:
        image = picture if isinstance(picture, np.ndarray) else read_image(picture)
        name = f"picture {index}" if isinstance(picture, np.ndarray) else str(picture)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise BadInput(f"{name}: got {image.dtype} {list(image.shape)}, expected uint8 [H, W, 3]")
        faces = self.detectors[0].detect(image)
        if not faces:
            raise NoFaceFound(f"{name}: no face found; use a picture with a larger face, or landmarks=face_alignment")
        if not 0 <= face < len(faces):
            raise NoFaceFound(f"{name}: face {face} asked for, {len(faces)} found; use 0 to {len(faces) - 1}")
        chosen = faces[face]
        height, width = image.shape[:2]
        if crop == "full":
            return image, chosen, Crop.full(height, width, self.size)
        return image, chosen, Crop.around([chosen], self.size)

    def track(
        self,
        driver: str | Path | Iterable[np.ndarray],
        face: int = 0,
        smooth: float = 1.0,
        rate: Fraction | float | None = None,
        name: str | None = None,
    ) -> Motion:
        """The motion of a driver: a video's path, or frames uint8 [H, W, 3], read once. Frames that lose the face hold
        the last one.

        smooth: strength of the landmark filter. rate (frames per second) and name (for messages): a `Video` knows
        its own; anything else has 25 and "the driver".
        Raises NoFaceFound if no frame shows a face.
        """
        driver = read_video(driver) if isinstance(driver, (str, Path)) else driver
        name = name or str(getattr(driver, "path", "the driver"))
        frames_per_second = float(rate if rate is not None else getattr(driver, "rate", 25))
        motion = track(driver, self.detectors, face, smooth, frames_per_second, name, mouths=True)
        if motion.lost:
            logger.warning("%s: no face in frames %s; the last one is held there", name, motion.describe_lost())
        return motion

    def animate(
        self,
        head: Head,
        driver: Motion | str | Path | Iterable[np.ndarray],
        motion: str = "relative",
        pose: float = 1.0,
        expression: float = 1.0,
        reference: int | None = None,
        paste_back: bool = True,
        crop: str = "auto",
        batch: int = 4,
        mouth: str = "driver",
    ) -> Iterator[np.ndarray]:
        """Frames of `head` moving as the driver does, lazily; uint8, the picture's size, or the crop's
        (`paste_back=False`: [size, size, 3]).

        driver: a video's path, frames uint8 [H, W, 3], or their `Motion` from `track`.
        motion, pose, expression, reference: see `landmarks.retarget.retarget`.
        paste_back: whether the head goes back into its picture, where relative motion keeps it on its shoulders.
        crop: "auto" frames the driver's head, one box a shot; "full" takes its pictures as already framed.
        mouth: where one opens that is shut in the pictures, "driver" shows the inside of the driver's, if that has
        pictures; "inpainted" makes one up from what is around it.
        batch: frames per call of the generator. Raises WeightsMismatch for a head of another generator.
        """
        check_choice("motion", motion, ("relative", "absolute"))
        check_choice("crop", crop, ("auto", "full"))
        check_choice("mouth", mouth, ("driver", "inpainted"))
        check_at_least("batch", batch, 1)
        self.check_made_here(head)
        if not isinstance(driver, Motion):
            driver = self.track(driver)
        if reference is not None and not 0 <= reference < len(driver):
            raise BadInput(f"reference={reference}, but the driver has frames 0 to {len(driver) - 1}")
        framed = crop == "full"
        moves = driver.cropped(self.size, framed, None if framed else head.usual)
        faces = retarget(
            head.landmarks[0], moves, motion, pose, expression, reference, self.size, still_body=paste_back
        )
        return self._frames(head, faces, driver.mouths if mouth == "driver" else None, paste_back, batch)

    def _frames(
        self, head: Head, faces: list[Landmarks], mouths: list[MouthCrop] | None, paste_back: bool, batch: int
    ) -> Iterator[np.ndarray]:
        painter = HeadRenderer(head, self._generator(head), self.size, self.device, inpainters=self.inpainters)
        head = segment_head(head, self.size)
        paster = Paster(head.picture, head.crop, person_mattes(head, self.size).crops[0]) if paste_back else None
        for first in range(0, len(faces), batch):
            now = slice(first, first + batch)
            for frame in painter.render(faces[now], paste_back, mouths and mouths[now]):
                yield paster.paste(frame) if paster else frame

    def check_made_here(self, head: Head, name: str | None = None) -> None:
        """Raises WeightsMismatch for a head of another generator. name: of the head, for the message."""
        if head.generator != self.checkpoint.sha256:
            if name:
                raise WeightsMismatch(f"{name}: made by another generator; embed its pictures again with this one")
            raise WeightsMismatch("this head was made by another generator; embed the pictures again with this one")

    def _generator(self, head: Head) -> torch.nn.Module:
        if head.tuned is None:
            return self.networks.generator
        generator = copy.deepcopy(self.networks.generator)
        generator.load_state_dict(head.tuned)
        return generator
