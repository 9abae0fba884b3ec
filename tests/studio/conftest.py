"""One server of the page, started as its command, and one browser for all tests of this room."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIMITS = ["upload_mib=1", "max_seconds=2", "keep_minutes=30", "queue=40"]


@dataclass
class Server:
    """A running page: its address, its process, where it keeps uploads, and what it said."""

    url: str
    process: subprocess.Popen
    folder: Path
    said: list[str] = field(default_factory=list)

    def peak_mib(self) -> float:
        """Largest memory of the process so far, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def is_alive(self) -> bool:
        return self.process.poll() is None and urlopen(self.url, timeout=20).status == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    pytest.importorskip("gradio", reason="the page needs the extra studio")
    folder = tmp_path_factory.mktemp("studio")
    options = [f"port={free_port()}", "device=cpu", "backend=torch", *LIMITS]
    command = [sys.executable, "-m", "fewshot_heads.studio", *options]
    paths = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if match := re.search(r"The studio is at (\S+)", line):
            break
    else:
        pytest.fail(f"the page did not start: {''.join(said)}")
    threading.Thread(target=lambda: said.extend(process.stdout), daemon=True).start()
    yield Server(match[1], process, folder, said)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert list(folder.iterdir()) == [], "uploads or results were left behind"
    assert "a request of the page failed" not in "".join(said), "".join(said)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser is driven by Playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(server, browser):
    """The open page of a wide window. `asked` has the addresses that it asked for, `complaints` its console."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.goto(server.url)
    page.wait_for_selector("#animate_start")
    return page
