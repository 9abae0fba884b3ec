"""Few-shot talking heads: animates a person from one photo or several.

from fewshot_heads import Reenactor, VideoWriter, read_video

reenactor = Reenactor.from_pretrained()
mona = reenactor.embed(["mona_lisa.jpg"])
driver = read_video("driver.mp4")
with VideoWriter("out.mp4", like=driver, mark=reenactor.provenance()) as out:
    for frame in reenactor.animate(mona, driver):
        out.add(frame)
"""

from fewshot_heads._version import __version__
from fewshot_heads.errors import BadInput, FewshotHeadsError, NoFaceFound, OutputError, WeightsMismatch
from fewshot_heads.head import Head
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.media.images import read_image, write_image
from fewshot_heads.media.video_writer import VideoWriter, read_video
from fewshot_heads.reenactor import Reenactor

__all__ = [
    "BadInput",
    "FewshotHeadsError",
    "Head",
    "Landmarks",
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
