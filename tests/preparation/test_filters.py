"""`preparation.filters`: footage that is left out, with its reason."""

import cv2
import numpy as np

from tests.conftest import write_clip
from tests.preparation.conftest import RATE, even, prepare, rejects, rows


def test_what_is_no_use_is_listed_with_its_reason(footage, driver_frames, clip, tmp_path):
    blank = [np.full((120, 160, 3), 90, np.uint8)] * 4
    small = [cv2.resize(frame, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA) for frame in driver_frames[:6]]
    tiny = [cv2.copyMakeBorder(frame, 60, 60, 60, 60, cv2.BORDER_CONSTANT) for frame in small]
    for name, frames in {
        "blank.mp4": blank,
        "short.mp4": driver_frames[:3],
        "tiny.mp4": [even(frame) for frame in tiny],
        "soft.mp4": [cv2.GaussianBlur(frame, (0, 0), 14) for frame in driver_frames[:6]],
    }.items():
        write_clip(footage / "ann" / name, frames, RATE)
    data = clip.read_bytes()
    (footage / "ann/cut.mp4").write_bytes(data[:200])
    (footage / "ann/empty.mp4").touch()
    (footage / "ann/text.mp4").write_text("not a video")
    (footage / "ann/notes.txt").write_text("no footage, so of no interest")
    prepare(footage, tmp_path / "out")
    assert rejects(tmp_path / "out") == {
        ("ann/blank.mp4", "no_face"), ("ann/short.mp4", "short"), ("ann/tiny.mp4", "small_face"),
        ("ann/soft.mp4", "blurred"), ("ann/cut.mp4", "unreadable"), ("ann/empty.mp4", "unreadable"),
        ("ann/text.mp4", "unreadable"),
    }  # fmt: skip
    assert {row["source"] for row in rows(tmp_path / "out")} == {"ann/a.mp4", "ben/b.mp4"}
    short = next(row for row in rows(tmp_path / "out", "rejected.jsonl") if row["reason"] == "short")
    assert short == {"source": "ann/short.mp4", "reason": "short", "start": 0, "end": 0.25, "value": 0.25, "limit": 0.4}


def test_a_face_that_reaches_out_of_the_picture(mona, tmp_path):
    x, y = 165, 100  # through the face
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/half.mp4", [even(mona[y:, x:])] * 6, RATE)
    assert prepare(tmp_path / "in", tmp_path / "out", "min_face=10") == 1
    assert rejects(tmp_path / "out") <= {("ann/half.mp4", "outside"), ("ann/half.mp4", "no_face")}
