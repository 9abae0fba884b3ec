"""Fits an `Appearance`: people as layers, aligned to the mean face, and their principal components."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.creative.appearance.model import MAPS, Appearance, warp
from fewshot_heads.creative.appearance.portraits import PortraitFrame
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import MIRROR, N_POINTS
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.pose import HEAD_ANCHORS

DIRECTIONS = 64  # of the model
LEADING = 6  # numbers stored of a training person
MIXTURE_PARTS = 3
_MIN_PEOPLE = 8
_OUTLIER_FRACTION = 0.25  # people least like the others are left out: glasses, caps, hands and shadows
_FACE_MARGIN_HULL_FRACTION = 0.1  # beyond the hull of all points; details are kept there, with ears and chin
_FACE_BLUR_PIXELS = 5  # of 256
_TINT_KEPT_FRACTION = 0.4  # of a face's tint beyond that of faces of its brightness
_MAX_OUTLINE_PIXELS = 40.0  # of 256: beyond it the distance from an outline does not matter
_BLOCK_WEIGHTS = {"points": 1.0, "brightness": 1.3, "colour": 0.5, "hair": 0.4, "outline": 0.7}  # of their variance
_ANCHOR_MIRROR = np.array([((HEAD_ANCHORS * [-1, 1, 1] - anchor) ** 2).sum(1).argmin() for anchor in HEAD_ANCHORS])
_POINT_MIRROR = np.concatenate([MIRROR, N_POINTS + _ANCHOR_MIRROR])


def learn(
    people: Sequence[PortraitFrame], directions: int = DIRECTIONS
) -> tuple[Appearance, list[PortraitFrame], np.ndarray]:
    """Returns the model, the people it was fitted to, and their codes [N, K].

    Each person counts twice, also as a mirror image. The quarter least like the others is left out: what few directions
    cannot describe is an object on a face.

    Args:
        people: one frontal picture each.
        directions: K.

    Raises:
        BadInput: there are too few people, or pictures of several sizes.
    """
    if len(people) < _MIN_PEOPLE:
        raise BadInput(
            f"{len(people)} people sit well for a portrait, {_MIN_PEOPLE} at least are needed; "
            "prepare more, frontal ones"
        )
    sizes = sorted({person.picture.shape[0] for person in people})
    if len(sizes) > 1:
        raise BadInput(f"pictures of {' and '.join(map(str, sizes))} pixels; prepare all with one size")
    shapes, mean = _aligned([control_points(person.landmarks).astype(np.float64) for person in people])
    face = _face_mask(mean + _FACE_MARGIN_HULL_FRACTION * (mean - mean.mean(0)), people[0].picture.shape[0])
    pairs = zip(people, _color_gains(people), strict=True)
    maps = [_layers(person, gain, mean, face) for person, gain in tqdm(pairs, "layers", len(people), disable=None)]
    blocks = {"points": shapes} | {name: np.stack([person_maps[name] for person_maps in maps]) for name in MAPS}
    kept = np.arange(len(people))
    for _ in range(2):  # twice, because outliers bend the directions that tell outliers
        means, components, codes = _principal({k: v[kept] for k, v in blocks.items()}, face, min(directions, 20))
        described = means["brightness"] + np.tensordot(codes[: len(kept)], components["brightness"], 1)
        residuals, unit = (blocks["brightness"][kept] - described)[..., 0], face.shape[0] / 256
        lines = np.array([(rest - cv2.GaussianBlur(rest, (0, 0), 3 * unit)) * face for rest in residuals]) ** 2
        lines /= lines.mean(0) + lines.mean() + 1e-12
        worst = np.array([cv2.GaussianBlur(line, (0, 0), 8 * unit).max() for line in lines])
        kept = kept[worst <= np.quantile(worst, 1 - _OUTLIER_FRACTION / 2)]
    means, components, codes = _principal({k: v[kept] for k, v in blocks.items()}, face, directions)
    return _with_density(means, components, codes), [people[int(i)] for i in kept], codes[: len(kept)]


def _with_density(means: dict, components: dict, codes: np.ndarray) -> Appearance:
    """Returns the model with a mixture fitted to codes [2 N, K]: people, then their mirror images."""
    from sklearn.mixture import GaussianMixture

    leading = codes[:, :LEADING]
    # Regularized: otherwise a part of the mixture could be three people.
    mixture = GaussianMixture(min(MIXTURE_PARTS, len(codes) // 8 + 1), reg_covar=0.3, random_state=0).fit(leading)
    common = np.cov(leading.T)
    spreads = np.linalg.cholesky((mixture.covariances_ + common) / 2)
    count = len(codes) // 2
    between = np.linalg.norm(leading[:count, None] - leading[None], axis=-1)
    person = np.arange(count)
    between[person, person] = between[person, person + count] = np.inf
    min_distance = float(np.percentile(between.min(1), 5))
    return Appearance(means, components, leading, mixture.weights_, mixture.means_, spreads, min_distance)


def _aligned(shapes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns points [N, P, 2] without translation, roll and scale, and their symmetric mean [P, 2], pixels.

    Generalized Procrustes analysis (Gower, 1975).
    """
    size = np.mean([np.linalg.norm(shape - shape.mean(0)) for shape in shapes])
    mean = np.mean(shapes, axis=0)
    for _ in range(5):
        aligned = np.stack([_align(shape, mean) for shape in shapes])
        mean = aligned.mean(0)
        center = mean.mean(0)
        mean = (mean + (mean[_POINT_MIRROR] - center) * [-1, 1] + center) / 2
        mean = (mean - center) * size / np.linalg.norm(mean - center) + center
    return aligned, mean


def _align(points: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns points [P, 2] after the similarity that brings them nearest to the mean (Umeyama, PAMI 1991)."""
    centered, target = points - points.mean(0), mean - mean.mean(0)
    u, singular, vt = np.linalg.svd(centered.T @ target)
    return centered @ (u @ vt) * singular.sum() / (centered**2).sum() + mean.mean(0)


def _color_gains(people: Sequence[PortraitFrame]) -> np.ndarray:
    """Returns channel gains [N, 3] that remove the color of the light from each picture (von Kries).

    Skin has a tint that depends on its brightness. The rest of a face's tint is mostly light and camera.
    """
    faces = [_face_mask(person.landmarks.points, person.picture.shape[0]) > 0.5 for person in people]
    colors = np.log([person.picture[face].mean(0) + 1 for person, face in zip(people, faces, strict=True)])
    brightness, gains = colors[:, 1], np.ones_like(colors)
    for channel in (0, 2):
        tint = colors[:, channel] - brightness
        expected = np.polyval(np.polyfit(brightness, tint, 1), brightness)
        gains[:, channel] = np.exp((_TINT_KEPT_FRACTION - 1) * (tint - expected))
    return gains


def _layers(portrait: PortraitFrame, gain: np.ndarray, mean: np.ndarray, face: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the MAPS of a person, aligned to the mean points [P, 2].

    Args:
        portrait: the person.
        gain: [3], see `_color_gains`.
        mean: [P, 2], pixels.
        face: [S, S], 0 to 1, where details are kept.
    """
    unit = portrait.picture.shape[0] / 256
    stack = np.dstack([np.clip(portrait.picture / 255 * gain, 0, 1), portrait.person, portrait.hair])
    stack = warp(stack, control_points(portrait.landmarks), mean)
    picture, person, hair = stack[..., :3], stack[..., 3], stack[..., 4]
    # Colors come from well inside, free of background, and are extended outward.
    skin = cv2.erode(((person > 0.8) & (hair < 0.3)).astype(np.float32), _square(4 * unit))
    locks = cv2.erode((hair > 0.7).astype(np.float32), _square(4 * unit))
    body = _extended(picture, skin)
    soft = cv2.GaussianBlur(body, (0, 0), 4 * unit)  # few directions cannot describe clothes
    body = cv2.cvtColor(soft + face[..., None] * (body - soft), cv2.COLOR_RGB2YCrCb)
    strands = _extended(picture, locks) if locks.any() else _extended(body * 0 + picture, skin) * 0.5
    # The body reaches a little under the hair, and the skull wholly, so no backdrop shines between them. Opened first:
    # a strip where hair ends a little inside the person is no skin.
    bare = cv2.morphologyEx(((person > 0.5) & (hair < 0.5)).astype(np.uint8), cv2.MORPH_OPEN, _square(8 * unit))
    body_area = (cv2.dilate(bare, _square(6 * unit)) > 0) | (cv2.erode(face, _square(36 * unit)) > 0.5)
    outline = np.dstack([_signed_distance((person > 0.5) & body_area), _signed_distance(hair > 0.5)])
    outline = np.clip(outline, -_MAX_OUTLINE_PIXELS * unit, _MAX_OUTLINE_PIXELS * unit) / unit
    return {
        "brightness": body[..., :1],
        "colour": _quarter(body[..., 1:]),
        "hair": _quarter(strands),
        "outline": _quarter(outline.astype(np.float32)),
    }


def _extended(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns a picture [S, S, 3] with nearby colors where known [S, S] is 0.

    Push-pull interpolation (Gortler et al., SIGGRAPH 1996).
    """
    weight = known[..., None]
    if min(picture.shape[:2]) <= 2:
        mean = (picture * weight).sum((0, 1)) / max(float(weight.sum()), 1e-6)
        return np.broadcast_to(mean, picture.shape).astype(np.float32)
    half_known = cv2.pyrDown(known)
    half = cv2.pyrDown(picture * weight) / np.maximum(half_known, 1e-4)[..., None]
    nearby = cv2.pyrUp(_extended(half, np.minimum(4 * half_known, 1)), dstsize=picture.shape[1::-1])
    return weight * picture + (1 - weight) * nearby


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Returns the distance inside a mask in pixels, negative outside."""
    inside = mask.astype(np.uint8)
    return cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)


def _face_mask(points: np.ndarray, size: int) -> np.ndarray:
    """Returns a mask float32 [size, size]: 1 within the hull of points, softly to 0."""
    return soft_hull(points, size, blur=_FACE_BLUR_PIXELS * size / 256)


def _square(side: float) -> np.ndarray:
    return np.ones((round(side) + 1,) * 2, np.uint8)


def _quarter(image: np.ndarray) -> np.ndarray:
    side = image.shape[0] // 4
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _principal(
    blocks: dict[str, np.ndarray], face: np.ndarray, directions: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Returns means, components and codes [2 N, K] of blocks [N, ...] and their mirror images, all together.

    Brightness counts fully in the face and a quarter elsewhere. N people give 2 N - 1 directions at most.
    """
    both = {name: np.concatenate([block, _mirrored(name, block)]) for name, block in blocks.items()}
    means = {name: block.mean(0) for name, block in both.items()}
    count = len(both["points"])
    products = np.zeros((count, count))
    for name, block in both.items():
        block -= means[name]
        weighted = (block * (0.25 + 0.75 * face[..., None]) if name == "brightness" else block).reshape(count, -1)
        product = weighted @ weighted.T
        products += _BLOCK_WEIGHTS[name] ** 2 * count * product / max(np.trace(product), 1e-12)
    values, vectors = np.linalg.eigh(products)
    rank = int((values > 1e-6 * values[-1]).sum())
    codes = vectors[:, ::-1][:, : min(directions, rank)] * np.sqrt(count)
    components = {name: np.tensordot(codes.T, block, 1) / count for name, block in both.items()}
    return means, components, codes


def _mirrored(name: str, block: np.ndarray) -> np.ndarray:
    """Returns a block [N, ...] of the people's mirror images."""
    if name != "points":
        return block[:, :, ::-1]
    center = block.mean((0, 1))
    return (block[:, _POINT_MIRROR] - center) * [-1, 1] + center
