"""Writing of videos, frame by frame, at an exact rate, with sound in sync.

The memory in use does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import final

import av
import numpy as np

from fewshot_heads.errors import OutputError
from fewshot_heads.media.audio import Audio, AudioSource
from fewshot_heads.media.content_credentials import identity_for_writing, sign
from fewshot_heads.media.encoding import VideoEncoder
from fewshot_heads.media.files import atomic_write, check_target, write_error
from fewshot_heads.media.provenance import UNNAMED, Provenance, mark
from fewshot_heads.media.video_reader import Video, exact_rate, read_video

__all__ = ["Video", "VideoWriter", "exact_rate", "read_video"]

WRITTEN = (".mp4", ".webm", ".gif")  # suffixes that `VideoWriter` takes


@final
class VideoWriter:
    """Writes frames as mp4 (H.264), webm (VP9) or gif, completely or not at all.

        with VideoWriter("out.mp4", like=driver) as out:
            out.add(frame)

    mp4 and webm need even sides, so an odd last row or column is written twice. A gif has no sound and at most 50
    frames per second. Sound is copied if players expect its codec in the format, and else encoded as AAC or Opus. Sound
    lasts from the first frame to the last one.

    The mark is written three times: invisibly into the pixels (`watermark`), into the metadata (`provenance`), and,
    with the extra `c2pa`, as signed Content Credentials (`content_credentials`; not in webm).
    """

    def __init__(
        self,
        path: str | Path,
        like: Video | Fraction | float | str,
        crf: int = 18,
        audio: bool | Audio = True,
        mark: Provenance | None = UNNAMED,
        overwrite: bool = False,
    ) -> None:
        """Checks the target and writes nothing yet.

        Args:
            path: the target. Its suffix chooses the format.
            like: a video, for its rate and its sound, or frames per second.
            crf: quality on the scale of x264, 0 to 51. 18 is visually lossless, 23 gives smaller files.
            audio: a recording to use from its first sample on, False for no sound, or True for the sound of `like`.
            mark: names the model in the file (`Reenactor.provenance`). None writes no mark of any kind: for real
                footage only.
            overwrite: whether an existing file may be replaced.

        Raises:
            OutputError: if the target cannot be written.
            BadInput: if `like` is no frame rate, or the certificate that signs cannot be used.
        """
        self.path, self.crf, self.mark = Path(path), crf, mark
        self.rate = like.rate if isinstance(like, Video) else exact_rate(like)
        sound_of_like = like if isinstance(like, Video) and like.has_audio and audio else None
        self._sound: AudioSource | None = audio if isinstance(audio, Audio) else sound_of_like
        self._shape: tuple[int, ...] | None = None
        self._encoder: VideoEncoder | None = None
        check_target(self.path, WRITTEN, overwrite)
        if mark:
            identity_for_writing()  # a certificate that cannot be used is an error before the work, not after it
        self._file = atomic_write(self.path, WRITTEN, overwrite)

    def __enter__(self) -> VideoWriter:
        """Creates the part file."""
        self._part = self._file.__enter__()
        return self

    def add(self, frame: np.ndarray) -> None:
        """Appends one frame.

        Args:
            frame: uint8 RGB [H, W, 3], of the same size as the first one.

        Raises:
            ValueError: if the frame has another type or size.
            OutputError: if the disk refuses.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"{self.path}: a uint8 [H,W,3] frame was expected, {frame.dtype} {list(frame.shape)} came")
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            raise ValueError(f"{self.path}: a frame {list(self._shape)} was expected, {list(frame.shape)} came")
        with self._disk():
            if self._encoder is None:
                tags = self.mark.tags() if self.mark else {}
                self._encoder = VideoEncoder(self._part, frame.shape, self.rate, self.crf, tags, self._sound)
            self._encoder.add(self._marked(frame))

    def _marked(self, frame: np.ndarray) -> np.ndarray:
        if self.mark is None:
            return frame
        from fewshot_heads.media.watermark import embed  # OpenCV: not for commands that only check their arguments

        return embed(frame, self.mark.sha256)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the file, or removes the file after an error.

        Raises:
            OutputError: if no frame was added or the disk refuses.
        """
        with ExitStack() as stack:
            stack.push(self._file)
            if error is not None:
                if self._encoder:
                    self._encoder.abandon()
                raise error
            if self._encoder is None:
                raise OutputError(f"{self.path}: no frame was added, so nothing is written")
            with self._disk():
                self._encoder.finish()
                if self.mark and self.path.suffix.lower() != ".webm":
                    mark(self._part, self.mark)
                if self.mark:
                    sign(self._part, self.mark, self.path.name)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Turns what the disk or FFmpeg refuses inside the block into an OutputError."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            if self._encoder:
                self._encoder.abandon()
            raise write_error(self.path, error) from error
