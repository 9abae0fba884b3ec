"""Animates a portrait with a driving clip: the library in ten lines.

python examples/animate_portrait.py [PORTRAIT] [DRIVER] [OUTPUT]
"""

import sys
from pathlib import Path

from fewshot_heads import Reenactor, VideoWriter, read_video

HERE = Path(__file__).parent


def main(portrait=HERE / "mona_lisa.jpg", driver=HERE / "driver.mp4", output="animated.mp4"):
    """Writes a video of the portrait that moves as the driver does."""
    reenactor = Reenactor.from_pretrained()
    head = reenactor.embed([portrait])
    video = read_video(driver)
    with VideoWriter(output, like=video, mark=reenactor.provenance(), overwrite=True) as out:
        for frame in reenactor.animate(head, video):
            out.add(frame)
    print(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
