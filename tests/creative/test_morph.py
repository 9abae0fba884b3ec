"""Mona Lisa becomes the woman of the example clip: ends, order, geometry, ways, the command line and its refusals."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from fewshot_heads import BadInput, Head, Reenactor, WeightsMismatch, read_image, read_video, write_image
from fewshot_heads.cli.config import RULES, compose_config
from fewshot_heads.creative.blending import interpolation as paths
from fewshot_heads.creative.blending.idle_motion import idle_motion
from fewshot_heads.creative.blending.morphing import Morph, morph, preview
from fewshot_heads.creative.morph import main
from fewshot_heads.landmarks import LEFT_EYE, N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.media.provenance import read_mark
from tests.faces import face
from tests.networks import noisy_weights

# Nobody moves, the pace is even: what changes between frames is who is there. Nine frames of two people.
STILL = Morph(easing="linear", pose=0, expression=0, resolution=256, seconds=4.5, rate=1)


@pytest.fixture(scope="module")
def heads(reenactor, mona_path, driver_frames):
    return [reenactor.embed([picture]) for picture in (mona_path, driver_frames[0])]


@pytest.fixture(scope="module")
def motion(reenactor, driver_frames):
    return reenactor.track(driver_frames)


@pytest.fixture(scope="module")
def way(reenactor, heads):
    return list(morph(reenactor, heads, None, STILL))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def alike(a, b, levels=2) -> bool:
    return np.abs(a.astype(int) - b).max() <= levels


def apart(a, b) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def strictly(values, sign=1) -> bool:
    return bool((np.diff(values) * sign > 0).all())


def test_at_each_person_the_frame_is_their_plain_reenactment(reenactor, heads, motion):
    frames = list(morph(reenactor, heads, motion, Morph(resolution=256)))
    first, last = (list(reenactor.animate(head, motion, paste_back=False, resolution=256, shading=0)) for head in heads)
    assert len(frames) == len(motion)
    assert alike(frames[0], first[0]) and alike(frames[-1], last[-1])
    assert not alike(frames[5], first[5], 30) and not alike(frames[5], last[5], 30)


def test_pixels_leave_the_first_person_and_come_to_the_second(way):
    assert len(way) == 9
    assert strictly([apart(frame, way[0]) for frame in way]) and strictly([apart(frame, way[-1]) for frame in way], -1)


def test_the_embedder_sees_the_first_person_go_and_the_second_come(reenactor, heads, way):
    e_hats = [reenactor.embed([frame], crop="full").e_hat for frame in way]
    for end, sign in ((0, 1), (-1, -1)):
        distances = np.array([float(np.linalg.norm(e - e_hats[end])) for e in e_hats])
        assert (np.diff(distances) * sign > -0.05 * distances.max()).all()


def test_the_face_halfway_has_the_shape_halfway(reenactor, heads, way):
    a, b = (head.landmarks[0] for head in heads)
    middle = paths.between([a, b], np.array([0.5, 0.5]))
    mean_shape = (CanonicalFace.of(a).shape + CanonicalFace.of(b).shape) / 2
    np.testing.assert_allclose(CanonicalFace.of(middle).shape, mean_shape, atol=1e-3)
    (detected,) = reenactor.detectors[0].detect(way[4])
    assert np.linalg.norm(detected.points - middle.points, axis=1).mean() < 3
    assert np.linalg.norm(a.points - b.points, axis=1).mean() > 6


def test_backward_is_the_other_order(reenactor, heads, way):
    back = list(morph(reenactor, heads[::-1], None, STILL))
    assert all(alike(one, other) for one, other in zip(way, back[::-1], strict=True))


def test_a_loop_passes_everybody_and_ends_just_before_its_start(reenactor, heads):
    frames = list(morph(reenactor, heads, None, replace(STILL, loop=True, seconds=4)))
    plain = list(morph(reenactor, heads, None, replace(STILL, seconds=1)))
    assert len(frames) == 8 and alike(frames[0], plain[0]) and alike(frames[4], plain[1])
    steps = [apart(a, b) for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 1.5 * min(steps)


def test_truncated_to_nothing_everybody_is_the_mean(reenactor, heads):
    first, *_, last = morph(reenactor, heads, None, replace(STILL, truncation=0.0))
    assert alike(first, last)
    (middle,) = morph(reenactor, heads, None, replace(STILL, path="linear"), only=[4])  # an arc's is not their mean
    assert alike(first, middle)


def test_shape_of_one_with_colors_and_pose_of_the_other(reenactor, heads, way):
    frames = list(morph(reenactor, heads, None, replace(STILL, shape_of=0, appearance_of=1), only=[0, 8]))
    assert alike(*frames)
    (detected,) = reenactor.detectors[0].detect(frames[0])
    result, a, b = (CanonicalFace.of(each) for each in (detected, *(head.landmarks[0] for head in heads)))
    shape = [np.linalg.norm((result.shape - other.shape)[:N_POINTS, :2], axis=1).mean() for other in (a, b)]
    turn = [np.linalg.norm(result.pose.rotation - other.pose.rotation) for other in (a, b)]
    assert shape[0] < 0.85 * shape[1] and turn[1] < 0.7 * turn[0]
    assert apart(frames[0], way[-1]) < apart(frames[0], way[0]) / 2


def test_three_people_come_in_their_order_and_some_frames_can_be_had_alone(reenactor, heads, mona):
    people = [*heads, reenactor.embed([mona[:, ::-1].copy()])]
    wanted = replace(STILL, seconds=3)
    frames = list(morph(reenactor, people, None, wanted))
    for i, head in zip((0, 4, 8), people, strict=True):
        inside = head.crop.inside(head.picture)  # what is beyond the picture's edges is invented
        assert apart(frames[i][inside], head.crop.cut(head.picture)[inside]) < 4
    some = morph(reenactor, people, None, wanted, only=(5, 2))
    assert alike(next(some), frames[5]) and alike(next(some), frames[2])


def test_a_tuned_head_morphs_with_an_untuned_one_and_both_ends_are_their_own(reenactor, heads):
    state = {name: value.clone() for name, value in reenactor.checkpoint.networks.generator.state_dict().items()}
    random = np.random.default_rng(0)
    style = heads[1].style + np.float32(0.3 * random.standard_normal(heads[1].style.shape))
    own = replace(heads[1], tuned=noisy_weights(reenactor), style=style)
    motion = reenactor.track([own.picture] * 3)
    plain, _, changed = morph(reenactor, [heads[0], own], motion, replace(STILL, pose=1, expression=1))
    first, last, untuned = (
        list(reenactor.animate(head, motion, paste_back=False, resolution=256, shading=0))
        for head in (heads[0], own, heads[1])
    )
    assert alike(plain, first[0]) and alike(changed, last[2]) and not alike(changed, untuned[2])
    after = reenactor.checkpoint.networks.generator.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in after.items())


# The ways


@pytest.mark.parametrize("easing", paths.EASINGS)
def test_every_pace_starts_and_ends_at_people_and_never_turns_back(easing):
    at = paths.positions(101, 3, easing, loop=False)
    assert at[0] == 0 and at[50] == pytest.approx(1) and at[-1] == pytest.approx(2) and (np.diff(at) >= -1e-12).all()
    assert ((at % 1 < 1e-9).sum() > 40) == (easing == "hold")


def test_every_easing_and_path_of_the_configuration_exists():
    assert set(RULES["easing"].words) == set(paths.EASINGS)
    assert Morph().path in RULES["path"].words and Morph().easing in paths.EASINGS


def test_shares_are_of_two_neighbours_and_sum_to_one():
    shares = paths.shares(np.array([0.0, 0.25, 1.5, 2.75]), 3)
    np.testing.assert_allclose(shares, [[1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5], [0.75, 0, 0.25]])


@pytest.mark.parametrize("loop", [False, True])
def test_a_spline_passes_its_keys_without_a_corner(loop):
    shares = paths.spline_shares(np.array([0.0, 1.0, 2.0]), 3, loop)
    np.testing.assert_allclose(shares, np.eye(3), atol=1e-12)
    before, key, after = paths.spline_shares(np.array([0.999, 1, 1.001]), 3, loop)
    np.testing.assert_allclose(after - key, key - before, atol=1e-5)
    np.testing.assert_allclose(paths.spline_shares(np.linspace(0, 2, 9), 3, loop).sum(1), 1)


def test_between_two_people_a_spline_is_the_straight_line():
    at = np.linspace(0, 1, 5)
    np.testing.assert_allclose(paths.spline_shares(at, 2, False), paths.shares(at, 2), atol=1e-12)


def test_the_spherical_way_turns_evenly_and_keeps_the_length():
    keys = np.array([[2.0, 0, 0], [0, 4.0, 0]])
    way = paths.spherical(keys, np.array([0, 1 / 3, 2 / 3, 1]))
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), [2, 8 / 3, 10 / 3, 4])
    np.testing.assert_allclose(np.degrees(np.arctan2(way[:, 1], way[:, 0])), [0, 30, 60, 90], atol=1e-9)
    np.testing.assert_allclose(paths.spherical(keys[[0, 0]], np.array([0.5])), keys[:1])


def test_halfway_between_two_turns_is_the_turn_halfway():
    a, b = face(turn=(0, -0.3, 0), center=(100, 120)), face(turn=(0, 0.5, 0), center=(140, 120))
    middle = paths.between([a, b], np.array([0.5, 0.5]))
    np.testing.assert_allclose(middle.points, face(turn=(0, 0.1, 0), center=(120, 120)).points, atol=0.05)
    assert isinstance(paths.between([a, b], np.array([1.0, 0.0])), Landmarks)


def test_without_a_driver_heads_look_about_and_blink():
    faces = [CanonicalFace.of(each) for each in idle_motion(200, 25)]
    turns = np.array([each.pose.rotation[0, 2] for each in faces])
    openings = np.array([each.eye_opening(LEFT_EYE) for each in faces])
    assert 0.05 < np.abs(turns).max() < 0.2 and abs(turns[0]) < 1e-6
    assert openings.min() < 0.1 * openings[0] and (openings > 0.9 * openings[0]).mean() > 0.9
    step = np.abs(np.diff(turns)).max()
    assert abs(turns[-1] - turns[0]) <= 1.5 * step


# The command line


@pytest.fixture
def woman(driver_frames):
    write_image("woman.png", driver_frames[0])
    return "woman.png"


def fails(capsys, *arguments, code=1):
    assert main([str(a) for a in arguments]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_the_command_line_follows_a_driver_and_marks_the_video(mona_path, woman, driver_path, tmp_path):
    assert main([str(mona_path), woman, str(driver_path), "resolution=256"]) == 0
    video = read_video("mona_lisa_to_woman.mp4")
    assert (video.width, video.height, video.rate) == (256, 256, 25) and len(list(video)) == 12
    assert read_mark("mona_lisa_to_woman.mp4")["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert {path.name for path in tmp_path.iterdir()} == {"woman.png", "mona_lisa_to_woman.mp4"}


def test_without_a_driver_the_length_is_that_asked_for_and_runs_are_alike(reenactor, mona_path, woman):
    reenactor.embed([mona_path]).save("mona.safetensors")
    arguments = ["mona.safetensors", woman, "seconds=0.5", "rate=10"]
    assert main([*arguments, "-o", "a.mp4"]) == main([*arguments, "-o", "b.mp4"]) == 0
    a, b = list(read_video("a.mp4")), list(read_video("b.mp4"))
    assert len(a) == 10 and read_video("a.mp4").rate == 10
    people = [Head.load("mona.safetensors"), reenactor.embed([woman])]
    assert a[0].shape[0] == max(head.textures.shape[1] for head in people)
    np.testing.assert_array_equal(a, b)


def test_the_preview_is_frames_of_the_video(reenactor, heads, mona_path, woman):
    assert main([str(mona_path), woman, "--preview"]) == 0
    sheet = read_image("mona_lisa_to_woman.jpg")
    assert sheet.shape == (512, 2048, 3) and read_mark("mona_lisa_to_woman.jpg")
    (frame,) = morph(reenactor, heads, None, Morph(resolution=256), [199])
    assert apart(preview(reenactor, heads, None, Morph())[256:, -256:], frame) < 0.1
    assert apart(sheet[256:, -256:], frame) < 6


def test_the_settings_are_those_of_the_configuration():
    config = compose_config("morph")
    assert {field.name: field.default for field in fields(Morph)} == {f.name: config[f.name] for f in fields(Morph)}


def test_bad_input_is_one_line(mona_path, woman, driver_path, capsys, tmp_path):
    write_image("wall.png", np.full((200, 300, 3), 120, np.uint8))
    before = sorted(tmp_path.iterdir())
    assert "at least two people" in fails(capsys, mona_path, driver_path, code=2)
    assert "comes last" in fails(capsys, driver_path, mona_path, woman, code=2)
    assert "linear or spherical or spline" in fails(capsys, mona_path, woman, "path=bent", code=2)
    assert "linear or smooth or hold" in fails(capsys, mona_path, woman, "easing=fast", code=2)
    assert "did you mean 'easing'" in fails(capsys, mona_path, woman, "esing=smooth", code=2)
    assert "wall.png: no face" in fails(capsys, mona_path, "wall.png")
    assert "people 0 to 1" in fails(capsys, mona_path, woman, "shape_of=2")
    assert "frames per second were expected" in fails(capsys, mona_path, woman, "rate=null")
    assert "frames 0 to 11" in fails(capsys, mona_path, woman, driver_path, "reference=12")
    told = "seconds=1e+09: more than 100000 frames without a driver; take fewer seconds or a lower rate"
    assert told in fails(capsys, mona_path, woman, "seconds=1e9")
    assert "also an input" in fails(capsys, mona_path, woman, "-o", woman, "--preview", "--overwrite")
    assert "nobody.jpg" in fails(capsys, mona_path, "nobody.jpg")
    assert sorted(tmp_path.iterdir()) == before


def test_an_existing_output_is_kept(mona_path, woman, capsys, tmp_path):
    (tmp_path / "out.mp4").write_text("mine")
    assert "--overwrite" in fails(capsys, mona_path, woman, "-o", "out.mp4")
    assert (tmp_path / "out.mp4").read_text() == "mine"


def test_heads_of_another_generator_are_refused_and_named(reenactor, heads, mona_path, capsys):
    stranger = replace(heads[1], generator="0" * 64)
    stranger.save("stranger.safetensors")
    assert "stranger.safetensors: made by another generator" in fails(capsys, mona_path, "stranger.safetensors")
    with pytest.raises(WeightsMismatch, match="head 1"):
        morph(reenactor, [heads[0], stranger])
    other = Reenactor(replace(reenactor.checkpoint, sha256="1" * 64), "cpu", reenactor.detectors, backend="torch")
    with pytest.raises(WeightsMismatch, match="head 0"):
        morph(other, heads)


@pytest.mark.parametrize(
    "wrong",
    [{"path": "bent"}, {"easing": "fast"}, {"motion": "no"}, {"appearance_of": 7}, {"truncation": 2.0}, {"batch": 0}],
)
def test_settings_that_do_not_exist_are_named(reenactor, heads, wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        morph(reenactor, heads, None, Morph(**wrong))


def test_one_person_is_no_morph(reenactor, heads):
    with pytest.raises(BadInput, match="two people or more, 1 came"):
        morph(reenactor, heads[:1])
