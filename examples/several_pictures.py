"""Makes one head of several pictures, saves it and animates it from the file.

The pictures are frames of a clip, 40 frames apart. python examples/several_pictures.py [CLIP] [HEAD]
"""

import sys
from pathlib import Path

from fewshot_heads import Head, Reenactor, VideoWriter, read_video

HERE = Path(__file__).parent


def main(clip=HERE / "driver.mp4", saved="head.safetensors", shots=4):
    """Writes the head, and a video that moves it as the pictures do."""
    video = read_video(clip)
    frames = [frame for i, frame in enumerate(video) if i % 40 == 0][:shots]
    reenactor = Reenactor.from_pretrained()
    reenactor.embed(frames).save(saved, overwrite=True)

    head = Head.load(saved)
    print(f"{saved}: {len(head.landmarks)} pictures, e_hat of {len(head.e_hat)} numbers")
    output = Path(saved).with_suffix(".mp4")
    with VideoWriter(output, like=video, mark=reenactor.provenance(), overwrite=True) as out:
        for frame in reenactor.animate(head, frames):
            out.add(frame)
    print(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
