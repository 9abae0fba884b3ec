"""People who do not exist: drawn, refused, moved; and a model of appearance learned from a few made-up faces."""

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.studies import sampling
from fewshot_heads import BadInput, Head, NoFaceFound, read_image, read_video
from fewshot_heads.cli.config import compose_config
from fewshot_heads.creative.appearance.__main__ import main as learn_command
from fewshot_heads.creative.appearance.fitting import learn
from fewshot_heads.creative.appearance.model import Appearance
from fewshot_heads.creative.appearance.portraits import PortraitFrame, select_portraits
from fewshot_heads.creative.blending.sampling import Sample, grid, moved, sample
from fewshot_heads.creative.sample import main
from fewshot_heads.datasets.shards import Sample as Clip
from fewshot_heads.media.provenance import read_mark
from fewshot_heads.media.watermark import embed
from tests.datasets.test_shards import written
from tests.faces import face

TWO = Sample(count=2)
SKIN = np.array([1.1, 0.9, 0.7])


@pytest.fixture(scope="module")
def model():
    return Appearance.load()


@pytest.fixture(scope="module")
def people(reenactor):
    return list(sample(reenactor, Sample(count=3)))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def apart(a, b) -> float:
    return float(np.abs(a.astype(float) - b).mean())


# The model


def test_truncation_goes_from_the_mean_face_to_the_whole_density(model):
    mean = model.render(np.zeros(model.directions))[0]

    def away(truncation):
        return np.mean([apart(model.draw(np.random.default_rng(i), truncation, 0).picture, mean) for i in range(5)])

    assert away(0) == 0
    assert 2 < away(0.4) < 0.75 * away(0.8) < away(1)
    with pytest.raises(BadInput, match="truncation=1.1"):
        model.draw(np.random.default_rng(0), 1.1)


def test_nobody_is_nearer_to_a_training_person_than_asked_for(model):
    rng = np.random.default_rng(0)
    free = [model.draw(rng, 0.8, 0).distance for _ in range(15)]
    least = float(np.median(free))
    kept = [model.draw(rng, 0.8, least).distance for _ in range(15)]
    assert min(free) < least <= min(kept)
    assert min(model.draw(rng, 0.5).distance for _ in range(20)) >= model.min_distance > 0
    with pytest.raises(BadInput, match="min_distance=99.00: of 200 draws at truncation=0.8 nobody"):
        model.draw(rng, 0.8, 99)


def test_what_is_kept_of_a_training_person_is_at_no_distance_from_them(model):
    code = np.zeros(model.directions)
    code[: model.people.shape[1]] = model.people[11]
    assert model.nearest(code) == 0
    assert model.nearest(2 * code) > 0


def test_the_detector_finds_the_points_where_the_model_says(model, reenactor):
    for seed in range(4):
        drawn = model.draw(np.random.default_rng(seed), 0.8)
        (detected,) = reenactor.detectors[0].detect(drawn.picture)
        assert np.linalg.norm(detected.points - drawn.landmarks.points, axis=1).mean() < 3


def test_what_is_no_model_is_told(tmp_path, mona_path):
    (tmp_path / "text.safetensors").write_text("no")
    for path in ("text.safetensors", "nowhere.safetensors", mona_path):
        with pytest.raises(BadInput, match="not a model of appearance; make one with"):
            Appearance.load(path)


# Learning


def made_up(count, size=64):
    """People of their own widths and colors: the mean head in front of nothing, eyes and mouth dark."""
    rng = np.random.default_rng(0)
    result = []
    for number in range(count):
        landmarks = face(scale=size / 4.5 * rng.uniform(0.9, 1.1), center=(size / 2, size * 0.55), mouth=-0.07)
        points = (landmarks.points - size / 2) * [rng.uniform(0.85, 1.15), 1] + size / 2
        landmarks = replace(landmarks, points=points.astype(np.float32))
        picture = np.full((size, size, 3), (70, 90, 110), np.uint8)
        person, hair = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
        cv2.circle(hair, (size // 2, size // 3), size // 4, 1, -1)
        cv2.fillConvexPoly(person, cv2.convexHull(points.round().astype(np.int32)), 1)
        # Tints that go with brightness, as those of skin do: any other would be taken for the light's.
        picture[hair > 0], picture[person > 0] = rng.integers(20, 80, 3), rng.integers(120, 220) * SKIN
        for part in (slice(36, 42), slice(42, 48), slice(48, 60)):
            cv2.fillPoly(picture, [points[part].round().astype(np.int32)], (40, 20, 20))
        hair[person > 0] = 0
        result.append(PortraitFrame(f"p{number}", picture, landmarks, np.maximum(person, hair), hair))
    return result


def test_people_come_back_from_their_codes_and_the_model_from_its_file(tmp_path):
    learned, kept, codes = learn(made_up(12), directions=23)
    assert 4 <= len(kept) < 12 and len(codes) == len(kept)
    assert learned.size == 64 and learned.people.shape == (2 * len(kept), 6)
    mean = learned.render(np.zeros(learned.directions))[0]
    for each, code in zip(kept, codes, strict=True):
        inside = np.zeros((64, 64), np.uint8)
        picture, landmarks = learned.render(code)
        cv2.fillConvexPoly(inside, cv2.convexHull(landmarks.points[:48].round().astype(np.int32)), 1)
        inside = cv2.erode(inside, np.ones((5, 5), np.uint8))
        # The model has the faces without their place, so the person is brought there.
        to, _ = cv2.estimateAffinePartial2D(each.landmarks.points, landmarks.points)
        aligned = cv2.warpAffine(each.picture, to, (64, 64))
        assert apart(picture[inside > 0], aligned[inside > 0]) < 0.5 * apart(mean[inside > 0], aligned[inside > 0])
    learned.save(tmp_path / "a.safetensors")
    loaded = Appearance.load(tmp_path / "a.safetensors")
    assert apart(loaded.render(codes[0])[0], learned.render(codes[0])[0]) < 1
    assert loaded.min_distance == pytest.approx(learned.min_distance)


def test_the_density_has_the_spread_of_the_people_it_was_learned_from(model):
    rng = np.random.default_rng(0)
    codes = np.array([model._code(rng) for _ in range(2000)])
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.25)
    assert ((codes.std(0) > 0.8) & (codes.std(0) < 1.35)).all()


def test_too_few_people_are_told():
    with pytest.raises(BadInput, match="7 people sit well"):
        learn(made_up(7))


def clip(pictures, faces):
    best = [cv2.IMWRITE_JPEG_QUALITY, 100]
    jpegs = [cv2.imencode(".jpg", picture[..., ::-1], best)[1].tobytes() for picture in pictures]
    return Clip({"identity": "?", "kind": "stills", "size": 64}, np.stack([each.to_array() for each in faces]), jpegs)


@pytest.fixture
def prepared(tmp_path):
    """Nine who sit well, the first after frames that do not; one turned away, one without colors, one blurred."""
    people = made_up(12)
    clips = {f"{each.name}__1": clip([each.picture], [each.landmarks]) for each in people[1:9]}
    turned, scale = face(turn=(0, 0.6, 0), scale=14, center=(32, 35), mouth=-0.07), people[0].landmarks
    shown = [people[0].picture, cv2.blur(people[0].picture, (9, 9)), people[0].picture]
    clips["p0__1"] = clip([shown[i] for i in (0, 0, 0, 1, 1, 1, 2)], [turned] * 3 + [scale] * 4)
    clips["turned__1"] = clip([people[9].picture], [turned])
    clips["grey__1"] = clip([np.repeat(people[10].picture[..., :1], 3, -1)], [people[10].landmarks])
    clips["blurred__1"] = clip([cv2.blur(people[11].picture, (15, 15))], [people[11].landmarks])
    (tmp_path / "prepared").mkdir()
    return written(tmp_path / "prepared", clips)


def test_of_each_person_the_frame_that_sits_best_is_taken_and_of_some_none(prepared):
    found = {each.name: each for each in select_portraits([str(prepared)])}
    assert sorted(found) == [f"p{i}" for i in range(9)]
    first = made_up(1)[0]
    assert apart(found["p0"].picture, first.picture) < 2 < apart(cv2.blur(first.picture, (9, 9)), first.picture)
    np.testing.assert_allclose(found["p0"].landmarks.points, first.landmarks.points)


def test_the_command_learns_from_prepared_data(prepared, capsys, tmp_path):
    assert learn_command([str(prepared), "-o", "own.safetensors"]) == 0
    assert "9 people sat well" in capsys.readouterr().out
    own = Appearance.load("own.safetensors")
    assert own.draw(np.random.default_rng(0)).picture.shape == (64, 64, 3)
    assert learn_command([str(prepared), "-o", "own.safetensors"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert learn_command([str(tmp_path)]) == 1
    assert "no index.jsonl" in capsys.readouterr().err


# People


def test_a_seed_names_its_people_whatever_their_number(reenactor, people):
    again = list(sample(reenactor, TWO))
    for one, other in zip(people, again, strict=False):
        np.testing.assert_array_equal(one.head.picture, other.head.picture)
        assert one.distance == other.distance
    (stranger,) = sample(reenactor, Sample(count=1, seed=1))
    shown = [each.head.picture for each in (*people, stranger)]
    assert min(apart(a, b) for i, a in enumerate(shown) for b in shown[:i]) > 2


def test_a_picture_in_which_no_face_is_found_is_drawn_again(reenactor, model, monkeypatch, people):
    draws = []

    def draw(rng, *_):
        draws.append(model.draw(rng, 0.8))
        blank = len(draws) == 1
        return replace(draws[-1], picture=np.full_like(draws[-1].picture, 128)) if blank else draws[-1]

    monkeypatch.setattr("fewshot_heads.creative.blending.sampling.Appearance", Drawer(draw))
    (found,) = sample(reenactor, Sample(count=1))
    assert found.refused == 1 and found.distance == draws[1].distance
    np.testing.assert_array_equal(found.head.picture, draws[1].picture)


class Drawer:
    def __init__(self, draw):
        self.draw = draw

    def load(self):
        return self


def test_who_never_shows_a_face_is_given_up(reenactor, model):
    drawn = model.draw(np.random.default_rng(0))
    empty = Drawer(lambda *_: replace(drawn, picture=np.full_like(drawn.picture, 128)))
    with pytest.raises(NoFaceFound, match="person 0 of seed 0: no face in 20 draws"):
        next(sample(reenactor, TWO, empty))


def test_all_move_alike_as_each_would_alone(reenactor, people, driver_frames):
    motion = reenactor.track(driver_frames[:5])
    heads = [each.head for each in people[:2]]
    frames = list(moved(reenactor, heads, motion))
    assert [frame.shape for frame in frames] == [(256, 512, 3)] * 5
    for i, head in enumerate(heads):
        alone = np.stack(list(reenactor.animate(head, motion, paste_back=False, resolution=256, shading=0)))
        assert np.abs(np.stack(frames)[:, :, 256 * i : 256 * i + 256].astype(int) - alone).max() <= 1
    assert apart(frames[0], frames[4]) > 1


def test_a_grid_is_a_third_wider_than_high_and_in_reading_order():
    shape = {n: grid([np.full((2, 2, 3), i, np.uint8) for i in range(n)]).shape[:2] for n in (1, 2, 3, 12, 24)}
    assert shape == {1: (2, 2), 2: (2, 4), 3: (4, 4), 12: (6, 8), 24: (8, 12)}
    five = grid([np.full((1, 1, 3), i + 1, np.uint8) for i in range(5)])[..., 0]
    np.testing.assert_array_equal(five, [[1, 2, 3], [4, 5, 0]])


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seed": -1}, {"motion": "no"}, {"batch": 0}])
def test_settings_that_do_not_exist_are_named(reenactor, wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        sample(reenactor, Sample(**wrong))


def test_the_settings_are_those_of_the_configuration():
    config = compose_config("sample")
    assert {each.name: each.default for each in fields(Sample)} == {e.name: config[e.name] for e in fields(Sample)}


# The command line


def fails(capsys, *arguments, code=1):
    assert main([str(a) for a in arguments]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_without_a_driver_there_is_a_marked_picture_of_all(reenactor, people, capsys):
    assert main(["--count", "3", "-o", "all.png"]) == 0
    first, second, name = capsys.readouterr().out.splitlines()
    distances = ", ".join(f"{each.distance:.2f}" for each in people)
    assert first == f"distance to the nearest training person: {distances}"
    assert second == f"draws in which no face was found: {sum(each.refused for each in people)}" and name == "all.png"
    expected = embed(grid([each.head.picture for each in people]), reenactor.weights.sha256)
    np.testing.assert_array_equal(read_image("all.png"), expected)
    assert read_mark("all.png")["digital_source_type"].endswith("/trainedAlgorithmicMedia")


def test_the_preview_is_small_and_needs_no_driver_to_move(driver_path):
    assert main([str(driver_path), "--preview", "--seed=2", "count=2"]) == 0
    assert read_image("people_2.jpg").shape == (128, 256, 3) and read_mark("people_2.jpg")


def test_a_driver_moves_them_in_a_marked_video(driver_path):
    assert main([str(driver_path), "count=2", "resolution=128"]) == 0
    video = read_video("people_0.mp4")
    assert (video.width, video.height, video.rate) == (256, 128, 25) and len(list(video)) == 12
    assert read_mark("people_0.mp4")["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert {path.name for path in Path().iterdir()} == {"people_0.mp4"}


def test_one_person_can_be_kept_as_a_head(reenactor, people):
    assert main(["count=1", "-o", "nobody.safetensors"]) == 0
    head = Head.load("nobody.safetensors")
    np.testing.assert_array_equal(head.picture, people[0].head.picture)
    assert head.generator == reenactor.weights.sha256


def test_bad_input_is_one_line(driver_path, mona_path, capsys, tmp_path):
    (tmp_path / "out.jpg").write_text("mine")
    assert "a whole number from 1" in fails(capsys, "count=0", code=2)
    assert "a number from 0 to 1" in fails(capsys, "truncation=1.5", code=2)
    assert "min_distance=50.00: of 200 draws" in fails(capsys, "min_distance=50")
    assert "did you mean 'count'" in fails(capsys, "coutn=3", code=2)
    assert "one driver at most" in fails(capsys, mona_path, code=2)
    assert "one driver at most" in fails(capsys, driver_path, driver_path, code=2)
    assert "frames 0 to 11" in fails(capsys, driver_path, "count=1", "reference=12", "-o", "a.mp4")
    assert "unknown kind of file" in fails(capsys, "-o", "out.mp4")
    assert "unknown kind of file" in fails(capsys, driver_path, "-o", "out.png")
    assert "holds one head" in fails(capsys, "-o", "out.safetensors")
    assert "--overwrite" in fails(capsys, "-o", "out.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"] and (tmp_path / "out.jpg").read_text() == "mine"


# What is measured


def test_pairs_are_counted_once_and_the_nearest_is_the_highest_cosine():
    vectors = np.array([[1.0, 0], [0, 2], [3, 3]])
    half = 0.5**0.5
    np.testing.assert_allclose(sampling.pairwise(vectors), [0, half, half], atol=1e-12)
    np.testing.assert_allclose(sampling.nearest(vectors[:1], vectors[1:]), [half])


def test_other_people_than_those_of_the_shipped_model_are_refused(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling.metrics, "Identity", lambda _: None)
    monkeypatch.setattr(sampling, "select_portraits", lambda roots, *_: select_portraits(roots))
    with pytest.raises(BadInput, match="not the people the shipped model was learned from"):
        sampling.main([f"prepared={prepared}", *(f"{key}={tmp_path}" for key in ("clips", "csim", "hair"))])


def test_as_many_other_people_are_refused_too():
    kept = Appearance.load().people
    codes = np.pad(kept[: len(kept) // 2], ((0, 0), (0, 3)))
    sampling.check_same_people(-codes, kept)
    with pytest.raises(BadInput, match="not the people"):
        sampling.check_same_people(codes[::-1], kept)
    with pytest.raises(BadInput, match="not the people"):
        sampling.check_same_people(codes[1:], kept)
