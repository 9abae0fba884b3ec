"""The stages of a live session: frames are dropped rather than late, keys work, errors and Ctrl-C end it cleanly."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from fewshot_heads import read_video
from fewshot_heads.errors import BadInput
from fewshot_heads.media.provenance import UNNAMED
from fewshot_heads.streaming.cameras import open_camera, open_input, paced
from fewshot_heads.streaming.controls import KEYS, Controls
from fewshot_heads.streaming.latest import Latest
from fewshot_heads.streaming.meter import Meter
from fewshot_heads.streaming.outputs import Output, VideoFile, VirtualCamera, Window, fitted
from fewshot_heads.streaming.session import Driven, LiveSession

FRAME = np.zeros((32, 48, 3), np.uint8)


class Shown(Output):
    """Notes frames and their times; presses keys at some of them."""

    def __init__(self, keys=None, error=None):
        self.frames, self._keys, self._error = [], keys or {}, error

    def show(self, frame, time):
        self.frames.append((int(frame[0, 0, 0]), time))
        if self._error:
            raise self._error

    def keys(self):
        return self._keys.pop(len(self.frames), [])


class Puppets:
    """A puppeteer and its one portrait, whose frames tell the number of the camera's frame."""

    def __init__(self, render_seconds=0.0, error=None):
        self.controls, self.portraits = Controls(), [SimpleNamespace(render=self._render, place=lambda crop: crop)]
        self._seconds, self._error = render_seconds, error

    def drive(self, captured):
        if self._error:
            raise self._error
        return Driven(captured.time, 0, int(captured.frame[0, 0, 0]), None)

    def _render(self, faces, mouths):
        time.sleep(self._seconds)
        return np.full((1, 8, 8, 3), faces[0], np.uint8)


def camera(count, seconds):
    for number in range(count):
        time.sleep(seconds)
        yield np.full_like(FRAME, number)


def run(frames, puppets, shown, **options):
    session = LiveSession(frames, puppets, shown, **options)
    return session.run()


def test_a_fast_session_shows_every_frame_in_order(capsys):
    shown = Shown()
    measure = run(camera(20, 0.02), Puppets(), shown, report_seconds=0.1)
    numbers = [number for number, _ in shown.frames]
    assert numbers == sorted(numbers)
    assert len(numbers) >= 8  # all 20 on a quiet machine
    assert numbers[-1] == 19
    assert measure.frames == len(numbers)
    assert 5 < measure.fps < 60
    assert "frames/s, latency" in capsys.readouterr().err


def test_a_slow_renderer_drops_frames_and_never_lags(one_thread):
    measure = run(camera(60, 0.01), Puppets(render_seconds=0.06), Shown())
    assert 3 <= measure.frames <= 16
    assert measure.p95_ms < 1000  # 120 on a quiet machine; with every frame it would be 3000


def test_keys_end_the_session_and_turn_dials():
    puppets = Puppets()
    run(camera(200, 0.01), puppets, Shown(keys={3: ["m", "P", "P", "e", "r"], 5: ["q"]}))
    controls = puppets.controls
    assert (controls.is_mirrored, controls.pose, controls.expression, controls.calibrations) == (True, 1.2, 0.9, 1)


def test_dials_stay_in_their_range_and_portraits_come_round():
    controls = Controls(portraits=2)
    assert all(controls.press(key) for key in KEYS)
    assert controls.portrait == 1
    for _ in range(30):
        controls.press("P")
        controls.press("e")
    controls.press("n")
    assert (controls.pose, controls.expression, controls.portrait) == (2.0, 0.0, 0)
    assert not controls.press("x")


@pytest.mark.parametrize("where", ["camera", "drive", "show"])
def test_an_error_of_a_stage_is_the_error_of_the_session(where):
    error = BadInput(f"{where} fails")

    def broken_camera():
        yield FRAME
        raise error

    frames = broken_camera() if where == "camera" else camera(500, 0.01)
    puppets = Puppets(error=error if where == "drive" else None)
    with pytest.raises(BadInput, match=f"{where} fails"):
        run(frames, puppets, Shown(error=error if where == "show" else None))


def test_ctrl_c_ends_a_session_like_a_key_and_its_file_is_whole(tmp_path):
    class Interrupted(VideoFile):
        def show(self, frame, time):
            super().show(np.repeat(np.repeat(frame, 8, 0), 8, 1), time)
            if frame[0, 0, 0] >= 10:
                raise KeyboardInterrupt

    with Interrupted(tmp_path / "out.mp4", 25, 18, None, False) as output:
        run(camera(500, 0.02), Puppets(), output)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert len(list(read_video(tmp_path / "out.mp4"))) >= 4


def test_a_file_keeps_the_time_of_frames_that_come_irregularly_and_the_size_of_the_first(tmp_path):
    with VideoFile(tmp_path / "out.mp4", 20, 10, None, False) as output:
        for time_, level in ((5.0, 40), (5.05, 80), (5.06, 120), (5.30, 200)):
            output.show(np.full((64, 64 if level < 100 else 32, 3), level, np.uint8), time_)
    frames = np.stack(list(read_video(tmp_path / "out.mp4")))
    assert frames.shape == (7, 64, 64, 3)
    middle = frames[:, 32, 32, 0].astype(int)
    assert np.abs(middle - [40, 120, 120, 120, 120, 120, 200]).max() < 6
    assert frames[-1, 32, 4].max() < 20  # black beside a narrower portrait


def test_the_newest_item_wins_and_a_closed_queue_gives_its_last():
    queue = Latest()
    queue.put(1)
    queue.put(2)
    assert queue.take() == 2
    assert queue.take(0.01) is None
    queue.put(3)
    queue.close()
    assert list(queue) == [3]
    assert queue.is_finished


def test_a_meter_measures_rate_and_latency():
    meter = Meter()
    for i in range(21):
        meter.add(i / 20, i / 20 + 0.05)
    measure = meter.since()
    assert (measure.frames, round(measure.fps, 6), round(measure.median_ms, 6)) == (21, 20, 50)
    assert str(measure) == "20.0 frames/s, latency 50 ms (95 %: 50 ms)"
    assert meter.since(0.89).frames == 4
    assert meter.since(5) is None


def test_a_video_plays_at_its_own_pace_and_drops_what_is_late():
    now, taken = 100.0, []

    def sleep(seconds):
        nonlocal now
        now += seconds

    for number in paced(range(12), 50, clock=lambda: now, sleep=sleep):  # noqa: B023 (the clock goes on by hand)
        taken.append((number, round(now - 100, 3)))
        now += 0.11 if number == 2 else 0.004  # a reader that stops once for more than five frames
    assert taken == [(0, 0.0), (1, 0.02), (2, 0.04), (7, 0.15), (8, 0.16), (9, 0.18), (10, 0.2), (11, 0.22)]


def test_inputs_that_are_not_there_are_told_in_one_line(tmp_path):
    for name in (str(tmp_path / "no.mp4"), "rtsp://127.0.0.1:1/x", "http://127.0.0.1:1/x"):
        with pytest.raises(BadInput, match="check the"):
            open_input(name)
    with pytest.raises(BadInput, match="camera 99: cannot be opened"):
        open_camera(99)
    for number in (10**14, 100, -1):  # OpenCV raises, opens another library of cameras, or crashes
        with pytest.raises(BadInput, match=f"camera {number}: expected 0 to 99"):
            open_camera(number)


def test_a_window_without_a_display_is_told(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match="mjpeg:8080"):
        Window()


def test_a_virtual_camera_gets_even_frames_that_say_what_they_are(monkeypatch):
    sent = []

    class Camera:
        def __init__(self, width, height, fps):
            self.width, self.height, self.fps = width, height, fps
            self.send, self.close = sent.append, lambda: sent.append("closed")

    monkeypatch.setitem(__import__("sys").modules, "pyvirtualcam", SimpleNamespace(Camera=Camera))
    with VirtualCamera(25.0, UNNAMED) as output:
        for shape in ((101, 151, 3), (50, 50, 3)):
            output.show(np.full(shape, 100, np.uint8), 0.0)
    first, second, end = sent
    assert first.shape == second.shape == (102, 152, 3)
    assert first[80:].max() == 255  # the label
    assert np.minimum(np.abs(first[:60].astype(int) - 100), first[:60]).max() < 8  # the watermark
    assert end == "closed"


def test_a_virtual_camera_that_cannot_be_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyvirtualcam", None)
    with pytest.raises(BadInput, match="pip install"):
        VirtualCamera(25.0, UNNAMED)

    def camera(**_):
        raise RuntimeError("no backend\nmore")

    monkeypatch.setitem(__import__("sys").modules, "pyvirtualcam", SimpleNamespace(Camera=camera))
    with pytest.raises(BadInput, match="no backend; install v4l2loopback"), VirtualCamera(25.0, UNNAMED) as output:
        output.show(FRAME, 0.0)


def test_a_fitted_frame_is_centered_and_keeps_its_shape():
    result = fitted(np.full((10, 20, 3), 9, np.uint8), 40, 40)
    assert result.shape == (40, 40, 3)
    assert (result[10:30] == 9).all()
    assert result[:10].max() == result[30:].max() == 0
