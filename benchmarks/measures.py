"""The measures of quality, and how a table shows them."""

from __future__ import annotations

from typing import NamedTuple


class Measure(NamedTuple):
    """How a table shows a measure.

    Attributes:
        title: name and unit; the arrow points to better values.
        digits: after the point.
        better: "low", "high" or "truth" (nearest to the value of the true frames).
    """

    title: str
    digits: int
    better: str


MEASURES = {
    "l1_head": Measure("L1 in the head ↓", 4, "low"),
    "vgg_head": Measure("VGG-19 distance in the head ↓", 3, "low"),
    "l1_body": Measure("L1 on the body ↓", 4, "low"),
    "l1_background": Measure("L1 on the background ↓", 4, "low"),
    "l1": Measure("L1 ↓", 4, "low"),
    "psnr": Measure("PSNR, dB ↑", 2, "high"),
    "ssim": Measure("SSIM ↑", 4, "high"),
    "vgg": Measure("VGG-19 distance ↓", 3, "low"),
    "lpips": Measure("LPIPS ↓", 3, "low"),
    "csim": Measure("CSIM ↑", 3, "high"),
    "akd": Measure("AKD, px ↓", 2, "low"),
    "no_face": Measure("share of frames with no face ↓", 3, "low"),
    "pose": Measure("pose error, degrees ↓", 2, "low"),
    "expression": Measure("expression error ↓", 3, "low"),
    "smile": Measure("correlation of the smile ↑", 2, "high"),
    "jaw": Measure("correlation of the jaw ↑", 2, "high"),
    "brow": Measure("correlation of the brows ↑", 2, "high"),
    "brow_height": Measure("correlation of the height of the brows ↑", 2, "high"),
    "blink": Measure("correlation of the lids ↑", 2, "high"),
    "gaze": Measure("gaze error of open eyes, degrees ↓", 2, "low"),
    "shape_leak": Measure("shape leak (0 source, 1 driver) ↓", 3, "low"),
    "jitter": Measure("jitter, times the driver's", 2, "truth"),
    "mouth_flicker": Measure("flicker inside the mouth, times the driver's", 2, "truth"),
    "flicker": Measure("flicker of the background, levels of 255 ↓", 2, "low"),
}
