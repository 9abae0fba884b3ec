"""`preparation.shots`: where a video is cut, and how it is cropped."""

import numpy as np
import pytest

from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.media.images import write_image
from fewshot_heads.preparation.filters import Filters
from fewshot_heads.preparation.shots import ShotSegmenter
from tests.conftest import write_clip
from tests.faces import face
from tests.preparation.conftest import RATE, even, laid_out, prepare, rejects, rows


def test_a_shot_ends_where_the_face_jumps(driver_frames, tmp_path):
    height, width = driver_frames[0].shape[:2]
    wide = [np.zeros((height, 2 * width, 3), np.uint8) for _ in range(12)]
    for i, frame in enumerate(wide):
        frame[:, (i >= 6) * width :][:, :width] = driver_frames[i]
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/cut.mp4", wide, RATE)
    prepare(tmp_path / "in", tmp_path / "out")
    first, second = open_shards(tmp_path / "out")
    assert len(first.frames) == len(second.frames) == 6
    assert second.meta["start"] == 0.5 and second.meta["boxes"][0][0] - first.meta["boxes"][0][0] > width / 2


def test_a_shot_ends_where_the_picture_changes_though_the_face_stays(driver_frames, tmp_path):
    light = [np.clip(frame.astype(int) + 70, 0, 255).astype(np.uint8) for frame in driver_frames[6:12]]
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/cut.mp4", driver_frames[:6] + light, RATE)
    prepare(tmp_path / "in", tmp_path / "out")
    assert [len(clip.frames) for clip in open_shards(tmp_path / "out")] == [6, 6]


def test_a_shot_ends_where_the_face_is_gone(driver_frames, tmp_path):
    frames = [*driver_frames[:6], *[np.full_like(driver_frames[0], 90)] * 7, *driver_frames[6:12]]
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/gap.mp4", frames, RATE)
    prepare(tmp_path / "in", tmp_path / "out")
    assert [len(clip.frames) for clip in open_shards(tmp_path / "out")] == [6, 6]
    (gone,) = rows(tmp_path / "out", "rejected.jsonl")
    assert gone == {"source": "ann/gap.mp4", "reason": "no_face", "start": 0.5, "end": 1.083}


def test_a_long_shot_is_cut_into_equal_pieces(driver_frames, tmp_path):
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/long.mp4", [*driver_frames, *driver_frames[::-1]], RATE)
    prepare(tmp_path / "in", tmp_path / "out", "max_seconds=1.5", "min_seconds=0.7")
    assert [len(clip.frames) for clip in open_shards(tmp_path / "out")] == [12, 12]


def test_a_video_is_thinned_to_a_rate_but_never_filled_up(footage, tmp_path):
    prepare(footage, tmp_path / "six", "rate=6")
    prepare(footage, tmp_path / "fifty", "rate=50")
    assert {row["frames"] for row in rows(tmp_path / "six")} == {5}  # the first, and one a sixth of a second
    assert {row["frames"] for row in rows(tmp_path / "fifty")} == {8}


def test_a_head_crop_is_kept_whole(portrait, mona, tmp_path):
    prepare(laid_out(tmp_path / "in", {"ann/a.mp4": portrait}), tmp_path / "out", "crop=full")
    (kept,) = open_shards(tmp_path / "out")
    assert kept.meta["boxes"] == [[0, (mona.shape[0] - 296) // 2, 296]]


@pytest.mark.parametrize("center", [(40, 60), (150, 110), (270, 200)])
@pytest.mark.parametrize("scale", [20, 60, 90])
def test_the_square_stays_in_the_picture(center, scale):
    filters = Filters(128, "head", None, 1, 10, 0, 0, 1, 1)
    crop = ShotSegmenter(filters, detector=None)._crop([face(center=center, scale=scale)], (240, 320))
    assert crop.left >= 0 and crop.left + crop.side <= 320
    assert crop.top >= 0 and crop.top + crop.side <= 240


def test_the_pictures_of_a_folder_are_one_clip_with_a_box_each(mona, driver_frames, tmp_path):
    folder = tmp_path / "in/ann"
    folder.mkdir(parents=True)
    write_image(folder / "1.png", even(mona))
    write_image(folder / "2.jpg", driver_frames[0])
    write_image(folder / "3.png", np.full((200, 200, 3), 90, np.uint8))
    (folder / "4.jpg").write_text("no picture")
    prepare(tmp_path / "in", tmp_path / "out")
    (stills,) = open_shards(tmp_path / "out")
    assert stills.kind == "stills" and len(stills.frames) == 2 == len(stills.meta["boxes"]) and stills.seconds == 0
    assert rejects(tmp_path / "out") == {("ann/3.png", "no_face"), ("ann/4.jpg", "unreadable")}


def test_a_video_cut_short_gives_what_can_be_read(footage, driver_frames, tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", driver_frames, RATE).read_bytes()
    (footage / "ann/cut.mp4").write_bytes(whole[: int(len(whole) * 0.9)])
    prepare(footage, tmp_path / "out")
    assert ("ann/cut.mp4", "damaged") in rejects(tmp_path / "out")
    assert "ann/cut.mp4" in {row["source"] for row in rows(tmp_path / "out")}
