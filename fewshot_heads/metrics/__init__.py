"""Measures of image quality, identity, pose, expression and steadiness. `fewshot_heads.features` has the networks.

Images are RGB, uint8 or float from 0 to 1, [N, H, W, 3] or a single one [H, W, 3]. A function of two stacks returns
one value per image, float64 [N]. Landmarks are in pixels. NaN landmarks mean that no face was found. They give NaN,
never an error.
"""

from fewshot_heads.metrics.expression import (
    MOVEMENTS,
    brow_correlation,
    expression_error,
    gaze,
    mouth_flicker,
    movement_correlations,
)
from fewshot_heads.metrics.faces import (
    Identity,
    akd,
    csim,
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
    "MOVEMENTS",
    "VGG_SCALE",
    "Identity",
    "VGGDistance",
    "akd",
    "brow_correlation",
    "csim",
    "expression_error",
    "flicker",
    "frechet_distance",
    "gaze",
    "jitter",
    "l1",
    "mouth_flicker",
    "movement_correlations",
    "pose_error",
    "psnr",
    "shape_leak",
    "skin_tone",
    "ssim",
]
