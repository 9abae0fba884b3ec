"""What is compared: ways to move a source by a driver, from the still picture to other methods."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from benchmarks import peers
from fewshot_heads import Reenactor
from fewshot_heads.cli.config import load_config
from fewshot_heads.driving.retargeting import choose_reference
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import resized, to_tensor, to_uint8
from fewshot_heads.imaging.warping import tps_warp
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.pose_distance import pose_distance
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint, load_inpainters
from fewshot_heads.training.fine_tuning import from_config
from fewshot_heads.training.head_tuner import FineTuningConfig


class Scene:
    """What a column gets to see: sources and the whole driver, uint8 [S, S, 3] each, and which frames are wanted."""

    def __init__(self, sources: Sequence[np.ndarray], driver: np.ndarray, wanted: Sequence[int], detector: Detector):
        self.sources, self.driver, self.wanted, self.detector = list(sources), driver, list(wanted), detector

    @cached_property
    def source_faces(self) -> list[Landmarks | None]:
        return [self.face(source) for source in self.sources]

    @cached_property
    def driver_faces(self) -> dict[int, Landmarks | None]:
        """Of the wanted frames, each looked at by itself."""
        return {i: self.face(self.driver[i]) for i in self.wanted}

    @cached_property
    def motion(self) -> Motion:
        """The driver followed from its first frame to its last, as a user's would be."""
        return track(self.driver, [self.detector], mouths=True)

    def face(self, picture: np.ndarray) -> Landmarks | None:
        return next(iter(self.detector.detect(picture)), None)


Column = Callable[[Scene], dict[int, np.ndarray]]  # a picture uint8 [S, S, 3] for each wanted frame


def still(scene: Scene) -> dict[int, np.ndarray]:
    """The first source, held."""
    return dict.fromkeys(scene.wanted, scene.sources[0])


@torch.inference_mode()
def warp(scene: Scene) -> dict[int, np.ndarray]:
    """The source nearest in pose, carried by the thin-plate spline to the landmarks of each frame; no network.

    Where the frame shows no face there is nothing to warp by: the still source is what is left.
    """
    result = still(scene)
    own = [(face, source) for face, source in zip(scene.source_faces, scene.sources, strict=True) if face]
    for i, face in scene.driver_faces.items():
        if face and own:
            nearest, picture = min(own, key=lambda pair: pose_distance(pair[0], face))
            here, there = (torch.from_numpy(control_points(each))[None] for each in (nearest, face))
            result[i] = to_uint8(tps_warp(to_tensor(picture)[None], here, there)[0])
    return result


class Animated:
    """A model of this library. motion: "relative" or "absolute"; tuning: how it is fine-tuned on the sources first.

    It sees the driver's landmarks alone; with `mouth` also the inside of its mouth, as `animate` does unless told
    otherwise. The frames of a model smaller than the scene's are enlarged.
    """

    def __init__(
        self,
        reenactor: Reenactor,
        motion: str = "relative",
        tuning: FineTuningConfig | None = None,
        mouth: bool = False,
    ):
        self.reenactor, self.motion, self.tuning, self.mouth = reenactor, motion, tuning, mouth

    def __call__(self, scene: Scene) -> dict[int, np.ndarray]:
        head = self.reenactor.embed(scene.sources, crop="full")
        if self.tuning is not None:
            head = self.reenactor.fine_tune(head, tuning=self.tuning)
        # Only the wanted frames are painted, but the reference is chosen among all, as it would be.
        faces = scene.motion.cropped(self.reenactor.size, full=True)
        reference = choose_reference(CanonicalFace.of(head.landmarks[0]), map(CanonicalFace.of, faces))
        shown = sorted({*scene.wanted, reference})
        mouths = [scene.motion.mouths[i] for i in shown] if self.mouth and scene.motion.mouths else None
        size = (self.reenactor.size,) * 2
        motion = Motion([faces[i] for i in shown], [], [(0, len(shown))], size, mouths=mouths)
        frames = self.reenactor.animate(
            head, motion, self.motion, reference=shown.index(reference), paste_back=False, crop="full"
        )
        made = dict(zip(shown, frames, strict=True))
        return {i: resized(made[i], scene.driver.shape[1]) for i in scene.wanted}


def checkpoints(chosen: Mapping[str, Any]) -> dict[str, Checkpoint]:
    """The models that a column is made with, by name."""
    used = {column.split("+")[0] for column in chosen["columns"]}
    return {name: load_checkpoint(path) for name, path in chosen["models"].items() if path and name in used}


def make_columns(chosen: Mapping[str, Any], detector: Detector) -> dict[str, Column]:
    """The columns that conf/benchmark.yaml names, in its order.

    still; warp; NAME and NAME+absolute, NAME+tuned, NAME+mouth or several of these for a NAME of `models`; a NAME of
    `peers`; module:function, a Python callable that is a `peers.Peer`. Raises BadInput for anything else.
    """
    tuning = replace(from_config(load_config("fine_tune"))[0], steps=chosen["tuning_steps"], seed=chosen["seed"])
    reenactors: dict[str, Reenactor] = {}
    columns: dict[str, Column] = {}
    for column in chosen["columns"]:
        name, *options = column.split("+")
        if column in ("still", "warp"):
            columns[column] = {"still": still, "warp": warp}[column]
        elif name in chosen["models"] and set(options) <= {"absolute", "tuned", "mouth"}:
            weights = chosen["models"][name]
            if weights is None:
                raise BadInput(
                    f"columns: {column} needs weights; name them, models.{name}=FILE.safetensors, or leave it out"
                )
            if name not in reenactors:
                reenactors[name] = Reenactor(
                    load_checkpoint(weights), "cpu", [detector], load_inpainters(chosen["inpainters"])
                )
            motion = "absolute" if "absolute" in options else "relative"
            tuned = tuning if "tuned" in options else None
            columns[column] = Animated(reenactors[name], motion, tuned, "mouth" in options)
        elif name in chosen["peers"] and not options:
            columns[column] = peers.Column(peers.adapter(name, chosen["peers"][name]))
        elif ":" in column:
            columns[column] = peers.Column(_imported(column))
        else:
            known = ", ".join(["still", "warp", *chosen["models"], *chosen["peers"]])
            raise BadInput(
                f"columns: there is no {column!r}; there is {known}, NAME+absolute, NAME+tuned, NAME+mouth, "
                "module:function"
            )
    return columns


def _imported(name: str) -> peers.Peer:
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"columns: {name} cannot be imported ({error})") from error
