"""Parses photographs and paintings into background, body and head, with the shipped network."""

from __future__ import annotations

import threading
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.convert import to_float
from fewshot_heads.imaging.matting import head_share, refine_matte, unmix_edges
from fewshot_heads.landmarks.networks import sigmoid
from fewshot_heads.models.backends import open_parser
from fewshot_heads.models.network import Network

_lock = threading.Lock()
_MAX_ASPECT_RATIO = 4 / 3  # beyond it, an image is padded before it is squeezed to a square, as in training
_EDGE_SQUARE_FRACTION = 1 / 64  # by which the network misses edges
_LEAST_OPACITY = 0.25  # of the pixels of a region
_LEAST_ISLAND = 0.1  # area of a region over that of the largest one; a smaller region is an error
_STEEPNESS = 2.5
_NARROW_PX = 4  # a body that is narrower, as the network sees it, is an error


class Mattes(NamedTuple):
    """Opacities of the layers of a portrait.

    The body is `person - head`, the background `1 - person`.

    Attributes:
        person: float32 [H, W], 0 to 1, persons with hair, hats and clothes.
        head: float32 [H, W], 0 to 1, face, ears, hair, hats and beards; nowhere above the person.
    """

    person: np.ndarray
    head: np.ndarray


def parse(image: np.ndarray) -> Mattes:
    """Returns the mattes of person and head.

    The network reads 256 x 256 pixels and their mirror image. The edges are then refined at the image's resolution.

    Args:
        image: uint8 RGB [H, W, 3], best a square of 2 to 4 faces around a face.
    """
    with _lock:  # or the first threads would each load the network
        network = _network()
    padded, corner = _padded(image)
    size, (rows, columns) = network.size, padded.shape[:2]
    interpolation = cv2.INTER_AREA if max(rows, columns) > size else cv2.INTER_LINEAR
    square = cv2.resize(padded, (size, size), interpolation=interpolation)
    ((logits, mirrored),) = network(to_float(np.stack([square, square[:, ::-1]])))
    whole, head_in_it = sigmoid((logits + mirrored[..., ::-1]) / 2)  # as `models.parsing.mattes`
    person, head = (_steepened(_without_islands(matte)) for matte in (whole, whole * head_in_it))
    share = head_share(person, head, _NARROW_PX)

    zoom = np.array([size / columns, size / rows])
    to_square = np.column_stack([np.diag(zoom), (corner + 0.5) * zoom - 0.5])
    radius = _EDGE_SQUARE_FRACTION * max(rows, columns)
    person, share = (refine_matte(image, _resampled(matte, to_square, image), radius) for matte in (person, share))
    person = unmix_edges(image, person)
    return Mattes(person, person * share)


def person_matte(image: np.ndarray) -> np.ndarray:
    """Returns the opacity of persons, with hair and clothes, float32 [H, W], 0 to 1.

    Args:
        image: uint8 RGB [H, W, 3].
    """
    return parse(image).person


def _padded(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image with repeated edges and a bearable aspect ratio, and where the image is in it, (x, y)."""
    sides = np.array(image.shape[1::-1])
    missing = np.maximum(np.ceil(sides.max() / _MAX_ASPECT_RATIO).astype(int) - sides, 0)
    (left, top), (right, bottom) = missing // 2, missing - missing // 2
    return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REPLICATE), np.array([left, top])


def _without_islands(matte: np.ndarray) -> np.ndarray:
    """Returns a matte without regions that are much smaller than the largest one."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats((matte > _LEAST_OPACITY).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.append(False, areas >= _LEAST_ISLAND * areas.max(initial=0))
    return matte * kept[regions]


def _steepened(matte: np.ndarray) -> np.ndarray:
    """Returns a matte with narrower edges, because refining would spread over wide ones."""
    return (0.5 + _STEEPNESS * (matte - 0.5)).clip(0, 1).astype(np.float32)


def _resampled(matte: np.ndarray, matrix: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns a matte of the square at the resolution of an image, along a map from the image to the square."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(matte, matrix, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


@cache
def _network() -> Network:
    return open_parser()
