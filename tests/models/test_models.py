import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fewshot_heads.imaging.warping import (  # fmt: skip
    identity_grid,
    log_area_change,
    normalize_points,
    resize_flow,
    sample,
    tps_flow,
    tps_flow_from_landmarks,
    tps_warp,
)
from fewshot_heads.landmarks.control_points import control_points, warp_points
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, MEAN_SURFACE
from fewshot_heads.models import build
from fewshot_heads.models.blocks import adain
from fewshot_heads.models.compositing import Layers, WarpInputs
from fewshot_heads.models.discriminator import PatchDiscriminator
from tests.faces import face

TINY = {
    "size": 64, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]},
}  # fmt: skip
REALTIME = {
    "size": 256, "embedding": 256, "embedder": {"channels": [32, 64, 128, 192]},
    "generator": {"channels": [16, 48, 96, 160]},
}  # fmt: skip


def texture(size, pictures=1, batch=2):
    images = torch.rand(batch, pictures, 3, size, size) * 2 - 1
    flows = identity_grid(64, images).expand(batch, pictures, -1, -1, -1)
    weights, opened = torch.full((batch, pictures), 1 / pictures), torch.zeros(batch, 1, size, size)
    nothing = torch.zeros_like(opened)
    return WarpInputs(images, torch.ones_like(images[:, :, :1]), flows, weights, images[:, 0], opened, nothing, nothing)


def test_adain_sets_mean_and_deviation_of_every_channel():
    scale, shift = torch.rand(2, 5) + 0.5, torch.randn(2, 5)
    out = adain(torch.randn(2, 5, 16, 16) * 3 + 1, scale, shift)
    torch.testing.assert_close(out.mean((2, 3)), shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.std((2, 3), correction=0), scale, atol=1e-3, rtol=1e-3)


def test_adain_agrees_with_instance_norm():
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(adain(x, torch.ones(2, 3), torch.zeros(2, 3)), F.instance_norm(x), atol=1e-4, rtol=1e-4)


def test_e_hat_does_not_care_for_the_order_of_the_pictures():
    torch.manual_seed(0)
    embedder = build(TINY).embedder
    frames, stickmen = torch.randn(1, 4, 3, 64, 64), torch.randn(1, 4, 3, 64, 64)
    order = torch.tensor([2, 0, 3, 1])
    one, other = embedder(frames, stickmen).mean(1), embedder(frames[:, order], stickmen[:, order]).mean(1)
    torch.testing.assert_close(one, other)


def test_the_realtime_preset_keeps_its_budget():
    networks = build(REALTIME).eval().requires_grad_(False)
    assert sum(p.numel() for p in networks.parameters()) <= 15e6
    generator = networks.generator
    style = generator.project(torch.zeros(1, 256))
    with FlopCounterMode(display=False) as counter:  # counts 2 for a multiply-add
        generator(torch.zeros(1, 3, 256, 256), style, texture(256, batch=1))
    assert counter.get_total_flops() <= 4e9


def test_the_generator_paints_without_a_texture():
    generator = build(TINY).generator
    frame = generator(torch.rand(2, 3, 64, 64), generator.project(torch.randn(2, 8)), None)
    assert frame.shape == (2, 3, 64, 64) and frame.abs().max() <= 1


@pytest.mark.parametrize("share, wanted", [(0, "still"), (1, "carried"), (2, "paint")])
def test_a_frame_is_made_of_the_layer_that_has_the_share(share, wanted):
    shown = texture(64, pictures=2)
    shares = torch.zeros(2, 3, 64, 64)
    shares[:, share] = 1
    paint = torch.rand(2, 3, 64, 64)
    flows = shown.resized_flows(64)
    layers = {"still": shown.background, "carried": shown.warped(flows), "paint": paint}
    torch.testing.assert_close(Layers(paint, shares, flows).composite(shown), layers[wanted], atol=1e-4, rtol=0)


def test_no_background_shows_through_a_head():
    torch.manual_seed(0)
    generator, stickman, seen = build(TINY).generator, torch.rand(2, 3, 64, 64), texture(64)
    style = generator.project(torch.rand(2, 8))
    head = torch.zeros(2, 1, 64, 64)
    head[:, :, 20:30, 20:30] = 1
    free, bound = (
        generator.layers(stickman, style, seen._replace(head_mask=mask)).blend_weights for mask in (head * 0, head)
    )
    assert free[:, 0, 20:30, 20:30].min() > 0.01 and bound[:, 0, 20:30, 20:30].max() < 1e-6
    torch.testing.assert_close(bound[:, :, :19, :19], free[:, :, :19, :19])


def test_no_background_goes_along_with_a_head():
    torch.manual_seed(0)
    generator, stickman, seen = build(TINY).generator, torch.rand(2, 3, 64, 64), texture(64)
    style = generator.project(torch.rand(2, 8))
    mattes = torch.ones(2, 1, 1, 64, 64)
    mattes[..., 40:] = 0
    everywhere = torch.ones(2, 1, 64, 64)
    shares = generator.layers(stickman, style, seen._replace(alpha_mattes=mattes, head_mask=everywhere)).blend_weights
    torch.testing.assert_close(shares.sum(1), everywhere[:, 0])
    assert shares[:, 1, :, 42:].max() < 1e-6 < 0.01 < shares[:, 0, :, 42:].min()
    assert shares[:, 0, :, :38].max() < 1e-6
    # Unless the pictures behind it show nothing but their own heads there.
    shares = generator.layers(
        stickman, style, seen._replace(alpha_mattes=mattes, background_unknown=everywhere)
    ).blend_weights
    assert shares[:, 0].max() < 1e-6 and shares[:, 1].min() > 0.01


def test_what_has_opened_is_painted():
    generator = build(TINY).generator.requires_grad_(False)
    style, stickman = generator.project(torch.zeros(2, 8)), torch.rand(2, 3, 64, 64)
    shut = texture(64)
    opened = torch.zeros(2, 1, 64, 64)
    opened[:, :, 20:30, 20:30] = 1
    shares = generator.layers(stickman, style, shut._replace(disocclusion=opened)).blend_weights
    assert shares[:, 2, 20:30, 20:30].min() > 0.9 > shares[:, 2, :15].max()


def test_a_large_texture_keeps_its_resolution():
    generator = build(TINY).generator.requires_grad_(False)
    small = texture(64)
    large = small._replace(images=torch.rand(2, 1, 3, 160, 160), background=torch.rand(2, 3, 160, 160))
    layers = generator.layers(torch.rand(2, 3, 64, 64), generator.project(torch.zeros(2, 8)), small)
    assert layers.composite(large).shape == (2, 3, 160, 160)


def test_the_spline_takes_every_driver_point_to_its_source_point():
    source, driver = (torch.from_numpy(control_points(f))[None] for f in (face(), face((0, 0.3, 0.1), mouth=0.2)))
    a, b = normalize_points(source, 256), normalize_points(driver, 256)
    flow = resize_flow(tps_flow(a, b), 256)
    found = F.grid_sample(flow.permute(0, 3, 1, 2), b[:, :, None], align_corners=False)[..., 0].transpose(1, 2)
    assert ((found - a).norm(dim=-1).mean() * 128) < 0.5  # pixels, with the stiffness that keeps lips from folding


def test_skin_that_moves_between_the_landmarks_carries_what_is_there():
    cheek = int(np.abs(MEAN_SURFACE[:, :2] - [0.45, 0.55]).sum(1).argmin())
    drawn = np.exp(-((MEAN_SURFACE - MEAN_SURFACE[cheek]) ** 2).sum(1, keepdims=True) / 0.1) * [0.06, 0, 0]
    source, driver, blind = (
        torch.from_numpy(warp_points(f))[None] for f in (face(surface=0), face(surface=drawn), face())
    )
    for goal, wanted in ((driver, -0.06 * 60), (blind, 0.0)):
        moved = (tps_flow_from_landmarks(source, goal, 256) - identity_grid(64, source)) * 128  # pixels
        x, y = (goal[0, 70 + len(HEAD_ANCHORS) + cheek, :2] / 4).long().tolist()
        assert moved[0, y, x, 0] == pytest.approx(wanted, abs=1) and moved[0, 2, 2].abs().max() < 0.5


def test_no_motion_is_no_change():
    points = torch.from_numpy(control_points(face()))[None]
    image = torch.rand(1, 3, 256, 256)
    torch.testing.assert_close(tps_warp(image, points, points), image, atol=1e-4, rtol=0)


def test_the_border_stays_where_it_is():
    source, driver = (torch.from_numpy(control_points(f))[None] for f in (face(), face((0, 0.4, 0))))
    flow = tps_flow(normalize_points(source, 256), normalize_points(driver, 256))
    corner = (flow - identity_grid(64, flow))[0, 0, 0]
    assert corner.abs().max() < 0.03


def test_stretch_is_zero_at_rest_and_counts_doublings():
    grid = identity_grid(64, torch.zeros(1))
    torch.testing.assert_close(log_area_change(grid), torch.zeros(1, 1, 64, 64), atol=1e-4, rtol=0)
    torch.testing.assert_close(log_area_change(grid * 0.5), torch.full((1, 1, 64, 64), -2.0), atol=1e-4, rtol=0)


def test_sampling_along_the_identity_returns_the_picture():
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(sample(image, identity_grid(32, image)), image, atol=1e-5, rtol=0)


def test_the_projection_score_is_linear_in_w():
    torch.manual_seed(0)
    critic = PatchDiscriminator((4, 8), embedding=6).eval()
    frame, stickman = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    w = torch.randn(2, 6)
    base, features = critic(frame, stickman, torch.zeros(2, 6))
    one, two = critic(frame, stickman, w)[0], critic(frame, stickman, 2 * w)[0]
    torch.testing.assert_close(two - base, 2 * (one - base), atol=1e-5, rtol=1e-4)
    assert (one - base).abs().max() > 1e-4 and len(features) == 2


def test_of_several_pictures_the_one_that_is_bent_counts_less_there():
    flat = identity_grid(64, torch.zeros(1))
    bent = flat.clone()
    bent[:, :, :32, 0] = -1 + (bent[:, :, :32, 0] + 1) / 4  # the left half, of a quarter of its width
    images = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])[None]
    empty = torch.zeros(1, 1, 64, 64)
    parts = (empty.expand(1, 3, -1, -1), empty, empty, empty)
    texture = WarpInputs(images, images[:, :, :1], torch.stack([flat, bent], 1), torch.full((1, 2), 0.5), *parts)
    shown = texture.warped(texture.resized_flows(64))[0, 0]
    assert shown[:, 8:24].max() < 0.01
    torch.testing.assert_close(shown[:, 44:60], torch.full((64, 16), 0.5))
