"""`datasets.shards` and `preparation.shard_writer`: what is written is read, and damage is named."""

import gc
import json
import pickle
import tarfile
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest
from PIL.JpegImagePlugin import JpegImageFile
from torch.utils.data import DataLoader

from fewshot_heads.datasets import shards
from fewshot_heads.datasets.shards import Sample, open_shards, read_sample
from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.preparation.shard_writer import ShardWriter, encode

SIZE = 64


def sample(frames=3, shade=0, kind="video") -> Sample:
    """Frame i is plain gray shade + i."""
    pictures = [np.full((SIZE, SIZE, 3), shade + i, np.uint8) for i in range(frames)]
    jpegs = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
    landmarks = np.random.default_rng(shade).uniform(0, SIZE, (frames, 70, 3)).astype(np.float32)
    return Sample({"identity": "ann", "kind": kind, "size": SIZE}, landmarks, jpegs)


def written(folder: Path, samples: dict[str, Sample], split="train", max_bytes=1 << 20) -> Path:
    """A folder of shards with its index."""
    rows = []
    with ShardWriter(folder, folder, split, max_bytes) as writer:
        for key, one in samples.items():
            data, head = encode(key, one)
            shard, offset = writer.add(data)
            position = {"shard": shard, "offset": offset, "length": len(data), "head": head}
            facts = {"seconds": 0.1, "size": SIZE, "source": "a.mp4", "kind": one.meta["kind"]}
            row = {"identity": key.split("__")[0], "split": split, "key": key, "frames": len(one.jpegs)}
            rows.append({**row, **position, **facts})
    (folder / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def prepared(tmp_path):
    return written(tmp_path, {"ann__1": sample(3, 10), "ben__1": sample(2, 50), "ben__2": sample(4, 90)})


def refusal(root, split="train") -> str:
    with pytest.raises(BadInput) as caught:
        open_shards(root, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_read_at_random(prepared):
    clips = open_shards(prepared)
    assert [(clip.identity, clip.name, len(clip.frames)) for clip in clips] == [
        ("ann", "ann__1", 3), ("ben", "ben__1", 2), ("ben", "ben__2", 4),
    ]  # fmt: skip
    last = clips[2]
    assert last.frames[3].dtype == np.uint8 and last.frames.shape == (4, SIZE, SIZE, 3)
    assert [int(frame.mean()) for frame in last.frames] == [90, 91, 92, 93]
    np.testing.assert_array_equal(last.landmarks, sample(4, 90).landmarks)
    assert last.meta["identity"] == "ann" and last.kind == "video"


def test_frames_are_a_sequence(prepared):
    frames = open_shards(prepared)[0].frames
    assert int(frames[-1].mean()) == 12 and frames[1:].shape == (2, SIZE, SIZE, 3) and len(frames[:0]) == 0
    assert int(frames[np.int64(1)].mean()) == 11
    with pytest.raises(IndexError):
        frames[3]


def test_colors_come_back_in_their_order(tmp_path):
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue first
    one = sample(1)._replace(jpegs=[cv2.imencode(".jpg", red)[1].tobytes()])
    frame = open_shards(written(tmp_path, {"ann__1": one}))[0].frames[0]
    assert frame[0, 0, 0] > 250 and frame[0, 0, 1:].max() < 5


def test_a_shard_is_a_plain_tar_that_webdataset_can_stream(prepared):
    with tarfile.open(prepared / "train-000000.tar") as tar:
        names = tar.getnames()
        assert {(info.mtime, info.uid, info.gid, info.mode) for info in tar} == {(0, 0, 0, 0o644)}
    groups = [name.split(".", 1)[0] for name in names]  # WebDataset's rule: a key ends at its first dot
    assert groups == sorted(groups) and len(set(groups)) == 3
    first = [name.split(".", 1)[1] for name in names[:5]]
    assert first == ["json", "landmarks.npy", "0000.jpg", "0001.jpg", "0002.jpg"]
    with pytest.raises(ValueError, match="first dot"):
        encode("a.mp4", sample())


def test_a_shard_ends_before_it_is_too_large(tmp_path):
    samples = {f"ann__{i}": sample(2, i) for i in range(5)}
    one = len(encode("ann__0", samples["ann__0"])[0])
    written(tmp_path, samples, max_bytes=2 * one + 1024)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("train-*.tar"))]
    assert len(sizes) == 3 and max(sizes) <= 2 * one + 1024
    assert [int(clip.frames[0].mean()) for clip in open_shards(tmp_path)] == list(range(5))


def test_opening_reads_no_shard_and_one_range_has_facts_and_landmarks(prepared, monkeypatch):
    asked = []
    fetch = shards._fetch
    monkeypatch.setattr(shards, "_fetch", lambda *range_: asked.append(range_) or fetch(*range_))
    shards._head.cache_clear()
    clip = open_shards(prepared)[1]
    assert asked == [] and len(clip.frames) == 2 and asked == []
    _ = clip.landmarks, clip.meta, clip.landmarks
    assert len(asked) == 1
    _ = clip.frames[0], clip.frames[1]
    assert len(asked) == 3


def test_shards_are_read_from_an_object_store(prepared):
    store = fsspec.filesystem("memory")
    store.put(str(prepared), "/bucket/prepared", recursive=True)
    try:
        clips = open_shards("memory://bucket/prepared/")
        assert int(clips[2].frames[1].mean()) == 91 and clips[2].landmarks.shape == (4, 70, 3)
        assert "only of train" in refusal("memory://bucket/prepared", "val")
        assert "fewshot_heads.prepare" in refusal("memory://bucket/nothing")
    finally:
        store.rm("/bucket", recursive=True)
    assert "check the address" in refusal("nosuch://bucket")


def means(clip):
    return [float(clip.frames[i].mean()) + clip.landmarks.sum() for i in range(len(clip.frames))]


def test_clips_go_to_other_processes(prepared):
    clips = open_shards(prepared)
    expected = [means(clip) for clip in clips]
    assert pickle.loads(pickle.dumps(clips)) == clips
    gc.collect()  # PyAV's frames of earlier tests: freed in a fork, they would wait for threads that are not there
    loader = DataLoader(_Means(clips), 1, num_workers=2, collate_fn=list, multiprocessing_context="fork")
    for _ in range(2):
        assert [row for batch in loader for row in batch] == expected


class _Means:
    def __init__(self, clips):
        self.clips = clips

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        return means(self.clips[index])


def test_stills_say_so(tmp_path):
    assert open_shards(written(tmp_path, {"ann__1": sample(kind="stills")}))[0].kind == "stills"


def test_a_sample_is_read_whole(prepared):
    row = json.loads((prepared / "index.jsonl").read_text().splitlines()[1])
    whole = read_sample(str(prepared / row["shard"]), row["offset"], row["length"])
    assert whole.jpegs == sample(2, 50).jpegs and whole.meta["frame_bytes"] == [len(jpeg) for jpeg in whole.jpegs]


# Bad input


def test_a_folder_that_was_never_prepared(tmp_path):
    assert "python -m fewshot_heads.prepare" in refusal(tmp_path)


def test_a_split_that_is_not_there(prepared):
    assert "no clips of split 'val', only of train" in refusal(prepared, "val")


def test_a_shard_cut_short_is_named_at_once(prepared):
    shard = prepared / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-5000])
    assert "train-000000.tar: cut short" in refusal(prepared) and "fetch it again" in refusal(prepared)
    shard.unlink()
    assert "train-000000.tar: the index names it, but it is not there" in refusal(prepared)


def test_an_index_cut_short(prepared):
    index = prepared / "index.jsonl"
    index.write_text(index.read_text()[:-20])
    assert "index.jsonl: cut short" in refusal(prepared)


def test_a_damaged_shard_is_named_when_it_is_read(prepared):
    shards._head.cache_clear()
    clips = open_shards(prepared)
    shard = prepared / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    start = clips[0].offset + clips[0].head + 512
    data[start : start + 200] = bytes(200)  # the first frame of the first clip
    data[clips[1].offset : clips[1].offset + 512] = b"x" * 512  # the header of the second
    shard.write_bytes(data)
    with pytest.raises(BadInput, match=r"train-000000.tar: frame 0 of ann__1 is damaged; fetch it again"):
        clips[0].frames[0]
    assert int(clips[0].frames[1].mean()) == 11
    with pytest.raises(BadInput, match="train-000000.tar: does not hold what the index says"):
        _ = clips[1].landmarks


def test_a_full_disk_leaves_whole_shards_only(tmp_path, monkeypatch):
    one, _ = encode("ann__0", sample())
    with pytest.raises(OutputError, match="disk is full"), ShardWriter(tmp_path, tmp_path, "train", 1) as writer:
        writer.add(one)
        writer.add(one)
        monkeypatch.setattr("os.fsync", full)
    assert [path.name for path in tmp_path.iterdir()] == ["train-000000.tar"]


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "change",
    [
        {"offset": -1}, {"offset": 1 << 60}, {"offset": "0"}, {"offset": 1.5}, {"length": 0}, {"head": 10**9},
        {"head": None}, {"frames": 0}, {"frames": 10**12}, {"frames": True}, {"size": 10**6}, {"seconds": -1},
        {"seconds": float("nan")}, {"seconds": "long"}, {"identity": None}, {"key": 3}, {"split": ["train"]},
        {"shard": "../train-000000.tar"}, {"shard": "/etc/passwd"}, {"shard": ""}, {"shard": 7},
    ],
)  # fmt: skip
def test_a_row_of_the_index_that_describes_no_clip_is_named(prepared, change):
    rows = [json.loads(line) for line in (prepared / "index.jsonl").read_text().splitlines()]
    rows[1] |= change
    (prepared / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "index.jsonl: cut short or damaged" in refusal(prepared)


@pytest.mark.parametrize("line", ["[]", "7", "null", "{}", "[" * 100_000])
def test_a_line_of_the_index_that_is_no_row_is_named(prepared, line):
    with (prepared / "index.jsonl").open("a") as file:
        file.write(line + "\n")
    assert "index.jsonl: cut short or damaged" in refusal(prepared)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one._replace(landmarks=one.landmarks * np.float32("nan")),
        lambda one: one._replace(landmarks=one.landmarks[:, :68]),
        lambda one: one._replace(landmarks=one.landmarks[0]),
        lambda one: one._replace(landmarks=one.landmarks[:2]),
        lambda one: one._replace(landmarks=np.float32(3)),
    ],
)
def test_landmarks_that_are_none_are_named(tmp_path, spoil):
    clip = open_shards(written(tmp_path, {"ann__1": spoil(sample(3))}))[0]
    with pytest.raises(BadInput, match="does not hold what the index says"):
        _ = clip.landmarks


@pytest.mark.parametrize("header", ["(", "{'descr': '|O', 'fortran_order': False, 'shape': (3, 70, 3)}", "x" * 99])
def test_landmarks_with_a_header_that_is_none_are_named(tmp_path, monkeypatch, header):
    def save(file, array):
        file.write(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(9))

    monkeypatch.setattr(np, "save", save)
    clip = open_shards(written(tmp_path, {"ann__1": sample(3)}))[0]
    with pytest.raises(BadInput, match="does not hold what the index says"):
        _ = clip.landmarks


def test_landmarks_far_outside_of_the_frames_are_named(tmp_path):
    one = sample(3)
    one.landmarks[1, 5] = 1e30
    clip = open_shards(written(tmp_path, {"ann__1": one}))[0]
    with pytest.raises(BadInput, match="landmarks far outside of 64x64 pixels"):
        _ = clip.landmarks


def test_a_frame_whose_header_promises_other_pixels_is_never_decoded(tmp_path, monkeypatch):
    one = sample(3)
    start = one.jpegs[1].index(b"\xff\xc0") + 5
    one.jpegs[1] = one.jpegs[1][:start] + b"\xff\xff\xff\xff" + one.jpegs[1][start + 4 :]  # 65,535 x 65,535
    one.jpegs[2] = cv2.imencode(".png", np.zeros((SIZE, SIZE, 3), np.uint8))[1].tobytes()
    frames = open_shards(written(tmp_path, {"ann__1": one}))[0].frames
    assert frames[0].shape == (SIZE, SIZE, 3)
    monkeypatch.setattr(JpegImageFile, "load", None)
    for number in (1, 2):
        with pytest.raises(BadInput, match=f"frame {number} of ann__1 is damaged"):
            _ = frames[number]


@pytest.mark.parametrize("sizes", [[1, 2], [-5, 700, 700], [10**18] * 3, ["a"] * 3, 3, None])
def test_sizes_of_frames_that_cannot_be_are_named(tmp_path, sizes, monkeypatch):
    real = json.dumps
    monkeypatch.setattr(json, "dumps", lambda value, **options: real({**value, "frame_bytes": sizes}, **options))
    data, head = encode("ann__1", sample(3))
    monkeypatch.undo()
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(BadInput, match="does not hold what the index says"):
        shards._head(str(tmp_path / "a.tar"), 0, head, SIZE)
