"""The study of whose mouth an inpainter fills in: a vector toward people who are sharp."""

import json

import cv2
import numpy as np
import pytest
import torch

from benchmarks.studies import person
from benchmarks.studies.person import sharpest_people, sharpness
from fewshot_heads import BadInput
from fewshot_heads.datasets.clips import Footage
from fewshot_heads.datasets.episodes import EpisodeSettings
from fewshot_heads.datasets.region_crops import RegionCrops
from fewshot_heads.meta_learn import main as meta_learn
from fewshot_heads.models.checkpoint import load_checkpoint
from tests.footage import laughing_footage, pack

pytestmark = pytest.mark.usefixtures("one_thread")


def test_blur_takes_sharpness_and_light_does_not():
    image, hole = np.random.default_rng(0).uniform(0.4, 1, (64, 64)).astype(np.float32), np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    assert sharpness(cv2.GaussianBlur(image, (0, 0), 2), hole) < 0.3 * sharpness(image, hole)
    assert sharpness(image / 2, hole) == pytest.approx(sharpness(image, hole), rel=0.2)
    hole[:39] = False
    assert np.isnan(sharpness(image, hole)), "too few pixels"


def test_people_with_sharp_mouths_are_found_with_their_mirror_images(driver_frames):
    clips = laughing_footage(driver_frames)
    soft = [np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in clip.frames]) for clip in clips]
    footage = [
        Footage(f"soft_{clip.identity}", frames, clip.landmarks) for clip, frames in zip(clips, soft, strict=True)
    ]
    crops = RegionCrops(clips + footage, 40, EpisodeSettings(k_shot=1))
    rows = sharpest_people(crops, 0.5)
    names = crops.identities
    assert sorted(rows) == sorted(names.index(clip.identity) + side for clip in clips for side in (0, len(names)))


def test_a_run_gets_weights_with_another_vector_and_nothing_else(driver_frames, tmp_path, capsys):
    prepared, run = pack(tmp_path, clips=laughing_footage(driver_frames)), tmp_path / "run"
    small = ["model.channels=[4,8]", "model.discriminator.channels=[4]", "runtime.workers=0", "steps=2", "batch=2"]
    offline = ["criterion.vgg19.weight=0", "optim.adversarial_start=1"]
    assert meta_learn([str(prepared), "-o", str(run), "experiment=mouth", *small, *offline]) == 0
    before = load_checkpoint(capsys.readouterr().out.strip().splitlines()[-1])
    person.main([f"run={run}", f"data={prepared}", "samples=30", "share=0.5", "gain=3"])
    after = load_checkpoint(capsys.readouterr().out.strip().splitlines()[-1])
    assert after.about["training"]["person"] == {"samples": 30, "share": 0.5, "gain": 3.0, "people": 1}
    one, other = (checkpoint.networks.state_dict() for checkpoint in (before, after))
    assert [name for name in one if not torch.equal(one[name], other[name])] == ["person"]


@pytest.mark.parametrize("setting", ["data=", "run="])
def test_a_run_without_weights_or_data_is_named(tmp_path, setting):
    (tmp_path / "mouth.json").write_text(json.dumps({}))
    settings = {"run": str(tmp_path), "data": "prepared"} | dict([setting.split("=")])
    with pytest.raises(BadInput, match="run="):
        person.main([f"{key}={value}" for key, value in settings.items()])
