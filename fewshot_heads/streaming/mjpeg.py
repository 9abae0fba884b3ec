"""A page for a browser with the frames of a live session, as a sequence of JPEG pictures (MJPEG).

The page, each answer and each picture say that the content is synthetic.
"""

from __future__ import annotations

import struct
from collections import deque
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.watermark import embed
from fewshot_heads.streaming.controls import KEYS
from fewshot_heads.streaming.outputs import Output

THIS_COMPUTER = "127.0.0.1"
_OWN_NAMES = (THIS_COMPUTER, "localhost")
_QUALITY = 90
_BOUNDARY = "frame"
_MAX_WAITING_KEYS, _SHUTDOWN_POLL_S = 32, 0.1
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>fewshot_heads, live (synthetic)</title>
<style>
body {{ background: #222; color: #eee; font-family: sans-serif; text-align: center }}
img {{ max-width: 95vw; max-height: 75vh }}
kbd {{ border: 1px solid #888; border-radius: 3px; padding: 0 .3em }}</style></head>
<body><img id="live" src="/stream" alt="synthetic video">
<p id="mark">{comment}</p><p>{keys}</p>
<script>
addEventListener("keydown", event => {{
  if (event.key.length === 1 && !event.ctrlKey && !event.metaKey)
    fetch("/key", {{method: "POST", headers: {{"X-Key": event.key}}}});
}});
</script></body></html>"""


class MjpegServer(Output):
    """Serves the page, its stream and its keys while it is entered.

    Args:
        port: to listen on; 0 takes a free one.
        host: address to listen on. Another than this computer's lets the network in.
        mark: the mark of synthetic content.

    Attributes:
        url: address of the page.
        mark: the mark.
        names: of this computer, as a browser on it gives them; None if the network is let in.

    Raises:
        BadInput: the address cannot be listened on.
    """

    def __init__(self, port: int, host: str, mark: Provenance) -> None:
        self._changed, self._jpeg, self._number = Condition(), b"", 0
        self._segment, self._keys = _xmp_segment(mark), deque[str](maxlen=_MAX_WAITING_KEYS)
        self.mark, self.names = mark, _OWN_NAMES if host in _OWN_NAMES else None
        try:
            self._server = ThreadingHTTPServer((host, port), partial(_Handler, self))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(f"mjpeg:{host}:{port}: {reason}; choose another port or address") from error
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, args=(_SHUTDOWN_POLL_S,), daemon=True)

    def __enter__(self) -> MjpegServer:
        """Begins to listen."""
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends all connections."""
        self._server.shutdown()
        self._server.server_close()
        with self._changed:
            self._number = -1
            self._changed.notify_all()

    def show(self, frame: np.ndarray, time: float) -> None:
        """Sends a frame to every browser that is ready; see `Output.show`."""
        marked = embed(frame, self.mark.sha256)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(marked, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        jpeg = data.tobytes()
        with self._changed:
            self._jpeg, self._number = jpeg[:2] + self._segment + jpeg[2:], self._number + 1
            self._changed.notify_all()

    def keys(self) -> list[str]:
        """Returns the keys that were pressed in the page."""
        return [self._keys.popleft() for _ in range(len(self._keys))]

    def press(self, key: str) -> None:
        """Notes a key of the page."""
        self._keys.append(key)

    def next_picture(self, number: int) -> tuple[int, bytes]:
        """Returns the first picture after a number, and its number; b"" once the session ends.

        Args:
            number: of the picture before, 0 for the first call.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._number not in (number, 0))
            return self._number, self._jpeg if self._number > 0 else b""


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    def __init__(self, server: MjpegServer, *request: object) -> None:
        self._live = server
        super().__init__(*request)  # type: ignore[arg-type]

    def do_GET(self) -> None:  # noqa: N802 (named by http.server)
        """Answers with the page or the stream."""
        if not self._is_for_us():
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            keys = " ".join(f"<kbd>{key}</kbd> {text}" for key, text in KEYS.items())
            self._answer("text/html; charset=utf-8", _PAGE.format(comment=self._live.mark.tags()["comment"], keys=keys))
        elif self.path == "/stream":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        """Notes a key. Its own header keeps other sites out: a browser asks us first, and gets no leave."""
        key = self.headers.get("X-Key", "")
        if self.path != "/key" or key not in KEYS or not self._is_for_us():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._live.press(key)
        self._answer("text/plain", "")

    def _is_for_us(self) -> bool:
        """Returns whether the browser asked for this computer by name: another site's name may lead here too."""
        name = self.headers.get("Host", "").rpartition(":")[0]
        return self._live.names is None or name in self._live.names

    def _answer(self, kind: str, text: str | None) -> None:
        """Sends the head of an answer, and the whole of it if there is a text."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")  # no other page may embed the stream
        self.send_header("X-Digital-Source-Type", self._live.mark.digital_source_type)
        if text is not None:
            self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        if text:
            self.wfile.write(text.encode())

    def _stream(self) -> None:
        """Sends pictures until the browser or the session ends."""
        self._answer(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", None)
        number = 0
        try:
            while True:
                number, jpeg = self._live.next_picture(number)
                if not jpeg:
                    return
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:
            return  # the browser is gone

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (named by http.server)
        """Says nothing: the terminal shows the session's measures."""


def _xmp_segment(mark: Provenance) -> bytes:
    """Returns the mark as a segment of a JPEG, to stand behind its first two bytes."""
    content = b"http://ns.adobe.com/xap/1.0/\0" + mark.xmp()
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
