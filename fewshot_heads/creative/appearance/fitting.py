"""How an `Appearance` is learned: people in layers, in the place of the mean face, and what varies among them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.creative.appearance.model import MAPS, Appearance, warp
from fewshot_heads.creative.appearance.portraits import PortraitFrame
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import MIRROR, N_POINTS
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.pose import HEAD_ANCHORS

DIRECTIONS, LEADING, KINDS = 64, 6, 3  # of the model; numbers kept of a training person; parts of the mixture
_FEWEST = 8  # people
_ODD = 0.25  # of the people, those least like all the others: glasses, caps, hands and shadows
_WIDER = 0.1  # of the hull of all points: where details are kept, ears and chin with them
_LIGHT_KEPT = 0.4  # of how far a face's tint is from what faces of its brightness have
_REACH = 40.0  # pixels of 256 beyond which it does not matter how far away an outline is
_WEIGHTS = {"points": 1.0, "brightness": 1.3, "colour": 0.5, "hair": 0.4, "outline": 0.7}  # of the blocks' variance
_ANCHOR_MIRROR = np.array([((HEAD_ANCHORS * [-1, 1, 1] - each) ** 2).sum(1).argmin() for each in HEAD_ANCHORS])
_POINT_MIRROR = np.concatenate([MIRROR, N_POINTS + _ANCHOR_MIRROR])


def learn(
    people: Sequence[PortraitFrame], directions: int = DIRECTIONS
) -> tuple[Appearance, list[PortraitFrame], np.ndarray]:
    """The model, the people it was learned from, and their codes [N, K].

    Everybody counts twice, as they are and mirrored. The oddest quarter is left out: what no few directions can say is
    not a face but what lies on it. Raises BadInput for too few people.
    """
    if len(people) < _FEWEST:
        raise BadInput(
            f"{len(people)} people sit well for a portrait, {_FEWEST} at least are needed; prepare more, frontal ones"
        )
    sizes = sorted({each.picture.shape[0] for each in people})
    if len(sizes) > 1:
        raise BadInput(f"pictures of {' and '.join(map(str, sizes))} pixels; prepare all with one size")
    shapes, mean = _aligned([control_points(each.landmarks).astype(np.float64) for each in people])
    face = _soft_hull(mean + _WIDER * (mean - mean.mean(0)), people[0].picture.shape[0])
    work = zip(people, _gains(people), strict=True)
    maps = [_layers(each, gain, mean, face) for each, gain in tqdm(work, "layers", len(people), disable=None)]
    blocks = {"points": shapes} | {name: np.stack([each[name] for each in maps]) for name in MAPS}
    kept = np.arange(len(people))
    for _ in range(2):  # those who were odd have bent the directions by which one tells
        means, components, codes = _principal({k: v[kept] for k, v in blocks.items()}, face, min(directions, 20))
        said = means["brightness"] + np.tensordot(codes[: len(kept)], components["brightness"], 1)
        left, u = (blocks["brightness"][kept] - said)[..., 0], face.shape[0] / 256
        lines = np.array([(each - cv2.GaussianBlur(each, (0, 0), 3 * u)) * face for each in left]) ** 2
        lines /= lines.mean(0) + lines.mean() + 1e-12
        worst = np.array([cv2.GaussianBlur(each, (0, 0), 8 * u).max() for each in lines])
        kept = kept[worst <= np.quantile(worst, 1 - _ODD / 2)]
    means, components, codes = _principal({k: v[kept] for k, v in blocks.items()}, face, directions)
    return _with_density(means, components, codes), [people[int(i)] for i in kept], codes[: len(kept)]


def _with_density(means: dict, components: dict, codes: np.ndarray) -> Appearance:
    """codes: [2 N, K], people and then their mirror images."""
    from sklearn.mixture import GaussianMixture

    leading = codes[:, :LEADING]
    # Ridges on the covariances and half of everybody in common keep a part of the mixture from being three people.
    mixture = GaussianMixture(min(KINDS, len(codes) // 8 + 1), reg_covar=0.3, random_state=0).fit(leading)
    common = np.cov(leading.T)
    spreads = np.linalg.cholesky((mixture.covariances_ + common) / 2)
    count = len(codes) // 2
    between = np.linalg.norm(leading[:count, None] - leading[None], axis=-1)
    own = np.arange(count)
    between[own, own] = between[own, own + count] = np.inf
    least = float(np.percentile(between.min(1), 5))
    return Appearance(means, components, leading, mixture.weights_, mixture.means_, spreads, least)


def _aligned(shapes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, P, 2] without place, roll and size, and their symmetric mean: Procrustes (Gower, 1975), pixels."""
    size = np.mean([np.linalg.norm(each - each.mean(0)) for each in shapes])
    mean = np.mean(shapes, axis=0)
    for _ in range(5):
        moved = np.stack([_onto(each, mean) for each in shapes])
        mean = moved.mean(0)
        middle = mean.mean(0)
        mean = (mean + (mean[_POINT_MIRROR] - middle) * [-1, 1] + middle) / 2
        mean = (mean - middle) * size / np.linalg.norm(mean - middle) + middle
    return moved, mean


def _onto(points: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The similarity that carries points nearest to the mean (Umeyama, PAMI 1991)."""
    seen, there = points - points.mean(0), mean - mean.mean(0)
    u, singular, vt = np.linalg.svd(seen.T @ there)
    return seen @ (u @ vt) * singular.sum() / (seen**2).sum() + mean.mean(0)


def _gains(people: Sequence[PortraitFrame]) -> np.ndarray:
    """[N, 3]: what takes the light's color out of each picture, von Kries.

    Skin has a tint that goes with its brightness; what a face's tint differs from that is mostly lamp and camera.
    """
    faces = [_soft_hull(each.landmarks.points, each.picture.shape[0]) > 0.5 for each in people]
    colors = np.log([each.picture[face].mean(0) + 1 for each, face in zip(people, faces, strict=True)])
    brightness, result = colors[:, 1], np.ones_like(colors)
    for channel in (0, 2):
        tint = colors[:, channel] - brightness
        usual = np.polyval(np.polyfit(brightness, tint, 1), brightness)
        result[:, channel] = np.exp((_LIGHT_KEPT - 1) * (tint - usual))
    return result


def _layers(sitter: PortraitFrame, gain: np.ndarray, mean: np.ndarray, face: np.ndarray) -> dict[str, np.ndarray]:
    """MAPS of one person in the place of the mean points [P, 2]; face: where details are kept, [S, S], 0 to 1."""
    size = sitter.picture.shape[0]
    u = size / 256
    seen = np.dstack([np.clip(sitter.picture / 255 * gain, 0, 1), sitter.person, sitter.hair])
    seen = warp(seen, control_points(sitter.landmarks), mean)
    picture, person, hair = seen[..., :3], seen[..., 3], seen[..., 4]
    # Colors are taken well inside, where nothing of the background shines through, and go on to where there are none.
    bare = cv2.erode(((person > 0.8) & (hair < 0.3)).astype(np.float32), _square(4 * u))
    locks = cv2.erode((hair > 0.7).astype(np.float32), _square(4 * u))
    body = _filled(picture, bare)
    soft = cv2.GaussianBlur(body, (0, 0), 4 * u)  # no few directions can say what somebody wears
    body = cv2.cvtColor(soft + face[..., None] * (body - soft), cv2.COLOR_RGB2YCrCb)
    strands = _filled(picture, locks) if locks.any() else _filled(body * 0 + picture, bare) * 0.5
    # The body goes on a little under the hair, and the skull wholly, so that no backdrop shines through between them.
    # Opened first: where hair ends a little inside the person is no skin.
    bald = cv2.morphologyEx(((person > 0.5) & (hair < 0.5)).astype(np.uint8), cv2.MORPH_OPEN, _square(8 * u))
    beneath = (cv2.dilate(bald, _square(6 * u)) > 0) | (cv2.erode(face, _square(36 * u)) > 0.5)
    torso = (person > 0.5) & beneath
    outline = np.clip(np.dstack([_depth(torso), _depth(hair > 0.5)]), -_REACH * u, _REACH * u) / u
    return {
        "brightness": body[..., :1],
        "colour": _small(body[..., 1:]),
        "hair": _small(strands),
        "outline": _small(outline.astype(np.float32)),
    }


def _filled(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The picture [S, S, 3] where known [S, S] is 1, elsewhere what is near; push and pull (Gortler et al., 1996)."""
    weight = known[..., None]
    if min(picture.shape[:2]) <= 2:
        mean = (picture * weight).sum((0, 1)) / max(float(weight.sum()), 1e-6)
        return np.broadcast_to(mean, picture.shape).astype(np.float32)
    less = cv2.pyrDown(known)
    smaller = cv2.pyrDown(picture * weight) / np.maximum(less, 1e-4)[..., None]
    rest = cv2.pyrUp(_filled(smaller, np.minimum(4 * less, 1)), dstsize=picture.shape[1::-1])
    return weight * picture + (1 - weight) * rest


def _depth(mask: np.ndarray) -> np.ndarray:
    """How many pixels inside a mask each place lies; outside it is less than 0."""
    seen = mask.astype(np.uint8)
    return cv2.distanceTransform(seen, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - seen, cv2.DIST_L2, 5)


def _soft_hull(points: np.ndarray, size: int) -> np.ndarray:
    """float32 [size, size]: 1 within the hull of points, softly to 0."""
    mask = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.round().astype(np.int32)), 1.0)
    return cv2.GaussianBlur(mask, (0, 0), 5 * size / 256)


def _square(side: float) -> np.ndarray:
    return np.ones((round(side) + 1,) * 2, np.uint8)


def _small(image: np.ndarray) -> np.ndarray:
    side = image.shape[0] // 4
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _principal(
    blocks: dict[str, np.ndarray], face: np.ndarray, directions: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Means, components and codes [2 N, K] of blocks [N, ...] and their mirror images, all blocks together.

    Of N people at most 2 N - 1 directions can be had. Brightness counts fully in the face, a quarter elsewhere.
    """
    both = {name: np.concatenate([block, _mirrored(name, block)]) for name, block in blocks.items()}
    means = {name: block.mean(0) for name, block in both.items()}
    count = len(both["points"])
    products = np.zeros((count, count))
    for name, block in both.items():
        block -= means[name]
        seen = (block * (0.25 + 0.75 * face[..., None]) if name == "brightness" else block).reshape(count, -1)
        product = seen @ seen.T
        products += _WEIGHTS[name] ** 2 * count * product / max(np.trace(product), 1e-12)
    values, vectors = np.linalg.eigh(products)
    rank = int((values > 1e-6 * values[-1]).sum())
    codes = vectors[:, ::-1][:, : min(directions, rank)] * np.sqrt(count)
    components = {name: np.tensordot(codes.T, block, 1) / count for name, block in both.items()}
    return means, components, codes


def _mirrored(name: str, block: np.ndarray) -> np.ndarray:
    """A block [N, ...] of the same people in the mirror."""
    if name != "points":
        return block[:, :, ::-1]
    middle = block.mean((0, 1))
    return (block[:, _POINT_MIRROR] - middle) * [-1, 1] + middle
