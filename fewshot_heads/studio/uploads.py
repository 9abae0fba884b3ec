"""Files of the people who use the page: limits, names in messages, deletion. Knows nothing of Gradio."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.driving.motion import Motion
from fewshot_heads.errors import BadInput, FewshotHeadsError, printable
from fewshot_heads.media.audio import Audio, read_audio
from fewshot_heads.media.video_reader import Video, read_video

UNFORESEEN = "Something went wrong on the server. Try again, or with another file."
# The folders of a path, which begins a word. In messages, a name ends before a colon, comma or quotation mark.
_FOLDERS = re.compile(r"(?<!\w)(?:[A-Za-z]:)?[\\/](?:[^\\/:;,'\"\n]+[\\/])+")


@dataclass(frozen=True)
class Files:
    """The folder of uploads and results, and how large these may be; keys of conf/studio.yaml.

    Attributes:
        folder: the folder.
        max_seconds: longest driver or sound, seconds.
        max_pictures: pictures of a person, at most.
        keep_minutes: minutes until a file is deleted.
    """

    folder: Path
    max_seconds: float
    max_pictures: int
    keep_minutes: float

    @classmethod
    def from_config(cls, folder: Path, config: Mapping[str, Any]) -> Files:
        """Returns the files of a configuration."""
        return cls(folder, config["max_seconds"], config["max_pictures"], config["keep_minutes"])

    def new(self, name: str) -> Path:
        """Returns the path of a file to write, in a new folder that nobody can guess."""
        return Path(tempfile.mkdtemp(prefix="result_", dir=self.folder)) / name

    def pictures(self, paths: Sequence[str | Path] | None, least: int = 1) -> list[Path]:
        """Returns uploaded pictures as paths.

        Raises:
            BadInput: there are too few or too many.
        """
        found = [Path(path) for path in paths or ()]
        if len(found) < least:
            raise BadInput("choose a portrait first" if least == 1 else f"choose at least {least} pictures first")
        if len(found) > self.max_pictures:
            raise BadInput(f"{len(found)} pictures came; choose {self.max_pictures} at most")
        return found

    def driver(self, path: str | Path | None) -> Video:
        """Returns an uploaded driver, opened.

        Raises:
            BadInput: there is none, it is longer than `max_seconds`, or it cannot be read.
        """
        if path is None:
            raise BadInput("choose a driving video first")
        video = read_video(path)
        if (video.duration or 0) > self.max_seconds:
            raise self._too_long(video.path, video.duration)
        return video

    def motion(self, path: str | Path) -> Motion:
        """Returns an uploaded motion.

        Raises:
            BadInput: it is longer than `max_seconds`, or it cannot be read.
        """
        motion = Motion.load(path)
        seconds = len(motion) / float(motion.rate)
        if seconds > self.max_seconds:
            raise self._too_long(Path(path), seconds)
        return motion

    def frames(self, video: Video) -> Iterator[np.ndarray]:
        """Yields the frames of a driver.

        Raises:
            BadInput: there are more than `max_seconds` of them; a file need not tell its duration, or tell it truly.
        """
        most = self.max_seconds * float(video.rate) + 1
        for count, frame in enumerate(video, 1):
            if count > most:
                raise self._too_long(video.path, None)
            yield frame

    def sound(self, path: str | Path | None) -> Audio:
        """Returns an uploaded sound.

        Raises:
            BadInput: there is none, it is longer than `max_seconds`, or it cannot be read.
        """
        if path is None:
            raise BadInput("choose a sound first")
        sound = read_audio(Path(path))
        if sound.seconds > self.max_seconds:
            raise self._too_long(Path(path), sound.seconds)
        return sound

    def _too_long(self, path: Path, seconds: float | None) -> BadInput:
        came = "longer" if seconds is None else f"{seconds:.0f} s long"
        return BadInput(f"{path}: {came}; {self.max_seconds:g} s are allowed here, cut it shorter")

    def sweep(self) -> None:
        """Deletes files older than `keep_minutes`, and folders that are empty then."""
        oldest = time.time() - 60 * self.keep_minutes
        for path in sorted(self.folder.rglob("*"), reverse=True):  # what is in a folder comes before the folder
            with suppress(OSError):  # somebody else deleted it, or a folder that is still in use
                if path.lstat().st_mtime >= oldest:
                    continue
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink()


def public_line(error: Exception) -> str:
    """Returns one sentence about an error for the page, in which no folder of the server appears.

    Args:
        error: of this library, whose message begins with a file or an option. Others get a general sentence.
    """
    if not isinstance(error, FewshotHeadsError):
        return UNFORESEEN
    line = _FOLDERS.sub("", printable(str(error)))
    return f"{line[:1].upper()}{line[1:]}." if line[:1].isalpha() and line.split(":")[0] == line else f"{line}."
