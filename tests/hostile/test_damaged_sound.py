"""A driver with damaged pictures or sound never spoils the video that takes its sound. No network is needed."""

from __future__ import annotations

import warnings
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest

from fewshot_heads.errors import BadInput
from fewshot_heads.media.video_writer import VideoWriter, read_video
from tests.hostile.damage import BYTES

_CODECS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "libopus"),
    "ts": ("mpeg2video", "mp2"),
    "webm": ("libvpx", "libopus"),
}
_CASES_EACH = 30  # of 5000 hostile cases; others in proportion


def write_clip(path: Path, codecs: tuple[str, str]) -> None:
    """Half a second of pictures with a tone."""
    samples = (8000 * np.sin(np.arange(24_000) / 20)).astype(np.int16)[None]
    sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    sound.sample_rate = 48_000
    with av.open(str(path), "w") as output:
        pictures = output.add_stream(codecs[0], rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        tone = output.add_stream(codecs[1], rate=48_000, layout="mono")
        output.mux(tone.encode(sound))
        for shade in range(12):
            frame = np.full((64, 64, 3), 20 * shade, np.uint8)
            output.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        output.mux(pictures.encode(None))
        output.mux(tone.encode(None))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", ["out.mp4", "out.webm"])
@pytest.mark.parametrize("suffix", _CODECS)
def test_a_damaged_driver_gives_a_whole_video_or_is_blamed_itself(tmp_path, suffix, target, request):
    good, bad, out = tmp_path / f"good.{suffix}", tmp_path / f"bad.{suffix}", tmp_path / target
    write_clip(good, _CODECS[suffix])
    random, written = Random(f"{request.config.getoption('--seed')} {suffix} {target}"), 0
    for _ in range(max(_CASES_EACH, request.config.getoption("--cases") // 20)):
        bad.write_bytes(random.choice(BYTES)(good.read_bytes(), random))
        try:
            driver = read_video(bad)
            with VideoWriter(out, like=driver, overwrite=True) as writer:
                for frame in driver:
                    writer.add(frame)
        except BadInput as error:
            assert str(error).startswith(str(bad))
            continue
        written += 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a video of ours is whole
            assert sum(1 for _ in read_video(out)) > 0
    assert written
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([good.name, bad.name, target])
