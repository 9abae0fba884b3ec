"""A real browser, headless Chromium, steered through the pipe of its debugger."""

import base64
import json
import os
import shutil
import subprocess
from itertools import count

import cv2
import numpy as np

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """A browser with one page open."""

    def __init__(self, url, profile):
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        ends = {3: read_commands, 4: write_answers}  # the numbers that Chromium expects

        def place_pipes():
            copies = {number: os.dup(end) for number, end in ends.items()}
            for number, copy in copies.items():
                os.dup2(copy, number)

        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--window-size=500,500"]
        self._process = subprocess.Popen(
            [CHROMIUM, *options, "--remote-debugging-pipe", url],
            preexec_fn=place_pipes, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_commands)
        os.close(write_answers)
        self._numbers, self._session, self._rest = count(1), None, b""
        pages = []
        while not pages:
            targets = self.call("Target.getTargets")["targetInfos"]
            pages = [target for target in targets if target["type"] == "page" and target["url"] == url]
        self._session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method, **parameters):
        """The result of a command of the DevTools protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                part = os.read(self._answers, 2**16)
                assert part, "the browser has ended"
                self._rest += part
            answer, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(answer)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def screenshot(self):
        """The page as it is seen, uint8 RGB [H, W, 3]."""
        data = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def evaluate(self, expression):
        """The value of an expression of JavaScript in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def press(self, key):
        """Presses a key of the keyboard."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
