"""Episodes: what is drawn, how it is changed, and that a seed and an index are all it depends on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot_heads import BadInput
from fewshot_heads.datasets.assembly import assemble
from fewshot_heads.datasets.augment import Augmentation, rotate_in_depth
from fewshot_heads.datasets.batches import collate
from fewshot_heads.datasets.clips import Excerpt, Footage, hold_out
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.training.forward import warp_inputs
from tests.faces import face
from tests.footage import mona_footage

SETTINGS = EpisodeSettings(k_shot=2, sampling="hard", augment=1.0)


@pytest.fixture(scope="module")
def clips():
    return mona_footage()


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("sampling", ["uniform", "hard"])
def test_a_sample_depends_on_seed_and_index_alone(clips, sampling):
    settings = replace(SETTINGS, sampling=sampling)
    one, again, other = (Episodes(clips, n, settings, seed)[7] for n, seed in ((10, 0), (99, 0), (10, 1)))
    assert same(one, again)
    assert not same(one, other)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_an_episode_has_k_pictures_and_one_to_reenact(clips, k):
    episode = Episodes(clips, 4, replace(SETTINGS, k_shot=k))[0]
    assert episode.images.shape == episode.stickmen.shape == (k, 3, 128, 128)
    assert episode.target.shape == (3, 128, 128)
    assert episode.regions.shape == (3, 128, 128)
    assert episode.regions.min() >= 0 and episode.regions.max() <= 1
    assert 0 <= episode.source_index < k


def test_uniform_episodes_never_show_the_driver_among_the_pictures(clips):
    episodes = Episodes(clips, 40, EpisodeSettings(k_shot=4))
    for i in range(40):
        episode = episodes[i]
        assert not any(torch.equal(picture, episode.target) for picture in episode.images)


def test_clips_that_are_too_short_for_k_are_named(clips):
    with pytest.raises(BadInput, match=r"data\.k_shot=8: takes clips of 9 frames or more, the longest of 2 has 5"):
        Episodes(clips, 4, EpisodeSettings(k_shot=8))
    stills = [replace(clip, kind="stills") for clip in clips]
    assert Episodes(stills, 4, EpisodeSettings(k_shot=8))[0].images.shape[0] == 8


def test_clips_of_different_sizes_are_refused(clips):
    with pytest.raises(BadInput, match="mona of 64 px.*of 128 px"):
        Episodes([*clips, *mona_footage(size=64)], 4, SETTINGS)


def test_no_change_changes_nothing(clips):
    clip, change = clips[0], Augmentation.draw(np.random.default_rng(0), 128, 0.0)
    np.testing.assert_array_equal(change.picture(clip.frames[0]), clip.frames[0])
    np.testing.assert_allclose(change.face(clip.landmarks[0]).to_array(), clip.landmarks[0], atol=1e-4)


def test_landmarks_go_where_the_picture_goes(clips):
    """A dot at a landmark is still at that landmark after the change."""
    for seed in range(6):
        change = replace(Augmentation.draw(np.random.default_rng(seed), 128), gain=np.ones(3), offset=np.zeros(3))
        points = clips[0].landmarks[0]
        x, y = np.floor(points[30, :2]).astype(int)
        dot = np.zeros((128, 128, 3), np.uint8)
        dot[y - 1 : y + 2, x - 1 : x + 2] = 255
        moved = change.picture(dot).mean(2)
        rows, columns = np.mgrid[:128, :128] + 0.5
        seen = np.array([(columns * moved).sum(), (rows * moved).sum()]) / moved.sum()
        wanted = change.face(np.where(np.arange(len(points))[:, None] == 30, [*(np.array([x, y]) + 0.5), 0], points))
        np.testing.assert_allclose(seen, wanted.points[30], atol=0.8)


def test_clips_that_are_too_short_are_counted(clips, caplog):
    short = Footage("someone", clips[0].frames[:2], clips[0].landmarks[:2])
    Episodes([*clips, short], 4, EpisodeSettings(k_shot=2))
    assert "left out: 1 clips too short for k_shot=2 and one more, and with them all of 1 people" in caplog.text


def test_a_mirrored_face_is_the_face_mirrored_with_its_surface():
    whole = np.array([[1.0, 0, 0], [0, 1, 0]])
    change = Augmentation(128, whole, 1.0, True, np.ones(3), np.zeros(3), 1.0)
    turn, size = 0.3, 128
    seen = change.face(face((0.1, turn, 0.05), scale=30, center=(60, 64), surface=0).to_array())
    wanted = face((0.1, -turn, -0.05), scale=30, center=(size - 60, 64), surface=0)
    np.testing.assert_allclose(seen.to_array(), wanted.to_array(), atol=0.6)


def test_a_turned_head_has_turned_landmarks_and_its_old_background(clips):
    picture, points = clips[0].frames[0], clips[0].landmarks[0]
    seen, moved, trust = rotate_in_depth(picture, points, np.random.default_rng(1))
    assert np.abs(moved - points)[:, :2].max() > 1
    assert np.abs(seen.astype(int) - picture).max() > 20
    np.testing.assert_allclose(seen[:3].astype(int), picture[:3], atol=1)
    assert trust[0, 0] == 0 and trust[tuple(points[30, 1::-1].astype(int))] == 1
    lengths = [np.linalg.norm(p[36] - p[45]) for p in (points, moved)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-4), "a turn in space keeps distances"


def test_landmarks_without_depth_turn_by_the_mean_heads(clips):
    flat = clips[0].landmarks[0, :N_POINTS].copy()
    flat[:, 2] = np.nan
    assert Landmarks.from_array(flat).depth is None
    _, moved, _ = rotate_in_depth(clips[0].frames[0], flat, np.random.default_rng(1))
    assert np.isfinite(moved).all()


def test_held_out_frames_are_the_last_and_are_not_trained_on(clips):
    seen, unseen = hold_out(clips, 0.4)
    assert [len(clip.frames) for clip in seen] == [3, 3]
    np.testing.assert_array_equal(unseen[0].frames[0], clips[0].frames[3])
    np.testing.assert_array_equal(unseen[0].landmarks, clips[0].landmarks[3:])
    assert hold_out(clips, 0.0) == (list(clips), [])
    stills = [replace(clip, kind="stills") for clip in clips]
    assert hold_out(stills, 0.4) == (stills, [])


def test_an_episode_of_a_frame_by_itself_is_that_frame(clips):
    change = Augmentation.draw(np.random.default_rng(0), 128, 0.0)
    episode = assemble(Excerpt(clips[1], [2]), [0], 0, 0, change)
    assert torch.equal(episode.images[0], episode.target)
    composite, alpha = _composite(episode)
    assert (composite - episode.target).abs().mean() < 0.02
    assert 0.1 < alpha.mean() < 0.8


def test_an_episode_shows_no_head_where_the_source_had_it_and_the_driver_has_not(clips):
    change = Augmentation.draw(np.random.default_rng(0), 128, 0.0)
    moved = replace(
        clips[1], landmarks=clips[1].landmarks + np.float32([40, 0, 0]) * (np.arange(5) == 1)[:, None, None]
    )
    episode = assemble(moved, [0], 0, 1, change)
    before, after = (soft_hull(moved.landmarks[i][:68, :2], 128) > 0.99 for i in (0, 1))
    left = torch.from_numpy(before & ~after)
    composite, alpha = _composite(episode)
    assert left.sum() > 300 and alpha[0][torch.from_numpy(after)].mean() > 0.95
    assert (episode.background - episode.images[0]).abs().mean(0)[left].mean() > 0.1
    assert episode.disocclusion.max() == 0


def _composite(episode):
    """Returns the composite of one episode [3, S, S], and the head's alpha [1, S, S]."""
    inputs = warp_inputs(collate([episode]))
    composite, alpha = inputs.composite(inputs.resized_flows(128))
    return composite[0], alpha[0]
