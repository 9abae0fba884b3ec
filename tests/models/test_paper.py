import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load, save
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.flop_counter import FlopCounterMode

from fewshot_heads.cli.conf_files import CONF_DIR
from fewshot_heads.errors import BadInput
from fewshot_heads.models import paper_blocks
from fewshot_heads.models.building import build, build_discriminator
from fewshot_heads.models.discriminator import PatchDiscriminator
from fewshot_heads.models.paper import PaperDiscriminator, PaperEmbedder, PaperGenerator
from fewshot_heads.models.paper_blocks import ResBlock, SelfAttention

MINIATURE = {"architecture": "paper", "size": 64, "embedding": 8, "channels": [4, 8], "bottleneck": 1}


def miniature(size=64, seed=0):
    torch.manual_seed(seed)
    spec = {**MINIATURE, "size": size}
    networks = build(spec)
    return SimpleNamespace(
        embedder=networks.embedder, generator=networks.generator, discriminator=build_discriminator(spec)
    )


def pictures(*shape, size=64):
    return torch.rand(*shape, 3, size, size) * 2 - 1


@pytest.fixture(scope="module")
def published():
    """The networks of conf/model/paper.yaml, at full size."""
    spec = yaml.safe_load((CONF_DIR / "model" / "paper.yaml").read_text())
    torch.manual_seed(0)
    networks = build(spec).eval().requires_grad_(False)
    critic = build_discriminator(spec).eval().requires_grad_(False)
    return SimpleNamespace(embedder=networks.embedder, generator=networks.generator, discriminator=critic)


@pytest.mark.parametrize("name, millions", [("embedder", 15), ("generator", 38), ("discriminator", 20)])
def test_a_network_has_the_published_number_of_parameters(published, name, millions):
    parameters = sum(p.numel() for p in getattr(published, name).parameters())
    assert parameters == pytest.approx(millions * 1e6, rel=0.05)


def test_a_frame_costs_what_is_published_and_is_a_picture_from_the_start(published):
    style = published.generator.project(torch.randn(1, 512))
    with FlopCounterMode(display=False) as counter:  # counts 2 for a multiply-add
        frame = published.generator(pictures(1, size=256), style)
    assert counter.get_total_flops() == pytest.approx(94e9, rel=0.1)
    assert frame.shape == (1, 3, 256, 256) and frame.isfinite().all() and frame.abs().max() <= 1
    assert 0.1 < frame.std() < 0.9  # neither blank nor saturated


def test_every_convolution_and_linear_layer_is_under_spectral_norm(published):
    for network in vars(published).values():
        layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
        assert layers and all(is_parametrized(layer, "weight") for layer in layers)
    weight = published.generator.project.weight
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [64, 128])
def test_the_discriminator_ends_at_4x4_and_the_generator_narrows_to_a_sixteenth(size):
    nets = miniature(size)
    frame, stickman = pictures(2, size=size), pictures(2, size=size)
    score, features = nets.discriminator(frame, stickman, torch.randn(2, 8))
    assert score.shape == (2,)
    assert [f.shape[-1] for f in features] == [*(size >> i for i in range(1, size.bit_length() - 2)), 4]
    narrow = []
    nets.generator.up[0].register_forward_hook(lambda block, inputs, output: narrow.append(output.shape[-1]))
    painted = nets.generator(stickman, nets.generator.project(torch.randn(2, 8)))
    assert painted.shape == frame.shape and narrow == [size // 16]


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_attention_is_at_32x32_on_the_way_down_and_at_64x64_on_the_way_up(size):
    nets, seen = miniature(size), {}
    for name, attention in {
        "embedder": nets.embedder.encoder.attention, "discriminator": nets.discriminator.encoder.attention,
        "down": nets.generator.down_attention, "up": nets.generator.up_attention,
    }.items():  # fmt: skip
        hook = lambda module, inputs, output, name=name: seen.setdefault(name, []).append(output.shape[-1])  # noqa: E731
        attention.register_forward_hook(hook)
    with torch.no_grad():
        frame = pictures(1, size=size)
        e_hat = nets.embedder(frame[:, None], frame[:, None]).mean(1)
        nets.discriminator(nets.generator(frame, nets.generator.project(e_hat)), frame, e_hat)
    assert seen == {"embedder": [32], "down": [32], "up": [64], "discriminator": [32]}


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(BadInput, match="size=100: .* 64, 128, 256, 512 pixels"):
        build({**MINIATURE, "size": 100})


def test_a_texture_is_refused():
    generator = miniature().generator
    with pytest.raises(ValueError, match="pass texture=None"):
        generator(pictures(1), generator.project(torch.zeros(1, 8)), pictures(1))


def test_every_number_of_the_style_is_the_mean_or_the_deviation_of_one_channel(monkeypatch):
    """psi_hat, cut up in the order of the layers, is what the AdaINs get, and their outputs have these statistics."""
    generator, used = miniature().generator, []

    def watched(x, scale, shift):
        out = adain(x, scale, shift)
        torch.testing.assert_close(out.mean((2, 3)), shift, atol=1e-4, rtol=1e-4)
        varied = x.std((2, 3)) > 0.05  # elsewhere the epsilon of the norm shows
        torch.testing.assert_close(out.std((2, 3), correction=0)[varied], scale.abs()[varied], atol=5e-3, rtol=5e-3)
        used.extend([scale, shift])
        return out

    adain = paper_blocks.adain
    monkeypatch.setattr(paper_blocks, "adain", watched)
    style = torch.randn(2, generator.project.out_features)
    generator(pictures(2), style)
    torch.testing.assert_close(torch.cat(used, 1)[:, -style.shape[1] :], style, atol=0, rtol=0)
    torch.testing.assert_close(torch.cat(used, 1)[0, : -style.shape[1]], generator.affine, atol=0, rtol=0)


def test_without_an_embedding_the_style_is_plain_instance_norm():
    generator = miniature().generator
    style = generator.project(torch.zeros(1, 8))
    assert set(style.unique().tolist()) == {0, 1} and style.mean() == 0.5


def test_the_score_is_the_projection_of_eq_5():
    critic = miniature().discriminator.eval()
    frame, stickman, w = pictures(3), pictures(3), torch.randn(3, 8)
    with torch.no_grad():
        critic.b.fill_(0.7)
        score, features = critic(frame, stickman, w)
        vector = F.relu(features[-1]).mean((2, 3))
    assert vector.abs().max() > 0
    torch.testing.assert_close(score, torch.stack([v @ own + 0.7 for v, own in zip(vector, w, strict=True)]))


def test_e_hat_does_not_care_for_the_order_of_the_pictures():
    embedder = miniature().embedder.eval()
    frames, stickmen, order = pictures(2, 4), pictures(2, 4), torch.tensor([2, 0, 3, 1])
    vectors = embedder(frames, stickmen)
    assert vectors.shape == (2, 4, 8)
    torch.testing.assert_close(vectors[:, order], embedder(frames[:, order], stickmen[:, order]))
    torch.testing.assert_close(vectors.mean(1), embedder(frames[:, order], stickmen[:, order]).mean(1))


def test_the_gradient_reaches_every_parameter_of_all_three():
    nets = miniature()
    everything = {f"{n}.{k}": p for n, net in vars(nets).items() for k, p in net.named_parameters()}
    with torch.no_grad():
        for name, parameter in everything.items():
            if name.endswith("gamma"):
                parameter.fill_(0.5)  # at 0, where it starts, it hides its attention
    stickman = pictures(2)
    e_hat = nets.embedder(pictures(2, 3), pictures(2, 3)).mean(1)
    frame = nets.generator(stickman, nets.generator.project(e_hat))
    score, _ = nets.discriminator(frame, stickman, torch.randn(2, 8))
    (score.sum() + (frame - pictures(2)).abs().mean()).backward()
    without = [name for name, p in everything.items() if p.grad is None or not p.grad.abs().sum() > 1e-7]
    assert without == []
    assert all(p.grad.isfinite().all() for p in everything.values())


def test_attention_starts_as_if_it_were_not_there_and_mixes_places_after():
    attention = SelfAttention(16).eval()
    x = torch.randn(1, 16, 8, 8)
    torch.testing.assert_close(attention(x), x)
    torch.nn.init.ones_(attention.gamma)
    elsewhere = x.clone()
    elsewhere[:, :, 0, 0] += 5
    assert (attention(elsewhere) - attention(x))[:, :, 7, 7].abs().max() > 1e-6


def test_a_block_is_biggans():
    """Resizing the shortcut where there are fewer pixels is the same: a 1x1 convolution and a resize commute."""
    x = torch.randn(1, 4, 8, 8)
    down, same, up = (ResBlock(4, 6, resize).eval() for resize in ("down", "", "up"))
    double, relu = (lambda y: F.interpolate(y, scale_factor=2)), torch.relu
    expected = {
        down: F.avg_pool2d(down.conv2(relu(down.conv1(relu(x)))) + down.shortcut(x), 2),
        same: same.conv2(relu(same.conv1(relu(x)))) + same.shortcut(x),
        up: up.conv2(relu(up.conv1(double(relu(x))))) + up.shortcut(double(x)),
    }
    for block, result in expected.items():
        torch.testing.assert_close(block(x), result)


def output(nets, stickman):
    e_hat = nets.embedder(stickman[:, None], stickman[:, None]).mean(1)
    frame = nets.generator(stickman, nets.generator.project(e_hat))
    return [e_hat, frame, nets.discriminator(frame, stickman, e_hat)[0]]


@torch.no_grad()
def test_evaluation_is_deterministic_and_a_copy_agrees():
    nets, stickman = miniature(), pictures(2)
    output(nets, stickman)  # in training mode, so that the estimates of spectral norm move on
    for network in vars(nets).values():
        network.eval()
    once = output(nets, stickman)
    torch.testing.assert_close(output(nets, stickman), once, atol=0, rtol=0)
    twin = SimpleNamespace(**{name: copy.deepcopy(network) for name, network in vars(nets).items()})
    torch.testing.assert_close(output(twin, stickman), once, atol=0, rtol=0)


@torch.no_grad()
def test_weights_stored_in_half_precision_give_nearly_the_same():
    nets, fresh, stickman = miniature(), miniature(seed=1), pictures(2)
    output(nets, stickman)
    for name, network in vars(nets).items():
        network.eval()
        stored = load(save({key: value.half().contiguous() for key, value in network.state_dict().items()}))
        getattr(fresh, name).eval().load_state_dict({key: value.float() for key, value in stored.items()})
    torch.testing.assert_close(output(fresh, stickman), output(nets, stickman), atol=0.02, rtol=0.01)


def test_the_specification_says_which_architecture():
    tiny = {"size": 64, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}
    for spec in (tiny, {**tiny, "architecture": "realtime"}):
        assert build(spec).generator.textured
        assert isinstance(build_discriminator(spec), PatchDiscriminator)
    narrow = build_discriminator({**tiny, "discriminator": {"channels": [4, 8]}})
    assert [stage.out_channels for stage in narrow.stages] == [4, 8]
    networks = build(MINIATURE)
    assert isinstance(networks.embedder, PaperEmbedder) and isinstance(networks.generator, PaperGenerator)
    assert isinstance(build_discriminator(MINIATURE), PaperDiscriminator)
    assert not networks.generator.textured and networks.generator.size == 64
    with pytest.raises(BadInput, match="architecture=papre: expected realtime or paper"):
        build({**MINIATURE, "architecture": "papre"})
