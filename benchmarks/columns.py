"""The compared methods, one a column: still source, warp, our models, other projects."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks import peers
from fewshot_heads import Reenactor
from fewshot_heads.cli.config import load_config
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import to_float, to_uint8
from fewshot_heads.imaging.resizing import resized
from fewshot_heads.imaging.splines import tps_warp
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.pose_distance import pose_distance
from fewshot_heads.models.backends import open_inpainters
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint
from fewshot_heads.rendering.animation import retargeted_faces
from fewshot_heads.training.fine_tuning import from_config
from fewshot_heads.training.head_tuner import FineTuningConfig


class Scene:
    """The input of a column: sources, driver, and the frames to make."""

    def __init__(
        self,
        sources: Sequence[np.ndarray],
        driver: np.ndarray,
        wanted: Sequence[int],
        detector: Detector,
        smoothing: float = 1.0,
        reference: int | None = None,
    ):
        """Detects no faces yet.

        Args:
            sources: uint8 [S, S, 3] each.
            driver: uint8 [T, S, S, 3], the whole clip.
            wanted: numbers of the driver's frames to make.
            detector: finds facial landmarks.
            smoothing: strength of the filter over the driver's landmarks; 0 for pictures that are no video.
            reference: number of the driver's frame that is the first source. None if it is none of them.
        """
        self.smoothing, self.reference = smoothing, reference
        self.sources, self.driver, self.wanted, self.detector = list(sources), driver, list(wanted), detector

    @cached_property
    def source_faces(self) -> list[Landmarks | None]:
        """Landmarks of each source; None without a face."""
        return [self.face(source) for source in self.sources]

    @cached_property
    def driver_faces(self) -> dict[int, Landmarks | None]:
        """Landmarks of each wanted frame, detected separately; None without a face."""
        return {i: self.face(self.driver[i]) for i in self.wanted}

    @cached_property
    def motion(self) -> Motion:
        """The whole driver, tracked as `animate` tracks it."""
        return track(self.driver, [self.detector], smooth=self.smoothing, pixels=True)

    def face(self, image: np.ndarray) -> Landmarks | None:
        """Returns the landmarks of the first face, or None."""
        return next(iter(self.detector.detect(image)), None)


Column = Callable[[Scene], dict[int, np.ndarray]]  # returns wanted frame -> image uint8 [S, S, 3]


def still(scene: Scene) -> dict[int, np.ndarray]:
    """Returns the first source for every wanted frame."""
    return dict.fromkeys(scene.wanted, scene.sources[0])


def warp(scene: Scene) -> dict[int, np.ndarray]:
    """Returns the source nearest in pose, warped to the landmarks of each frame.

    The warp is a thin-plate spline. There is no network. A frame without a face gets the still source.
    """
    result = still(scene)
    sources = [(face, source) for face, source in zip(scene.source_faces, scene.sources, strict=True) if face]
    for i, face in scene.driver_faces.items():
        if face and sources:
            source_face, source = min(sources, key=lambda pair: pose_distance(pair[0], face))
            warped = tps_warp(to_float(source)[None], control_points(source_face), control_points(face))
            result[i] = to_uint8(warped[0])
    return result


class Animated:
    """A model of this library as a column.

    The model gets the driver's landmarks only, unless `mouth` or `shading` is set.
    Frames of a small model are enlarged.
    """

    def __init__(
        self,
        reenactor: Reenactor,
        motion: str = "relative",
        tuning: FineTuningConfig | None = None,
        mouth: bool = False,
        shading: bool = False,
    ):
        """Keeps the model for many scenes.

        Args:
            reenactor: the model.
            motion: "relative" or "absolute".
            tuning: settings of fine-tuning on the sources; None does not fine-tune.
            mouth: whether the inside of the driver's mouth is transferred, the default of `animate`.
            shading: whether the folds of the driver's skin are transferred, the default of `animate`.
        """
        self.reenactor, self.motion, self.tuning = reenactor, motion, tuning
        self.mouth, self.shading = mouth, shading
        self.shows_the_driver = mouth or shading  # pixels of it, not its motion alone

    def __call__(self, scene: Scene) -> dict[int, np.ndarray]:
        """Returns wanted frame -> image uint8 [S, S, 3]."""
        head = self.reenactor.embed(scene.sources, crop="full")
        if self.tuning is not None:
            head = self.reenactor.fine_tune(head, tuning=self.tuning)
        # As `animate` does with the whole driver, and with `reference` where the source is one of its frames. Only the
        # wanted frames are rendered.
        size, wanted = self.reenactor.size, sorted(scene.wanted)
        faces = retargeted_faces(
            head, scene.motion, size, self.motion, reference=scene.reference, still_body=False, full=True
        )
        mouths = [scene.motion.mouths[i] for i in wanted] if self.mouth and scene.motion.mouths else None
        skin = [scene.motion.shading[i] for i in wanted] if self.shading and scene.motion.shading else None
        renderer = self.reenactor.renderer(head, paste_back=False, resolution=size)
        frames = renderer.frames([faces[i] for i in wanted], mouths, shading=skin)
        images = dict(zip(wanted, map(head.as_given, frames), strict=True))
        return {i: resized(images[i], scene.driver.shape[1]) for i in scene.wanted}


def checkpoints(chosen: Mapping[str, Any]) -> dict[str, Checkpoint]:
    """Returns the models that the chosen columns use, by name."""
    used = {column.split("+")[0] for column in chosen["columns"]}
    return {name: load_checkpoint(path) for name, path in chosen["models"].items() if path and name in used}


def make_columns(chosen: Mapping[str, Any], detector: Detector) -> dict[str, Column]:
    """Returns the chosen columns by name, in their order.

    A column is "still", "warp", a model, a peer or module:function, a Python callable that is a `peers.Peer`. The name
    of a model may be followed by +absolute, +tuned, +mouth and +shading.

    Args:
        chosen: settings of conf/benchmark.yaml.
        detector: finds facial landmarks.

    Raises:
        BadInput: an unknown column, or a model without weights.
    """
    tuning = replace(from_config(load_config("fine_tune"))[0], steps=chosen["tuning_steps"], seed=chosen["seed"])
    reenactors: dict[tuple[str, str], Reenactor] = {}
    columns: dict[str, Column] = {}
    for column in chosen["columns"]:
        name, *options = column.split("+")
        if column in ("still", "warp"):
            columns[column] = {"still": still, "warp": warp}[column]
        elif name in chosen["models"] and set(options) <= {"absolute", "tuned", "mouth", "shading", "openvino"}:
            weights = chosen["models"][name]
            if weights is None:
                raise BadInput(
                    f"columns: {column} needs weights; name them, models.{name}=FILE.safetensors, or leave it out"
                )
            backend = "openvino" if "openvino" in options else "torch"
            if (name, backend) not in reenactors:
                inpainters = open_inpainters(chosen["inpainters"], "cpu", backend)
                reenactors[name, backend] = Reenactor(load_checkpoint(weights), "cpu", [detector], inpainters, backend)
            motion = "absolute" if "absolute" in options else "relative"
            tuned = tuning if "tuned" in options else None
            columns[column] = Animated(
                reenactors[name, backend], motion, tuned, "mouth" in options, "shading" in options
            )
        elif name in chosen["peers"] and not options:
            columns[column] = peers.Column(peers.adapter(name, chosen["peers"][name]))
        elif ":" in column:
            columns[column] = peers.Column(_imported(column))
        else:
            known = ", ".join(["still", "warp", *chosen["models"], *chosen["peers"]])
            raise BadInput(
                f"columns: there is no {column!r}; there is {known}, NAME+absolute, NAME+tuned, NAME+mouth, "
                "NAME+shading, module:function"
            )
    return columns


def _imported(name: str) -> peers.Peer:
    """Returns the callable module:function. Raises BadInput."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"columns: {name} cannot be imported ({error})") from error
