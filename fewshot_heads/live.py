"""Command line: animates portraits live, with the motion of whoever is in front of a camera.

python -m fewshot_heads.live mona_lisa.jpg --camera 0
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from fewshot_heads.media.provenance import Provenance
    from fewshot_heads.streaming.outputs import Output

_KEYS_HELP = (
    "keys, in the window, the page or the terminal: r neutral face is that of now, m mirror, n next portrait, "
    "p and P less and more head motion, e and E less and more expression, q quit"
)
_MJPEG = re.compile(r"mjpeg:(?:(?P<host>.+):)?(?P<port>\d{1,5})")


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`. Signals end a session with code 0."""
    parser = make_parser(
        "live",
        "PORTRAIT [PORTRAIT ...] [--camera N | --input URL_OR_FILE] [-o OUTPUT] [key=value ...]",
        "Animates portraits live: a camera, a network stream or a video drives them, and late frames are dropped.",
        "window (default), virtual (a camera for other programs), mjpeg:PORT or mjpeg:HOST:PORT (a page for a browser, "
        "of this computer unless HOST says otherwise), or a file .mp4, .webm or .gif",
    )
    parser.epilog = f"{_KEYS_HELP}\n\n{parser.epilog}"
    parser.add_argument(
        "portraits", nargs="+", metavar="PORTRAIT",
        help="a picture or a saved head (.safetensors); key n shows the next one",
    )  # fmt: skip
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", type=int, help="number of the camera; default 0")
    source.add_argument("--input", help="a stream, as rtsp://HOST/PATH, or a video that plays at its own pace")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _live(arguments), arguments.debug)


def _live(arguments: argparse.Namespace) -> Path | str:
    """Runs a session; returns the path of the video, or the speed as text."""
    from fewshot_heads.cli.config import load_config

    names, overrides = split_overrides(arguments.portraits)
    config = load_config("live", overrides)
    if not names:
        raise UsageError("give at least one portrait; --help shows how")
    place = str(arguments.output or "window")
    portraits = [Path(name) for name in names]
    _check_place(place, arguments, portraits)
    frames = _open_frames(arguments)

    from fewshot_heads.cli.animation import rendering_options, source_head
    from fewshot_heads.cli.session import open_reenactor
    from fewshot_heads.driving.live_driver import LiveDriver
    from fewshot_heads.driving.retargeting import PARTS
    from fewshot_heads.landmarks import detector
    from fewshot_heads.streaming.controls import Controls
    from fewshot_heads.streaming.session import LiveSession, Puppeteer

    reenactor = open_reenactor(config | {"landmarks": {}})
    output = _open_output(place, config, reenactor.provenance(config["paste_back"]), arguments.overwrite)
    heads = [source_head(reenactor, [portrait], config) for portrait in portraits]
    renderers = [reenactor.renderer(head, **rendering_options(config)) for head in heads]
    driver = LiveDriver(detector(flip_input=False), config["smoothing"], config["mouth"] == "driver")
    controls = Controls(len(heads), config["pose"], config["expression"], config["mirror"])
    parts = {part: config[part] for part in PARTS}
    puppeteer = Puppeteer(driver, renderers, controls, config["paste_back"], parts)
    with output:
        print(f"{_where(place, output)}; {_KEYS_HELP}", file=sys.stderr, flush=True)
        measure = LiveSession(frames, puppeteer, output, config["report"]).run()
    speed = str(measure or "fewer than two frames were shown")
    if not _is_file(place):
        return speed
    print(speed, file=sys.stderr)
    return Path(place)


def _is_file(place: str) -> bool:
    return place not in ("window", "virtual") and not _MJPEG.fullmatch(place)


def _check_place(place: str, arguments: argparse.Namespace, portraits: Sequence[Path]) -> None:
    """Checks an output before any work is done for it. Raises OutputError or BadInput."""
    from fewshot_heads.cli.inputs import choose_output
    from fewshot_heads.media.video_writer import WRITTEN

    if _is_file(place):
        inputs = [*portraits, *([Path(arguments.input)] if arguments.input else [])]
        choose_output(arguments, place, WRITTEN, inputs)


def _open_frames(arguments: argparse.Namespace) -> Iterator[np.ndarray]:
    from fewshot_heads.streaming.cameras import open_camera, open_input

    return open_input(arguments.input) if arguments.input else open_camera(arguments.camera or 0)


def _open_output(place: str, config: Mapping[str, Any], mark: Provenance, overwrite: bool) -> Output:
    from fewshot_heads.streaming.mjpeg import THIS_COMPUTER, MjpegServer
    from fewshot_heads.streaming.outputs import VideoFile, VirtualCamera, Window

    if place == "window":
        return Window()
    if place == "virtual":
        return VirtualCamera(config["rate"], mark)
    if page := _MJPEG.fullmatch(place):
        return MjpegServer(int(page["port"]), page["host"] or THIS_COMPUTER, mark)
    return VideoFile(Path(place), config["rate"], config["crf"], mark, overwrite)


def _where(place: str, output: Output) -> str:
    """Returns where the session is seen."""
    return getattr(output, "url", place)


if __name__ == "__main__":
    sys.exit(main())
