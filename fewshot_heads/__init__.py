"""Few-shot talking heads: animates a person from one photo or several.

from fewshot_heads import Reenactor, VideoWriter, read_video

reenactor = Reenactor.from_pretrained()
mona = reenactor.embed(["mona_lisa.jpg"])
driver = read_video("driver.mp4")
with VideoWriter("out.mp4", like=driver, mark=reenactor.provenance()) as out:
    for frame in reenactor.animate(mona, driver):
        out.add(frame)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fewshot_heads._version import __version__
from fewshot_heads.errors import BadInput, FewshotHeadsError, NoFaceFound, OutputError, WeightsMismatch

if TYPE_CHECKING:
    from fewshot_heads.driving.motion import Motion
    from fewshot_heads.head import Head
    from fewshot_heads.landmarks import Landmarks
    from fewshot_heads.media.images import read_image, write_image
    from fewshot_heads.media.video_writer import VideoWriter, read_video
    from fewshot_heads.reenactor import Reenactor

# Imported when first used. torch takes two seconds, in which a command could not yet end cleanly.
_HOMES = {
    "Head": "fewshot_heads.head",
    "Landmarks": "fewshot_heads.landmarks",
    "Motion": "fewshot_heads.driving.motion",
    "Reenactor": "fewshot_heads.reenactor",
    "VideoWriter": "fewshot_heads.media.video_writer",
    "read_image": "fewshot_heads.media.images",
    "read_video": "fewshot_heads.media.video_writer",
    "write_image": "fewshot_heads.media.images",
}


def __getattr__(name: str) -> Any:
    """Returns a class or function of the package, imported from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Returns the names of the package, with those that are not imported yet."""
    return sorted({*globals(), *_HOMES})


__all__ = [
    "BadInput",
    "FewshotHeadsError",
    "Head",
    "Landmarks",
    "Motion",
    "NoFaceFound",
    "OutputError",
    "Reenactor",
    "VideoWriter",
    "WeightsMismatch",
    "__version__",
    "read_image",
    "read_video",
    "write_image",
]
