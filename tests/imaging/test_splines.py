"""Thin-plate splines through landmarks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewshot_heads.imaging.splines import tps_flow, tps_interpolate, tps_warp
from fewshot_heads.imaging.warping import grid_positions, normalize_points, resize_flow
from fewshot_heads.landmarks.control_points import control_points
from tests.faces import face


def test_the_spline_takes_every_driver_point_to_its_source_point():
    source, driver = (normalize_points(control_points(f), 256) for f in (face(), face((0, 0.3, 0.1), mouth=0.2)))
    flow = resize_flow(tps_flow(source, driver), 256)
    where = torch.from_numpy(driver)[None, :, None].float()
    found = F.grid_sample(torch.from_numpy(flow).permute(0, 3, 1, 2), where, align_corners=False)[0, ..., 0].T
    error = np.linalg.norm(found.numpy() - source, axis=1).mean() * 128
    assert error < 0.5  # pixels, with the stiffness that keeps lips from folding


def test_the_spline_meets_values_as_closely_as_their_weights_ask():
    points, values, grid = np.array([[-0.5, 0.0], [0.5, 0.0]]), np.array([[1.0], [1.0]]), grid_positions(64)
    spline = tps_interpolate(points, values, np.array([1.0, 1e-9]), grid, reach=2.0)[32, :, 0]
    alone = tps_interpolate(points[:1], values[:1], None, grid, reach=2.0)[32, :, 0]
    assert spline[16] == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(spline, alone, atol=1e-3)  # a point without weight has no influence


def test_a_part_of_a_grid_has_the_same_values():
    random = np.random.default_rng(0)
    points, values = random.uniform(-0.7, 0.7, (20, 2)), random.normal(size=(20, 3))
    whole = tps_interpolate(points, values, None, grid_positions(32))
    part = tps_interpolate(points, values, None, grid_positions(32)[5:20, 7:11])
    np.testing.assert_allclose(part, whole[5:20, 7:11], atol=1e-9)


def test_no_motion_is_no_change():
    points = control_points(face())
    image = np.random.default_rng(0).random((1, 3, 256, 256), np.float32)
    np.testing.assert_allclose(tps_warp(image, points, points), image, atol=1e-4)


def test_the_border_stays_where_it_is():
    source, driver = (normalize_points(control_points(f), 256) for f in (face(), face((0, 0.4, 0))))
    corner = tps_flow(source, driver)[0, 0, 0] - grid_positions(64)[0, 0]
    assert np.abs(corner).max() < 0.03
