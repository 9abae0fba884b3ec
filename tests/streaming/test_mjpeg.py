"""The page of a live session: what a browser sees of it, what its keys do, and who is let in."""

import http.client
import threading
import time

import numpy as np
import pytest

from fewshot_heads.errors import BadInput
from fewshot_heads.media.provenance import COMPOSITE, Provenance, read_mark
from fewshot_heads.streaming.cameras import open_input
from fewshot_heads.streaming.mjpeg import MjpegServer
from tests.browser import CHROMIUM, Browser

MARK = Provenance("realtime", "abc", composite=True)
RED, BLUE = (230, 20, 20), (20, 20, 230)


@pytest.fixture
def server():
    """A session that shows `server.color`, 50 times a second."""
    with MjpegServer(0, "127.0.0.1", MARK) as live:
        live.color, ended = RED, threading.Event()

        def feed():
            while not ended.wait(0.02):
                live.show(np.full((240, 320, 3), live.color, np.uint8), 0.0)

        thread = threading.Thread(target=feed)
        thread.start()
        yield live
        ended.set()
        thread.join()


def asked(server, method, path, **headers):
    """Status and headers of an answer."""
    connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=5)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def shows(browser, color):
    """Whether the page shows a large area of a color within five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if (np.abs(browser.screenshot().astype(int) - color).max(-1) < 25).mean() > 0.1:
            return True
    return False


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_the_newest_frames_says_that_they_are_synthetic_and_takes_keys(server, tmp_path):
    with Browser(server.url, tmp_path / "profile") as browser:
        assert shows(browser, RED)
        server.color = BLUE
        assert shows(browser, BLUE)
        assert "partly synthetic" in browser.evaluate("document.getElementById('mark').innerText")
        for key in "mPx":  # x is none of ours
            browser.press(key)
        pressed, deadline = [], time.monotonic() + 5
        while len(pressed) < 2 and time.monotonic() < deadline:
            pressed += server.keys()
        assert pressed == ["m", "P"]


def test_answers_and_pictures_carry_the_mark(server, tmp_path):
    assert asked(server, "GET", "/").getheader("X-Digital-Source-Type") == COMPOSITE
    stream = asked(server, "GET", "/stream")
    assert stream.getheader("X-Digital-Source-Type") == COMPOSITE
    _, *head = iter(lambda: stream.readline().strip().decode(), "")  # after the boundary
    length = dict(line.split(": ") for line in head)["Content-Length"]
    (tmp_path / "frame.jpg").write_bytes(stream.read(int(length)))
    assert read_mark(tmp_path / "frame.jpg")["model"] == "realtime"


def test_another_program_reads_the_stream_as_a_camera(server):
    frames = open_input(f"{server.url}stream")
    frame = next(frames)
    assert frame.shape == (240, 320, 3)
    assert np.abs(frame.mean((0, 1)) - RED).max() < 6


def test_pages_of_other_sites_are_not_let_in(server):
    port = server.url.split(":")[-1].strip("/")
    assert asked(server, "POST", "/key", X_Key="m").status == 200
    assert asked(server, "POST", "/key").status == 404  # a form of another site cannot set our header
    assert asked(server, "GET", "/", Host=f"evil.example:{port}").status == 403
    assert asked(server, "POST", "/key", X_Key="m", Host=f"evil.example:{port}").status == 404
    assert asked(server, "GET", "/stream").getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert asked(server, "GET", "/secret").status == 404
    assert server.keys() == ["m"]


def test_a_port_in_use_is_told(server):
    with pytest.raises(BadInput, match="choose another port"):
        MjpegServer(int(server.url.split(":")[-1].strip("/")), "127.0.0.1", MARK)
