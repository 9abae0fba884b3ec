"""The alignment of a face undoes every similarity transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot_heads.errors import BadInput
from fewshot_heads.features.mobilefacenet import ARCFACE_POINTS, align_face
from tests.networks import alignable_face


def test_align_face__undoes_any_turn_scale_and_shift():
    rows, columns = torch.meshgrid(torch.arange(400.0), torch.arange(400.0), indexing="ij")
    ramp = torch.stack([rows, columns, torch.zeros(400, 400)])
    landmarks = alignable_face(scale=2.0, angle=0.4, shift=(150.0, 90.0))
    aligned = align_face(ramp, landmarks)
    for (x, y), (source_x, source_y) in zip(ARCFACE_POINTS, landmarks[[36, 42, 30, 48, 54]], strict=True):
        found_y, found_x = aligned[:2, round(y), round(x)].tolist()
        expected = np.array([source_x, source_y]) - 0.5  # pixel edges at integers, the ramp counts centers
        # the nearest whole output pixel is up to 0.71 px away, and one of them is two of the source's
        assert np.linalg.norm(np.array([found_x, found_y]) - expected) < 1.5


def test_align_face__refuses_unusable_landmarks():
    image = torch.zeros(3, 64, 64)
    with pytest.raises(BadInput, match="finite"):
        align_face(image, np.full((70, 2), np.nan))
    with pytest.raises(BadInput, match="extent"):
        align_face(image, np.full((70, 2), 5.0))
