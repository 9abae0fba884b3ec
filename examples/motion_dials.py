"""Shows one frame at nine strengths of head motion and expression.

python examples/motion_dials.py [PORTRAIT] [DRIVER] [OUTPUT.png]
"""

import sys
from pathlib import Path

import numpy as np

from fewshot_heads import Reenactor, read_video, write_image

HERE = Path(__file__).parent


def main(portrait=HERE / "mona_lisa.jpg", driver=HERE / "driver.mp4", output="dials.png", stop=60):
    """Writes a grid: rows by `pose`, columns by `expression`, from the first `stop` frames of the driver."""
    reenactor = Reenactor.from_pretrained()
    head = reenactor.embed([portrait])
    frames = [frame for i, frame in enumerate(read_video(driver)) if i < stop]
    motion = reenactor.track(frames)
    rows = []
    for pose in (0.0, 0.7, 1.2):
        row = []
        for expression in (0.0, 0.7, 1.2):
            *_, last = reenactor.animate(head, motion, pose=pose, expression=expression, paste_back=False)
            row.append(last)
        rows.append(np.concatenate(row, axis=1))
    write_image(output, np.concatenate(rows), mark=reenactor.provenance(composite=False), overwrite=True)
    print(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
