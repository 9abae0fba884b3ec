"""Fits the directions of the controls of a face: `fewshot_heads/driving/control_directions.json`.

python -m benchmarks.studies.controls clips=FOLDER people=FOLDER portraits=FILE,... [key=value ...]

clips       head crops <identity>/<name>.mp4 of training people (required)
people      pictures of training people with index.tsv, as for benchmarks.quality (required)
portraits   calm faces of training people, on which edits are rendered, separated by commas (required)
every 8     frames of a clip from one observed frame to the next
steps 3     of refinement
controls smile,mouth,pucker,brows  to fit; the others of these stay as they are shipped
cache       .npz that keeps the observed faces for a further run; empty keeps none
out         control_directions.json

First each score of MediaPipe's blendshapes gets the displacement of landmarks that goes with it: ridge regression over
faces of one recording, all scores at once. Then each control combines a few of these displacements, so that edits of
the portraits change the scores that the control names, and no others: damped Gauss-Newton steps on rendered portraits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks import common
from benchmarks.studies.movements import LOWER_FACE, Observed, displacements, images_of, observe, scores_of
from fewshot_heads import Reenactor
from fewshot_heads.driving import face_editing
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.head import Head
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.mediapipe import MediaPipeDetector
from fewshot_heads.metrics.expression import BLENDSHAPES
from fewshot_heads.rendering.renderer import HeadRenderer

DEFAULTS = {
    "clips": "", "people": "", "portraits": "", "every": 8, "steps": 3, "controls": "smile,mouth,pucker,brows",
    "cache": "", "out": "control_directions.json",
}  # fmt: skip
_SHRINKAGE = 0.005  # of the coefficients of a combination
_STEP, _MAX_STEP = 0.25, 0.6  # of finite differences; of a refinement
_DAMPINGS = (0.01, 0.06, 0.3)  # tried in turn
_NAMED_WEIGHT = 5.0  # of a score that the control names, beside 1 of each other
_MOST = 0.95  # that a score is asked to reach
_SHOWN_PIXELS = 384
# Of irises that look up or down, and of the lids that follow. Lids that come down look like raised brows to the network
# of scores, so the brows come down by a share of `brows=-1`.
_IRISES_UP, _IRISES_DOWN, _LIDS_UP, _LIDS_DOWN, _BROWS_DOWN = 1.8, 1.71, 1.44, 1.28, 0.17
_UPPER = ("brow_inner", "brow_outer", "brow_down", "lids_up", "squint")


class Wanted(NamedTuple):
    """What a control shall do at full strength.

    Attributes:
        movements: that it combines.
        start: movement -> coefficient, from which the refinement starts. Others start at 0.
        scores: start of a score's name -> wanted change.
        free: starts of scores that may change as they like: the opposite movement.
    """

    movements: tuple[str, ...]
    start: Mapping[str, float]
    scores: Mapping[str, float]
    free: tuple[str, ...] = ()


WANTED = {
    ("smile", "+"): Wanted(LOWER_FACE, {"smile": 0.8}, {"mouthSmile": 0.6}, ("mouthFrown",)),
    ("mouth", "+"): Wanted(LOWER_FACE, {"jaw": 0.8}, {"jawOpen": 0.6}, ("mouthClose",)),
    ("pucker", "+"): Wanted(LOWER_FACE, {"pucker": 1.0}, {"mouthPucker": 0.45}),
    ("brows", "+"): Wanted(_UPPER, {"brow_inner": 0.9, "brow_outer": 0.9}, {"browInnerUp": 0.65, "browOuterUp": 0.65},
                           ("browDown",)),
    ("brows", "-"): Wanted(_UPPER, {"brow_down": 1.3}, {"browDown": 0.52}, ("browInnerUp", "browOuterUp")),
}  # fmt: skip


class Stage:
    """Portraits on which directions are rendered and scored."""

    def __init__(self, reenactor: Reenactor, heads: Sequence[Head], detector: MediaPipeDetector):
        self.size, self.detector, self.heads = reenactor.size, detector, heads
        options = (reenactor.generator, reenactor.size, reenactor.inpainters)
        self.renderers = [HeadRenderer(head, *options) for head in heads]
        self.before = np.array([self._scores(i, head.landmarks[0]) for i, head in enumerate(heads)])

    def _scores(self, index: int, face: Landmarks) -> np.ndarray:
        image = cv2.resize(self.renderers[index].render([face])[0], (_SHOWN_PIXELS,) * 2)
        scores = self.detector.expression(image)
        return np.full(len(BLENDSHAPES), np.nan) if scores is None else scores

    def changes(self, control: str, direction: np.ndarray) -> np.ndarray:
        """Returns the changes [F, 52] of the portraits' scores when a direction [221, 3] is the control's.

        A portrait without a face after the edit has no change.
        """
        found = []
        for i, head in enumerate(self.heads):
            source = head.landmarks[0]
            edited = face_editing.edit_face(source, {control: 1.0}, {control: (direction, 0 * direction)})
            faces = retarget(source, [source, edited], reference=0, side=self.size, still_body=True)
            found.append(self._scores(i, faces[1]) - self.before[i])
        return np.nan_to_num(found)


def refine(wanted: Wanted, parts: Mapping[str, np.ndarray], stage: Stage, control: str, steps: int):
    """Returns the direction [221, 3] of a control, and the changes [F, 52] of the portraits' scores at full strength.

    Args:
        wanted: what the control shall do.
        parts: movement -> displacement [221, 3].
        stage: F portraits.
        control: its name.
        steps: number of refinements.
    """
    basis = np.stack([parts[name] for name in wanted.movements])
    target, weights = np.zeros_like(stage.before), np.ones(len(BLENDSHAPES))
    for start, change in wanted.scores.items():
        target[:, scores_of(start)] = np.minimum(change, _MOST - stage.before[:, scores_of(start)])
        weights[scores_of(start)] = _NAMED_WEIGHT
    weights[scores_of(*wanted.free)] = 0
    weights = weights / len(target)

    def changes(z: np.ndarray) -> np.ndarray:
        return stage.changes(control, np.tensordot(z, basis, 1))

    def loss(z: np.ndarray, moved: np.ndarray) -> float:
        return float((weights * (moved - target) ** 2).sum() + _SHRINKAGE * (z**2).sum())

    z = np.array([wanted.start.get(name, 0.0) for name in wanted.movements])
    moved = changes(z)
    for _ in range(steps):
        jacobian = np.stack([(changes(z + _STEP * unit) - moved) / _STEP for unit in np.eye(len(z))], -1)
        normal = np.einsum("fsi,s,fsj->ij", jacobian, weights, jacobian) + _SHRINKAGE * np.eye(len(z))
        gradient = np.einsum("fsi,s,fs->i", jacobian, weights, target - moved) - _SHRINKAGE * z
        for damping in _DAMPINGS:
            step = np.clip(np.linalg.solve(normal + damping * np.eye(len(z)), gradient), -_MAX_STEP, _MAX_STEP)
            tried = changes(z + step)
            if loss(z + step, tried) < loss(z, moved):
                z, moved = z + step, tried
                break
        else:
            break
    return np.tensordot(z, basis, 1), moved


def main(argv: list[str]) -> None:
    """Fits the directions, writes them, and prints what each changes."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "clips", "people")
    detector = MediaPipeDetector()
    cache = Path(chosen["cache"]) if chosen["cache"] else None
    if cache and cache.exists():
        observed = Observed(**np.load(cache))
    else:
        images = images_of(Path(chosen["clips"]), Path(chosen["people"]), chosen["every"])
        observed = observe(images, detector)
        if cache:
            np.savez(cache, **observed._asdict())
    parts = displacements(observed)
    reenactor = Reenactor.from_pretrained()
    stage = Stage(reenactor, [reenactor.embed([path]) for path in chosen["portraits"].split(",")], detector)
    found = {name: {"+": up, "-": down} for name, (up, down) in face_editing.load_directions().items()}
    found["gaze_x"] = {"+": parts["gaze_x"], "-": -parts["gaze_x"]}
    for (control, sign), wanted in WANTED.items():
        if control not in chosen["controls"].split(","):
            continue
        direction, changes = refine(wanted, parts, stage, control, chosen["steps"])
        found[control][sign] = direction
        moved = changes.mean(0)
        largest = sorted(range(len(moved)), key=lambda i: -abs(moved[i]))[:6]
        print(control + sign, *(f"{BLENDSHAPES[i]} {moved[i]:+.2f}" for i in largest), flush=True)
    # Not refined: to raise the score of gaze, lids would open like a doll's.
    down = -_IRISES_DOWN * parts["gaze_y"] + _LIDS_DOWN * parts["lids_down"] + _BROWS_DOWN * found["brows"]["-"]
    found["gaze_y"] = {"+": _IRISES_UP * parts["gaze_y"] + _LIDS_UP * parts["lids_up"], "-": down}
    rounded = {name: {sign: d.round(4).tolist() for sign, d in signs.items()} for name, signs in found.items()}
    Path(chosen["out"]).write_text(json.dumps(rounded) + "\n", encoding="utf-8")


if __name__ == "__main__":
    common.run(main, __doc__)
