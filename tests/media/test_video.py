"""Videos keep their exact rate, their colors and their sound; nothing half-written stays behind."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import struct
import subprocess
import tracemalloc
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.media.audio import read_audio
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_writer import VideoWriter, read_video

NTSC = Fraction(30000, 1001)
CODECS = {
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
    "webm": ("libvpx-vp9", "libopus"),
    "mkv": ("libx264", "libmp3lame"),
    "avi": ("mpeg4", "pcm_s16le"),
    "mpg": ("mpeg2video", "mp2"),
}


def flat(level, size=(64, 48)):
    return np.full((size[1], size[0], 3), level, np.uint8)


def numbered(count, size=(64, 48)):
    """Frames told apart by their gray, which rises by 7 from 10 and starts over after 32."""
    return [flat(10 + 7 * (index % 32), size) for index in range(count)]


def order(frames):
    return [round((frame.mean() - 10) / 7) for frame in frames]


def make_clip(path, frames, rate=25, times=None, sound=None, sound_rate=48000, options=None, aspect=None):
    """A clip made by FFmpeg alone: `times` in milliseconds, `sound` mono float samples from the file's zero."""
    video_codec, sound_codec = CODECS[path.suffix[1:]]
    height, width, _ = frames[0].shape
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(video_codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if video_codec == "libx264":
            stream.options = {"preset": "ultrafast"}
        elif video_codec == "mpeg4":
            stream.bit_rate = 4_000_000
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        track = container.add_stream(sound_codec, rate=sound_rate, layout="mono") if sound is not None else None
        packets = []
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = 1 / Fraction(rate) if times is None else Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if track is not None:
            for at in range(0, len(sound), 1024):
                part = av.AudioFrame.from_ndarray(sound[None, at : at + 1024].astype(np.float32), "fltp", "mono")
                part.sample_rate, part.pts, part.time_base = sound_rate, at, Fraction(1, sound_rate)
                packets += track.encode(part)
            packets += track.encode(None)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            container.mux(packet)
    return path


def sine(seconds, rate=48000):
    return 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


def beep(at, seconds, rate=48000):
    """Silence but for a tone of a tenth of a second."""
    return sine(seconds, rate) * ((np.arange(int(seconds * rate)) / rate - at).clip(0, 0.1) % 0.1 > 0)


def decoded_sound(path):
    """The sound as a player hears it: samples [n], their rate, and when the first one sounds (seconds)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().reshape(-1, frame.samples)[0] for frame in frames])
    return samples / (32768 if samples.dtype == np.int16 else 1), frames[0].sample_rate, frames[0].time


def loud_from(path):
    samples, rate, start = decoded_sound(path)
    return start + np.flatnonzero(np.abs(samples) > 0.15)[0] / rate


def write(path, frames, like, **options):
    with VideoWriter(path, like=like, **options) as out:
        for frame in frames:
            out.add(frame)
    return path


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def one_line(error):
    assert "\n" not in str(error.value)


# Reading


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("rate", [25, NTSC])
def test_every_container_gives_each_frame_once_at_the_exact_rate(tmp_path, kind, rate):
    video = read_video(make_clip(tmp_path / f"clip.{kind}", numbered(20), rate, sound=sine(0.8)))
    assert video.rate == rate
    assert (video.width, video.height, video.has_audio) == (64, 48, True)
    assert order(video) == list(range(20))
    assert abs(video.frame_count_estimate - 20) <= 5


def test_a_video_can_be_read_again(tmp_path):
    video = read_video(make_clip(tmp_path / "clip.mp4", numbered(5)))
    assert order(video) == order(video) == [0, 1, 2, 3, 4]
    assert not video.has_audio


def test_reading_is_lazy_and_stopping_early_is_fine(tmp_path):
    video = read_video(make_clip(tmp_path / "clip.mp4", numbered(30)))
    assert order(itertools.islice(video, 2)) == [0, 1]


def test_a_slow_moment_repeats_frames_and_a_fast_one_drops_them(tmp_path):
    even = [40 * index for index in range(10)]
    slow = [*even, 360 + 400, *(760 + 40 * index for index in range(1, 10))]
    video = read_video(make_clip(tmp_path / "slow.mkv", numbered(20), times=slow), rate=25)
    shown = order(video)
    assert shown.count(9) == 10 and shown[19] == 10 and shown[-1] == 19
    fast = [*even, *(360 + 10 * index for index in range(1, 21))]
    shown = order(read_video(make_clip(tmp_path / "fast.mkv", numbered(30), times=fast), rate=25))
    assert shown[:10] == list(range(10)) and len(shown) in (14, 15, 16)


def test_a_little_jitter_neither_repeats_nor_drops(tmp_path):
    jittered = [40 * index + (index % 3) * 12 for index in range(30)]
    assert order(read_video(make_clip(tmp_path / "clip.mkv", numbered(30), times=jittered), rate=25)) == list(range(30))


def test_variable_timing_takes_the_average_rate_and_the_right_length(tmp_path):
    times = np.cumsum([0] + [33, 33, 67] * 10).tolist()
    video = read_video(make_clip(tmp_path / "clip.mp4", numbered(31), rate=30, times=times))
    frames = list(video)
    assert 21 < video.rate < 24
    assert abs(len(frames) / video.rate - 1.36) < 0.1


def test_a_browsers_clock_is_no_frame_rate(tmp_path):
    times = [33 * index for index in range(40)]
    make_clip(tmp_path / "browser.webm", numbered(40), rate=1000, times=times)
    with av.open(str(tmp_path / "browser.webm")) as container:
        assert container.streams.video[0].average_rate == 1000
    video = read_video(tmp_path / "browser.webm")
    assert float(video.rate) == pytest.approx(1000 / 33)
    assert len(list(video)) == 40


def test_files_that_were_joined_as_they_are_are_read_to_the_end(tmp_path):
    make_clip(tmp_path / "part.mpg", numbered(60))
    (tmp_path / "whole.mpg").write_bytes((tmp_path / "part.mpg").read_bytes() * 2)
    with pytest.warns(UserWarning, match="its clock jumps"):
        count = len(list(read_video(tmp_path / "whole.mpg")))
    assert 116 <= count <= 122


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_metadata_is_applied(tmp_path, turn):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 250
    path = make_clip(tmp_path / "clip.mp4", [image] * 3)
    matrix = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turn]  # clockwise, as a telephone writes it
    data = bytearray(path.read_bytes())
    at = data.rindex(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + place : at + place + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    video = read_video(path)
    expected = np.rot90(image, -turn // 90)
    frame = next(iter(video))
    assert (video.height, video.width) == expected.shape[:2] == frame.shape[:2]
    assert np.abs(frame.astype(int) - expected).mean() < 4


def test_squeezed_pixels_become_square(tmp_path):
    with av.open(str(tmp_path / "dv.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 72, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(flat(90, (72, 64)), format="rgb24")))
        container.mux(stream.encode(None))
    video = read_video(tmp_path / "dv.mp4")
    assert (video.width, video.height) == (96, 64)
    assert next(iter(video)).shape == (64, 96, 3)


def test_an_untagged_small_video_is_taken_for_bt601(tmp_path):
    with av.open(str(tmp_path / "plain.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        planes = np.concatenate([np.full(64 * 48, 82), np.full(32 * 24, 90), np.full(32 * 24, 240)])  # red in BT.601
        frame = av.VideoFrame.from_ndarray(planes.reshape(72, 64).astype(np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(next(iter(read_video(tmp_path / "plain.mp4")))[20, 20].astype(int) - [255, 0, 0]).max() <= 3


def test_a_gif_lies_on_white_and_keeps_its_timing(tmp_path):
    clear = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    clear.paste((200, 0, 0, 255), (0, 0, 32, 48))
    solid = Image.new("RGBA", (64, 48), (0, 0, 200, 255))
    clear.save(tmp_path / "clip.gif", save_all=True, append_images=[solid, clear], duration=[40, 80, 40], disposal=2)
    video = read_video(tmp_path / "clip.gif", rate=25)
    frames = list(video)
    assert frames[0][5, 5].tolist() == [200, 0, 0] and frames[0][5, 60].tolist() == [255, 255, 255]
    assert [frame[5, 5].tolist() for frame in frames[1:]] == [[0, 0, 200], [0, 0, 200], [200, 0, 0]]
    assert read_video(tmp_path / "clip.gif").rate == Fraction(3000, 160)


def test_a_folder_is_read_in_natural_order_at_25(tmp_path):
    for index, level in enumerate(numbered(12)):
        Image.fromarray(level).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    video = read_video(tmp_path)
    assert video.rate == 25 and (video.width, video.height) == (64, 48) and video.frame_count_estimate == 12
    assert order(video) == list(range(12))
    assert read_video(tmp_path, rate=29.97).rate == Fraction(2997, 100)


def test_a_folder_of_unlike_sizes_names_the_file(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "1.png")
    Image.new("RGB", (48, 64)).save(tmp_path / "2.png")
    with pytest.raises(BadInput, match="2.png: 48x64 pixels, where 1.png has 64x48"):
        list(read_video(tmp_path))


@pytest.mark.parametrize("kind", ["mp4", "webm", "avi", "gif"])
def test_an_empty_file_is_named_in_one_line(tmp_path, kind):
    (tmp_path / f"clip.{kind}").touch()
    with pytest.raises(BadInput, match=rf"clip.{kind}: the file is empty \(0 bytes\)") as error:
        read_video(tmp_path / f"clip.{kind}")
    one_line(error)


@pytest.mark.parametrize("kind", ["mp4", "mpg", "gif"])
def test_a_text_file_is_named_in_one_line(tmp_path, kind):
    (tmp_path / f"letter.{kind}").write_text("Dear Lisa,\n" * 100)
    with pytest.raises(BadInput, match=f"letter.{kind}: not a .*that can be read") as error:
        read_video(tmp_path / f"letter.{kind}")
    one_line(error)


def test_an_mp4_cut_before_its_index_is_named_in_one_line(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", numbered(20))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(BadInput, match="clip.mp4: .*whole copy") as error:
        read_video(path)
    one_line(error)


def test_a_video_of_which_no_frame_decodes_is_named_in_one_line(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", numbered(20), options={"movflags": "+faststart"})
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises(BadInput, match="clip.mp4: no frame of this video can be decoded") as error:
        read_video(path)
    one_line(error)


def test_a_video_of_no_frames_is_named_in_one_line(tmp_path):
    path = make_clip(tmp_path / "clip.avi", numbered(3))
    data = path.read_bytes()
    start = data.index(b"movi")
    path.write_bytes(data[: start + 4])
    with pytest.raises(BadInput, match="clip.avi: ") as error:
        read_video(path)
    one_line(error)


def test_sound_without_pictures_is_named_in_one_line(tmp_path):
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        part = av.AudioFrame.from_ndarray(sine(0.5)[None].astype(np.float32), "fltp", "mono")
        part.sample_rate = 48000
        container.mux(track.encode(part))
        container.mux(track.encode(None))
    with pytest.raises(BadInput, match="song.mp4: there is no video in this file"):
        read_video(tmp_path / "song.mp4")


def test_a_single_picture_and_a_missing_file_are_named(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "mona.jpg")
    with pytest.raises(BadInput, match="mona.jpg: a single picture"):
        read_video(tmp_path / "mona.jpg")
    with pytest.raises(BadInput, match="gone = 1.mp4: no such file"):
        read_video(tmp_path / "gone = 1.mp4")
    (tmp_path / "frames").mkdir()
    with pytest.raises(BadInput, match="frames: no pictures in this folder"):
        read_video(tmp_path / "frames")


@pytest.mark.parametrize("kind", ["mp4", "webm", "mpg", "avi"])
def test_a_video_cut_in_the_middle_gives_what_decodes_and_one_warning(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    options = {"movflags": "+faststart"} if kind == "mp4" else None
    path = make_clip(tmp_path / f"clip.{kind}", list(noise), options=options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count = len(list(read_video(path)))
    assert 10 < count < 50
    assert len(caught) == 1
    assert f"clip.{kind}: damaged or cut off" in str(caught[0].message)
    assert f"{count} frames could be read" in str(caught[0].message)


@pytest.mark.parametrize("kind", CODECS)
def test_a_whole_video_gives_no_warning(tmp_path, kind):
    path = make_clip(tmp_path / f"clip.{kind}", numbered(20), sound=sine(0.8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(read_video(path))) == 20


# Files from strangers


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile other.mp4", "#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST"]
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_playlist_opens_no_other_file(tmp_path, text, name):
    make_clip(tmp_path / "other.mp4", numbered(5))
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=f"{name}: not a video that can be read"):
        read_video(tmp_path / name)


def test_tags_that_are_no_text_are_no_damage(tmp_path):
    data = make_clip(tmp_path / "clip.mp4", numbered(5), sound=sine(0.2)).read_bytes()
    assert b"Lavf" in data  # the name of the muxer, a tag of the container
    (tmp_path / "clip.mp4").write_bytes(data.replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert order(read_video(tmp_path / "clip.mp4")) == list(range(5)) and len(read_audio(tmp_path / "clip.mp4").samples)


def test_a_codec_that_nobody_knows_is_one_line(tmp_path):
    data = make_clip(tmp_path / "clip.mkv", numbered(5)).read_bytes()
    (tmp_path / "clip.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XXX"))
    with pytest.raises(BadInput, match="clip.mkv: there is no video in this file"):
        read_video(tmp_path / "clip.mkv")


def test_a_name_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    make_clip(tmp_path / "12:30.mp4", numbered(5), sound=sine(0.2))
    monkeypatch.chdir(tmp_path)
    driver = read_video("12:30.mp4")
    write(tmp_path / "out.mp4", driver, like=driver)
    assert read_video("out.mp4").has_audio and len(read_audio("12:30.mp4").samples)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", "/dev/zero"):
        for read in (read_video, read_audio):
            with pytest.raises(BadInput, match="a pipe or a device"):
                read(path)


@pytest.mark.parametrize("aspect, words", [((400, 1), "25600x48 pixels is too l"), ((1, 100), "1x48 pixels is too sm")])
def test_an_absurd_pixel_aspect_is_refused(tmp_path, aspect, words):
    path = make_clip(tmp_path / "clip.mp4", numbered(5), aspect=Fraction(4, 3))
    data = path.read_bytes()
    at = data.index(b"pasp") + 4
    path.write_bytes(data[:at] + b"".join(side.to_bytes(4, "big") for side in aspect) + data[at + 8 :])
    with pytest.raises(BadInput, match=f"clip.mp4: {words}"):
        read_video(path)


def test_a_clock_that_jumps_often_asks_for_no_million_frames(tmp_path):
    path = make_clip(tmp_path / "clip.mkv", numbered(10), rate=200, times=[599_000 * index for index in range(10)])
    with pytest.warns(UserWarning, match="its clock jumps"):
        assert len(list(read_video(path))) <= 10 + 200 + 1


def test_pictures_may_stand_still_for_a_while(tmp_path):
    path = make_clip(tmp_path / "slides.mkv", numbered(3), rate=5, times=[0, 4000, 8000])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert order(read_video(path, rate=1)) == [0] * 4 + [1] * 4 + [2]


def test_a_slow_video_is_no_video_whose_clock_jumps(tmp_path):
    path = make_clip(tmp_path / "slow.mkv", numbered(90), rate=Fraction(1, 2), times=[2000 * i for i in range(90)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(read_video(path, rate=1))) in (179, 180)


def test_a_decoder_reserves_no_memory_for_frames_that_grow(tmp_path, monkeypatch):
    first, second = make_clip(tmp_path / "a.mpg", numbered(30)), make_clip(tmp_path / "b.mpg", numbered(30, (640, 480)))
    (tmp_path / "both.mpg").write_bytes(first.read_bytes() + second.read_bytes())
    monkeypatch.setattr("fewshot_heads.media.timed_frames.MAX_FRAME_PIXELS", 100 * 100)
    monkeypatch.setattr("fewshot_heads.media.timed_frames._PADDING_PIXELS", 0)
    with pytest.warns(UserWarning, match="damaged or cut off"):
        assert 25 < len(list(read_video(tmp_path / "both.mpg"))) < 35


def test_a_frame_just_below_the_limit_is_decoded(tmp_path):
    path = make_clip(tmp_path / "large.mp4", [np.zeros((5990, 5990, 3), np.uint8)])  # 5990 is no multiple of 64
    assert next(iter(read_video(path))).shape == (5990, 5990, 3)


@pytest.mark.parametrize("kind, rate", [("mp4", 24_000), ("mkv", 24_000), ("avi", Fraction(1, 1001))])
def test_a_rate_that_no_player_shows_is_refused(tmp_path, kind, rate):
    path = make_clip(tmp_path / f"clip.{kind}", numbered(10), rate=rate)
    with pytest.raises(BadInput, match=rf"clip.{kind}: .* frames per second, where 0.1 to 1000 were expected"):
        read_video(path)


def test_a_gif_that_stands_still_for_hours_is_refused(tmp_path):
    frames = [Image.fromarray(frame) for frame in numbered(3)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=600_000)
    with pytest.raises(BadInput, match=r"clip.gif: 0.00166667 frames per second"):
        read_video(tmp_path / "clip.gif", rate=25)


def test_high_speed_footage_keeps_its_rate(tmp_path):
    video = read_video(make_clip(tmp_path / "clip.mp4", numbered(30), rate=480))
    path = write(tmp_path / "out.mp4", video, like=video)
    assert (read_video(path).rate, order(read_video(path))) == (480, list(range(30)))


def test_frames_that_change_their_size_are_given_in_the_first_size(tmp_path):
    first, second = make_clip(tmp_path / "a.mpg", numbered(30)), make_clip(tmp_path / "b.mpg", numbered(30, (96, 64)))
    (tmp_path / "both.mpg").write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.warns(UserWarning, match="its clock jumps"):
        shapes = [frame.shape for frame in read_video(tmp_path / "both.mpg")]
    assert set(shapes) == {(48, 64, 3)} and len(shapes) > 45


def test_sound_that_lasts_longer_than_the_pictures_is_no_damage(tmp_path):
    path = make_clip(tmp_path / "clip.mkv", numbered(10), sound=sine(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(read_video(path))) == 10


@pytest.mark.parametrize("sound", [None, sine(3)])
def test_a_matroska_file_that_is_cut_off_gives_a_warning(tmp_path, sound):
    data = make_clip(
        tmp_path / "whole.mkv",
        [np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8) for i in range(75)],
        sound=sound,
    ).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="damaged or cut off"):
        assert len(list(read_video(tmp_path / "cut.mkv"))) < 60


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animated_pictures_are_videos_whatever_their_name(tmp_path, kind):
    frames = [Image.fromarray(frame) for frame in numbered(6)]
    frames[0].save(
        tmp_path / "clip.mp4", format=kind, save_all=True, append_images=frames[1:], duration=80, lossless=True
    )
    video = read_video(tmp_path / "clip.mp4")
    assert (video.rate, video.duration, order(video)) == (Fraction(25, 2), 0.48, list(range(6)))


def test_a_gif_that_is_cut_off_gives_a_warning_and_leaves_pillow_as_it_was(tmp_path):
    frames = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)) for i in range(6)]
    frames[0].save(tmp_path / "whole.gif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "whole.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(data[: len(data) // 2])
    before, frames = Image.MAX_IMAGE_PIXELS, iter(read_video(tmp_path / "cut.gif"))
    next(frames)
    assert before == Image.MAX_IMAGE_PIXELS
    with pytest.warns(UserWarning, match="cut.gif: damaged or cut off"):
        assert len(list(frames)) < 5


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [100, 13_000, 65_535])
def test_an_animation_ends_before_a_frame_of_another_size(tmp_path, side):
    frames = [Image.fromarray(frame) for frame in numbered(3)]
    frames[0].save(tmp_path / "large.gif", save_all=True, append_images=frames[1:], disposal=2)
    data = bytearray((tmp_path / "large.gif").read_bytes())
    second = data.index(b",\0\0\0\0", data.index(b",\0\0\0\0") + 1)  # a frame: left, top, width, height
    data[second + 5 : second + 9] = struct.pack("<HH", side, side)
    (tmp_path / "large.gif").write_bytes(data)
    with pytest.warns(UserWarning, match="large.gif: damaged or cut off .*; 1 frames could be read"):
        assert order(read_video(tmp_path / "large.gif")) == [0]


def test_a_tiff_with_a_large_second_page_is_one_line(tmp_path):
    large = Image.new("1", (20_000, 20_000))
    Image.fromarray(flat(10)).save(tmp_path / "a.tif", save_all=True, append_images=[large], compression="tiff_lzw")
    with pytest.raises(BadInput, match="a.tif: a single picture"):
        read_video(tmp_path / "a.tif")


def test_a_video_named_gif_is_a_video(tmp_path):
    make_clip(tmp_path / "clip.mp4", numbered(6)).rename(tmp_path / "clip.gif")
    assert order(read_video(tmp_path / "clip.gif")) == list(range(6))


def test_what_may_not_be_read_says_so(tmp_path, monkeypatch):
    make_clip(tmp_path / "clip.mp4", numbered(3))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for path in (tmp_path / "clip.mp4", tmp_path):
        with pytest.raises(BadInput, match=f"{path.name}: .*may not be read; change its permissions"):
            read_video(path)


def test_a_folder_takes_every_name_of_a_frame(tmp_path):
    for index, name in enumerate(("1²2.png", "2.png", "10.png")):
        Image.fromarray(flat(10 + 7 * index)).save(tmp_path / name)
    assert order(read_video(tmp_path)) == [0, 1, 2]


# Writing


@pytest.mark.parametrize("kind", ["mp4", "webm"])
@pytest.mark.parametrize("rate", [25, "30000/1001", 22.13, Fraction(1350, 61), Fraction(24000, 1001), 50])
def test_the_exact_rate_is_written(tmp_path, kind, rate):
    path = write(tmp_path / f"out.{kind}", numbered(30), like=rate)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == Fraction(str(rate))
    assert order(read_video(path)) == list(range(30))


def test_a_rate_that_was_rounded_to_a_float_is_the_exact_one(tmp_path):
    path = write(tmp_path / "out.mp4", numbered(3), like=float(Fraction(24000, 1001)))  # as OpenCV gives it
    assert read_video(path).rate == Fraction(24000, 1001)


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not installed")
@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_ffprobe_agrees_on_rate_and_colors(tmp_path, kind):
    path = write(tmp_path / f"out.{kind}", numbered(30), like=NTSC)
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", path]
    stream = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]
    assert stream["avg_frame_rate"] == stream["r_frame_rate"] == "30000/1001"
    assert (stream["color_space"], stream["color_range"]) == ("smpte170m", "tv")


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif"])
@pytest.mark.parametrize("size", [(64, 48), (1280, 64)])
def test_flat_colors_survive(tmp_path, kind, size):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 150, 120), (30, 60, 90), (0, 0, 0), (255, 255, 255)]
    frames = [np.tile(np.array(color, np.uint8), (size[1], size[0], 1)) for color in colors]
    path = write(tmp_path / f"out.{kind}", np.repeat(frames, 2, axis=0), like=25, mark=None)
    for frame, color in zip(list(read_video(path))[::2], colors, strict=True):
        assert np.abs(frame.astype(int) - color).max() <= 3


@pytest.mark.parametrize("size, tag", [((64, 48), 6), ((1280, 64), 1)])
def test_the_color_tags_say_how_it_was_encoded(tmp_path, size, tag):
    path = write(tmp_path / "out.mp4", [flat(90, size)], like=25)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert (int(frame.colorspace), int(frame.color_range)) == (tag, 1)


@pytest.mark.parametrize("crf", [0, 18, 51])
def test_every_quality_has_a_profile_that_players_read(tmp_path, crf):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = write(tmp_path / "out.mp4", [noise] * 3, like=25, crf=crf)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (container.streams.video[0].profile, frame.format.name) == ("High", "yuv420p")


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_odd_sizes_get_their_last_row_and_column_twice(tmp_path, kind):
    image = flat(60, (65, 49))
    image[-1], image[:, -1] = 200, 200
    frame = next(iter(read_video(write(tmp_path / f"out.{kind}", [image] * 3, like=25))))
    assert frame.shape == (50, 66, 3)
    assert frame[-2:].min() > 180 and frame[:, -2:].min() > 180 and frame[:45, :60].max() < 80


def test_a_gif_keeps_odd_sizes_and_many_colors(tmp_path):
    rows, columns = np.mgrid[0:49, 0:65]
    image = np.stack([rows * 5, columns * 3, (rows + columns) * 2], -1).astype(np.uint8)
    frame = next(iter(read_video(write(tmp_path / "out.gif", [image] * 3, like=25))))
    assert frame.shape == (49, 65, 3)
    assert np.abs(frame.astype(int) - image).mean() < 5


def test_a_gif_keeps_its_length_at_any_rate(tmp_path):
    for rate, count in ((NTSC, 60), (100, 200), (12.5, 25)):
        video = read_video(write(tmp_path / "out.gif", [flat(9)] * (count - 1) + [flat(200)], rate, overwrite=True))
        assert abs(video.duration - 2) <= 0.03


def test_frames_of_another_size_or_type_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\[48, 64, 3\] was expected, \[50, 64, 3\] came"):
        write(tmp_path / "out.mp4", [flat(9), flat(9, (64, 50))], like=25)
    with pytest.raises(ValueError, match="uint8"):
        write(tmp_path / "out.mp4", [np.zeros((48, 64, 3))], like=25)
    assert names(tmp_path) == []


@pytest.mark.parametrize("rate", [0, -1, "fast", float("nan"), float("inf"), 1e6])
def test_an_impossible_rate_is_refused(tmp_path, rate):
    with pytest.raises(BadInput, match="frames per second were expected"):
        VideoWriter(tmp_path / "out.mp4", like=rate)


def test_two_writers_of_one_path_leave_a_whole_video(tmp_path):
    with pytest.raises(OutputError, match="exists already"), VideoWriter(tmp_path / "out.mp4", 25) as second:
        second.add(flat(10))
        with VideoWriter(tmp_path / "out.mp4", 25) as first:
            for _ in range(5):
                first.add(flat(200))
    assert len(list(read_video(tmp_path / "out.mp4"))) == 5 and names(tmp_path) == ["out.mp4"]


# Sound


@pytest.mark.parametrize(
    "source, target, codec",
    [
        ("mp4", "mp4", "aac"),
        ("mkv", "mp4", "mp3"),
        ("avi", "mp4", "aac"),
        ("webm", "mp4", "aac"),
        ("webm", "webm", "opus"),
        ("mpg", "mp4", "aac"),
        ("mp4", "webm", "opus"),
        ("mpg", "webm", "opus"),
    ],
)
def test_sound_comes_along_in_a_codec_that_players_expect(tmp_path, source, target, codec):
    driver = read_video(make_clip(tmp_path / f"driver.{source}", numbered(50), sound=sine(2)))
    path = write(tmp_path / f"out.{target}", driver, like=driver)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
    samples, rate, start = decoded_sound(path)
    assert abs(start) < 0.06 and abs(len(samples) / rate - 2) < 0.08
    spectrum = np.abs(np.fft.rfft(samples[rate // 2 : rate // 2 + rate]))
    assert abs(int(spectrum.argmax()) - 440) <= 1


@pytest.mark.parametrize("codec", ["ac3", "eac3"])
def test_sound_that_browsers_do_not_play_in_mp4_is_encoded_again(tmp_path, codec, monkeypatch):
    monkeypatch.setitem(CODECS, "mkv", ("libx264", codec))
    driver = read_video(make_clip(tmp_path / "driver.mkv", numbered(25), sound=sine(1)))
    path = write(tmp_path / "out.mp4", driver, like=driver)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == "aac"


def test_mp3_of_a_rate_that_mp4_does_not_hold_is_encoded_again(tmp_path):
    driver = read_video(make_clip(tmp_path / "driver.mkv", numbered(25), sound=sine(1, 8000), sound_rate=8000))
    path = write(tmp_path / "out.mp4", driver, like=driver)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == "aac"


def test_sound_is_copied_byte_for_byte_where_it_can_be(tmp_path):
    driver = read_video(make_clip(tmp_path / "driver.mp4", numbered(50), sound=sine(2)))
    path = write(tmp_path / "out.mp4", driver, like=driver)

    def packets(file):
        with av.open(str(file)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    before, after = packets(driver.path), packets(path)
    assert after == before[: len(after)] and len(after) >= len(before) - 2


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_sound_is_trimmed_to_the_frames_written(tmp_path, kind):
    driver = read_video(make_clip(tmp_path / "driver.mp4", numbered(50), sound=sine(2)))
    path = write(tmp_path / f"out.{kind}", itertools.islice(driver, 20), like=driver)
    samples, rate, _ = decoded_sound(path)
    assert 0.75 < len(samples) / rate < 0.87


@pytest.mark.parametrize("target", ["mp4", "webm"])
@pytest.mark.parametrize("offset", [0, 500])
def test_the_beep_stays_with_the_flash(tmp_path, target, offset):
    """The driver's pictures begin `offset` ms into its sound; a flash and a beep come together at its 1.5 seconds."""
    times = [offset + 40 * index for index in range(60)]
    frames = [flat(250 if time >= 1500 else 10) for time in times]
    driver = read_video(make_clip(tmp_path / "driver.mp4", frames, times=times, sound=beep(1.5, 3)))
    path = write(tmp_path / f"out.{target}", driver, like=driver)
    flash = next(index for index, frame in enumerate(read_video(path)) if frame.mean() > 128) / driver.rate
    assert abs(loud_from(driver.path) - 1.5) < 0.03
    assert abs(float(flash) - (1.5 - offset / 1000)) <= 0.041
    assert abs(loud_from(path) - float(flash)) < 0.05


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files on this system")
def test_a_broken_sound_is_blamed_on_its_own_file_and_leaves_nothing_open(tmp_path):
    driver = read_video(make_clip(tmp_path / "driver.mp4", numbered(5), sound=sine(0.2)))
    driver.path.write_bytes(b"no longer a video")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.warns(UserWarning, match="driver.mp4: the sound is damaged"):
        write(tmp_path / "out.mp4", numbered(5), like=driver)
    assert len(list(read_video(tmp_path / "out.mp4"))) == 5
    with pytest.raises(OutputError), VideoWriter(tmp_path / "b.mp4", 25) as out:
        out.crf = "no number"
        out.add(flat(9))
    assert len(os.listdir("/proc/self/fd")) == before and names(tmp_path) == ["driver.mp4", "out.mp4"]


def test_sound_can_be_left_out_and_a_silent_driver_is_fine(tmp_path):
    driver = read_video(make_clip(tmp_path / "driver.mp4", numbered(5), sound=sine(0.2)))
    silent = read_video(make_clip(tmp_path / "silent.mp4", numbered(5)))
    assert not read_video(write(tmp_path / "a.mp4", driver, like=driver, audio=False)).has_audio
    assert not read_video(write(tmp_path / "b.mp4", silent, like=silent)).has_audio
    assert not read_video(write(tmp_path / "c.gif", driver, like=driver)).has_audio


def test_sound_that_is_announced_only_is_none(tmp_path):
    with av.open(str(tmp_path / "cut.ts"), "w") as output:  # as a stream that was cut off before its first sound
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        output.add_stream("aac", rate=48000, layout="mono")
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        output.mux(stream.encode(None))
    cut = read_video(tmp_path / "cut.ts")
    assert not cut.has_audio
    with VideoWriter(tmp_path / "out.mp4", like=cut) as out:
        out.add(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(BadInput, match="there is no sound in this file"):
        read_audio(tmp_path / "cut.ts")


def test_a_silent_moment_after_the_sound_ends_is_no_error(tmp_path):
    driver = read_video(make_clip(tmp_path / "driver.mp4", numbered(50), sound=sine(0.5)))
    for kind in ("mp4", "webm"):
        assert order(read_video(write(tmp_path / f"out.{kind}", driver, like=driver))) == [
            index % 32 for index in range(50)
        ]


def test_a_driver_cut_in_the_middle_keeps_the_sound_it_has(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    path = make_clip(tmp_path / "driver.mp4", list(noise), sound=sine(2), options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    for kind in ("mp4", "webm"):
        driver = read_video(path)
        with pytest.warns(UserWarning, match="driver.mp4: damaged or cut off"):
            write(tmp_path / f"out.{kind}", driver, like=driver)
        samples, rate, _ = decoded_sound(tmp_path / f"out.{kind}")
        assert 0.5 < len(samples) / rate < 1.7


# Whole or not at all


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing_and_keeps_what_was_there(tmp_path, kind, stop):
    target = tmp_path / f"out.{kind}"
    target.write_bytes(b"precious")
    with pytest.raises(stop), VideoWriter(target, like=25, overwrite=True) as out:
        out.add(flat(9))
        out.add(flat(9))
        raise stop
    assert names(tmp_path) == [target.name] and target.read_bytes() == b"precious"


def test_an_interruption_before_the_first_frame_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4", like=25):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_the_target_appears_only_when_it_is_whole(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", like=25) as out:
        out.add(flat(9))
        assert not (tmp_path / "out.mp4").exists()
    assert names(tmp_path) == ["out.mp4"]


def test_no_frames_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="out.mp4: no frame was added"), VideoWriter(tmp_path / "out.mp4", like=25):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif"])
def test_a_disk_that_refuses_more_leaves_nothing_and_says_so(tmp_path, kind):
    resource = pytest.importorskip("resource")
    target = tmp_path / f"out.{kind}"
    target.write_bytes(b"precious")
    noise = np.random.default_rng(0).integers(0, 256, (12, 240, 320, 3), dtype=np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OutputError, match=f"out.{kind}: cannot be written.*choose another folder") as error:
            write(target, noise, like=25, crf=1, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    one_line(error)
    assert names(tmp_path) == [target.name] and target.read_bytes() == b"precious"


def test_a_full_disk_is_called_that(tmp_path, monkeypatch):
    def full(path, provenance):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fewshot_heads.media.video_writer.mark", full)
    with (
        pytest.raises(OutputError, match="out.mp4: the disk is full"),
        VideoWriter(tmp_path / "out.mp4", like=25, mark=Provenance("m", "0", True)) as out,
    ):
        out.add(flat(9))
    assert names(tmp_path) == []


def test_targets_that_cannot_be_are_refused_before_any_work(tmp_path):
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "folder.mp4").mkdir()
    for name, reason in [
        ("there.mp4", "exists already.*--overwrite"),
        ("out.xyz", "name it .mp4, .webm, .gif"),
        ("out", "name it .mp4, .webm, .gif"),
        ("no/such/out.mp4", "there is no folder .*make it first"),
        ("there.mp4/out.mp4", "there is no folder"),
        ("folder.mp4", "this is a folder"),
    ]:
        with pytest.raises(OutputError, match=reason) as error:
            VideoWriter(tmp_path / name, like=25)
        one_line(error)
    assert names(tmp_path) == ["folder.mp4", "there.mp4"]


def test_a_folder_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda folder, way: False)
    with pytest.raises(OutputError, match="may not be written; choose another"):
        VideoWriter(tmp_path / "out.mp4", like=25)


def test_the_driver_itself_can_be_overwritten(tmp_path):
    driver = read_video(make_clip(tmp_path / "clip.mp4", numbered(20), sound=sine(0.8)))
    write(driver.path, driver, like=driver, overwrite=True)
    assert order(read_video(driver.path)) == list(range(20))


def test_memory_does_not_grow_with_length(tmp_path):
    def peak(count):
        tracemalloc.start()
        driver = read_video(make_clip(tmp_path / "clip.mp4", [flat(50, (320, 240))] * count, sound=sine(count / 25)))
        tracemalloc.reset_peak()
        write(tmp_path / "out.mp4", driver, like=driver, overwrite=True)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(10)
    assert peak(300) < peak(60) + 2_000_000  # nine frames' worth; 240 more were read and written
