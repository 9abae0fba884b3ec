"""Fine-tuning in miniature: the tiny preset, Mona Lisa, and terms that need no network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot_heads import BadInput, Head, OutputError, Reenactor, VideoWriter, WeightsMismatch, read_image
from fewshot_heads.cli.config import load_config
from fewshot_heads.datasets.clips import Excerpt
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.fine_tune import main
from fewshot_heads.landmarks.pose import rotate_3d
from fewshot_heads.models.building import build, build_discriminator
from fewshot_heads.models.checkpoint import load_checkpoint, load_discriminator, save_checkpoint
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.training.fine_tuning import DEFAULT_LOSSES, from_config
from fewshot_heads.training.head_tuner import FineTuningConfig, default_steps, tune
from fewshot_heads.training.weighted_losses import WeightedLosses
from tests.conftest import EXAMPLES
from tests.footage import SPEC, TABLE, mona_footage

MONA = EXAMPLES / "mona_lisa.jpg"
QUICK = FineTuningConfig(steps=30, lr=3e-3, eval_every=5, augment=0.0)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The tiny preset with random weights, and the discriminator it might have been trained against."""
    torch.manual_seed(0)
    critic = ProjectionDiscriminator(build_discriminator(SPEC), 3, SPEC["embedding"])
    return save_checkpoint(build(SPEC), tmp_path_factory.mktemp("weights"), "tiny", {"spec": SPEC}, critic)


@pytest.fixture(scope="module")
def reenactor(weights):
    return Reenactor.from_pretrained(weights, device="cpu")


@pytest.fixture(scope="module")
def head(reenactor):
    return reenactor.embed([MONA])


@pytest.fixture(scope="module")
def mona():
    return mona_footage(frames=8)[1]


def tuned_on(reenactor, clip, settings=QUICK, table=TABLE, critic=None):
    torch.manual_seed(0)
    generator = reenactor.checkpoint.networks.generator
    style = generator.project(torch.zeros(1, SPEC["embedding"]))[0]
    criterion = WeightedLosses(table, settings.patch_size)
    return tune(generator, style, clip, criterion, settings, critic, torch.zeros(SPEC["embedding"]))


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(path, content):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        path.touch()

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        save_checkpoint(build(SPEC), tmp_path, "tiny", {"spec": SPEC})
    assert not list(tmp_path.iterdir())


def test_more_pictures_take_more_steps():
    assert [default_steps(count) for count in (1, 8, 32, 100)] == [40, 80, 160, 160]


def test_the_dataclass_has_the_defaults_of_the_configuration():
    assert from_config(load_config("fine_tune"))[0] == FineTuningConfig()


def test_pictures_held_out_of_eight_are_seen_better_after_tuning(reenactor, mona):
    curve = tuned_on(reenactor, mona).curve
    assert curve[0][0] == 0
    assert min(loss for _, loss in curve) < 0.95 * curve[0][1]


def test_what_is_kept_is_the_best_look_not_the_last(reenactor, mona):
    wild = tuned_on(reenactor, mona, replace(QUICK, lr=1.0))
    assert wild.curve[0][1] <= min(loss for _, loss in wild.curve)
    assert len(wild.curve) == 5, "four looks without a gain end it"
    before = reenactor.checkpoint.networks.generator.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in wild.generator.items())


def test_one_picture_goes_by_a_fixed_schedule(reenactor, mona):
    one = Excerpt(replace(mona, kind="stills"), [0])
    assert tuned_on(reenactor, one, replace(QUICK, steps=3)).curve == []


def test_the_generator_that_was_passed_in_stays_as_it_was(reenactor, mona):
    before = {name: value.clone() for name, value in reenactor.checkpoint.networks.generator.state_dict().items()}
    tuned = tuned_on(reenactor, mona)
    after = reenactor.checkpoint.networks.generator.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    changed = {name for name, value in tuned.generator.items() if not torch.equal(value, before[name])}
    assert changed
    assert not [name for name in changed if name.startswith("project")], "the style is free of P now"


def test_the_discriminator_joins_where_it_was_kept(reenactor, weights, mona):
    critic = load_discriminator(load_checkpoint(weights))
    assert critic is not None
    few = replace(QUICK, steps=6)
    without, joined = tuned_on(reenactor, mona, few), tuned_on(reenactor, mona, few, critic=critic)
    assert not torch.equal(without.style, joined.style)
    paired = {**TABLE, "adversarial": {**TABLE["adversarial"], "relativistic": True}}
    assert not torch.equal(joined.style, tuned_on(reenactor, mona, few, paired, critic).style)


def test_the_same_seed_tunes_the_same_head(reenactor, head):
    settings = FineTuningConfig(steps=3)
    one, other = (reenactor.fine_tune(head, tuning=settings, criterion=TABLE) for _ in range(2))
    np.testing.assert_array_equal(one.style, other.style)


def test_a_tuned_head_is_saved_loaded_and_animated(reenactor, head, tmp_path):
    tuned = reenactor.fine_tune(head, tuning=QUICK, criterion=TABLE)
    tuned.save(tmp_path / "mona.safetensors")
    loaded = Head.load(tmp_path / "mona.safetensors")
    turned = rotate_3d(head.landmarks[0], np.array([0, 0.4, 0]))  # in its own pose a head is its picture anyway
    motion = Motion([turned], [], [(0, 1)], (reenactor.size,) * 2)

    def frame(of):
        frames = reenactor.animate(of, motion, "absolute", paste_back=False, crop="full", resolution=256)
        return next(iter(frames)).astype(float)

    left, top, right, bottom = turned.box.astype(int)  # the background is no matter of tuning
    face = np.s_[top:bottom, left:right]
    assert np.abs(frame(tuned) - frame(head))[face].mean() > 0.05, "tuning shows"
    assert np.abs(frame(tuned) - frame(loaded)).mean() < 0.02, "half precision on disk does not"


def test_the_command_makes_a_head_and_a_picture_of_it(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(MONA), f"model={weights}", "steps=2", "device=cpu"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == "mona_lisa_head.safetensors"
    assert Head.load("mona_lisa_head.safetensors").tuned
    assert read_image("mona_lisa_head_before_after.jpg").shape == (3 * 128, 5 * 128, 3)
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_video_is_a_source_by_the_frames_that_differ_most(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mona = read_image(MONA)
    with VideoWriter("mona.mp4", 25) as video:
        for shift in range(10):
            video.add(np.ascontiguousarray(mona[:300, 4 * shift : 260 + 4 * shift]))
    assert main(["mona.mp4", f"model={weights}", "steps=2", "frames=3", "-o", "head.safetensors"]) == 0
    assert len(Head.load("head.safetensors").landmarks) == 3


def test_bad_sources_are_named(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    assert main([str(MONA), "clip.mp4"]) == 2
    assert "clip.mp4: a video or a saved head is the only source" in capsys.readouterr().err
    assert main(["clip.mp4", f"model={weights}"]) == 1
    assert "clip.mp4" in capsys.readouterr().err
    assert main([str(MONA), "stesp=3"]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_picture_of_what_changed_never_takes_the_place_of_a_source(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mona = MONA.read_bytes()
    (tmp_path / "a_before_after.jpg").write_bytes(mona)
    arguments = ["a_before_after.jpg", f"model={weights}", "steps=1", "-o", "a.safetensors", "--overwrite"]
    assert main(arguments) == 1
    assert "is also an input" in capsys.readouterr().err
    assert (tmp_path / "a_before_after.jpg").read_bytes() == mona


def test_a_head_of_another_generator_is_refused_before_any_work(reenactor, head):
    with pytest.raises(WeightsMismatch, match="another generator"):
        reenactor.fine_tune(replace(head, generator="0" * 64), criterion=TABLE)


def test_the_papers_networks_are_tuned_too_with_their_discriminator(tmp_path):
    spec = {"architecture": "paper", "size": 128, "embedding": 16, "channels": [4, 8], "bottleneck": 1}
    critic = ProjectionDiscriminator(build_discriminator(spec), 2, spec["embedding"])
    path = save_checkpoint(build(spec), tmp_path, "paper", {"spec": spec}, critic)
    paper = Reenactor.from_pretrained(path, device="cpu")
    mona = paper.embed([MONA])
    tuned = paper.fine_tune(mona, tuning=FineTuningConfig(steps=2, patch_size=96), criterion=TABLE)
    motion = Motion(mona.landmarks, [], [(0, 1)], (128, 128))
    for paste_back, shape in ((False, (128, 128, 3)), (True, mona.picture.shape)):
        frame = next(iter(paper.animate(tuned, motion, "absolute", paste_back=paste_back, crop="full")))
        assert frame.shape == shape


def test_a_face_network_without_weights_is_asked_for(reenactor, head):
    with pytest.raises(BadInput, match="criterion.vggface.weights=FILE"):
        reenactor.fine_tune(head, criterion={"l1": {"weight": 1}, "vggface": {"weight": 1, "weights": None}})


def test_the_defaults_in_code_are_those_of_the_configuration():
    assert from_config(load_config("fine_tune")) == (FineTuningConfig(), DEFAULT_LOSSES)
