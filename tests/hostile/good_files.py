"""Small valid files of every kind that the commands read. None shows a face, so no command can succeed with them."""

from __future__ import annotations

import io
import json
import shutil
import wave
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from PIL import Image

from fewshot_heads.datasets.shard_index import INDEX
from fewshot_heads.datasets.shards import Sample
from fewshot_heads.driving.motion import Motion
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import save_checkpoint
from fewshot_heads.preparation.people import PEOPLE_INDEX
from fewshot_heads.preparation.shard_writer import ShardWriter, encode
from fewshot_heads.reenactor import Reenactor
from tests.conftest import EXAMPLES
from tests.faces import face

SPEC = {"size": 128, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}
PICTURES = ("picture.jpg", "picture.png", "picture.webp", "picture.bmp", "picture.tiff", "picture.gif", "picture.ppm")
VIDEOS = ("video.mp4", "video.webm", "video.mkv", "video.avi", "video.ts", "video.gif")
SOUNDS = ("sound.wav", "sound.ogg", "sound.flac", "sound.mp3")
HEAD, MOTION, ARRAYS, STATE, JOBS = "head.safetensors", "motion.safetensors", "arrays.npz", "state.pt", "jobs.tsv"
WEIGHTS, PREPARED, GALLERY, FOOTAGE, RECORDINGS, RUN = FOLDERS = (
    "weights", "prepared", "gallery", "footage", "recordings", "run",
)  # fmt: skip
ALL = (*PICTURES, *VIDEOS, *SOUNDS, HEAD, MOTION, ARRAYS, STATE, JOBS, *FOLDERS)
_SIDE = 128  # pixels
_FRAMES = 6  # of a clip; half of them is held out
_RATE = 8000  # samples per second


def write_good_files(folder: Path) -> None:
    """Writes everything that `ALL` names."""
    blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    picture = blocks.repeat(_SIDE // 8, 0).repeat(_SIDE // 8, 1)
    for name in PICTURES:
        Image.fromarray(picture).save(folder / name)
    frames = [np.roll(picture, 3 * shift, 1) for shift in range(4)]
    for name in ("video.mp4", "video.webm", "video.gif"):
        with VideoWriter(folder / name, 25, mark=None) as out:
            for frame in frames:
                out.add(frame)
    for name, codec in (("video.mkv", "libx264"), ("video.avi", "mpeg4"), ("video.ts", "mpeg2video")):
        _encode(folder / name, codec, frames)
    _write_sounds(folder)
    Reenactor.from_pretrained(device="cpu").embed([EXAMPLES / "mona_lisa.jpg"]).save(folder / HEAD)
    Motion([face(surface=0.0)] * 3, [1], [(0, 3)], (_SIDE, _SIDE)).save(folder / MOTION)
    (folder / WEIGHTS).mkdir()
    path = save_checkpoint(build(SPEC), folder / WEIGHTS, "tiny", {"spec": SPEC})
    for suffix in (".safetensors", ".json"):
        path.with_suffix(suffix).rename(folder / WEIGHTS / f"tiny{suffix}")
    _write_prepared(folder / PREPARED, picture)
    np.savez(folder / ARRAYS, **{"conv1.weight": np.zeros((32, 3, 3, 3), np.float16)})
    torch.save({"weight": torch.zeros(4)}, folder / STATE)
    row = (f"{folder / 'picture.jpg'};{folder / 'picture.png'}", str(folder / "video.mp4"), "new.mp4", "crf=30")
    (folder / JOBS).write_text("\n".join(map("\t".join, (("sources", "driver", "output", "options"), row, row))))
    for name, members in (
        (GALLERY, ("picture.jpg", "picture.png")),
        (FOOTAGE, ("video.mp4", "picture.png")),
        (RECORDINGS, ("picture.jpg", "picture.png")),
        (RUN, (STATE,)),
    ):
        (folder / name).mkdir()
        for member in members:
            shutil.copyfile(folder / member, folder / name / member)
    rows = ("path identity split recording yaw pitch roll", "picture.jpg a train 1 0 0 0", "picture.png b val 2 0 0 0")
    (folder / RECORDINGS / PEOPLE_INDEX).write_text("".join("\t".join(row.split()) + "\n" for row in rows))


def copy_good_file(name: str, source: Path, target: Path) -> None:
    """Copies a file or folder of `write_good_files`."""
    copy = shutil.copytree if source.joinpath(name).is_dir() else shutil.copyfile
    copy(source / name, target)


def _encode(path: Path, codec: str, frames: list[np.ndarray]) -> None:
    """Writes a video of a kind that the library reads only."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        output.mux(stream.encode(None))


def _write_sounds(folder: Path) -> None:
    """Writes a third of a second of a tone, so short that its analysis takes no time."""
    tone = (8000 * np.sin(np.arange(_RATE // 3) / 5)).astype(np.int16)
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((1, 2, _RATE, 0, "NONE", ""))
        file.writeframes(tone.tobytes())
    for name, codec in (("sound.ogg", "libopus"), ("sound.flac", "flac"), ("sound.mp3", "libmp3lame")):
        with av.open(str(folder / "sound.wav")) as container, av.open(str(folder / name), "w") as output:
            stream = output.add_stream(codec, rate=_RATE, layout="mono")
            for frame in container.decode(audio=0):
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))


def _write_prepared(folder: Path, picture: np.ndarray) -> None:
    """Writes prepared data of two people with six frames each, whose landmarks are no face."""
    folder.mkdir()
    jpegs = [cv2.imencode(".jpg", picture)[1].tobytes()] * _FRAMES
    rows = []
    with ShardWriter(folder, folder, "train", 1 << 20) as shards:
        for person in ("anna", "ben"):
            landmarks = np.random.default_rng(0).uniform(0, _SIDE, (_FRAMES, 221, 3)).astype(np.float32)
            data, head = encode(person, Sample({"identity": person}, landmarks, jpegs))
            shard, offset = shards.add(data)
            place = {
                "shard": shard,
                "offset": offset,
                "length": len(data),
                "head": head,
                "frames": _FRAMES,
                "size": _SIDE,
            }
            names = {"identity": person, "key": person, "split": "train", "kind": "video", "source": f"{person}.mp4"}
            rows.append({**names, **place, "seconds": 0.1})
    (folder / INDEX).write_text("".join(json.dumps(row) + "\n" for row in rows))


def encoded(image: np.ndarray, kind: str) -> bytes:
    """Returns an image as a file of Pillow's format."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, kind)
    return data.getvalue()
