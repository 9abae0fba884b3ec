"""Measures one case: every column against true frames, or source and driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks import common
from benchmarks.cases import Case, choose_frames
from benchmarks.columns import Scene, checkpoints, make_columns
from benchmarks.measures import MEASURES
from benchmarks.motion_errors import Reference, motion_errors
from benchmarks.turned import TURNS, PicturePair, compared_regions, region_errors
from fewshot_heads import metrics
from fewshot_heads.driving.reference import choose_reference
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.features.inception_lpips import LPIPS, InceptionFeatures
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.landmarks import N_POINTS, Landmarks, detector
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.mediapipe import MediaPipeDetector
from fewshot_heads.metrics.expression import N_BLENDSHAPES

_SHEET_FRAMES = 5  # columns of the contact sheet, without the source
_TILE_PX = 160
_DEFAULT_SIZE_PX = 256  # of a crop, if no column has a model


class Outcome(NamedTuple):
    """The result of one case.

    Attributes:
        columns: column -> measure -> value.
        features: "column/judge" and "truth/judge" -> [N, D], for distances between sets of all cases.
        tone: skin tone of the source, see `metrics.skin_tone`.
        sheet: contact sheet uint8 [H, W, 3] with tiles of 160 pixels, or None.
        video: frames uint8 [160, W, 3] with images side by side.
    """

    columns: dict[str, dict[str, float]]
    features: dict[str, np.ndarray]
    tone: float
    sheet: np.ndarray | None
    video: list[np.ndarray]


class Judge:
    """Measures cases; the networks are loaded once."""

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        """Loads all networks. Raises BadInput for settings that fit nothing.

        Args:
            chosen: settings of conf/benchmark.yaml.
        """
        self.chosen = chosen
        self.detector = detector(**chosen["landmarks"])
        self.mediapipe = self.detector if isinstance(self.detector, MediaPipeDetector) else MediaPipeDetector()
        self.columns = make_columns(chosen, self.detector)
        # Frames of a smaller model are enlarged.
        sizes = [checkpoint.about["spec"]["size"] for checkpoint in checkpoints(chosen).values()]
        self.size = max(sizes, default=_DEFAULT_SIZE_PX)
        self.identity = metrics.Identity(chosen["csim"])
        self.vgg = metrics.VGGDistance(chosen["vgg"]) if chosen["vgg"] else None
        self.lpips = LPIPS(chosen["lpips"]) if chosen["lpips"] else None
        self.inception = InceptionFeatures(chosen["fid"]) if chosen["fid"] else None

    def __call__(self, case: Case) -> Outcome:
        """Measures one case with every column.

        Raises:
            BadInput: a column failed. A table holds only cases that every column could do.
            NoFaceFound: the first source shows no face.
        """
        scene, compared, sequence = self.scene(case)
        made = {}
        for name, column in self.columns.items():
            if case.source == case.driver and getattr(column, "shows_the_driver", False):
                continue  # the driver's mouth and skin are the answer
            try:
                made[name] = column(scene)
            except Exception as error:
                raise BadInput(f"{name}: {type(error).__name__}: {error}") from error
        truth = scene.driver[compared] if case.source == case.driver else None
        target = self._features(scene.driver, scene.driver_faces, compared, sequence)
        person = self.embedded(scene.sources[:1], scene.source_faces[:1]) if truth is None else target["embedding"]
        references = self._references(scene) if truth is None else None
        results, columns, features = {}, {}, {}
        for name, frames in made.items():
            faces = {i: scene.face(frames[i]) for i in scene.wanted}
            result = self._features(frames, faces, compared, sequence)
            results[name], features[f"{name}/csim"] = result["images"], result["embedding"]
            columns[name] = motion_errors(result, target, references)
            columns[name]["csim"] = common.mean(metrics.csim(result["embedding"], person))
        if truth is not None:
            features["truth/csim"], results["truth"] = target["embedding"], truth
            for name, values in self._image_errors(results, truth).items():
                columns[name] |= values
            if isinstance(case.driver, PicturePair):
                masks = compared_regions(case.driver, truth[0], scene.face(truth[0]))
                for name, values in region_errors(results, truth, masks, self.vgg).items():
                    columns[name] |= values
        if self.inception is not None:
            features |= {f"{name}/fid": self.inception(images) for name, images in results.items()}
        columns = {name: {key: values[key] for key in MEASURES if key in values} for name, values in columns.items()}
        tone = metrics.skin_tone(scene.sources[0], _stack(scene.source_faces[:1])[0])
        if not self.chosen["videos"]:
            return Outcome(columns, features, tone, None, [])
        sheet, video = self._sheet(scene, made, compared), self._video(scene, made, sequence)
        return Outcome(columns, features, tone, sheet, video)

    def scene(self, case: Case) -> tuple[Scene, list[int], list[int]]:
        """Returns the scene, and the numbers of the compared and of the consecutive frames."""
        driver = case.driver.frames(self.size, self.detector)
        pictures = case.protocol in TURNS
        reference: int | None = 0
        if pictures:
            sources, compared, sequence = driver[:1], [1], [1]
        elif case.protocol == "identity_round_trip":
            driver, sources, compared, sequence = driver[:1], driver[:1], [0], [0]
        else:
            source_numbers, compared, sequence = choose_frames(
                len(driver), case.k_shot, self.chosen["frames"], self.chosen["sequence_length"]
            )
            same = case.source == case.driver
            sources = driver[source_numbers] if same else case.source.frames(self.size, self.detector)[:1]
            reference = source_numbers[0] if same else None
        smoothing = 0.0 if pictures else 1.0
        scene = Scene(list(sources), driver, sorted({*compared, *sequence}), self.detector, smoothing, reference)
        if scene.source_faces[0] is None:
            raise NoFaceFound(f"{case.source.name}: no face in the source")
        return scene, compared, sequence

    def _features(
        self, frames: Any, faces: Mapping[int, Landmarks | None], compared: list[int], sequence: list[int]
    ) -> dict[str, np.ndarray]:
        """Returns the compared frames with their features, and the consecutive frames with their landmarks.

        Args:
            frames: number -> image uint8 [S, S, 3].
            faces: number -> landmarks, or None without a face.
            compared: numbers of the compared frames.
            sequence: numbers of the consecutive frames.
        """
        images = np.stack([frames[i] for i in compared])
        blendshapes = [self.mediapipe.expression(image) for image in images]
        return {
            "images": images,
            "landmarks": _stack([faces[i] for i in compared]),
            "embedding": self.embedded(images, [faces[i] for i in compared]),
            "expression": np.stack(
                [np.full(N_BLENDSHAPES, np.nan) if shapes is None else shapes for shapes in blendshapes]
            ),
            "sequence_images": np.stack([frames[i] for i in sequence]),
            "sequence_landmarks": _stack([faces[i] for i in sequence]),
        }

    def _references(self, scene: Scene) -> tuple[Reference, Reference]:
        """Returns what changes of source and driver are measured from: the source, and the driver's nearest frame."""
        (face,) = filter(None, scene.source_faces[:1])
        number = choose_reference(CanonicalFace.of(face), map(CanonicalFace.of, scene.motion.landmarks))
        return self._reference(scene.sources[0]), self._reference(scene.driver[number])

    def _reference(self, image: np.ndarray) -> Reference:
        scores = self.mediapipe.expression(image)
        landmarks = _stack([next(iter(self.detector.detect(image)), None)])[0]
        return Reference(np.full(N_BLENDSHAPES, np.nan) if scores is None else scores, landmarks)

    def embedded(self, images: Sequence[np.ndarray] | np.ndarray, faces: list[Landmarks | None]) -> np.ndarray:
        """Returns identity embeddings, [N, D]."""
        return self.identity(np.asarray(images), _stack(faces)[..., :2])

    def _image_errors(self, results: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, dict[str, float]]:
        """Returns column -> measure -> value of images [N, S, S, 3] against true frames."""
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
        if self.vgg is not None and names:  # all at once: features of the true frames are computed once
            distances = self.vgg.to_each(truth, [results[name] for name in names])
            for name, distance in zip(names, distances, strict=True):
                values[name]["vgg"] = common.mean(distance)
        return values

    def _sheet(self, scene: Scene, made: Mapping[str, Any], compared: list[int]) -> np.ndarray:
        """Returns a row for the driver and each column; every row begins with the source."""
        spaced = np.linspace(0, len(compared) - 1, min(_SHEET_FRAMES, len(compared))).round().astype(int)
        columns: list[Any] = [scene.driver, *made.values()]
        rows = [[scene.sources[0], *(frames[i] for i in np.array(compared)[spaced])] for frames in columns]
        return image_grid([[_tile(image) for image in row] for row in rows])

    def _video(self, scene: Scene, made: Mapping[str, Any], sequence: list[int]) -> list[np.ndarray]:
        """Returns frames with source, driver and columns side by side."""
        columns: list[Any] = [scene.driver, *made.values()]
        rows = [[scene.sources[0], *(frames[i] for frames in columns)] for i in sequence]
        return [image_grid([[_tile(image) for image in row]]) for row in rows]


def _tile(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)


def _stack(faces: list[Landmarks | None]) -> np.ndarray:
    """Returns landmarks [N, 70, 3]; NaN without a face."""
    return np.stack([np.full((N_POINTS, 3), np.nan) if face is None else face.to_array()[:N_POINTS] for face in faces])


def hashes(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns name and sha256 of each judging network, None for one that is not used."""
    names = {"vgg": "VGG-19", "csim": metrics.Identity(chosen["csim"]).name, "lpips": "LPIPS", "fid": "FID Inception"}
    found: dict[str, Any] = {}
    for key, name in names.items():
        value = chosen[key]
        file = Path(value) if value and Path(value).is_file() else None
        found[key] = {"name": name, "sha256": common.sha256(file) if file else value} if value else None
    return found
