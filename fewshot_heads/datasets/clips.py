"""Self-reenactment pairs from a folder of head clips: two pictures of one person, source and driver.

Layout: `<root>/<identity>/<name>.mp4` (or pictures), every frame a square head crop. Frames and landmarks are
unpacked once into a cache folder and memory-mapped from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from fewshot_heads.errors import BadInput
from fewshot_heads.images import read_image
from fewshot_heads.landmarks import OUTER_LIPS, Landmarks, detector
from fewshot_heads.landmarks.geometry import control_points
from fewshot_heads.landmarks.stickman import draw_opened, draw_stickman
from fewshot_heads.video import read_video

_PICTURES = {".jpg", ".jpeg", ".png"}
PATCH = 96  # side of the square the perceptual and adversarial terms look at: their cost goes with its area
_CLIPS = {".mp4", ".mov", ".webm", ".avi", ".mpg"}
# iBUG points (and irises) as a mirror shows them.
MIRROR = np.r_[
    16:-1:-1, 26:16:-1, 27:31, 35:30:-1, 45:41:-1, 47, 46, 39:35:-1, 41, 40,
    54:47:-1, 59:54:-1, 64:59:-1, 67:64:-1, 69, 68,
]  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """frames uint8 [T, S, S, 3] and landmarks float32 [T, 70, 3] (pixels, depth last), both memory-mapped."""

    identity: str
    frames: np.ndarray
    landmarks: np.ndarray

    @cached_property
    def openings(self) -> np.ndarray:
        """[T]: gap of the inner lips over the mouth's width."""
        gap = np.linalg.norm(self.landmarks[:, [61, 62, 63], :2] - self.landmarks[:, [67, 66, 65], :2], axis=-1)
        width = np.linalg.norm(self.landmarks[:, 48, :2] - self.landmarks[:, 54, :2], axis=-1)
        return gap.mean(1) / np.maximum(width, 1e-6)


def unpack(root: str | Path, cache: str | Path, size: int = 256) -> list[Clip]:
    """Every clip and picture under root, unpacked into cache (once) and opened from there.

    Frames without a face are dropped. Pictures of one identity form one clip.
    """
    root, cache = Path(root), Path(cache)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; expected <root>/<identity>/*.mp4")
    cache.mkdir(parents=True, exist_ok=True)
    face_finder = None
    clips = []
    for folder in tqdm(sorted(p for p in root.iterdir() if p.is_dir()), "unpack", disable=None):
        files = sorted(folder.iterdir())
        items = [[p] for p in files if p.suffix.lower() in _CLIPS]
        pictures = [p for p in files if p.suffix.lower() in _PICTURES]
        for item in items + ([pictures] if pictures else []):
            base = cache / f"{root.name}__{folder.name}__{item[0].name}__{len(item)}__{size}"
            if not Path(f"{base}.landmarks.npy").exists():
                face_finder = face_finder or detector("mediapipe")
                _unpack_one(item, base, size, face_finder)
            frames = np.load(Path(f"{base}.frames.npy"), mmap_mode="r")
            if len(frames):
                clips.append(Clip(folder.name, frames, np.load(Path(f"{base}.landmarks.npy"))))
    if not clips:
        raise BadInput(f"{root}: no usable clip; expected <root>/<identity>/*.mp4 with faces")
    return clips


def _unpack_one(files: list[Path], base: Path, size: int, face_finder) -> None:
    frames, landmarks = [], []
    for path in files:
        for frame in read_video(path) if path.suffix.lower() in _CLIPS else [read_image(path)]:
            frame = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
            face = face_finder.track(frame)
            if face is not None:
                frames.append(frame)
                landmarks.append(np.column_stack([face.points, face.depth]))
    np.save(Path(f"{base}.frames.npy"), np.array(frames, np.uint8).reshape(-1, size, size, 3))
    np.save(Path(f"{base}.landmarks.npy"), np.array(landmarks, np.float32).reshape(-1, 70, 3))


class Pairs(Dataset):
    """Sample i is a pure function of (seed, i): the order survives a restart and any number of workers.

    An item holds float32 tensors: canvas, source, driver [3, S, S] in [-1, 1] (canvas: the first picture, whose
    background stays; mostly the source itself), canvas_stickman, stickman [3, S, S], source_points,
    driver_points [N, 2] (control points, pixels), opened [1, S, S] (see `Texture`), region [1, S, S] (loss
    weights), identity (index), corner [2] (of the crop that the perceptual and adversarial terms look at).
    """

    def __init__(self, clips: list[Clip], length: int, seed: int = 0):
        self.clips, self.length, self.seed = clips, length, seed
        self.size: int = clips[0].frames.shape[1]
        self.identities = sorted({clip.identity for clip in clips})
        self._by_identity = [[c for c in clips if c.identity == name] for name in self.identities]
        footage = np.array([sum(len(c.frames) for c in group) for group in self._by_identity], float)
        self._odds = np.minimum(footage, 200) ** 0.5 / (np.minimum(footage, 200) ** 0.5).sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        random = np.random.default_rng((self.seed, index))
        identity = random.choice(len(self.identities), p=self._odds)
        group = self._by_identity[identity]
        clip = group[random.choice(len(group))]
        source, driver, canvas = self._choose(clip, random)
        change = _Change.draw(random, self.size)
        faces = {i: change.face(clip.landmarks[i]) for i in {source, driver, canvas}}
        pictures = {i: change.picture(clip.frames[i]) for i in {source, driver, canvas}}
        opened = draw_opened(faces[source].points, faces[driver].points, self.size)
        region = self._region(faces[driver].points) + 8 * opened
        low, high = 0, self.size - PATCH
        on_mouth = random.random() < 0.5
        points = faces[driver].points[OUTER_LIPS if on_mouth else slice(None)]
        centre = points.mean(0) + random.normal(0, 12 if on_mouth else 25, 2)
        return {
            "canvas": _tensor(pictures[canvas]),
            "source": _tensor(pictures[source]),
            "driver": _tensor(pictures[driver]),
            "canvas_stickman": _tensor(draw_stickman(faces[canvas].points, self.size)),
            "stickman": _tensor(draw_stickman(faces[driver].points, self.size)),
            "source_points": torch.from_numpy(control_points(faces[source])),
            "driver_points": torch.from_numpy(control_points(faces[driver])),
            "opened": torch.from_numpy(opened)[None],
            "region": torch.from_numpy(region)[None],
            "identity": torch.tensor(identity),
            "corner": torch.from_numpy(np.clip(centre - PATCH / 2, low, high).astype(np.int64)),
        }

    def _choose(self, clip: Clip, random: np.random.Generator) -> tuple[int, int, int]:
        """Indices of source, driver and canvas: often far apart, sometimes one and the same."""
        driver = int(random.integers(len(clip.frames)))
        if random.random() < 0.08:
            return driver, driver, driver
        if random.random() < 0.4:  # a mouth that opens is rare in most clips, and hard
            by_opening = np.argsort(clip.openings)
            few = max(len(by_opening) // 4, 1)
            source, driver = int(random.choice(by_opening[:few])), int(random.choice(by_opening[-few:]))
            return source, driver, source
        candidates = random.integers(len(clip.frames), size=4)
        apart = np.abs(clip.landmarks[candidates] - clip.landmarks[driver])[..., :2].mean((1, 2))
        source = int(candidates[apart.argmax()] if random.random() < 0.5 else candidates[0])
        canvas = int(random.integers(len(clip.frames))) if random.random() < 0.2 else source
        return source, driver, canvas

    def _region(self, points: np.ndarray) -> np.ndarray:
        """1 everywhere, up to 6 on eyes and mouth, soft-edged; float32 [S, S]."""
        region: np.ndarray = np.zeros((self.size, self.size), np.float32)
        for part in (slice(36, 42), slice(42, 48), slice(48, 60)):
            hull = cv2.convexHull(points[part].round().astype(np.int32))
            cv2.fillConvexPoly(region, hull, 1.0)
        region = cv2.dilate(region, np.ones((9, 9)))
        return 1 + 5 * cv2.GaussianBlur(region, (0, 0), 4)


@dataclass(frozen=True)
class _Change:
    """One augmentation for all pictures of an item: framing, mirror, colours."""

    size: int
    matrix: np.ndarray
    zoom: float
    mirror: bool
    gain: np.ndarray
    offset: np.ndarray
    saturation: float

    @classmethod
    def draw(cls, random: np.random.Generator, size: int) -> _Change:
        zoom, angle = random.uniform(0.88, 1.2), random.normal(0, 6)
        matrix = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom), np.float64)
        matrix[:, 2] += random.uniform(-0.06, 0.06, 2) * size
        saturation = 0.0 if random.random() < 0.06 else random.uniform(0.6, 1.3)
        gain = random.uniform(0.75, 1.25) * random.uniform(0.92, 1.08, 3)
        return cls(size, matrix, zoom, random.random() < 0.5, gain, random.uniform(-15, 15, 3), saturation)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        size, frame = (self.size, self.size), np.asarray(frame)
        frame = cv2.warpAffine(frame, self.matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        frame = frame[:, ::-1] if self.mirror else frame
        grey = frame.mean(2, keepdims=True)
        mixed = (grey + (frame - grey) * self.saturation) * self.gain + self.offset
        return np.clip(mixed, 0, 255).astype(np.uint8)

    def face(self, landmarks: np.ndarray) -> Landmarks:
        points = landmarks[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        depth = landmarks[:, 2] * self.zoom
        if self.mirror:
            points = points[MIRROR] * [-1, 1] + [self.size, 0]
            depth = depth[MIRROR]
        return Landmarks(points.astype(np.float32), depth.astype(np.float32))


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div_(127.5).sub_(1)
