"""Protocol `turned`: pairs of pictures of one person in one light, told apart by how far the head turns.

The pictures and their poses come from a folder with an index of people, see `preparation.people`.

The masks come from the parsing network. Earlier numbers had MediaPipe's selfie segmenter. On the 199 pictures of the
eight validation people, the IoU of the two kinds of masks is 0.99 (heads), 0.93 (bodies) and 0.94 (backgrounds). So
`l1_body` and `l1_background` cannot be compared with earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.cases import Case, Footage
from fewshot_heads import metrics
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.layers.parsing import person_matte
from fewshot_heads.metrics import VGGDistance
from fewshot_heads.preparation.people import IndexedPicture, read_people_index

PROTOCOL = "turned"
TURNS = {"turned_under_20": (0.0, 20.0), "turned_20_to_40": (20.0, 40.0), "turned_over_40": (40.0, 180.0)}  # degrees
_MIN_PICTURES = 6  # of a recording; fewer leave no choice of targets
_TARGETS = 5  # of each source
_ASIDE_YAW = 32.0  # degrees, of the second source of a recording
_ASIDE_TOLERANCE = 12.0  # degrees; without a picture that near, a recording has only a frontal source
_STILL_BODY_KINDS = ("video frame",)  # in pictures of other kinds the body turns with the head, or the view changes
_HAIR_MARGIN_FACE_FRACTION = 0.12  # of the face box: hair beyond the head's points counts as head
_NECK_MARGIN_FACE_FRACTION = 0.06  # of the face box: skin below the chin that counts as head


@dataclass(frozen=True)
class PicturePair(Footage):
    """A source and a target of one recording, as footage of two frames."""

    still_body: bool = False


def find_recordings(root: str | Path, split: str = "val") -> dict[tuple[str, str], list[IndexedPicture]]:
    """Returns the pictures with a known pose, by identity and recording.

    Args:
        root: folder with an index of people.
        split: of the index.

    Raises:
        BadInput: the folder has no index that can be read, or the index has no picture of the split.
    """
    recordings: dict[tuple[str, str], list[IndexedPicture]] = {}
    for picture in read_people_index(Path(root)):
        if picture.split == split and picture.angles:
            recordings.setdefault((picture.identity, picture.recording), []).append(picture)
    if not recordings:
        raise BadInput(f"people={root}: has no picture with a pose in the split '{split}'")
    return recordings


def turned_cases(root: str | Path, split: str = "val") -> list[Case]:
    """Returns a case for each source and target of a folder of people.

    The sources of a recording are its most frontal picture and one turned aside. The targets are spread over yaw and
    pitch.

    Args:
        root: folder with an index of people.
        split: of the index.

    Raises:
        BadInput: see `find_recordings`.
    """
    cases = []
    for (identity, recording), pictures in sorted(find_recordings(root, split).items()):
        if len(pictures) < _MIN_PICTURES:
            continue
        for source in _choose_sources(pictures):
            for target in _choose_targets(source, pictures):
                turn = turn_between(_angles(source), _angles(target))
                protocol = next(name for name, (low, high) in TURNS.items() if low <= turn < high)
                name = f"{recording} {Path(source.path).stem} to {Path(target.path).stem}"
                paths = (Path(root) / source.path, Path(root) / target.path)
                pair = PicturePair(identity, name, paths, source.kind in _STILL_BODY_KINDS)
                cases.append(Case(protocol, 1, pair, pair))
    return cases


def turn_between(angles: Sequence[float], others: Sequence[float]) -> float:
    """Returns the angle of the rotation between two poses (yaw, pitch, roll), degrees."""
    relative = _rotation(angles).T @ _rotation(others)
    return float(np.degrees(np.arccos(np.clip((np.trace(relative) - 1) / 2, -1, 1))))


def _angles(picture: IndexedPicture) -> tuple[float, float, float]:
    assert picture.angles is not None  # `find_recordings` leaves the others out
    return picture.angles


def _rotation(angles: Sequence[float]) -> np.ndarray:
    yaw, pitch, roll = np.radians(angles)
    vectors = ([pitch, 0, 0], [0, yaw, 0], [0, 0, roll])
    about_x, about_y, about_z = (cv2.Rodrigues(np.array(vector, np.float64))[0] for vector in vectors)
    return about_z @ about_y @ about_x


def _choose_sources(pictures: Sequence[IndexedPicture]) -> list[IndexedPicture]:
    frontal = min(pictures, key=lambda picture: turn_between(_angles(picture), (0, 0, 0)))
    aside = min(pictures, key=lambda picture: abs(abs(_angles(picture)[0]) - _ASIDE_YAW))
    has_aside = aside is not frontal and abs(abs(_angles(aside)[0]) - _ASIDE_YAW) <= _ASIDE_TOLERANCE
    return [frontal, aside] if has_aside else [frontal]


def _choose_targets(source: IndexedPicture, pictures: Sequence[IndexedPicture]) -> list[IndexedPicture]:
    """Returns pictures far from the source and from each other in yaw and pitch (farthest point sampling)."""
    poses = np.array([_angles(picture)[:2] for picture in pictures])
    distance = np.linalg.norm(poses - np.array(_angles(source)[:2]), axis=1)
    distance[[picture is source for picture in pictures]] = -1
    chosen: list[int] = []
    while len(chosen) < min(_TARGETS, len(pictures) - 1):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(poses - poses[chosen[-1]], axis=1))
        distance[chosen] = -1
        distance[[picture is source for picture in pictures]] = -1
    return [pictures[i] for i in sorted(chosen)]


def compared_regions(pair: PicturePair, image: np.ndarray, face: Landmarks | None) -> dict[str, np.ndarray]:
    """Returns the head of a target, and body and background if they stay in their places; bool [S, S] each.

    The head is the person around the head's points, with a margin for hair, down to the chin.

    Args:
        pair: the footage.
        image: the target, uint8 [S, S, 3].
        face: its landmarks, pixels.

    Raises:
        NoFaceFound: the target shows no face.
    """
    if face is None:
        raise NoFaceFound(f"{pair.name}: no face in the target")
    size, points = len(image), control_points(face)
    person = person_matte(image) > 0.5
    hull = soft_hull(points, size, _HAIR_MARGIN_FACE_FRACTION * face.size) > 0.5
    above_chin = np.arange(size)[:, None] < face.points[:17, 1].max() + _NECK_MARGIN_FACE_FRACTION * face.size
    head = (hull & person & above_chin) | (soft_hull(points, size) > 0.5)
    masks = {"head": head}
    if pair.still_body:
        masks |= {"body": person & ~head, "background": ~person & ~head}
    return {name: mask for name, mask in masks.items() if mask.any()}


def region_errors(
    results: Mapping[str, np.ndarray], truth: np.ndarray, masks: Mapping[str, np.ndarray], vgg: VGGDistance | None
) -> dict[str, dict[str, float]]:
    """Returns column -> measure -> value in the regions of a target.

    Args:
        results: column -> images uint8 [1, S, S, 3]; an entry "truth" is left out.
        truth: uint8 [1, S, S, 3].
        masks: see `compared_regions`.
        vgg: measures the head, if given.
    """
    results = {name: images for name, images in results.items() if name != "truth"}
    values = {
        name: {f"l1_{region}": metrics.l1(images, truth, mask).item() for region, mask in masks.items()}
        for name, images in results.items()
    }
    if vgg is not None:
        distances = vgg.to_each(truth, list(results.values()), masks["head"][None])
        for name, (distance,) in zip(results, distances, strict=True):
            values[name]["vgg_head"] = float(distance)
    return values
