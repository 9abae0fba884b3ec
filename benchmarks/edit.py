"""Measures the controls of a face: what each moves, what else moves, and whether the person stays.

python -m benchmarks.edit pictures=FILE,... csim=FILE.pt [key=value ...]

pictures   portraits or saved heads, separated by commas (required)
csim       face-recognition network of CSIM: dlib, or weights of MobileFaceNet (required)
threads 2  of the library
seconds 3  of timed edits a portrait
out        benchmarks/results/edit.json, and the table beside it as .md

Each control is set to its largest and its least value, one at a time. A score is one of MediaPipe's blendshapes, 0 to
1, of the crop around the head. Its change is from the unedited picture, mean over the portraits.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import common
from benchmarks.timing import timed
from fewshot_heads import Reenactor
from fewshot_heads.cli.session import load_head
from fewshot_heads.driving.controls import CONTROLS
from fewshot_heads.head import Head
from fewshot_heads.imaging.threads import set_thread_count
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.mediapipe import MediaPipeDetector
from fewshot_heads.landmarks.pose import fit_pose
from fewshot_heads.metrics import Identity, csim
from fewshot_heads.metrics.expression import BLENDSHAPES

DEFAULTS = {"pictures": "", "csim": "", "threads": 2, "seconds": 3.0, "out": "benchmarks/results/edit.json"}
_MEASURED_PIXELS = 384  # side of the crop that is measured
_MOST_BEFORE = 0.6  # a score that is higher before the edit has no room to rise; the portrait does not count


class Named(NamedTuple):
    """What a control names.

    Attributes:
        rises: scores that must rise, by the start of their name.
        same: scores that tell the same movement, or its opposite: they count neither as named nor as others.
    """

    rises: tuple[str, ...]
    same: tuple[str, ...] = ()


# Control and sign. A shut eye scores as one that looks down and squints, in real people too, and has no other gaze.
_SHUT = ("eyeLook", "eyeSquint", "eyeWide")
NAMED = {
    "smile+": Named(("mouthSmile",), ("mouthFrown",)),
    "mouth+": Named(("jawOpen",), ("mouthClose",)),
    "pucker+": Named(("mouthPucker",), ()),
    "brows+": Named(("browInnerUp", "browOuterUp"), ("browDown",)),
    "brows-": Named(("browDown",), ("browInnerUp", "browOuterUp")),
    "eyes+": Named(("eyeWide",), ("eyeBlink", "eyeSquint")),
    "eyes-": Named(("eyeSquint", "eyeBlink"), _SHUT),
    "blink+": Named(("eyeBlink",), _SHUT),
    "wink_left+": Named(("eyeBlinkLeft",), _SHUT),
    "wink_right+": Named(("eyeBlinkRight",), _SHUT),
    "gaze_x+": Named(("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight")),
    "gaze_x-": Named(("eyeLookInLeft", "eyeLookOutRight"), ("eyeLookOutLeft", "eyeLookInRight")),
    "gaze_y+": Named(("eyeLookUp",), ("eyeLookDown", "eyeBlink")),
    "gaze_y-": Named(("eyeLookDown",), ("eyeLookUp", "eyeBlink", "eyeSquint")),
}


class Portrait:
    """One portrait, measured before and after edits.

    Args:
        reenactor: makes the head, or has made it.
        path: a picture or a saved head.
        detector: of scores and landmarks.
        identity: the network of CSIM.
    """

    def __init__(self, reenactor: Reenactor, path: Path, detector: MediaPipeDetector, identity: Identity):
        self.detector, self.identity = detector, identity
        self.head: Head = load_head(reenactor, path) if path.suffix == ".safetensors" else reenactor.embed([path])
        self.editor = reenactor.editor(self.head)
        self.before = self._measured(self.head.picture)

    def _measured(self, picture: np.ndarray) -> tuple[np.ndarray, Landmarks | None, np.ndarray]:
        """Returns the scores [52], the face in the crop, and the identity embedding [128]; NaN without a face."""
        crop = replace(self.head.crop, size=_MEASURED_PIXELS).cut(picture)
        scores, face = self.detector.expression(crop), next(iter(self.detector.detect(crop)), None)
        points = np.full((1, 70, 2), np.nan) if face is None else face.points[None]
        missing = np.full(len(BLENDSHAPES), np.nan)
        return missing if scores is None else scores, face, self.identity(crop[None], points)[0]

    def measure(self, control: str, value: float) -> dict[str, Any]:
        """Returns scores [52] before an edit and their changes, degrees about x, y and z, and CSIM."""
        picture = np.rot90(self.editor.edit({control: value}), self.head.turns)  # upright
        scores, face, embedding = self._measured(np.ascontiguousarray(picture))
        scores_before, face_before, embedding_before = self.before
        degrees = np.full(3, np.nan)
        if face is not None and face_before is not None:
            turn = fit_pose(face).rotation @ fit_pose(face_before).rotation.T
            degrees = np.degrees(cv2.Rodrigues(turn)[0].ravel())
        similarity = float(csim(embedding, embedding_before))
        return {"before": scores_before, "scores": scores - scores_before, "degrees": degrees, "csim": similarity}

    def unchanged_psnr(self) -> float:
        """Returns the PSNR of an edit of strength 0, dB, at most 100."""
        error = ((self.editor.edit({}).astype(float) - self.head.as_given(self.head.picture)) ** 2).mean()
        return min(float(10 * np.log10(255**2 / max(error, 1e-12))), 100.0)


def _indices(starts: tuple[str, ...]) -> list[int]:
    return [i for i, name in enumerate(BLENDSHAPES) if name.startswith(starts)] if starts else []


def summarize(control: str, sign: str, full: list[dict[str, Any]], half: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the row of a control's sign.

    Args:
        control: name.
        sign: "+" or "-".
        full: measurements of each portrait at the largest or least value.
        half: those at half of that value.
    """
    changes = np.nanmean([measured["scores"] for measured in full], 0)
    row: dict[str, Any] = {"control": control, "sign": sign, "portraits": len(full)}
    row["value"] = CONTROLS[control].high if sign == "+" else CONTROLS[control].low
    row["half_csim"] = [measured["csim"] for measured in half]
    row["full_csim"] = [measured["csim"] for measured in full]
    named = NAMED.get(control + sign)
    if named is None:
        axis = {"pitch": 0, "yaw": 1, "roll": 2}[control]
        row["degrees"] = [float(abs(measured["degrees"][axis])) for measured in full]
        others = list(range(len(BLENDSHAPES)))
    else:
        rises = _indices(named.rises)
        fresh = [measured for measured in full if not measured["before"][rises].mean() > _MOST_BEFORE]
        row["named"] = [float(measured["scores"][rises].mean()) for measured in fresh]
        others = [i for i in range(len(BLENDSHAPES)) if i not in {*rises, *_indices(named.same)}]
        row["same"] = {BLENDSHAPES[i]: float(changes[i]) for i in _indices(named.same)}
    worst = max(others, key=lambda i: abs(changes[i]))
    row["others"] = {BLENDSHAPES[i]: float(changes[i]) for i in others if abs(changes[i]) >= 0.05}
    row["largest_other"] = {"name": BLENDSHAPES[worst], "change": float(changes[worst])}
    return row


def markdown(report: dict[str, Any]) -> str:
    """Returns the table of the controls, and the lines on strength 0 and speed."""
    rows = []
    for row in report["controls"]:
        moved = row.get("named") or row["degrees"]
        digits, unit = (2, "") if "named" in row else (1, "°")
        names = ", ".join(NAMED[row["control"] + row["sign"]].rises) if "named" in row else "degrees"
        other, low = row["largest_other"], float(np.nanmin(row["half_csim"]))
        rows.append(
            [
                f"{row['control']}={row['value']:g}",
                names,
                f"{common.mean(moved):+.{digits}f}{unit}",
                f"{np.nanmin(moved):+.{digits}f}{unit}",
                str(np.isfinite(moved).sum()),
                f"{other['name']} {other['change']:+.2f}",
                f"{common.mean(row['half_csim']):.3f} ({low:.3f})",
                f"{common.mean(row['full_csim']):.3f}",
            ]  # fmt: skip
        )
    header = [
        "control",
        "names",
        "moved by",
        "least",
        "of",
        "largest other score",
        "CSIM at half (least)",
        "CSIM at full",
    ]
    zero, speed = report["unchanged_psnr"], report["milliseconds"]
    return common.table(header, rows) + (
        f"\n\nStrength 0: {min(zero):.1f} dB at least. One edit: median {np.median(speed):.0f} ms, "
        f"{min(speed):.0f} to {max(speed):.0f} over {len(speed)} portraits, {report['threads']} threads."
    )


def main(argv: list[str]) -> None:
    """Measures every control on every portrait, and writes the report."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "csim") if chosen["csim"] != "dlib" else None
    set_thread_count(chosen["threads"])
    reenactor, detector, identity = Reenactor.from_pretrained(), MediaPipeDetector(), Identity(chosen["csim"])
    signs = [(name, s) for name, c in CONTROLS.items() for s in "+-" if (c.high if s == "+" else -c.low) > 0]
    measured: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    psnr, milliseconds, sizes = [], [], []
    for path in tqdm(list(map(Path, chosen["pictures"].split(","))), unit="portrait", disable=None):
        portrait = Portrait(reenactor, path, detector, identity)
        for name, sign in signs:
            end = CONTROLS[name].high if sign == "+" else CONTROLS[name].low
            for strength in (1.0, 0.5):
                measured.setdefault((name, sign, strength), []).append(portrait.measure(name, strength * end))
        psnr.append(portrait.unchanged_psnr())
        sizes.append(list(portrait.head.picture.shape[:2]))
        clock = timed(lambda: portrait.editor.edit({"smile": 0.5, "yaw": 10}), 1, chosen["seconds"])  # noqa: B023
        milliseconds.append(clock["median"])
    report = {
        "command": common.command("benchmarks.edit", {**chosen, "pictures": "..."}),
        "pictures": [Path(name).name for name in chosen["pictures"].split(",")],
        "machine": common.machine(),
        "weights": {"name": reenactor.weights.name, "sha256": reenactor.weights.sha256},
        "threads": chosen["threads"],
        "controls": [summarize(n, s, measured[n, s, 1.0], measured[n, s, 0.5]) for n, s in signs],
        "unchanged_psnr": psnr,
        "milliseconds": milliseconds,
        "sizes": sizes,
    }
    common.write_report(chosen["out"], report, markdown(report))


if __name__ == "__main__":
    common.run(main, __doc__)
