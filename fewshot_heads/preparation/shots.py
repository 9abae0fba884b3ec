"""Divides a source into shots: tracks the face, cuts, filters, crops and compresses.

A video is read twice, first for landmarks and then for frames. Memory holds the JPEGs of one shot at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.datasets.shards import Sample
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.images import read_image
from fewshot_heads.media.video_reader import Video
from fewshot_heads.media.video_writer import read_video
from fewshot_heads.preparation.filters import Filters, Reject
from fewshot_heads.preparation.frames import Frames, SceneChangeMeter, face_runs, sharpness
from fewshot_heads.preparation.sources import Source

_MAX_GAP_SECONDS = 0.5  # a longer time without a face ends a shot
_SCENE_CHANGE_GRAY_LEVELS = 30  # mean difference of two frames that is a cut; the quickest heads stay under 20
# Not the maximum: one error of the detector must not reject a clip.
_OUT_OF_FRAME_QUANTILE = 0.95


@dataclass(frozen=True)
class Shot:
    """A shot that passed the filters.

    Attributes:
        sample: the clip.
        embedding: face embedding, [E]; None without a face network.
    """

    sample: Sample
    embedding: list[float] | None


@dataclass(frozen=True)
class _Plan:
    """A stretch of a video that the second reading compresses.

    Attributes:
        facts: metadata of the shot.
        crop: square around the face, pixels of the source.
        faces: landmarks by frame number, pixels of the source.
    """

    facts: dict[str, Any]
    crop: Crop
    faces: dict[int, Landmarks]


class ShotSegmenter:
    """Divides sources into shots.

    Attributes:
        seconds: length of the video that was read since the last call of `shots`.
    """

    def __init__(self, filters: Filters, detector: Detector, network: MobileFaceNet | None = None):
        """Keeps the detector and network for many sources.

        Args:
            filters: form of the clips and conditions that they must meet.
            detector: finds facial landmarks.
            network: embeds faces; None computes no embedding.
        """
        self._filters, self._detector, self._network = filters, detector, network
        self.seconds = 0.0

    def shots(self, root: Path, source: Source) -> Iterator[Shot | Reject]:
        """Yields every shot of a source, or the reason why a stretch was left out.

        A file that cannot be read yields a Reject. No error of a decoder is raised.

        Args:
            root: folder of footage.
            source: a video or a folder of images below root.
        """
        self.seconds = 0.0
        path = root / source.name
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield from self._stills(root, source) if source.kind == "stills" else self._video(path, source.name)
            except NoFaceFound:
                yield Reject(source.name, "no_face", 0.0, round(self.seconds, 3))
            except BadInput as error:
                yield Reject(source.name, "unreadable", detail=str(error).removeprefix(f"{path}: "))
            except Exception as error:  # a damaged file may raise anything in a decoder
                yield Reject(source.name, "unreadable", detail=f"{type(error).__name__}: {error}")
        messages = (str(warning.message) for warning in caught if str(warning.message).startswith(f"{path}: "))
        for message in dict.fromkeys(messages):
            yield Reject(source.name, "damaged", detail=message.removeprefix(f"{path}: "))

    def _video(self, path: Path, name: str) -> Iterator[Shot | Reject]:
        """Yields the shots of a video."""
        video = read_video(path)
        if self._filters.rate and self._filters.rate < video.rate:
            video = read_video(path, self._filters.rate)
        rate = float(video.rate)
        meter = SceneChangeMeter(video)
        try:
            motion = track(meter, [self._detector], smooth=0, rate=rate, name=name)
        finally:
            self.seconds = len(meter.changes) / rate
        cuts = {first for first, _ in motion.shots}
        cuts |= {number for number, change in enumerate(meter.changes) if change > _SCENE_CHANGE_GRAY_LEVELS}
        with_face = np.setdiff1d(np.arange(len(motion)), motion.lost)
        runs, gaps = face_runs(with_face, sorted(cuts), _MAX_GAP_SECONDS * rate, len(motion))
        for first, end in gaps:
            yield Reject(name, "no_face", round(first / rate, 3), round(end / rate, 3))
        plans = []
        for run in runs:
            pieces = int(np.ceil(len(run) / (self._filters.max_seconds * rate)))
            for numbers in np.array_split(run, pieces):
                plan = self._plan(name, rate, motion, numbers)
                reject = self._filters.geometry_reject(plan.facts)
                if reject:
                    yield reject
                else:
                    plans.append(plan)
        yield from self._compress(video, plans)

    def _plan(self, name: str, rate: float, motion: Motion, numbers: np.ndarray) -> _Plan:
        """Returns crop and metadata of one piece of a video.

        Args:
            name: of the source.
            rate: frames a second.
            motion: the tracked face.
            numbers: [T], ascending frame numbers that show the face.
        """
        faces = [motion.landmarks[number] for number in numbers]
        crop = self._crop(faces, motion.frame_size)
        first, end = int(numbers[0]), int(numbers[-1]) + 1
        facts = {
            "source": name,
            "kind": "video",
            "rate": rate,
            "start": round(first / rate, 3),
            "end": round(end / rate, 3),
            "lost": round(1 - len(numbers) / (end - first), 4),
            **_face_facts(faces, [crop] * len(faces)),
        }
        return _Plan(facts, crop, dict(zip(numbers.tolist(), faces, strict=True)))

    def _compress(self, video: Video, plans: list[_Plan]) -> Iterator[Shot | Reject]:
        """Reads the video again and yields the planned shots, in the order of the video."""
        numbered = enumerate(video if plans else [])
        for plan in plans:
            last = max(plan.faces)
            frames = Frames(self._network, len(plan.faces))
            for number, frame in numbered:
                if number in plan.faces:
                    frames.add(plan.crop.cut(frame), plan.crop.to_crop(plan.faces[number]))
                if number == last:
                    break
            yield self._shot({**plan.facts, "boxes": [_box(plan.crop)]}, frames)

    def _stills(self, root: Path, source: Source) -> Iterator[Shot | Reject]:
        """Yields the images of one person as one clip; each image has its own crop."""
        frames = Frames(self._network, len(source.files))
        boxes: list[list[float]] = []
        sizes: list[float] = []
        for name in source.files:
            try:
                image = read_image(root / name)
            except BadInput as error:
                yield Reject(name, "unreadable", detail=str(error).removeprefix(f"{root / name}: "))
                continue
            faces = self._detector.detect(image)[:1]
            if not faces:
                yield Reject(name, "no_face")
                continue
            crop = self._crop(faces, image.shape[:2])
            facts = {"source": name, "kind": "stills", **_face_facts(faces, [crop])}
            frame, face = crop.cut(image), crop.to_crop(faces[0])
            reject = self._filters.geometry_reject(facts)
            reject = reject or self._filters.sharpness_reject({**facts, "sharpness": sharpness(frame, face)})
            if reject:
                yield reject
            else:
                frames.add(frame, face)
                boxes.append(_box(crop))
                sizes.append(faces[0].size)
        if boxes:
            facts = {"source": source.name, "kind": "stills", "face": round(float(np.median(sizes)), 1), "boxes": boxes}
            yield self._shot(facts, frames)

    def _crop(self, faces: list[Landmarks], frame_size: tuple[int, ...]) -> Crop:
        """Returns the square around the faces of a shot.

        The square is moved, and if necessary shrunk, until the frame contains it. No mirrored border is stored.

        Args:
            faces: landmarks in pixels of the source.
            frame_size: (height, width) of the source, pixels.
        """
        height, width = frame_size[:2]
        if self._filters.crop == "full":
            return Crop.full(height, width, self._filters.size)
        crop = Crop.around(faces, self._filters.size)
        side = min(crop.side, height, width)
        shift = (crop.side - side) / 2
        left = float(np.clip(round(crop.left + shift), 0, width - side))
        top = float(np.clip(round(crop.top + shift), 0, height - side))
        return replace(crop, left=left, top=top, side=side)

    def _shot(self, facts: dict[str, Any], frames: Frames) -> Shot | Reject:
        """Returns the frames as a shot, or a Reject for blurred or missing frames."""
        if not frames.jpegs:
            return Reject.of(facts, "unreadable")
        facts["sharpness"] = round(float(np.median(frames.sharpness)), 2)
        sample = Sample({**facts, "size": self._filters.size}, np.array(frames.landmarks, np.float32), frames.jpegs)
        return self._filters.sharpness_reject(facts) or Shot(sample, frames.embedding())


def _face_facts(faces: list[Landmarks], crops: list[Crop]) -> dict[str, float]:
    """Returns "face" (median size, source pixels) and "outside" (reach out of the crop, face sizes)."""
    boxes = np.array([crop.to_crop(face).box for face, crop in zip(faces, crops, strict=True)])
    sizes = np.array([face.size for face in faces])
    scales = np.array([crop.scale for crop in crops])
    beyond = np.maximum(-boxes[:, :2], boxes[:, 2:] - crops[0].size).max(1) / (sizes * scales)
    return {
        "face": round(float(np.median(sizes)), 1),
        "outside": round(max(0.0, float(np.quantile(beyond, _OUT_OF_FRAME_QUANTILE))), 4),
    }


def _box(crop: Crop) -> list[float]:
    """Returns left, top and side in pixels of the source."""
    return [float(crop.left), float(crop.top), float(crop.side)]
