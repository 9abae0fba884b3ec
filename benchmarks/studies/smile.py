"""Study: how a smile moves a face, from photographs of people who look neutral and smile.

python -m benchmarks.studies.smile FOLDER

FOLDER has pairs of images NAME_neutral.jpg and NAME_smiling.jpg. Writes smile.json, which `driving.reference` reads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from fewshot_heads.driving.reference import SMILE_FILE, smile_score
from fewshot_heads.landmarks import MIRROR, N_POINTS, detectors
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import SURFACE_MIRROR
from fewshot_heads.media.images import read_image


def main(folder: Path) -> None:
    """Writes the mean displacement of a smile, in head units, and the scores of neutral and of smiling faces."""
    detector, shapes = detectors()[0], []
    for neutral in sorted(folder.glob("*_neutral.*")):
        smiling = neutral.with_name(neutral.name.replace("_neutral", "_smiling"))
        faces = [detector.detect(read_image(path)) for path in (neutral, smiling) if path.exists()]
        if len(faces) == 2 and all(faces):
            shapes.append([CanonicalFace.of(found[0]).shape for found in faces])
    pairs = np.array(shapes)  # [P, 2, 221, 3]
    displacement = (pairs[:, 1] - pairs[:, 0]).mean(0)
    order = np.concatenate([MIRROR, N_POINTS + SURFACE_MIRROR])
    displacement = (displacement + displacement[order] * [-1, 1, 1]) / 2
    scores = np.array([[smile_score(shape) for shape in pair] for pair in pairs])
    result = {
        "pairs": len(pairs),
        "neutral": [round(float(value), 4) for value in (scores[:, 0].mean(), scores[:, 0].std())],
        "smiling": [round(float(value), 4) for value in (scores[:, 1].mean(), scores[:, 1].std())],
        "displacement": displacement.round(4).tolist(),
    }
    SMILE_FILE.write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
