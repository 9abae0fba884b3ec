import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fewshot_heads.imaging.compositing import Correction, WarpInputs
from fewshot_heads.imaging.warping import (  # fmt: skip
    identity_grid,
    sample,
)
from fewshot_heads.models.blocks import adain
from fewshot_heads.models.building import build
from fewshot_heads.models.discriminator import PatchDiscriminator

TINY = {
    "size": 64, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]},
}  # fmt: skip
REALTIME = {
    "size": 256, "embedding": 256, "embedder": {"channels": [32, 64, 128, 192]},
    "generator": {"channels": [16, 48, 96, 160]},
}  # fmt: skip


def texture(size, views=2, batch=2):
    """Views of one head that fills a crop, each with the same weight."""
    images = torch.rand(batch, views, 4, size, size) * 2 - 1
    images[:, :, 3] = 1
    flows = identity_grid(64, images).expand(batch, views, -1, -1, -1)
    weights, confidence = torch.full((batch, views, 64, 64), 1 / views), torch.ones(batch, 1, 64, 64)
    background = torch.rand(batch, 3, size, size) * 2 - 1
    return WarpInputs(images, flows, weights, confidence, background, torch.zeros(batch, 1, size, size))


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


def test_a_frame_is_the_composite_and_the_residual():
    shown, residual = texture(64), torch.rand(2, 3, 64, 64)
    flows = shown.resized_flows(64)
    frame = Correction(residual, flows).composite(shown)
    torch.testing.assert_close(frame, shown.composite(flows)[0] + residual, atol=1e-5, rtol=0)


def test_a_head_covers_the_background_by_its_matte():
    shown = texture(64, views=1)
    images = shown.images.clone()
    images[:, :, 3, :, :32] = 0
    images[:, :, 3, :, 40:] = 0.25
    frame, alpha = shown._replace(images=images).composite(shown.resized_flows(64))
    torch.testing.assert_close(frame[..., :30], shown.background[..., :30], atol=1e-5, rtol=0)
    torch.testing.assert_close(frame[..., 34:38], images[:, 0, :3, :, 34:38], atol=1e-5, rtol=0)
    mixed = 0.25 * images[:, 0, :3] + 0.75 * shown.background
    torch.testing.assert_close(frame[..., 42:], mixed[..., 42:], atol=1e-5, rtol=0)
    assert alpha[..., 42:].mean() == pytest.approx(0.25, abs=1e-3)


def test_a_new_generator_shows_the_composite():
    torch.manual_seed(0)
    generator, shown = build(TINY).generator, texture(64)
    frame = generator(torch.rand(2, 3, 64, 64), generator.project(torch.rand(2, 8)), shown)
    composite, _ = shown.composite(shown.resized_flows(64))
    assert (frame - composite).abs().mean() < 0.1 < composite.abs().mean()


def test_all_of_a_new_generator_has_a_gradient():
    torch.manual_seed(0)
    networks = build(TINY)
    generator = networks.generator
    frame = generator(torch.rand(2, 3, 64, 64), generator.project(torch.rand(2, 8)), texture(64))
    (frame - 1).abs().mean().backward()
    norms = [float(parameter.grad.norm()) for parameter in generator.parameters() if parameter.ndim > 1]
    assert min(norms) > 1e-6  # of less, Adam would follow the noise


def test_a_large_texture_keeps_its_resolution():
    generator = build(TINY).generator.requires_grad_(False)
    small = texture(64)
    large = small._replace(images=torch.rand(2, 2, 4, 160, 160), background=torch.rand(2, 3, 160, 160))
    correction = generator.correct(torch.rand(2, 3, 64, 64), generator.project(torch.zeros(2, 8)), small)
    assert correction.composite(large).shape == (2, 3, 160, 160)


def test_last_views_that_no_frame_shows_are_left_out():
    inputs = texture(16)
    first_only = inputs._replace(weights=inputs.weights * torch.tensor([1.0, 0.0])[:, None, None])
    assert first_only.without_unseen().images.shape[1] == first_only.without_unseen().flows.shape[1] == 1
    last_only = inputs._replace(weights=inputs.weights * torch.tensor([0.0, 1.0])[:, None, None])
    assert last_only.without_unseen().weights.shape == inputs.weights.shape
    flows = inputs.resized_flows(16)
    kept = first_only.without_unseen()
    torch.testing.assert_close(kept.head(flows[:, :1]), first_only.head(flows))


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
