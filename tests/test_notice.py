"""NOTICE names every file that was not written here, and what it says of them is true."""

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WEIGHTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("fewshot_heads", "benchmarks") for path in (ROOT / folder).rglob("*")
    if path.suffix in (".task", ".tflite", ".safetensors", ".xml", ".bin")
)  # fmt: skip


@pytest.mark.parametrize("path", [*WEIGHTS, "examples/mona_lisa.jpg", "examples/driver.mp4"])
def test_a_file_and_its_sum_are_in_the_notice(path):
    notice = (ROOT / "NOTICE").read_text()
    assert path in notice
    entry = notice.split(path, 1)[1].split("\n\n", 1)[0]
    assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() in entry
