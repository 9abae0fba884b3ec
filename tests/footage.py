"""Footage in miniature for the training tests: Mona Lisa cut at several places, a laughing woman, mirror images."""

import json

import cv2
import numpy as np

from fewshot_heads import read_image
from fewshot_heads.datasets.clips import Footage
from fewshot_heads.datasets.shard_index import INDEX
from fewshot_heads.landmarks import detector
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.preparation.shard_writer import Sample, ShardWriter, encode
from tests.conftest import EXAMPLES

SPEC = {"size": 128, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}
TABLE = {
    "l1": {"weight": 10.0, "eyes": 5.0, "mouth": 5.0, "disoccluded": 8.0},
    "adversarial": {"weight": 0.05},
    "feature_matching": {"weight": 0.5},
}


class StandInSegmenter:
    """Takes the middle of a picture for a person and its upper part for hair; the file says which."""

    def __init__(self, path):
        self.finds_hair = "hair" in str(path)

    def matte(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matte = np.zeros((height, width), np.float32)
        matte[: height // 3 if self.finds_hair else height, width // 6 : -width // 6] = 1
        return matte


def laughing_footage(driver_frames: list[np.ndarray], size: int = 128) -> list[Footage]:
    """The woman of the example, whose mouth is open, and her mirror image."""
    clips, finder = [], detector("mediapipe")
    for name, turn in (("woman", 1), ("mirrored", -1)):
        frames = [np.ascontiguousarray(frame[:, ::turn]) for frame in driver_frames]
        faces = [finder.detect(frame)[0] for frame in frames]
        crop = Crop.around(faces, size)
        pictures, points = [crop.cut(frame) for frame in frames], [crop.to_crop(face).to_array() for face in faces]
        clips.append(Footage(name, np.stack(pictures), np.stack(points).astype(np.float32)))
    return clips


def mona_footage(frames: int = 5, size: int = 128, kind: str = "video") -> list[Footage]:
    """Two people of a few frames each."""
    mona, finder, clips = read_image(EXAMPLES / "mona_lisa.jpg"), detector("mediapipe"), []
    for name, image in (("mirrored", np.ascontiguousarray(mona[:, ::-1])), ("mona", mona)):
        pictures, landmarks = [], []
        for i in range(frames):
            top, left = 20 + 7 * i, 20 + 11 * (i % 3)
            picture = cv2.resize(image[top : top + 240, left : left + 240], (size, size), interpolation=cv2.INTER_AREA)
            face = finder.detect(picture)[0]
            pictures.append(picture)
            landmarks.append(face.to_array())
        clips.append(Footage(name, np.array(pictures), np.array(landmarks, np.float32), kind))
    return clips


def pack(folder, points=None, clips=None):
    """Prepared data; points: how many of each face are kept, None is all; clips: the Mona Lisa's, if None."""
    rows = []
    with ShardWriter(folder, folder, "train", 1 << 20) as shards:
        for clip in clips or mona_footage():
            jpegs = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in clip.frames]
            data, head = encode(clip.identity, Sample({"identity": clip.identity}, clip.landmarks[:, :points], jpegs))
            shard, offset = shards.add(data)
            who, size = clip.identity, clip.size
            facts = {"identity": who, "split": "train", "key": who, "kind": "video", "size": size}
            place = {"shard": shard, "offset": offset, "length": len(data), "head": head, "frames": len(jpegs)}
            rows.append({**facts, **place, "seconds": 0.2, "source": f"{clip.identity}.mp4"})
    (folder / INDEX).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
