"""`datasets.degradation`: blur, cracks, grain and JPEG."""

import numpy as np
import pytest

from fewshot_heads.datasets.clips import Footage
from fewshot_heads.datasets.degradation import Degradation
from fewshot_heads.media.images import read_image
from tests.conftest import EXAMPLES

NONE = {"blur": 0.0, "cracks": 0.0, "grain": 0.0, "quality": 0, "seed": 1}


@pytest.fixture(scope="module")
def picture():
    return np.ascontiguousarray(read_image(EXAMPLES / "mona_lisa.jpg")[:256, :256])


def detail(picture):
    return np.abs(np.diff(picture.astype(float), axis=1)).mean()


def test_without_degradation_a_picture_stays_as_it_is(picture):
    np.testing.assert_array_equal(Degradation(**NONE).apply(picture), picture)


def test_each_effect_does_its_own(picture):
    assert detail(Degradation(**{**NONE, "blur": 1.5}).apply(picture)) < 0.8 * detail(picture)
    grain = Degradation(**{**NONE, "grain": 8.0}).apply(picture).astype(float) - picture
    assert grain.std() == pytest.approx(8.0, rel=0.1) and abs(grain.mean()) < 1
    cracks = picture.astype(float) - Degradation(**{**NONE, "cracks": 60.0}).apply(picture)
    assert cracks.min() >= -0.5 and cracks.max() > 20, "cracks are dark"
    assert 0.005 < (cracks > 5).mean() < 0.3, "and thin"
    blocks = Degradation(**{**NONE, "quality": 25}).apply(picture)
    assert 0 < np.abs(blocks.astype(float) - picture).mean() < 8


def test_pictures_of_an_episode_differ_in_grain_and_the_same_one_does_not(picture):
    degraded = Degradation(**{**NONE, "grain": 8.0})
    np.testing.assert_array_equal(degraded.apply(picture, 1), degraded.apply(picture, 1))
    assert not np.array_equal(degraded.apply(picture, 1), degraded.apply(picture, 2))


def test_draws_have_all_kinds_and_none(picture):
    drawn = [Degradation.draw(np.random.default_rng(seed)) for seed in range(60)]
    for name in ("blur", "cracks", "grain", "quality"):
        frequency = np.mean([getattr(degradation, name) > 0 for degradation in drawn])
        assert 0.3 < frequency < 0.7, name
    assert not any(Degradation.draw(np.random.default_rng(seed), cracks=False).cracks for seed in range(20))


def test_a_degraded_clip_is_the_clip_with_degraded_frames(picture):
    clip = Footage("mona", [picture, picture], np.zeros((2, 70, 3), np.float32), "stills")
    degraded = Degradation(0.0, 0.0, 8.0, 0, 1).apply_to_clip(clip)
    assert (degraded.identity, degraded.kind, degraded.size, len(degraded.frames)) == ("mona", "stills", 256, 2)
    np.testing.assert_array_equal(degraded.frames[1], Degradation(0.0, 0.0, 8.0, 0, 1).apply(picture, 1))
