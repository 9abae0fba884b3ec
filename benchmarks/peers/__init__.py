"""Adapters for other methods: source image and driving video in, video out.

An adapter is any callable `Peer`. columns=[...,module:function] names one of your own. The adapters of this module
follow the documented command lines of their projects. They run in a checkout of the project, with the Python on PATH or
the one that the variable PEER_PYTHON names. The methods and their weights are not part of this project.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from fewshot_heads import VideoWriter, read_video
from fewshot_heads.errors import BadInput
from fewshot_heads.media.images import write_image


class Peer(Protocol):
    """A method that can be compared."""

    def __call__(self, source: Path, driver: Path, out: Path) -> None:
        """Animates the source by the driver, frame by frame.

        Args:
            source: square .png.
            driver: .mp4.
            out: .mp4 to write.
        """
        ...


def liveportrait(root: Path) -> Peer:
    """Returns the adapter for LivePortrait (Guo et al., 2024)."""

    def peer(source: Path, driver: Path, out: Path) -> None:
        _run([_python(), "inference.py", "-s", source, "-d", driver, "-o", out.parent], root)
        (out.parent / f"{source.stem}--{driver.stem}.mp4").replace(out)

    return peer


def first_order_motion_model(root: Path) -> Peer:
    """Returns the adapter for First Order Motion Model (Siarohin et al., NeurIPS 2019)."""

    def peer(source: Path, driver: Path, out: Path) -> None:
        weights = ["--config", "config/vox-256.yaml", "--checkpoint", "vox-cpk.pth.tar"]
        files = ["--source_image", source, "--driving_video", driver, "--result_video", out]
        _run([_python(), "demo.py", *weights, *files, "--relative", "--adapt_scale", "--cpu"], root)

    return peer


def command(template: str) -> Peer:
    """Returns an adapter for a command line.

    Raises BadInput if {source}, {driver} or {out} is not in the template.
    """
    missing = [word for word in ("{source}", "{driver}", "{out}") if word not in template]
    if missing:
        raise BadInput(f"peers.command={template}: {', '.join(missing)} is not in it")

    def peer(source: Path, driver: Path, out: Path) -> None:
        files = {"source": source, "driver": driver, "out": out}
        _run([word.format(**files) for word in shlex.split(template)], Path.cwd())

    return peer


def adapter(name: str, where: str | None) -> Peer:
    """Returns the adapter of a name.

    Args:
        name: "liveportrait", "first_order_motion_model" or "command".
        where: folder of the checkout; a template for "command".

    Raises:
        BadInput: the checkout does not exist.
    """
    if name == "command" and where:
        return command(where)
    if not where or not Path(where).is_dir():
        raise BadInput(f"peers.{name}={where}: name the folder of its checkout, or leave {name} out of columns")
    adapters = {"liveportrait": liveportrait, "first_order_motion_model": first_order_motion_model}
    return adapters[name](Path(where).resolve())


class Column:
    """A peer as a column, see `benchmarks.columns`. The peer gets the first source only."""

    def __init__(self, peer: Peer):
        self.peer = peer

    def __call__(self, scene) -> dict[int, np.ndarray]:
        """Returns wanted frame -> image. Raises BadInput for a wrong number of frames."""
        with tempfile.TemporaryDirectory() as folder:
            source, driver, out = (Path(folder) / name for name in ("source.png", "driver.mp4", "out.mp4"))
            write_image(source, scene.sources[0], None)
            with VideoWriter(driver, 25, crf=10, mark=None) as video:
                for frame in scene.driver:
                    video.add(frame)
            self.peer(source, driver, out)
            if not out.is_file():
                raise BadInput("it wrote no video")
            frames = list(read_video(out))
        if len(frames) != len(scene.driver):
            raise BadInput(f"it wrote {len(frames)} frames for a driver of {len(scene.driver)}")
        size = scene.sources[0].shape[1::-1]
        return {i: cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in scene.wanted}


def _python() -> str:
    return os.environ.get("PEER_PYTHON", "python")


def _run(words: list, folder: Path) -> None:
    """Runs a command in a folder. Raises BadInput with the last line of its complaint."""
    try:
        done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True)
    except OSError as error:
        raise BadInput(f"{words[0]}: cannot be run ({error.strerror})") from error
    if done.returncode:
        complaint = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        raise BadInput(f"{words[0]} {words[1]} ended with code {done.returncode}: {complaint}")
