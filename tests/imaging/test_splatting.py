"""Points that are splatted into a map."""

import pytest
import torch

from fewshot_heads.imaging.splatting import splat
from fewshot_heads.imaging.warping import identity_grid

NEAR, FAR = 0.0, 5.0
TOLERANCE = 1.0


def plane(size, depth, zoom=1.0):
    """Points of a plane, one a cell."""
    positions = zoom * identity_grid(size, torch.zeros(1)).reshape(-1, 2)
    return torch.cat([positions, torch.full_like(positions[..., :1], depth)], -1)


def weights(points):
    return torch.ones_like(points[..., 0])


def test_points_that_stay_keep_their_values():
    points = plane(16, NEAR)
    result = splat(points, points[:, :2], weights(points), 16, TOLERANCE)
    torch.testing.assert_close(result.values, identity_grid(16, points)[0], atol=1e-5, rtol=0)
    assert result.coverage.min() == pytest.approx(1, abs=1e-5)


def test_the_nearer_surface_hides_the_farther():
    points = torch.cat([plane(16, FAR), plane(16, NEAR, zoom=0.5)])
    values = torch.cat([torch.zeros(256, 1), torch.ones(256, 1)])
    shown = splat(points, values, weights(points), 16, TOLERANCE).values[..., 0]
    torch.testing.assert_close(shown[5:11, 5:11], torch.ones(6, 6))
    assert shown[:3].abs().max() == 0


def test_a_transparent_point_hides_nothing_and_shows_where_nothing_else_is():
    points = torch.cat([plane(16, FAR)[:128], plane(16, NEAR)])
    values = torch.cat([torch.zeros(128, 1), torch.ones(256, 1)])
    faint = torch.cat([torch.ones(128), torch.full((256,), 1e-3)])
    shown = splat(points, values, faint, 16, 9.0).values[..., 0]
    assert shown[:7].max() < 0.01 and shown[9:].min() > 0.99


def test_gaps_of_a_stretched_surface_are_closed_and_the_space_around_it_is_not():
    points = plane(8, NEAR, zoom=0.7)  # 8 x 8 points on 16 x 16 cells
    result = splat(points, points[:, :2], weights(points), 16, TOLERANCE)
    assert result.coverage[4:12, 4:12].min() > 0.3 and result.coverage[0].max() == 0
    wrong = result.values[4:12, 4:12] - identity_grid(16, points)[0, 4:12, 4:12]
    assert wrong.abs().max() < 1 / 16  # half a cell


def test_points_outside_the_map_are_left_out():
    points = plane(16, NEAR)
    points[..., 0] += 5
    assert splat(points, points[:, :2], weights(points), 16, TOLERANCE).coverage.max() == 0
