"""Command line: fine-tunes the generator on pictures or a video of one person (stage two of the paper).

python -m fewshot_heads.fine_tune anna_1.jpg anna_2.jpg -o anna.safetensors
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_heads.cli.parser import make_parser, parse_and_run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError

if TYPE_CHECKING:
    from fewshot_heads.head import Head
    from fewshot_heads.reenactor import Reenactor


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "fine_tune",
        "SOURCE [SOURCE ...] [-o HEAD] [--overwrite] [key=value ...]",
        "Tunes the generator on pictures of one person. HEAD, a .safetensors, is a source of `animate`; the picture "
        "<HEAD>_before_after.jpg shows what it changed.",
        "default <source>_head.safetensors here",
    )
    parser.add_argument("inputs", nargs="+", metavar="SOURCE", help="pictures of one person, a video, or a saved head")
    return parse_and_run(parser, _fine_tune, argv)


def _fine_tune(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import check_output, weights_of

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("fine_tune", overrides)
    sources = [Path(name) for name in names]
    if not sources:
        raise UsageError("give at least one picture, or a video; --help shows how")
    output = arguments.output or Path(f"{sources[0].stem}_head.safetensors")
    used = [*sources, *weights_of(config)]
    check_output(output, (".safetensors",), arguments.overwrite, used)
    grid = output.with_name(f"{output.stem}_before_after.jpg")
    check_output(grid, (".jpg",), arguments.overwrite, used)

    from tqdm import tqdm

    from fewshot_heads.cli.session import open_reenactor
    from fewshot_heads.media.images import write_image
    from fewshot_heads.training.comparison import before_and_after
    from fewshot_heads.training.fine_tuning import from_config

    tuning, criterion = from_config(config)
    reenactor = open_reenactor(config)
    head = _source_head(reenactor, sources, config)
    with tqdm(desc="fine-tune", disable=None, unit="step") as bar:

        def on_step(done: int, steps: int) -> None:
            bar.total = steps
            bar.update(done - bar.n)

        tuned = reenactor.fine_tune(head, tuning=tuning, criterion=criterion, on_step=on_step)
    comparison = before_and_after(reenactor, head, tuned)
    tuned.save(output, arguments.overwrite)
    write_image(grid, comparison, reenactor.provenance(composite=False).made_from(sources), arguments.overwrite)
    return output


def _source_head(reenactor: Reenactor, sources: Sequence[Path], config: Mapping[str, Any]) -> Head:
    """Returns the head to tune: of pictures, of a video's frames of different poses, or saved."""
    from tqdm import tqdm

    from fewshot_heads.cli.session import load_head
    from fewshot_heads.driving.frame_selection import frames_of_different_pose
    from fewshot_heads.media.video_reader import VIDEOS, read_video

    single = [source for source in sources if source.suffix.lower() in {*VIDEOS, ".safetensors"}]
    if not single:
        return reenactor.embed(sources, config["source_face"])
    if len(sources) > 1:
        raise UsageError(f"{single[0]}: a video or a saved head is the only source; leave the others out")
    if single[0].suffix.lower() == ".safetensors":
        return load_head(reenactor, single[0])
    video = read_video(single[0])
    frames = tqdm(video, "landmarks", video.frame_count_estimate, disable=None, unit="frame", leave=False)
    motion = reenactor.track(frames, config["source_face"], 0, video.rate, str(single[0]))
    return reenactor.embed(*frames_of_different_pose(video, motion, config["frames"], reenactor.detectors[0]))


if __name__ == "__main__":
    sys.exit(main())
