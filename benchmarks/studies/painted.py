"""Study: the neck and the back of a turned head, which are painted, beside what the true picture shows there.

python -m benchmarks.studies.painted people=FOLDER [split=train]

Prints, for pairs that turn by more than 20 degrees, the light of the true picture over that of the result in each
channel, and the contrast of true strands over that of the result. The values are medians over people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import common
from benchmarks.turned import TURNS, turned_cases
from fewshot_heads import Head, Reenactor
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.masks import blurred_inside
from fewshot_heads.imaging.opencv_maps import sample_map
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.layers.body_colors import like_skin
from fewshot_heads.layers.parsing import parse
from fewshot_heads.rendering.behind_head import body_flow
from fewshot_heads.rendering.head_parts import find_head_parts
from fewshot_heads.rendering.head_surface import CELLS
from fewshot_heads.rendering.head_views import HeadViews

DEFAULTS = {"people": "", "split": "train"}
_SHOWN, _SURE = 0.7, 0.9  # share of a painted part, and opacity of the truth's mattes, from which a pixel is compared
_MIN_PIXELS = 80  # of a part; fewer tell nothing
_DARK = 4.0  # levels, added before the logarithm
_STRAND_PIXELS = (1.0, 2.0, 4.0)  # standard deviations that limit the bands of strands
Pair = tuple[np.ndarray, np.ndarray]  # logarithms of the truth over the result: of the channels, and of contrasts


def painted_parts(head: Head, face: Landmarks, size: int) -> dict[str, np.ndarray]:
    """Returns "neck" and "back" -> where a frame shows what is painted, bool [size, size].

    Args:
        head: of one image.
        face: landmarks of the frame, pixels.
        size: side of the frame, pixels.
    """
    view = HeadViews(head.landmarks, head.heads, size, head.body).blend(face)
    painted = (head.body[..., :3] != head.textures[0]).any(2) & (head.body[..., 3] > 127)
    neck = cv2.resize(painted.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    flow = body_flow(head.landmarks[:1], [face], size, CELLS)
    if flow is not None:
        neck = sample_map(neck[..., None], flow[0])[..., 0]
    alpha = head.heads[0, ..., 3:].astype(np.float32) / 255
    views = zip(view.weights, view.flows, (alpha, np.ascontiguousarray(alpha[:, ::-1])), strict=True)
    behind = 1 - sum(weight * sample_map(matte, way)[..., 0] for weight, way, matte in views)
    shares = {"neck": neck * behind * (1 - view.back.opacity), "back": view.back.opacity * behind}
    return {part: cv2.resize(share, (size, size)) > _SHOWN for part, share in shares.items()}


def differences(
    result: np.ndarray, truth: np.ndarray, parts: Mapping[str, np.ndarray], face: Landmarks
) -> dict[str, Pair]:
    """Returns part -> logarithms of the truth over the result, where both show skin of the neck, or hair.

    Args:
        result: uint8 [S, S, 3].
        truth: uint8 [S, S, 3].
        parts: see `painted_parts`.
        face: landmarks of the truth, pixels.
    """
    person, head = parse(truth)
    hair = find_head_parts(np.dstack([truth, np.uint8(255 * head)]), face).hair & (head > _SURE)
    found = {}
    for part, seen in (("neck", like_skin(truth, face) & (person > _SURE)), ("back", hair)):
        mask = parts[part] & seen
        if mask.sum() >= _MIN_PIXELS:
            true, own = (image[mask].mean(0) + _DARK for image in (truth, result))
            contrasts = np.array([_contrasts(image, mask) for image in (truth, result)])
            found[part] = np.log(true / own), np.log(contrasts[0] / contrasts[1])
    return found


def _contrasts(image: np.ndarray, mask: np.ndarray) -> list[float]:
    """Returns the median difference of logarithms of brightness from their surroundings, for each band of widths."""
    level, inside = np.log(image.mean(2, dtype=np.float32) + _DARK), mask.astype(np.float32)
    smooth = [blurred_inside(level, inside, sigma) for sigma in _STRAND_PIXELS]
    bands = zip(smooth, smooth[1:], strict=False)
    return [max(float(np.median(np.abs(fine - coarse)[mask])), 1e-4) for fine, coarse in bands]


def table(found: Mapping[str, Mapping[str, Sequence[Pair]]]) -> str:
    """Returns the table of part -> person -> pairs."""
    rows = []
    for part, people in found.items():
        means = [[np.mean(values, 0) for values in zip(*pairs, strict=True)] for pairs in people.values()]
        light, contrast = (np.exp(np.median(values, 0)) for values in zip(*means, strict=True))
        count = sum(len(pairs) for pairs in people.values())
        cells = [f"{value:.2f}" for value in (*light, *contrast)]
        rows.append([f"{part}, {len(people)} people, {count} pairs", *cells])
    widths = [f"{fine:g} to {coarse:g} px" for fine, coarse in zip(_STRAND_PIXELS, _STRAND_PIXELS[1:], strict=False)]
    return common.table(
        ["truth over result", "red", "green", "blue", *(f"contrast, {width}" for width in widths)], rows
    )


def main(argv: list[str]) -> None:
    """Prints the table."""
    chosen = common.settings(DEFAULTS, argv)
    if not chosen["people"]:
        raise BadInput("people=FOLDER is missing: pictures in several poses with an index.tsv")
    reenactor = Reenactor.from_pretrained()
    found: dict[str, dict[str, list[Pair]]] = {part: defaultdict(list) for part in ("neck", "back")}
    nearest, *farther = TURNS
    cases = [case for case in turned_cases(chosen["people"], chosen["split"]) if case.protocol in farther]
    for case in tqdm(cases, unit="pair", disable=None):
        source, truth = case.source.frames(reenactor.size, reenactor.detectors[0])
        head, motion = reenactor.embed([source], crop="full"), reenactor.track([source, truth])
        face = motion.cropped(reenactor.size, full=True)[1]
        frames = reenactor.animate(head, motion, "absolute", paste_back=False, crop="full", resolution=reenactor.size)
        result = list(frames)[1]
        parts = painted_parts(head, face, reenactor.size)
        for part, pair in differences(result, truth, parts, face).items():
            found[part][case.source.identity].append(pair)
    print(table(found))


if __name__ == "__main__":
    common.run(main, __doc__)
