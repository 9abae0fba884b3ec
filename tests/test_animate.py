"""The command line, end to end, and everything a user can do wrong with it."""

import dataclasses
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fewshot_heads import Head, edit, read_video
from fewshot_heads.animate import main
from fewshot_heads.cli.parser import split_overrides
from fewshot_heads.media import images
from fewshot_heads.media.provenance import read_mark
from fewshot_heads.models.weights_file import WEIGHTS, read_weights
from tests.conftest import write_clip


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nothing_left(tmp_path):
    """After a failure the folder holds what it held before."""
    before = {p.name for p in tmp_path.iterdir()}
    yield lambda *made: {p.name for p in tmp_path.iterdir()} - before - set(made) == set()


def fails(capsys, *arguments, code=1):
    """The one line on stderr of a command that must fail."""
    try:
        exit_code = main([str(a) for a in arguments])
    except SystemExit as stop:  # argparse's own
        exit_code = stop.code
    assert exit_code == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def test_the_main_job(mona_path, driver_path, mona, capsys, tmp_path):
    assert main([str(mona_path), str(driver_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip().splitlines()[-1] == "mona_lisa_driver.mp4" and "%" not in printed.err
    video = read_video("mona_lisa_driver.mp4")
    assert (video.height, video.width) == (mona.shape[0], mona.shape[1]) and video.rate == 25
    mark = read_mark("mona_lisa_driver.mp4")
    assert mark["digital_source_type"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert mark["model_sha256"] == read_weights()[0].sha256
    assert [p.name for p in tmp_path.iterdir()] == ["mona_lisa_driver.mp4"]


def test_a_video_takes_the_expression_of_a_driver(mona_path, driver_frames, caplog):
    small = [frame[::2, ::2] for frame in driver_frames[:5]]
    write_clip(Path("talk.mp4"), small, rate=50)
    edit.main([str(mona_path), "-o", "smile.safetensors", "--animate", "smile=1", "seconds=.5", "rate=25"])
    assert main(["--video", "talk.mp4", "smile.safetensors"]) == 0
    assert "talk.mp4 has 3 frames, and smile.safetensors has more" in caplog.text  # 50 frames per second became 25
    video = read_video("talk_smile.mp4")
    assert (video.rate, video.height, video.width) == (25, *small[0].shape[:2]) and len(list(video)) == 3
    assert read_mark("talk_smile.mp4")["digital_source_type"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert main(["--video", "talk.mp4", "talk.mp4", "-o", "beside.gif", "side_by_side=true"]) == 0
    assert read_video("beside.gif").width == 3 * video.width


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("motion=absolute", "motion=absolute: a video as source takes the expression only"),
        ("pose=.5", "pose=0.5: a video as source keeps the pose"),
        ("paste_back=false", "paste_back=false: a video as source keeps its whole picture"),
        ("talk.mp4", "2 sources came"),
    ],
)
def test_what_a_video_as_source_cannot_do_is_told(capsys, driver_path, nothing_left, option, told):
    assert told in fails(capsys, "--video", "talk.mp4", option, driver_path, code=2)
    assert nothing_left()


def test_a_video_as_source_whose_frames_are_too_large_is_told_before_any_work(capsys, driver_path, monkeypatch):
    write_clip(Path("large.mp4"), [np.zeros((140, 100, 3), np.uint8)])
    monkeypatch.setattr(images, "MAX_SIDE_PX", 100)
    told = "large.mp4: 100x140 pixels is too large; scale it down to 0.01 million pixels at most"
    assert told in fails(capsys, "--video", "large.mp4", driver_path)


def test_the_crop_alone_is_wholly_synthetic(mona_path, driver_path):
    assert main([str(mona_path), str(driver_path), "-o", "crop.mp4", "paste_back=false"]) == 0
    assert read_video("crop.mp4").width == 320  # the resolution of the picture
    assert read_mark("crop.mp4")["digital_source_type"].endswith("/trainedAlgorithmicMedia")


def test_side_by_side_is_source_driver_result(mona_path, driver_path, mona):
    assert main([str(mona_path), str(driver_path), "-o", "s.mp4", "side_by_side=true"]) == 0
    driver = read_video(driver_path)
    frame = next(iter(read_video("s.mp4")))
    height, width = mona.shape[:2]
    assert frame.shape[1] == pytest.approx(2 * width + driver.width * height / driver.height, abs=3)
    assert np.abs(frame[:height, :width].astype(int) - mona).mean() < 4


@pytest.mark.parametrize("output", ["out.webm", "out.gif"])
def test_other_formats(mona_path, driver_path, output, driver_frames):
    assert main([str(mona_path), str(driver_path), "-o", output]) == 0
    assert len(list(read_video(output))) == len(driver_frames) and read_mark(output)


def test_a_saved_head_is_a_source(reenactor, mona_path, driver_path):
    reenactor.embed([mona_path]).save("mona.safetensors")
    assert main(["mona.safetensors", str(driver_path)]) == 0
    assert Head.load("mona.safetensors").picture.shape[1] == read_video("mona_driver.mp4").width


def test_a_folder_of_frames_is_a_driver_and_several_pictures_are_one_person(driver_frames, mona_path):
    for i, frame in enumerate(driver_frames[:3]):
        images.write_image(f"{i}.png", frame)
    Path("frames").mkdir()
    for i, frame in enumerate(driver_frames[:4]):
        images.write_image(f"frames/{i}.png", frame)
    assert main(["0.png", "1.png", "2.png", "frames", "-o", "f.mp4", "motion=absolute"]) == 0
    assert len(list(read_video("f.mp4"))) == 4


def test_an_existing_output_is_kept_unless_told(mona_path, driver_path, capsys):
    Path("mona_lisa_driver.mp4").write_text("mine")
    assert "--overwrite" in fails(capsys, mona_path, driver_path)
    assert Path("mona_lisa_driver.mp4").read_text() == "mine"
    assert main([str(mona_path), str(driver_path), "--overwrite"]) == 0
    assert len(list(read_video("mona_lisa_driver.mp4"))) == 12


def test_help_shows_every_key_with_a_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert re.search(r"motion=relative +\w+", text) and re.search(r"paste_back=true +\w+", text)


def test_paths_with_spaces_and_equals_signs(mona_path, driver_path):
    shutil.copy(mona_path, "a=b (1).jpg")
    assert main(["a=b (1).jpg", str(driver_path), "-o", "o.mp4"]) == 0


def test_a_file_beats_an_override_of_the_same_spelling():
    Path("motion=x.jpg").touch()
    paths, overrides = split_overrides(["motion=x.jpg", "motion=absolute", "clip.mp4"])
    assert paths == ["motion=x.jpg", "clip.mp4"] and overrides == ["motion=absolute"]


# Bad input


def test_no_face_in_the_source(driver_path, capsys, nothing_left):
    images.write_image("wall.png", np.full((200, 300, 3), 120, np.uint8))
    assert "wall.png: no face" in fails(capsys, "wall.png", driver_path) and nothing_left("wall.png")


def test_no_face_in_the_driver(mona_path, capsys, nothing_left):
    write_clip(Path("empty.mp4"), [np.full((120, 160, 3), 90, np.uint8)] * 5)
    assert "empty.mp4: no face in any of 5 frames" in fails(capsys, mona_path, "empty.mp4")
    assert nothing_left("empty.mp4")


def test_no_face_in_some_driver_frames_holds_and_names_them(mona_path, driver_frames, caplog):
    blank = np.full_like(driver_frames[0], 90)
    write_clip(Path("gap.mp4"), [*driver_frames[:3], blank, blank, *driver_frames[3:5]])
    assert main([str(mona_path), "gap.mp4"]) == 0
    assert "gap.mp4: no face in frames 3-4" in caplog.text
    assert len(list(read_video("mona_lisa_gap.mp4"))) == 7


def test_a_face_half_out_of_the_picture(mona, driver_path):
    images.write_image("half.png", np.ascontiguousarray(mona[60:, 95:]))
    assert main(["half.png", str(driver_path)]) == 0


def test_the_second_of_several_faces(mona, driver_path, reenactor):
    small = cv2.resize(mona, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    both = np.full((mona.shape[0], mona.shape[1] + small.shape[1], 3), 60, np.uint8)
    both[: small.shape[0], : small.shape[1]], both[:, small.shape[1] :] = small, mona
    images.write_image("both.png", both)
    assert main(["both.png", str(driver_path), "-o", "o.mp4", "source_face=1", "crf=5"]) == 0
    frames = np.stack(list(read_video("o.mp4"))).astype(int)
    moved = np.abs(frames - frames[0]).max((0, 3)) > 25
    assert moved[:, : small.shape[1]].sum() > 20 * moved[:, small.shape[1] + 10 :].sum()


@pytest.mark.parametrize("size", [(1, 1), (20, 20)])
def test_a_tiny_picture(size, driver_path, capsys):
    Image.new("RGB", size).save("dot.png")
    assert "dot.png" in fails(capsys, "dot.png", driver_path)


def test_a_huge_picture_works(mona, driver_path):
    huge = cv2.resize(mona, (9000, 12000), interpolation=cv2.INTER_LINEAR)
    Image.fromarray(huge).save("huge.jpg", quality=60)
    del huge
    short = write_clip(Path("short.mp4"), list(read_video(driver_path))[:2])
    assert main(["huge.jpg", str(short), "-o", "o.mp4"]) == 0


def test_a_truncated_picture(mona_path, driver_path, capsys):
    data = mona_path.read_bytes()
    Path("cut.jpg").write_bytes(data[: len(data) // 2])
    assert "cut.jpg" in fails(capsys, "cut.jpg", driver_path)


def test_a_text_file_named_jpg(driver_path, capsys):
    Path("text.jpg").write_text("hello")
    assert "text.jpg" in fails(capsys, "text.jpg", driver_path)


@pytest.mark.parametrize("share", [0, 0.5])
def test_an_empty_or_truncated_video(mona_path, driver_path, share, capsys, nothing_left):
    data = driver_path.read_bytes()
    # The index lies in front: what is cut off is the end of the pictures, so cut into the index.
    Path("cut.mp4").write_bytes(data[: int(400 * share)])
    assert "cut.mp4" in fails(capsys, mona_path, "cut.mp4") and nothing_left("cut.mp4")


def test_a_path_that_does_not_exist(mona_path, driver_path, capsys):
    assert "no such" in fails(capsys, "nobody.jpg", driver_path)
    assert "nowhere.mp4" in fails(capsys, mona_path, "nowhere.mp4")


def test_an_output_folder_that_cannot_be_written(mona_path, driver_path, capsys):
    assert "/proc/o.mp4" in fails(capsys, mona_path, driver_path, "-o", "/proc/o.mp4")
    assert "make it first" in fails(capsys, mona_path, driver_path, "-o", "no/such/folder/o.mp4")
    assert "o.txt" in fails(capsys, mona_path, driver_path, "-o", "o.txt")


def test_a_full_disk(mona_path, driver_path, capsys, monkeypatch, nothing_left):
    from fewshot_heads.media import video_writer as video

    def full(self, image):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(video.VideoEncoder, "add", full)
    assert "disk is full" in fails(capsys, mona_path, driver_path) and nothing_left()


def test_an_interruption_leaves_nothing(mona_path, driver_path, capsys, monkeypatch, nothing_left):
    from fewshot_heads import VideoWriter

    added = []

    def interrupted(self, frame, add=VideoWriter.add):
        added.append(1)
        if len(added) == 3:
            raise KeyboardInterrupt
        add(self, frame)

    monkeypatch.setattr(VideoWriter, "add", interrupted)
    assert "interrupted" in fails(capsys, mona_path, driver_path, code=130) and nothing_left()


def test_the_input_is_never_the_output(mona_path, driver_path, capsys):
    shutil.copy(driver_path, "d.mp4")
    assert "also an input" in fails(capsys, mona_path, "d.mp4", "-o", "d.mp4", "--overwrite")
    assert Path("d.mp4").read_bytes() == driver_path.read_bytes()


def test_a_frame_of_the_driver_is_never_the_output(mona_path, driver_path, capsys):
    Path("frames").mkdir()
    shutil.copy(driver_path, "frames/1.gif")
    assert "also an input" in fails(capsys, mona_path, "frames", "-o", "frames/1.gif", "--overwrite")
    assert Path("frames/1.gif").read_bytes() == driver_path.read_bytes()


def test_usage_errors_name_the_nearest_key(mona_path, driver_path, capsys):
    assert "did you mean 'motion'" in fails(capsys, mona_path, driver_path, "motoin=absolute", code=2)
    assert "relative or absolute" in fails(capsys, mona_path, driver_path, "motion=foo", code=2)
    assert "at least one source" in fails(capsys, driver_path, code=2)
    assert "--outptu" in fails(capsys, mona_path, driver_path, "--outptu", "x.mp4", code=2)


def test_a_reference_frame_beyond_the_driver(mona_path, driver_path, capsys, nothing_left):
    assert "frames 0 to 11" in fails(capsys, mona_path, driver_path, "reference=99") and nothing_left()


def test_weights_that_do_not_match_their_hash(mona_path, driver_path, capsys, tmp_path):
    shipped = next(WEIGHTS.glob("realtime-*.safetensors"))
    shutil.copy(shipped.with_suffix(".json"), tmp_path)
    data = bytearray(shipped.read_bytes())
    data[-1] ^= 1
    (tmp_path / shipped.name).write_bytes(data)
    assert "sha256" in fails(capsys, mona_path, driver_path, f"model={shipped.name}")


def test_a_saved_head_that_is_damaged_is_named(reenactor, mona_path, driver_path, capsys, nothing_left):
    head = reenactor.embed([mona_path])
    dataclasses.replace(head, style=head.style[:-1]).save("short.SAFETENSORS")
    assert "short.SAFETENSORS: damaged, does not fit" in fails(capsys, "short.SAFETENSORS", driver_path)
    assert nothing_left("short.SAFETENSORS")
