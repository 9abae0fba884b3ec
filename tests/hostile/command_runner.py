"""Runs commands in a second process that loads the libraries once, and sees what a case costs and leaves behind."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import peak_mib

MAX_SECONDS = 30
MAX_PEAK_MIB = 3 * 1024


class Outcome(NamedTuple):
    """What a command did.

    Attributes:
        code: exit code, or None if the process hung or died.
        errors: all that came on standard error, of C libraries too.
        peak_mib: resident memory of the process at most, so far.
    """

    code: int | None
    errors: str
    peak_mib: float


class CommandRunner:
    """A process that runs commands. A case that hangs or kills the process costs this process only."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a forked child could not use torch's threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()
        if not self._connection.poll(300):  # the imports
            raise TimeoutError("the process with the libraries does not start")
        self._connection.recv()

    def run(self, module: str, arguments: list[str], folder: Path) -> Outcome:
        """Runs a command of the package in a folder."""
        self._connection.send((module, arguments, str(folder)))
        try:
            if self._connection.poll(MAX_SECONDS):
                outcome = Outcome(*self._connection.recv())
                if outcome.peak_mib > MAX_PEAK_MIB:
                    self._restart()
                return outcome
            told = f"no end after {MAX_SECONDS} s"
        except EOFError:
            self._process.join(MAX_SECONDS)
            told = f"the process died (exit code {self._process.exitcode})"
        self._restart()
        return Outcome(None, told, 0)

    def _restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(connection: Connection) -> None:
    """Runs commands until the other side ends. The networks of the default configuration are opened once."""
    from fewshot_heads.cli import session
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.creative.sound.features import analyse
    from fewshot_heads.media.audio import Audio

    open_reenactor = session.open_reenactor
    usual = _networks(load_config("animate", ["device=cpu"]))
    shared = open_reenactor({**usual})
    session.open_reenactor = lambda config: shared if _networks(config) == usual else open_reenactor(config)
    # The first analysis compiles functions of librosa: 18 s in a new environment, 30 s and more beside other tests.
    analyse(Audio(Path("noise"), Fraction(0), 22050, np.random.default_rng(0).uniform(-1, 1, 22050).astype(np.float32)))
    connection.send(None)
    while True:
        try:
            module, arguments, folder = connection.recv()
        except (EOFError, ConnectionError):
            return
        os.chdir(folder)
        with tempfile.TemporaryFile() as errors:
            with _standard_error(errors.fileno()):
                code = _run(module, arguments)
            errors.seek(0)
            text = errors.read().decode(errors="backslashreplace")
        connection.send((code, text, peak_mib()))


def _networks(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the part of a configuration that chooses the networks. The tests run on the CPU."""
    chosen = {key: config[key] for key in ("model", "inpainters", "landmarks", "threads", "device")}
    landmarks = {key: value for key, value in config["landmarks"].items() if key != "count"}
    return {**chosen, "landmarks": landmarks, "device": "cpu" if config["device"] == "auto" else config["device"]}


def _run(module: str, arguments: list[str]) -> int:
    """Returns the exit code of a command. An exception counts as 1, as in a process of its own."""
    try:
        return int(importlib.import_module(f"fewshot_heads.{module}").main(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1


@contextmanager
def _standard_error(file: int) -> Iterator[None]:
    """Sends everything for standard error to a file, and everything for standard output nowhere."""
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(file, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, number in zip(kept, (1, 2), strict=True):
            os.dup2(target, number)
        for number in (*kept, nowhere):
            os.close(number)
