"""The motion of a driver, and the file format of motions that are saved without the driver's pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from fewshot_heads.driving.sequences import LazySequence
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import N_POINTS, N_SURFACE, Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.plausibility import are_faces
from fewshot_heads.media.files import SAVED, atomic_write, write_error
from fewshot_heads.media.images import MAX_DECODED_PIXELS, check_size
from fewshot_heads.media.saved_file import Layout, SavedKind, check_layout, holds, open_saved
from fewshot_heads.media.timed_frames import DEFAULT_RATE
from fewshot_heads.media.video_reader import exact_rate

if TYPE_CHECKING:
    from fewshot_heads.driving.mouth_crop import MouthCrop

_MAX_FILE_BYTES = 2**29  # 54 hours at 25 frames per second take as much; a frame takes 2.7 kB
_KIND = SavedKind(
    "motion", "fewshot_heads.motion.1", _MAX_FILE_BYTES, "track the driver again",
    "make one with python -m fewshot_heads.track",
)  # fmt: skip
_MAX_NAME = 255  # characters
_MAX_FRAME_SIDES = 8  # distance of a landmark from the frame's corner
_MIN_FACE_PIXELS = 1.0


@dataclass(frozen=True)
class Motion:
    """Landmarks of a driving video, one face for each frame.

    `track` leaves landmarks, mouths and shading in a temporary file, which takes about 20 kB a frame.

    Attributes:
        landmarks: one face for each frame, frame pixels.
        lost: indices of the frames without a detected face. They hold the nearest earlier face, or the first one.
        shots: frame ranges (first, end) between cuts.
        frame_size: height and width of a frame, pixels.
        name: name of the driver, for messages.
        mouths: one mouth for each frame. None if they were not kept, or if the driver has no images.
        rate: frames per second.
        reference: index of the frame that corresponds to every source image, such as a neutral face. None takes the
            `driving.reference.reference_face` of each source.
        shading: of the driver's skin in each frame (`driving.shading`). None as for `mouths`, and without a surface.
    """

    landmarks: Sequence[Landmarks]
    lost: list[int]
    shots: list[tuple[int, int]]
    frame_size: tuple[int, int]
    name: str = "the driver"
    mouths: Sequence[MouthCrop] | None = None
    rate: Fraction = DEFAULT_RATE
    reference: int | None = None
    shading: Sequence[np.ndarray] | None = None

    def __len__(self) -> int:
        """Returns the number of frames."""
        return len(self.landmarks)

    def cropped(self, size: int, full: bool = False, within: Crop | None = None) -> Sequence[Landmarks]:
        """Returns the landmarks in crop pixels, with one crop for each shot.

        Args:
            size: side of the crop, pixels.
            full: whether the crop is the frame's largest centered square, instead of a square around the shot's faces.
            within: where this crop lies in a larger one (`Head.usual`). The result is then in pixels of the larger one.
        """
        crops = self.crops(size, full)

        def cropped(frame: int) -> Landmarks:
            face = crops[frame].to_crop(self.landmarks[frame])
            return within.from_crop(face) if within else face

        return LazySequence(cropped, range(len(crops)))

    def crops(self, size: int, full: bool = False) -> list[Crop]:
        """Returns the crop of each frame, which is the same within a shot.

        Args:
            size: side of the crop, pixels.
            full: as in `cropped`.
        """
        crops: list[Crop] = []
        for first, end in self.shots:
            faces = (self.landmarks[i] for i in range(first, end))
            crops += [Crop.full(*self.frame_size, size) if full else Crop.around(faces, size)] * (end - first)
        return crops

    def describe_lost(self) -> str:
        """Returns the lost frames as ranges for a message: "12-40, 57"."""
        ranges: list[list[int]] = []
        for frame in self.lost:
            if ranges and frame == ranges[-1][-1] + 1:
                ranges[-1][1:] = [frame]
            else:
                ranges.append([frame])
        return ", ".join("-".join(map(str, bounds)) for bounds in ranges)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes the motion to a `.safetensors` file, without mouths and shading: nothing of the driver's pixels.

        Args:
            path: the file.
            overwrite: whether an existing file is replaced.

        Raises:
            BadInput: the motion has no frame, or values out of range.
            OutputError: the file cannot be written.
        """
        path = Path(path)
        faces = [face.to_array() for face in self.landmarks]
        if len({len(points) for points in faces}) != 1:
            raise BadInput(
                f"{self.name}: some faces have a surface and some do not; track the driver with one detector"
            )
        tensors = {
            "landmarks": np.stack(faces),
            "confidence": np.array([face.confidence for face in self.landmarks], np.float32),
            "lost": np.array(self.lost, np.int64),
            "shots": np.array(self.shots, np.int64).reshape(-1, 2),
            "frame_size": np.array(self.frame_size, np.int64),
        }
        _check(tensors)
        about = {"format": _KIND.format, "rate": str(self.rate), "name": json.dumps(Path(self.name).name)}
        if self.reference is not None:
            about["reference"] = str(self.reference)
        with atomic_write(path, (SAVED,), overwrite) as part:
            try:
                part.write_bytes(save(tensors, about))
            except OSError as error:
                raise write_error(path, error) from error

    @classmethod
    def load(cls, path: str | Path) -> Motion:
        """Returns a motion from a file that `save` wrote.

        Args:
            path: the file.

        Raises:
            BadInput: no such file, a file of another kind, or a value out of range.
        """
        with open_saved(Path(path), _KIND, "numpy") as (file, about):
            check_layout(file, _KIND.noun, _LAYOUT)
            tensors = {key: file.get_tensor(key) for key in _LAYOUT}
            _check(tensors)
            points, confidence = tensors["landmarks"], tensors["confidence"].tolist()
            height, width = tensors["frame_size"].tolist()
            shots = [(first, end) for first, end in tensors["shots"].tolist()]
            rate, name = exact_rate(about["rate"]), str(json.loads(about["name"]))[:_MAX_NAME]
            reference = int(about["reference"]) if "reference" in about else None
            _require(reference is None or 0 <= reference < len(points), f"reference {reference}", "one of the frames")

        def face(frame: int) -> Landmarks:
            return Landmarks.from_array(points[frame], confidence[frame])

        frames = range(len(points))
        return cls(
            LazySequence(face, frames), tensors["lost"].tolist(), shots, (height, width), name, None, rate, reference
        )  # fmt: skip


_LAYOUT: Layout = {
    "landmarks": ("F32", (None, None, 3)),
    "confidence": ("F32", (None,)),
    "lost": ("I64", (None,)),
    "shots": ("I64", (None, 2)),
    "frame_size": ("I64", (2,)),
}


def is_motion(path: Path) -> bool:
    """Returns whether a `.safetensors` file says that it holds a motion, of any version."""
    return holds(path, _KIND)


def _check(tensors: dict[str, np.ndarray]) -> None:
    """Raises BadInput for values that are no motion."""
    points, confidence, lost, shots, frame_size = (tensors[name] for name in _LAYOUT)
    count = len(points)
    _require(count > 0, "no frame", "one at least")
    _require(points.shape[1] in (N_POINTS, N_POINTS + N_SURFACE), f"{points.shape[1]} landmarks", "70 or 221")
    height, width = frame_size.tolist()
    check_size("a motion's frames", width, height, MAX_DECODED_PIXELS)
    largest = _MAX_FRAME_SIDES * int(frame_size.max())
    has_depth = ~np.isnan(points[:, :N_POINTS, 2]).any(1)
    known = np.concatenate([points[..., :2].reshape(count, -1), points[:, N_POINTS:, 2]], 1)
    near = (np.abs(known) <= largest).all() and (np.abs(points[has_depth, :N_POINTS, 2]) <= largest).all()
    _require(bool(near), "landmarks with NaN or far from the frame", f"pixels up to {largest}")
    sizes = np.ptp(points[:, :N_POINTS, :2], axis=1).max(1)
    _require(bool((sizes >= _MIN_FACE_PIXELS).all()), "a face without size", "a pixel at least")
    _require(are_faces(points), "landmarks that span no face", "two eyes and a mouth")
    _require(bool(((confidence >= 0) & (confidence <= 1)).all()), "confidence out of range", "0 to 1")
    _require(len(confidence) == count, f"{len(confidence)} confidences", f"{count}")
    _require(bool(((lost >= 0) & (lost < count)).all()), "lost frames out of range", f"0 to {count - 1}")
    joined = len(shots) > 0 and shots[0, 0] == 0 and shots[-1, 1] == count
    joined = joined and (shots[:-1, 1] == shots[1:, 0]).all() and (shots[:, 0] < shots[:, 1]).all()
    _require(bool(joined), "shots that do not follow each other", f"frames 0 to {count}")


def _require(fits: bool, came: str, expected: str) -> None:
    """Raises BadInput for a value of a motion that does not fit."""
    if not fits:
        raise BadInput(f"motion: got {came}, expected {expected}")
