"""A signal ends a command as Ctrl-C does: no traceback, exit code 128 + n, nothing half-written."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fewshot_heads.cli.parser import error_line, run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import BadInput

COMMANDS = ["animate", "batch", "edit", "export", "fine_tune", "prepare", "meta_learn", "track", "verify"]
COMMANDS += [f"creative.{name}" for name in ("morph", "audio", "sample", "portrait", "appearance.__main__")]
WRITER = """
import sys, time
from pathlib import Path
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.media.files import atomic_write

@ends_on_signals
def main(argv=None):
    with atomic_write(Path(argv[0]), (".png",), False) as part:
        part.write_bytes(b"half")
        print("ready", flush=True)
        time.sleep(60)

sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_leaves_no_file_and_names_itself(tmp_path, name):
    number = getattr(signal, name)
    command = [sys.executable, "-c", WRITER, str(tmp_path / "out.png")]

    def heed() -> None:  # a shell that runs the tests in the background makes its children ignore some signals
        signal.signal(number, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=heed, **pipes) as writer:
        assert writer.stdout.readline() == "ready\n" and len(list(tmp_path.iterdir())) == 1
        writer.send_signal(number)
        _, told = writer.communicate()
    assert writer.returncode == 128 + number
    assert told == f"interrupted ({name})\n" and not list(tmp_path.iterdir())


def test_a_command_imports_its_libraries_late():
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(f'fewshot_heads.{name}')\n"
    code += "print({'torch', 'cv2', 'numpy', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *COMMANDS], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("module", COMMANDS)
def test_an_interruption_while_libraries_are_imported_is_no_traceback(module, tmp_path):
    # As far as libraries: earlier, a wrong number of inputs is an error.
    arguments = {
        "prepare": ["a", "b"],
        "track": ["a"],
        "verify": ["a", "b"],
        "creative.sample": ["-o", "c.safetensors"],
        "batch": ["jobs.tsv"],
        "export": [],
    }
    (tmp_path / "jobs.tsv").write_text("sources\tdriver\toutput\na.jpg\tb.mp4\tc.mp4\n")
    code = (
        "import importlib, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name in ('numpy', 'torch'): raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        f"sys.exit(importlib.import_module('fewshot_heads.{module}').main(sys.argv[1:]))"
    )
    words = arguments.get(module, ["a", "b", "-o", "c.safetensors"])
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted (SIGINT)\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_during_an_import_is_no_exception_in_it(tmp_path, name):
    # A library that calls Python from C++ while it is imported would be aborted by an exception.
    (tmp_path / "slow_library.py").write_text(
        "import time\nprint('ready', flush=True)\ntry: time.sleep(60)\nexcept BaseException: print('aborted')\n"
    )
    code = (
        "import sys\nfrom fewshot_heads.cli.signals import ends_on_signals\n"
        "@ends_on_signals\ndef main(argv=None):\n    import slow_library\nsys.exit(main())"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command, number = [sys.executable, "-c", code], getattr(signal, name)

    def heed() -> None:
        signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)

    with subprocess.Popen(command, preexec_fn=heed, env={**os.environ, "PYTHONPATH": paths}, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, told = process.communicate()
    assert (process.returncode, out, told) == (128 + number, "", f"interrupted ({name})\n")


def test_a_handler_of_the_caller_stays_and_every_handler_is_put_back():
    def mine(*_):
        pass

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, mine)
    try:
        assert ends_on_signals(lambda argv: signal.getsignal(signal.SIGTERM) is mine)() is True
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])
    assert ends_on_signals(lambda argv: signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM])() is True
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_command_runs_in_any_thread():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(ends_on_signals(lambda argv: 7)()))
    thread.start()
    thread.join()
    assert codes == [7]


PRINTER = """
import sys
from pathlib import Path
from fewshot_heads.cli.parser import error_line, run, split_overrides
sys.exit(run(lambda: Path("照片.mp4"), debug=False))
"""


def test_a_code_page_without_the_letters_of_a_path_is_no_error():
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", PRINTER], capture_output=True, env=environment)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, rb"\u7167\u7247.mp4", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_standard_output_is_no_error_once_the_result_is_written():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PRINTER], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "照片.mp4: written, but" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_details_that_standard_output_does_not_take_do_not_end_the_command():
    code = PRINTER.replace("lambda: ", "lambda: print_details('0.1') or print_details('0.2') or ").replace(
        "import error_line", "import print_details"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        0, "standard output takes no text (No space left on device); the command goes on\n",
    )  # fmt: skip


@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_a_missing_system_library_is_named_with_the_remedy(kind, capsys):
    def imports():
        raise kind("libGL.so.1: cannot open shared object file: No such file or directory")

    assert run(imports, debug=False) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: libGL.so.1: ") and "libgl1" in line


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError(errno.EFBIG, "File too large"), "set TMPDIR"), (OSError(errno.ENOSPC, "No space left"), "set TMPDIR"),
     (FileNotFoundError(errno.ENOENT, "No such file"), "the current folder is gone")],
)  # fmt: skip
def test_an_error_of_the_system_without_a_file_has_a_remedy(error, told):
    assert told in error_line(error)


def test_closed_standard_files_are_opened_before_a_result_takes_their_number(tmp_path):
    code = (
        "import os, sys\n"
        "from fewshot_heads.cli.parser import run\n"
        "from fewshot_heads.cli.signals import ends_on_signals\n"
        "def write():\n"
        "    with open('result', 'wb') as file:\n"
        "        file.write(b'whole'); file.flush(); os.write(1, b'spoils'); os.write(2, b'spoils')\n"
        "    print('a warning', file=sys.stderr); return 'result'\n"
        "sys.exit(ends_on_signals(lambda argv: run(write, False))())\n"
    )
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path).returncode == 0
    assert (tmp_path / "result").read_bytes() == b"whole"


def test_an_error_of_the_system_names_its_file(capsys):
    assert run(lambda: Path("n" * 300).stat(), debug=False) == 1
    assert capsys.readouterr().err.startswith(f"error: {'n' * 300}: File name too long; check the path")


def test_a_name_with_a_line_break_makes_no_second_line(capsys):
    def refused():
        raise BadInput("a\nb.jpg: no such file; check the path")

    assert run(refused, debug=False) == 1
    assert capsys.readouterr().err == "error: a\\nb.jpg: no such file; check the path\n"


def test_a_long_override_is_no_path():
    assert split_overrides(["model=" + "a" * 300]) == ([], ["model=" + "a" * 300])


def test_run_passes_an_interruption_on():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, debug=False)
