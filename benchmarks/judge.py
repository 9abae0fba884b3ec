"""One case measured: every column's frames against the truth, or against source and driver where there is no truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks import common
from benchmarks.cases import Case, choose_frames
from benchmarks.columns import Scene, checkpoints, make_columns
from fewshot_heads import metrics
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.features.inception_lpips import LPIPS, InceptionFeatures
from fewshot_heads.landmarks import N_POINTS, Landmarks, detector
from fewshot_heads.landmarks.mediapipe import MediaPipeDetector

_SHEET_FRAMES, _TILE = 5, 160  # of the contact sheet; pixels
_SIZE = 256  # of a crop, where no model says another


class Measure(NamedTuple):
    """How a table shows a measure. better: "low", "high" or "truth" (nearest to the truth's own)."""

    title: str
    digits: int
    better: str


MEASURES = {
    "l1": Measure("L1 ↓", 4, "low"),
    "psnr": Measure("PSNR, dB ↑", 2, "high"),
    "ssim": Measure("SSIM ↑", 4, "high"),
    "vgg": Measure("VGG-19 distance ↓", 3, "low"),
    "lpips": Measure("LPIPS ↓", 3, "low"),
    "csim": Measure("CSIM ↑", 3, "high"),
    "akd": Measure("AKD, px ↓", 2, "low"),
    "no_face": Measure("share of frames with no face ↓", 3, "low"),
    "pose": Measure("pose error, degrees ↓", 2, "low"),
    "expression": Measure("expression error ↓", 3, "low"),
    "shape_leak": Measure("shape leak (0 source, 1 driver) ↓", 3, "low"),
    "jitter": Measure("jitter, times the driver's", 2, "truth"),
    "flicker": Measure("flicker of the background, levels of 255 ↓", 2, "low"),
}


class Outcome(NamedTuple):
    """What one case gave.

    columns: column -> measure -> value. features: "column/judge" and "truth/judge" -> [N, D], for distances between
    whole sets. tone: the source's skin, see `metrics.skin_tone`. sheet: uint8 [rows T, columns T, 3] or None.
    video: uint8 pictures side by side.
    """

    columns: dict[str, dict[str, float]]
    features: dict[str, np.ndarray]
    tone: float
    sheet: np.ndarray | None
    video: list[np.ndarray]


class Judge:
    """Measures cases as conf/benchmark.yaml says; the networks are loaded once."""

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        self.chosen = chosen
        self.detector = detector(**chosen["landmarks"])
        self.mediapipe = self.detector if isinstance(self.detector, MediaPipeDetector) else MediaPipeDetector()
        self.columns = make_columns(chosen, self.detector)
        # Frames of a smaller model are enlarged.
        self.size = max((each.about["spec"]["size"] for each in checkpoints(chosen).values()), default=_SIZE)
        self.identity = metrics.Identity(chosen["csim"])
        self.vgg = metrics.VGGDistance(chosen["vgg"]) if chosen["vgg"] else None
        self.lpips = LPIPS(chosen["lpips"]) if chosen["lpips"] else None
        self.inception = InceptionFeatures(chosen["fid"]) if chosen["fid"] else None

    def __call__(self, case: Case) -> Outcome:
        """Raises what a column raises, its name in front: a table is of cases that every column could do."""
        scene, judged, run = self._scene(case)
        made = {}
        for name, column in self.columns.items():
            if case.source == case.driver and getattr(column, "mouth", False):
                continue  # there the driver's mouth is what is asked for
            try:
                made[name] = column(scene)
            except Exception as error:
                raise BadInput(f"{name}: {type(error).__name__}: {error}") from error
        truth = scene.driver[judged] if case.source == case.driver else None
        aim = self._seen(scene.driver, scene.driver_faces, judged, run)
        person = self._embedded(scene.sources[:1], scene.source_faces[:1]) if truth is None else aim["embedding"]
        results, columns, features = {}, {}, {}
        for name, frames in made.items():
            own = self._seen(frames, {i: scene.face(frames[i]) for i in scene.wanted}, judged, run)
            results[name], features[f"{name}/csim"] = own["pictures"], own["embedding"]
            columns[name] = self._motion(own, aim, scene, truth is not None)
            columns[name]["csim"] = common.mean(metrics.csim(own["embedding"], person))
        if truth is not None:
            features["truth/csim"], results["truth"] = aim["embedding"], truth
            for name, values in self._likeness(results, truth).items():
                columns[name] |= values
        if self.inception is not None:
            features |= {f"{name}/fid": self.inception(pictures) for name, pictures in results.items()}
        columns = {name: {key: values[key] for key in MEASURES if key in values} for name, values in columns.items()}
        tone = metrics.skin_tone(scene.sources[0], _stack(scene.source_faces[:1])[0])
        if not self.chosen["videos"]:
            return Outcome(columns, features, tone, None, [])
        return Outcome(columns, features, tone, self._sheet(scene, made, judged), self._video(scene, made, run))

    def _scene(self, case: Case) -> tuple[Scene, list[int], list[int]]:
        driver = case.driver.frames(self.size, self.detector)
        if case.protocol == "identity_round_trip":
            driver, sources, judged, run = driver[:1], driver[:1], [0], [0]
        else:
            shots, judged, run = choose_frames(
                len(driver), case.k_shot, self.chosen["frames"], self.chosen["sequence_length"]
            )
            same = case.source == case.driver
            sources = driver[shots] if same else case.source.frames(self.size, self.detector)[:1]
        scene = Scene(list(sources), driver, sorted({*judged, *run}), self.detector)
        if scene.source_faces[0] is None:
            raise NoFaceFound(f"{case.source.name}: no face in the source")
        return scene, judged, run

    def _seen(
        self, frames: Any, faces: Mapping[int, Landmarks | None], judged: list[int], run: list[int]
    ) -> dict[str, np.ndarray]:
        """The compared frames and what the judges see in them, and the run with its landmarks."""
        pictures = np.stack([frames[i] for i in judged])
        expressions = [self.mediapipe.expression(picture) for picture in pictures]
        return {
            "pictures": pictures,
            "landmarks": _stack([faces[i] for i in judged]),
            "embedding": self._embedded(pictures, [faces[i] for i in judged]),
            "expression": np.stack([np.full(52, np.nan) if each is None else each for each in expressions]),
            "moving": np.stack([frames[i] for i in run]),
            "run": _stack([faces[i] for i in run]),
        }

    def _embedded(self, pictures: Sequence[np.ndarray] | np.ndarray, faces: list[Landmarks | None]) -> np.ndarray:
        return self.identity(np.asarray(pictures), _stack(faces)[..., :2])

    def _motion(
        self, own: dict[str, np.ndarray], aim: dict[str, np.ndarray], scene: Scene, same: bool
    ) -> dict[str, float]:
        """How well the result moves as the driver does; same: source and driver are one person's clip."""
        values = {
            "no_face": float(np.isnan(own["landmarks"][..., :2]).any((1, 2)).mean()),
            "pose": common.mean(metrics.pose_error(own["landmarks"], aim["landmarks"])),
            "expression": common.mean(metrics.expression_error(own["expression"], aim["expression"])),
        }
        if same:
            values["akd"] = common.mean(metrics.akd(own["landmarks"][..., :2], aim["landmarks"][..., :2]))
        else:
            values["shape_leak"] = metrics.shape_leak(
                _stack(scene.source_faces[:1])[0], own["landmarks"], aim["landmarks"]
            )
        if len(own["run"]) > 1:
            pace = metrics.jitter(aim["run"][..., :2])
            values["jitter"] = metrics.jitter(own["run"][..., :2]) / pace if pace > 0 else float("nan")
            values["flicker"] = 255 * metrics.flicker(own["moving"], own["run"][..., :2])
        return values

    def _likeness(self, results: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, dict[str, float]]:
        """How near each result's pictures are to the true ones."""
        names = [name for name in results if name != "truth"]
        values: dict[str, dict[str, float]] = {}
        for name in names:
            values[name] = {
                "l1": common.mean(metrics.l1(results[name], truth)),
                "psnr": common.mean(metrics.psnr(results[name], truth)),
                "ssim": common.mean(metrics.ssim(results[name], truth)),
            }
            if self.lpips is not None:
                values[name]["lpips"] = common.mean(self.lpips(results[name], truth))
        if self.vgg is not None and names:  # all at once: the truth's features are dear
            distances = self.vgg.to_each(truth, [results[name] for name in names])
            for name, distance in zip(names, distances, strict=True):
                values[name]["vgg"] = common.mean(distance)
        return values

    def _sheet(self, scene: Scene, made: Mapping[str, Any], judged: list[int]) -> np.ndarray:
        """A row for the driver and each column, the source first in every row."""
        shown = np.array(judged)[np.linspace(0, len(judged) - 1, min(_SHEET_FRAMES, len(judged))).round().astype(int)]
        columns: list[Any] = [scene.driver, *made.values()]
        rows = [[scene.sources[0], *(frames[i] for i in shown)] for frames in columns]
        return np.concatenate([np.concatenate([_tile(picture) for picture in row], 1) for row in rows])

    def _video(self, scene: Scene, made: Mapping[str, Any], run: list[int]) -> list[np.ndarray]:
        """Source, driver and columns side by side."""
        columns: list[Any] = [scene.driver, *made.values()]
        return [np.concatenate([_tile(p) for p in (scene.sources[0], *(c[i] for c in columns))], 1) for i in run]


def _tile(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (_TILE, _TILE), interpolation=cv2.INTER_AREA)


def _stack(faces: list[Landmarks | None]) -> np.ndarray:
    """[N, 70, 3] landmarks, NaN where there is no face."""
    return np.stack([np.full((N_POINTS, 3), np.nan) if face is None else face.to_array()[:N_POINTS] for face in faces])


def hashes(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What judged: name and sha256 of each network's weights, None where it was left out."""
    names = {"vgg": "VGG-19", "csim": metrics.Identity(chosen["csim"]).name, "lpips": "LPIPS", "fid": "FID Inception"}
    found: dict[str, Any] = {}
    for key, name in names.items():
        value = chosen[key]
        file = Path(value) if value and Path(value).is_file() else None
        found[key] = {"name": name, "sha256": common.sha256(file) if file else value} if value else None
    return found
