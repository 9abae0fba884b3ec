"""One source to its shots: follow the face, cut where it jumps or is gone, filter, crop, compress.

A video is read twice, first for the landmarks and then for the pictures, so memory holds one shot of JPEGs at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.datasets.shards import Sample
from fewshot_heads.driving.tracking import track
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.images import read_image
from fewshot_heads.media.video_reader import Video
from fewshot_heads.media.video_writer import read_video
from fewshot_heads.preparation.filters import Filters, Reject
from fewshot_heads.preparation.frames import Frames, SceneChangeMeter, sharpness
from fewshot_heads.preparation.sources import Source

_GAP = 0.5  # seconds without a face that end a shot
_CHANGE = 30  # mean difference of two frames, gray levels, that is a cut; the quickest heads stay under 20


@dataclass(frozen=True)
class Shot:
    """What is kept: a clip, and the embedding [E] of its face if a network was given."""

    sample: Sample
    embedding: list[float] | None


class ShotSegmenter:
    """Turns sources into shots.

    network: embeds the faces, or None. `seconds` counts the video looked at since the last source began.
    """

    def __init__(self, limits: Filters, detector: Detector, network: MobileFaceNet | None = None):
        self._limits, self._detector, self._network = limits, detector, network
        self.seconds = 0.0

    def shots(self, root: Path, source: Source) -> Iterator[Shot | Reject]:
        """Every shot of a source, or why it is none. A file that cannot be read is a Reject too, whatever it does."""
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
            except Exception as error:  # whatever a damaged file provokes in a decoder
                yield Reject(source.name, "unreadable", detail=f"{type(error).__name__}: {error}")
        ours = (str(warning.message) for warning in caught if str(warning.message).startswith(f"{path}: "))
        for message in dict.fromkeys(ours):
            yield Reject(source.name, "damaged", detail=message.removeprefix(f"{path}: "))

    def _video(self, path: Path, name: str) -> Iterator[Shot | Reject]:
        limits = self._limits
        video = read_video(path)
        if limits.rate and limits.rate < video.rate:
            video = read_video(path, limits.rate)
        rate = float(video.rate)
        watched = SceneChangeMeter(video)
        try:
            motion = track(watched, [self._detector], smooth=0, rate=rate, name=name)
        finally:
            self.seconds = len(watched.changes) / rate
        cuts = {first for first, _ in motion.shots}
        cuts |= {number for number, change in enumerate(watched.changes) if change > _CHANGE}
        stretches, gaps = _stretches(
            np.setdiff1d(np.arange(len(motion)), motion.lost), sorted(cuts), _GAP * rate, len(motion)
        )
        for first, end in gaps:
            yield Reject(name, "no_face", round(first / rate, 3), round(end / rate, 3))
        plans = []
        for stretch in stretches:
            pieces = int(np.ceil(len(stretch) / (limits.max_seconds * rate)))
            for kept in np.array_split(stretch, pieces):
                faces = [motion.landmarks[number] for number in kept]
                crop = self._crop(faces, motion.frame_size)
                first, end = int(kept[0]), int(kept[-1]) + 1
                facts = {
                    "source": name,
                    "kind": "video",
                    "rate": rate,
                    "start": round(first / rate, 3),
                    "end": round(end / rate, 3),
                    "lost": round(1 - len(kept) / (end - first), 4),
                    **_facts(faces, [crop] * len(faces)),
                }
                failed = limits.fails(facts)
                if failed:
                    yield failed
                else:
                    plans.append((facts, crop, dict(zip(kept.tolist(), faces, strict=True))))
        yield from self._cut(video, plans)

    def _cut(
        self, video: Video, plans: list[tuple[dict[str, Any], Crop, dict[int, Landmarks]]]
    ) -> Iterator[Shot | Reject]:
        """The second reading: plans are (facts, crop, face by frame number), one after another in the video."""
        numbered = enumerate(video if plans else [])
        for facts, crop, faces in plans:
            last = max(faces)
            pictures = Frames(self._network, len(faces))
            for number, frame in numbered:
                if number in faces:
                    pictures.add(crop.cut(frame), crop.to_crop(faces[number]))
                if number == last:
                    break
            yield self._judged({**facts, "boxes": [_box(crop)]}, pictures)

    def _stills(self, root: Path, source: Source) -> Iterator[Shot | Reject]:
        """The pictures of one person as one clip, each with a crop of its own."""
        limits, pictures = self._limits, Frames(self._network, len(source.files))
        boxes: list[list[float]] = []
        sizes: list[float] = []
        for name in source.files:
            try:
                picture = read_image(root / name)
            except BadInput as error:
                yield Reject(name, "unreadable", detail=str(error).removeprefix(f"{root / name}: "))
                continue
            faces = self._detector.detect(picture)[:1]
            if not faces:
                yield Reject(name, "no_face")
                continue
            crop = self._crop(faces, picture.shape[:2])
            facts = {"source": name, "kind": "stills", **_facts(faces, [crop])}
            cut, face = crop.cut(picture), crop.to_crop(faces[0])
            failed = limits.fails(facts) or limits.blurred({**facts, "sharpness": sharpness(cut, face)})
            if failed:
                yield failed
            else:
                pictures.add(cut, face)
                boxes.append(_box(crop))
                sizes.append(faces[0].size)
        if boxes:
            facts = {"source": source.name, "kind": "stills", "face": round(float(np.median(sizes)), 1), "boxes": boxes}
            yield self._judged(facts, pictures)

    def _crop(self, faces: list[Landmarks], frame_size: tuple[int, ...]) -> Crop:
        """The square around a shot's faces, moved and if need be shrunk into the picture: no mirrored edges."""
        height, width = frame_size[:2]
        if self._limits.crop == "full":
            return Crop.full(height, width, self._limits.size)
        crop = Crop.around(faces, self._limits.size)
        side = min(crop.side, height, width)
        shift = (crop.side - side) / 2
        left = float(np.clip(round(crop.left + shift), 0, width - side))
        top = float(np.clip(round(crop.top + shift), 0, height - side))
        return replace(crop, left=left, top=top, side=side)

    def _judged(self, facts: dict[str, Any], pictures: Frames) -> Shot | Reject:
        if not pictures.jpegs:
            return Reject.of(facts, "unreadable")
        facts["sharpness"] = round(float(np.median(pictures.sharpness)), 2)
        sample = Sample({**facts, "size": self._limits.size}, np.array(pictures.landmarks, np.float32), pictures.jpegs)
        return self._limits.blurred(facts) or Shot(sample, pictures.embedding())


def _stretches(
    seen: np.ndarray, cuts: list[int], longest_gap: float, count: int
) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Runs of frames with a face, and the (first, end) of the gaps between them.

    seen: numbers of the frames that show a face. A run ends at a cut and where the face is gone for longer than
    `longest_gap` frames; shorter losses stay inside.
    """
    missing = np.diff(seen, prepend=-1, append=count) - 1
    bounds = [-1, *seen.tolist(), count]
    gaps = [(bounds[i] + 1, bounds[i + 1]) for i in np.flatnonzero(missing > longest_gap)]
    breaks = set(np.flatnonzero(missing > longest_gap)) | set(np.searchsorted(seen, cuts))
    return [run for run in np.split(seen, sorted(breaks - {0, len(seen)})) if len(run)], gaps


def _facts(faces: list[Landmarks], crops: list[Crop]) -> dict[str, float]:
    """face: median size, pixels of the source. outside: how far faces reach out of their crop, in face sizes."""
    boxes = np.array([crop.to_crop(face).box for face, crop in zip(faces, crops, strict=True)])
    sizes = np.array([face.size for face in faces])
    scales = np.array([crop.scale for crop in crops])
    beyond = np.maximum(-boxes[:, :2], boxes[:, 2:] - crops[0].size).max(1) / (sizes * scales)
    return {
        "face": round(float(np.median(sizes)), 1),
        # Not the largest: one slip of the detector is no reason to lose a clip.
        "outside": round(max(0.0, float(np.quantile(beyond, 0.95))), 4),
    }


def _box(crop: Crop) -> list[float]:
    """left, top, side in pixels of the source."""
    return [float(crop.left), float(crop.top), float(crop.side)]
