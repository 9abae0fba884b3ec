"""The portrait and the driver of the repository. A wheel has none, and the page then offers none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Examples:
    """Files to try the page with.

    Attributes:
        portrait: a picture of a face.
        driver: a video of another face.
    """

    portrait: Path
    driver: Path


def find_examples(folder: Path = _FOLDER) -> Examples | None:
    """Returns the examples of a checkout, or None where they are not installed."""
    examples = Examples(folder / "mona_lisa.jpg", folder / "driver.mp4")
    return examples if examples.portrait.is_file() and examples.driver.is_file() else None
