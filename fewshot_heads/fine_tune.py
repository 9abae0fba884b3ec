"""Command line: a few pictures or a video of one person in, a head of one's own out (stage two of the paper).

python -m fewshot_heads.fine_tune anna_1.jpg anna_2.jpg -o anna.safetensors
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import open_reenactor
from fewshot_heads.driving.tracking import Motion, nearest
from fewshot_heads.errors import OutputError, UsageError
from fewshot_heads.head import Head
from fewshot_heads.landmarks.pose import rotate_3d
from fewshot_heads.landmarks.pose_distance import farthest_point_sample
from fewshot_heads.media.files import check_target
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import VIDEOS, read_video
from fewshot_heads.reenactor import Reenactor

_SHOWN = 6  # columns of the grid, at most
_TURNS = ((0, 0, 0), (0, -14, 0), (0, 14, 0), (-8, 0, 0), (8, 0, 0))  # pitch, yaw, roll in degrees, of one picture


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "fine_tune",
        "SOURCE [SOURCE ...] [-o HEAD] [--overwrite] [key=value ...]",
        "Tunes the generator on pictures of one person. HEAD, a .safetensors, is a source of `animate`; the picture "
        "<HEAD>_before_after.jpg shows what it changed.",
        "default <source>_head.safetensors here",
    )
    parser.add_argument("inputs", nargs="+", metavar="SOURCE", help="pictures of one person, a video, or a saved head")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _fine_tune(arguments.inputs, arguments.output, arguments.overwrite), arguments.debug)


def _fine_tune(inputs: Sequence[str], output: Path | None, overwrite: bool) -> Path:
    names, overrides = split_overrides(inputs)
    sources = [Path(name) for name in names]
    if not sources:
        raise UsageError("give at least one picture, or a video; --help shows how")
    output = output or Path(f"{sources[0].stem}_head.safetensors")
    grid = output.with_name(f"{output.stem}_before_after.jpg")
    check_target(output, (".safetensors",), overwrite)
    check_target(grid, (".jpg",), overwrite)
    if {output.resolve(), grid.resolve()} & {source.resolve() for source in sources}:
        raise OutputError(f"{output}: it, or its {grid.name}, is also an input; choose another output")

    from fewshot_heads.training.fine_tuning import from_config

    config = load_config("fine_tune", overrides)
    tuning, criterion = from_config(config)
    reenactor = open_reenactor(config)
    head = _head(reenactor, sources, config)
    with tqdm(desc="fine-tune", disable=None, unit="step") as bar:

        def on_step(done: int, steps: int) -> None:
            bar.total = steps
            bar.update(done - bar.n)

        tuned = reenactor.fine_tune(head, tuning=tuning, criterion=criterion, on_step=on_step)
    shown = before_and_after(reenactor, head, tuned)
    tuned.save(output, overwrite)
    write_image(grid, shown, reenactor.provenance(composite=False), overwrite)
    return output


def _head(reenactor: Reenactor, sources: Sequence[Path], config: Any) -> Head:
    moving = [source for source in sources if source.suffix.lower() in VIDEOS or source.suffix == ".safetensors"]
    if not moving:
        return reenactor.embed(sources, config["source_face"])
    if len(sources) > 1:
        raise UsageError(f"{moving[0]}: a video or a saved head is the only source; leave the others out")
    if moving[0].suffix == ".safetensors":
        return Head.load(moving[0])
    video = read_video(moving[0])
    frames = tqdm(video, "landmarks", video.frame_count_estimate, disable=None, unit="frame", leave=False)
    motion = reenactor.track(frames, config["source_face"], 0, video.rate, str(moving[0]))
    seen = sorted(set(range(len(motion))) - set(motion.lost))
    chosen = [seen[i] for i in farthest_point_sample([motion.landmarks[i] for i in seen], config["frames"])]
    kept = {i: frame for i, frame in enumerate(video) if i in set(chosen)}
    finder = reenactor.detectors[0]
    # The followed person again, who need not be the face-th largest of every frame.
    followed = [nearest(finder.detect(kept[i]), motion.landmarks[i]) for i in chosen]
    return reenactor.embed([kept[i] for i in chosen], followed)


def before_and_after(reenactor: Reenactor, head: Head, tuned: Head) -> np.ndarray:
    """A grid uint8 [3 S, columns S, 3]: the person as seen, by the generator as it was, and by the tuned one.

    The columns are the head's pictures, all made from the first one; a single picture is turned to and fro instead.
    """
    faces = list(head.landmarks[:_SHOWN])
    if len(faces) == 1:
        faces = [rotate_3d(faces[0], angles) for angles in np.radians(_TURNS)]
    size = reenactor.size
    motion = Motion(faces, [], [(0, len(faces))], (size, size), "the pictures")
    seen = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in head.textures[: len(faces)]]
    rows = [(seen * len(faces))[: len(faces)]]
    for each in (head, tuned):
        rows.append(list(reenactor.animate(each, motion, "absolute", paste_back=False, crop="full")))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
