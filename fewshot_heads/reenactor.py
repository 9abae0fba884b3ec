"""The main class of the library: makes heads and animates them with drivers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fewshot_heads.driving.shading import scaled
from fewshot_heads.driving.source_detection import Pictures, detect_sources
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.errors import check_at_least, check_choice, check_whole
from fewshot_heads.head import Head
from fewshot_heads.imaging.forks import check_not_forked
from fewshot_heads.landmarks import Detector, detectors
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.models.backends import loaded, open_generator, open_inpainters
from fewshot_heads.models.network import Network, code_shapes
from fewshot_heads.models.weights_file import WeightsFile, read_weights
from fewshot_heads.rendering.animation import FrameRenderer, embed_sources, retargeted_faces
from fewshot_heads.rendering.editing import Editor
from fewshot_heads.rendering.video_editing import edit_video

if TYPE_CHECKING:
    from fewshot_heads.models.checkpoint import Checkpoint
    from fewshot_heads.training.head_tuner import FineTuningConfig


class Reenactor:
    """Makes heads from source images and animates them; `from_pretrained` loads one.

    Args:
        weights: of the networks, or a `Checkpoint`, which holds them.
        device: "auto", "cpu", "cuda", "mps" or another name of torch. "auto" takes a GPU if torch has one.
        searchers: landmark detectors. Each detects one frame of a driver at a time, so two work in parallel.
        inpainters: networks by face region ("mouth", "eyes", "lids"), which fill a mouth or an eye that is closed
            in the source, and paint a lid that comes down. None takes the shipped networks.
        backend: what runs the networks: "auto", "torch" or "openvino"; see `models.backends`.

    Raises:
        BadInput: the backend is not there.
        WeightsMismatch: the weights are not those of a generator.
    """

    def __init__(
        self, weights: WeightsFile, device: str = "auto", searchers: Sequence[Detector] | None = None,
        inpainters: Mapping[str, Network] | None = None, backend: str = "auto",
    ):  # fmt: skip
        self.weights, self.device = weights, device
        self.embedder, self.generator = open_generator(weights, device, backend)
        self.inpainters = open_inpainters(device=device, backend=backend) if inpainters is None else dict(inpainters)
        self.detectors = list(detectors() if searchers is None else searchers)
        self.size, self._code_shapes = self.generator.size, code_shapes(self.embedder)
        self._process = os.getpid()
        renderer = partial(FrameRenderer, generator=self.generator, inpainters=self.inpainters)
        self._renderer, self._editor = lru_cache(maxsize=1)(renderer), lru_cache(maxsize=1)(Editor)

    @classmethod
    def from_pretrained(
        cls, model: str | Path = "realtime", device: str = "auto", landmarks: str | Mapping[str, Any] = "mediapipe",
        inpainters: Sequence[str | Path] = ("mouth", "eyes", "lids"), backend: str = "auto",
    ) -> Reenactor:  # fmt: skip
        """Returns a reenactor with trained networks. Raises BadInput or WeightsMismatch if there are none that fit.

        Args:
            model: a shipped preset, a `.safetensors` file or a folder with one.
            device: as in the class.
            landmarks: backend of the landmark detector, "mediapipe" or "face_alignment", or arguments of `detectors`.
            inpainters: shipped presets or `.safetensors` files of inpainting networks.
            backend: as in the class.
        """
        chosen = {"backend": landmarks} if isinstance(landmarks, str) else landmarks
        with ThreadPoolExecutor(1) as pool:  # opens detectors beside networks, which takes as long
            searchers = pool.submit(detectors, **chosen)
            painters = open_inpainters(inpainters, device, backend)
            reenactor = cls(read_weights(model)[0], device, (), painters, backend)
        reenactor.detectors = searchers.result()
        return reenactor

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The networks in torch, which are loaded when they are first asked for: to train, or to mix people."""
        return loaded(self.weights, self.device)

    def provenance(self, composite: bool = True) -> Provenance:
        """Returns the mark of synthetic media for a `VideoWriter`; a composite keeps pixels of the source."""
        return Provenance(self.weights.name, self.weights.sha256, composite)

    def embed(self, pictures: Pictures, face: int | Sequence[int] = 0, crop: str = "auto") -> Head:
        """Returns the head of one person from one source image or several.

        The first image is animated, with its body and background. The other images add views of the head. An image that
        is upside down or on a side is turned upright, and frames of the head are turned back.

        Args:
            pictures: one image or K images, paths or uint8 RGB [H, W, 3].
            face: which face of each image, or one number for each image; 0 is the largest.
            crop: "auto" puts a square around the head, "full" takes the largest centered square of each image.

        Raises:
            BadInput: an image cannot be read, or there are more than 128.
            NoFaceFound: an image does not show the face.
        """
        check_not_forked(self._process, "this Reenactor was opened")
        check_choice("crop", crop, ("auto", "full"))
        sources = detect_sources(pictures, face, crop, self.detectors[0], self.size)
        return embed_sources(sources, crop == "auto", self.embedder, self.weights.sha256)

    def fine_tune(
        self, head: Head, pictures: Pictures | None = None, steps: int | None = None,
        tuning: FineTuningConfig | None = None, criterion: Mapping[str, Mapping[str, Any]] | None = None,
        on_step: Callable[[int, int], object] | None = None,
    ) -> Head:  # fmt: skip
        """Returns a personalized head: stage two of Zakharov et al., ICCV 2019, sec. 3.3. Raises as `embed`.

        Args:
            head: the head.
            pictures: T images of the person, as in `embed`. None takes the images of the head.
            steps: optimizer steps. None takes 40 to 160, depending on the number of images.
            tuning: settings. None takes those of conf/fine_tune.yaml.
            criterion: losses and their weights. None takes those of conf/fine_tune.yaml.
            on_step: called with (steps done, total steps).
        """
        self.check_made_here(head)
        checkpoint = self.checkpoint  # before the import: if torch is missing, it says so
        from fewshot_heads.training.fine_tuning import fine_tune_head

        training_head = head if pictures is None else self.embed(pictures)
        return fine_tune_head(checkpoint, head, training_head, steps, tuning, criterion, on_step)

    def track(
        self, driver: str | Path | Iterable[np.ndarray], face: int = 0, smooth: float = 1.0,
        rate: Fraction | float | None = None, name: str | None = None,
    ) -> Motion:  # fmt: skip
        """Returns the motion of a driver. A frame without a face repeats the last face.

        Args:
            driver: path of a video, or frames uint8 RGB [H, W, 3], which are read once.
            face: which face of the first frame; 0 is the largest.
            smooth: strength of the landmark filter, 0 or more; 0 is off.
            rate: frames per second. None takes the rate of a `Video`, and 25 for other frames.
            name: name in messages. None takes the path of a `Video`.

        Raises:
            BadInput: the video cannot be read, a frame is no image, or an option is out of range.
            NoFaceFound: no frame shows a face.
        """
        check_not_forked(self._process, "this Reenactor was opened")
        driver = read_video(driver) if isinstance(driver, (str, Path)) else driver
        name = name or str(getattr(driver, "path", "the driver"))
        rate = getattr(driver, "rate", 25) if rate is None else rate
        return track(driver, self.detectors, face, smooth, rate, name, pixels=True)

    def animate(
        self, head: Head, driver: Motion | str | Path | Iterable[np.ndarray], motion: str = "relative",
        pose: float = 1.0, expression: float = 1.0, reference: int | None = None, paste_back: bool = True,
        crop: str = "auto", batch: int = 1, mouth: str = "driver", resolution: int | None = None,
        parts: Mapping[str, float] | None = None, shading: float = 1.0,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Returns an iterator over frames of a head that moves like the driver, uint8 RGB.

        A frame has the size of the source image, or is the square crop if `paste_back` is False.

        Args:
            head: the head.
            driver: path of a video, frames uint8 RGB [H, W, 3], or the `Motion` from `track`.
            motion: "relative" adds the driver's change to the source, "absolute" copies the driver's landmarks.
            pose: gain of the head pose, -100 to 100; 1 is the driver's.
            expression: gain of the expression, -100 to 100; 1 is the driver's.
            reference: driver frame that corresponds to the source image. None: the motion's, or chosen.
            paste_back: whether the head is pasted back into the source image, on its shoulders.
            crop: of the driver's frames. "auto" is a square around the head, one for each shot; "full" as in `embed`.
            batch: frames per call of the generator.
            mouth: fills a mouth that is closed in the source: "driver" shows the driver's, if known; or "inpainted".
            resolution: side of the square crop, 64 to 2048 pixels. None takes that of the source image, 256 to 1024.
            parts: "lips", "lids", "brows" or "gaze" -> gain of this part's expression, beside `expression`.
            shading: gain of the folds of the driver's skin, 0 to 1, in relative motion.

        Raises:
            BadInput: an option or the driver is wrong.
            NoFaceFound: no frame shows a face.
            WeightsMismatch: another generator made the head.
        """
        check_choice("crop", crop, ("auto", "full"))
        check_choice("mouth", mouth, ("driver", "inpainted"))
        check_whole("batch", batch, 1)
        check_at_least("shading", shading, 0)
        renderer = self.renderer(head, paste_back, resolution)
        driver = driver if isinstance(driver, Motion) else self.track(driver)
        full = crop == "full"
        faces = retargeted_faces(
            head, driver, self.size, motion, pose, expression, reference, still_body=paste_back, full=full, parts=parts
        )
        mouths = driver.mouths if mouth == "driver" else None
        skin = scaled(driver.shading, shading * min(max(expression, 0), 1) * (motion == "relative"))
        return (head.as_given(frame) for frame in renderer.frames(faces, mouths, batch, skin))

    def renderer(self, head: Head, paste_back: bool = True, resolution: int | None = None) -> FrameRenderer:
        """Returns what renders the frames of `animate`, with the same options and errors. The last one is kept."""
        self.check_made_here(head)
        return self._renderer(head, paste_back=paste_back, resolution=resolution)

    def animate_video(
        self, video: str | Path | Iterable[np.ndarray], driver: Motion | str | Path | Iterable[np.ndarray],
        tracked: Motion | None = None, **options: Any,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Returns an iterator over frames of a video whose person takes the driver's expression, uint8 RGB [H, W, 3].

        Head pose, body and background stay. Frames are paired one by one, as many as the shorter of both has.

        Args:
            video: path, or frames uint8 RGB [H, W, 3] that can be read twice.
            driver: as in `animate`.
            tracked: what the person of the video does, from `track`. None tracks it.
            **options: `expression`, `reference`, `mouth` and `parts`, as in `animate`, which has the same errors.
        """
        check_not_forked(self._process, "this Reenactor was opened")
        motion = driver if isinstance(driver, Motion) else self.track(driver)
        frames = read_video(video, motion.rate) if isinstance(video, (str, Path)) else video
        tracked, networks = tracked or self.track(frames), (self.embedder, self.generator, self.inpainters)
        return edit_video(frames, tracked, motion, *networks, **options)

    def edit(self, head: Head, **controls: float) -> np.ndarray:
        """Returns the source image with an edited face, uint8 RGB [H, W, 3]. Raises as `Editor.edit`.

        Further edits of the same head are fast. To edit several heads in turn, keep the `editor` of each.

        Args:
            head: the head.
            **controls: such as smile=0.6, yaw=15; see `driving.controls.CONTROLS`.
        """
        return self.editor(head).edit(controls)

    def editor(self, head: Head) -> Editor:
        """Returns an editor of a head, which has computed what all edits share. Raises WeightsMismatch."""
        return self._editor(self.renderer(head))

    def check_made_here(self, head: Head, name: str = "this head") -> None:
        """Raises WeightsMismatch if another generator made a head or its values do not fit; `name` is for messages."""
        check_not_forked(self._process, "this Reenactor was opened")
        tuned = {} if head.tuned is None else self.checkpoint.networks.generator.state_dict()
        shapes = {key: tuple(value.shape) for key, value in tuned.items()}
        head.check_fits(self.weights.sha256, self.size, self._code_shapes | shapes, name)
