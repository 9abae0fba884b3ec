"""How good a result is. Pure functions; the networks they need are in extractors.py and judges.py.

Images are RGB, uint8 or float in [0,1], [N,H,W,3] (or one, [H,W,3]); a function of two stacks gives one value per
picture, float64 [N]. Landmarks are pixels; NaN landmarks mean "no face here" and give NaN, never an error.
"""

from fewshot_heads.metrics.faces import (
    Identity,
    akd,
    csim,
    expression_error,
    jitter,
    pose_error,
    shape_leak,
    skin_tone,
)
from fewshot_heads.metrics.images import (
    IDENTICAL_PSNR,
    VGG_SCALE,
    VGGDistance,
    flicker,
    frechet_distance,
    l1,
    psnr,
    ssim,
)

__all__ = [
    "IDENTICAL_PSNR",
    "VGG_SCALE",
    "Identity",
    "VGGDistance",
    "akd",
    "csim",
    "expression_error",
    "flicker",
    "frechet_distance",
    "jitter",
    "l1",
    "pose_error",
    "psnr",
    "shape_leak",
    "skin_tone",
    "ssim",
]
