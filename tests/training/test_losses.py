"""Each term against its formula, and the table that weighs them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewshot_heads import BadInput
from fewshot_heads.datasets.batches import EpisodeBatch, RegionBatch
from fewshot_heads.features.vgg19 import RGB_MEAN, RGB_STD, VGG19Features
from fewshot_heads.models.discriminator import PatchDiscriminator, ProjectionDiscriminator
from fewshot_heads.training import losses
from fewshot_heads.training.weighted_losses import WeightedLosses

TORCHVISION = {0: (3, 4), 2: (4, 4), 5: (4, 4), 7: (4, 4), 10: (4, 4), 12: (4, 4), 14: (4, 4), 16: (4, 4), 19: (4, 4),
               21: (4, 4), 23: (4, 4), 25: (4, 4), 28: (4, 4)}  # fmt: skip


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory):
    """A state dict in torchvision's layout, with few channels and random weights."""
    torch.manual_seed(0)
    state = {}
    for i, (inputs, outputs) in TORCHVISION.items():
        state[f"features.{i}.weight"] = torch.randn(outputs, inputs, 3, 3) / 3
        state[f"features.{i}.bias"] = torch.randn(outputs) / 10
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, path)
    return path


def test_the_hinge_losses_have_their_values():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    assert losses.hinge_discriminator(real, fake).item() == pytest.approx(0.25 + 0.75)
    assert losses.hinge_generator(fake).item() == pytest.approx(0.75)


def test_paired_scores_are_judged_by_their_difference():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    value = (np.log1p(np.exp(-4)) + np.log(2)) / 2
    assert losses.relativistic_loss(real, fake).item() == pytest.approx(value)
    assert losses.relativistic_loss(real + 7, fake + 7).item() == pytest.approx(value)
    critic = ProjectionDiscriminator(PatchDiscriminator((4, 8), 6), 2, 6).eval()  # spectral norms at rest
    frame, truth, lines = torch.rand(3, 2, 3, 32, 32)
    who = torch.tensor([0, 1])
    scores = [critic(each, lines, who)[0] for each in (truth, frame)]
    judged = losses.discriminator_loss(critic, frame, truth, lines, who, relativistic=True)
    assert judged.item() == pytest.approx(losses.relativistic_loss(*scores).item(), abs=1e-5)
    fooled = losses.generator_adversarial_loss(critic, frame, truth, lines, who, relativistic=True)["adversarial"]
    assert fooled.item() == pytest.approx(losses.relativistic_loss(*scores[::-1]).item(), abs=1e-5)
    assert (
        WeightedLosses({"adversarial": {"weight": 1, "relativistic": True}}).relativistic
        and not WeightedLosses({}).relativistic
    )


def test_the_match_term_is_the_mean_distance_and_leaves_the_table_alone():
    e_hat = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    w = torch.tensor([[0.0, 4.0], [1.0, 0.0]], requires_grad=True)
    loss = losses.match_loss(e_hat, w)
    assert loss.item() == pytest.approx((1 + 2 + 1 + 0) / 4)
    loss.backward()
    assert w.grad is None
    torch.testing.assert_close(e_hat.grad, torch.tensor([[0.25, -0.25], [-0.25, 0.0]]))


def test_the_score_is_the_projection_on_w_i_plus_w0():
    """Eq. 5: V^T (W_i + w0) + b; the score is affine in W_i + w0."""
    critic = ProjectionDiscriminator(PatchDiscriminator((4, 8), embedding=6), 3, 6).eval()
    frame, stickman, identity = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32), torch.tensor([2, 0])
    score, _ = critic(frame, stickman, identity)
    given, _ = critic.discriminator(frame, stickman, critic.W.weight[identity] + critic.w0)
    torch.testing.assert_close(score, given)
    bias, _ = critic.discriminator(frame, stickman, torch.zeros(2, 6))
    double, _ = critic.discriminator(frame, stickman, 2 * (critic.W.weight[identity] + critic.w0))
    torch.testing.assert_close(double - bias, 2 * (score - bias), rtol=1e-3, atol=1e-4)


def test_the_generators_adversarial_terms_leave_no_gradient_in_the_critic():
    critic = ProjectionDiscriminator(PatchDiscriminator((4, 8), embedding=6), 3, 6)
    frame = torch.rand(2, 3, 32, 32, requires_grad=True)
    terms = losses.generator_adversarial_loss(
        critic, frame, torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    )
    sum(terms.values()).backward()
    assert frame.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())


def test_the_judge_is_hinge_on_truth_and_result():
    class Score(nn.Module):
        def forward(self, frame, stickman, given):
            return frame.mean((1, 2, 3)) * given, []

    truth, frame = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 0.25, requires_grad=True)
    loss = losses.discriminator_loss(Score(), frame, truth, torch.zeros(2, 3, 4, 4), torch.ones(2))
    assert loss.item() == pytest.approx((1 - 0.5) + (1 + 0.25))


def test_the_region_weights_move_the_l1():
    truth, frame = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    frame[..., :4, :4] = 1
    flat, heavy = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    heavy[..., :4, :4] = 4
    assert losses.weighted_l1(frame, truth, flat).item() == pytest.approx(0.25)
    assert losses.weighted_l1(frame, truth, heavy).item() == pytest.approx(4 / 7)


def test_the_l1_of_a_batch_is_the_mean_of_its_samples():
    frame, truth, region = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16), 1 + 5 * torch.rand(4, 1, 16, 16)
    one_by_one = [losses.weighted_l1(*(x[i : i + 1] for x in (frame, truth, region))) for i in range(4)]
    torch.testing.assert_close(losses.weighted_l1(frame, truth, region), torch.stack(one_by_one).mean())


def batch_of(target, regions):
    valid = torch.ones_like(regions[:, :1])
    return RegionBatch(target, valid, target, regions, valid, torch.zeros(1, 2), torch.zeros(1))


def test_the_table_weighs_eyes_mouth_and_what_opens():
    truth, frame = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    frame[..., :4] = 1
    regions = torch.zeros(1, 3, 8, 8)
    regions[:, 1, :, :4] = 1
    episode = batch_of(truth, regions)
    plain = WeightedLosses({"l1": {"weight": 2.0}}).reconstruction_terms(frame, episode)["l1"]
    mouth = WeightedLosses({"l1": {"weight": 2.0, "eyes": 9.0, "mouth": 3.0}}).reconstruction_terms(frame, episode)[
        "l1"
    ]
    assert plain.item() == pytest.approx(0.5)
    assert mouth.item() == pytest.approx(4 / (4 + 1))


def test_identity_is_one_minus_the_cosine_of_the_pooled_features():
    wanted, last = torch.zeros(2, 2, 4, 4), torch.zeros(2, 2, 4, 4, requires_grad=True)
    wanted[:, 0], last.data[0, 0], last.data[1, 1] = 1.0, 3.0, torch.rand(4, 4)
    loss = losses.identity_loss(last, wanted)
    assert loss.item() == pytest.approx((0 + 1) / 2)


def test_identity_looks_at_the_face_through_the_face_network(faceres_file):
    truth = torch.rand(1, 3, 32, 32)
    frame = (truth + 0.3 * torch.rand(1, 3, 32, 32)).requires_grad_()
    empty = dict.fromkeys(EpisodeBatch._fields)
    valid, box = torch.ones(1, 1, 32, 32), torch.tensor([[2.0, 2.0, 12.0, 12.0]])
    given = {"target": truth, "regions": torch.zeros(1, 3, 32, 32), "valid_mask": valid, "face_box": box}
    episode = EpisodeBatch(**{**empty, **given})
    table = WeightedLosses({"identity": {"weight": 3.0}, "vggface": {"weight": 0.0, "weights": faceres_file}})
    terms = table.reconstruction_terms(frame, episode)
    assert list(terms) == ["identity"] and 0 < terms["identity"].item() <= 1
    terms["identity"].backward()
    assert frame.grad[..., :14, :14].abs().sum() > 0 and frame.grad[..., 16:, 16:].abs().sum() == 0
    assert table.reconstruction_terms(truth, episode)["identity"].item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadInput, match="criterion.identity.weight=0"):
        WeightedLosses({"identity": {"weight": 1.0}})


def test_what_cannot_be_trusted_costs_nothing():
    frame, trust = torch.ones(1, 3, 8, 8, requires_grad=True), torch.ones(1, 1, 8, 8)
    trust[..., 4:] = 0
    episode = batch_of(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))._replace(valid_mask=trust)
    loss = WeightedLosses({"l1": {"weight": 1.0}}).reconstruction_terms(frame, episode)["l1"]
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    assert (frame.grad[..., 4:] == 0).all() and (frame.grad[..., :4] > 0).all()


def test_the_total_is_the_weighted_sum_and_names_what_is_not_a_number():
    table = WeightedLosses({"l1": {"weight": 2.0}, "match": {"weight": 10.0}})
    assert table.total({"l1": torch.tensor(1.0), "match": torch.tensor(0.5)}, 3).item() == 7
    with pytest.raises(FloatingPointError, match="step 3: match is not finite"):
        table.total({"l1": torch.tensor(1.0), "match": torch.tensor(torch.nan)}, 3)


def test_patches_are_cut_where_the_corner_says():
    images = torch.arange(2 * 64.0).view(2, 1, 8, 8)
    cut = losses.crop_patches(images, torch.tensor([[1, 2], [4, 0]]), 3)
    assert cut[0, 0, 0, 0] == images[0, 0, 2, 1]
    assert cut[1, 0, 2, 2] == images[1, 0, 2, 6]
    assert losses.crop_patches(images, None, 3) is images
    assert losses.crop_patches(images, torch.zeros(2, 2), None) is images


def test_the_face_network_sees_the_face_with_its_margin():
    image = torch.full((1, 3, 256, 256), -1.0)
    image[..., 100:140, 60:100] = 1
    face = losses.crop_faces(image, torch.tensor([[60.0, 100.0, 100.0, 140.0]]))
    assert face.shape == (1, 3, 224, 224)
    inside = (face[0, 0] > 0).float().mean().item()
    assert inside == pytest.approx(1 / 1.2**2, abs=0.02)


def test_torchvisions_layout_gives_five_layers_in_its_own_normalization(torchvision_file):
    network, images = VGG19Features(torchvision_file), torch.rand(1, 3, 32, 32) * 2 - 1
    features = network(images)
    assert [feature.shape[-1] for feature in features] == [32, 16, 8, 4, 2]
    state = torch.load(torchvision_file, weights_only=True)
    x = ((images + 1) / 2 - torch.tensor(RGB_MEAN).view(1, 3, 1, 1)) / torch.tensor(RGB_STD).view(1, 3, 1, 1)
    for i in (0, 2):
        x = F.relu(F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1))
    x = F.relu(F.conv2d(F.max_pool2d(x, 2), state["features.5.weight"], state["features.5.bias"], padding=1))
    torch.testing.assert_close(features[1], x, rtol=1e-4, atol=1e-4)
    assert network.unit == pytest.approx(255 * np.mean(RGB_STD))


def test_a_state_dict_of_another_network_is_named(tmp_path):
    torch.save({"layer1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(BadInput, match=r"resnet\.pth: a state dict, but not of VGG19"):
        WeightedLosses({"vgg19": {"weight": 1.0, "weights": str(tmp_path / "resnet.pth")}})


def test_torchvision_that_cannot_be_fetched_names_the_way_out(monkeypatch):
    pytest.importorskip("torchvision")
    from torchvision.models import VGG19_Weights

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(VGG19_Weights, "get_state_dict", unreachable)
    with pytest.raises(BadInput, match=r"no route to host.*criterion\.vgg19\.weights=FILE"):
        WeightedLosses({"vgg19": {"weight": 1.0, "weights": "torchvision"}})
