"""Mouths and eyes that nobody has shown: what is cut out to learn from, and what is painted there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fewshot_heads import BadInput, Reenactor, WeightsMismatch
from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.session import open_reenactor as opened_library
from fewshot_heads.creative.blending.identity_blend import IdentityBlend
from fewshot_heads.creative.blending.sampling import moved
from fewshot_heads.datasets.augment import Augmentation
from fewshot_heads.datasets.batches import collate
from fewshot_heads.datasets.episodes import EpisodeSettings
from fewshot_heads.datasets.region_crops import RegionCrops
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.landmarks import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from fewshot_heads.landmarks.aspect_ratio import mouth_aspect_ratios, smaller_eye_aspect_ratio
from fewshot_heads.landmarks.lids import close_lids
from fewshot_heads.landmarks.regions import EYELIDS, EYES, MOUTH, REGIONS
from fewshot_heads.layers.separation import separate
from fewshot_heads.models.backends import open_inpainters
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import load_checkpoint, save_checkpoint
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.network import Network
from fewshot_heads.models.torch_networks import TorchRun
from fewshot_heads.rendering.region_compositing import inpaint
from fewshot_heads.training.forward import predict
from tests.footage import laughing_footage, mona_footage

PLAIN = EpisodeSettings(k_shot=1, augment=0.0, patch_size=48)


@pytest.fixture(scope="module")
def clips(driver_frames):
    return laughing_footage(driver_frames)


@pytest.fixture(scope="module")
def opened(mona, reenactor):
    """Mona Lisa with her lips apart, in the picture and in landmarks; the lips' box [4]."""
    face = reenactor.detectors[0].detect(mona)[0]
    points = face.points.copy()
    middle = points[INNER_LIPS, 1].mean()
    points[61:64, 1], points[65:68, 1] = middle - 12, middle + 16
    points[56:59, 1] += 16
    lips = points[INNER_LIPS]
    return mona, replace(face, points=points), np.concatenate([lips.min(0), lips.max(0)])


def test_a_sample_is_the_same_whenever_it_is_asked_for(clips):
    settings = EpisodeSettings(k_shot=1, augment=1.0, patch_size=48)
    one, again, other = (
        RegionCrops(clips, 8, settings),
        RegionCrops(clips, 8, settings),
        RegionCrops(clips, 8, settings, seed=1),
    )
    for field, value in one[3]._asdict().items():
        assert torch.equal(value, getattr(again[3], field))
    assert not torch.equal(one[3].target, other[3].target)
    assert not torch.equal(one[3].target, one[4].target)


def test_lips_fill_the_square_and_the_hole_lies_between_them(clips):
    sample = RegionCrops(clips, 8, PLAIN, size=64)[0]
    hole, lines = sample.hole[0], sample.stickman
    assert sample.target.shape == (3, 64, 64)
    outline = (lines[0] > 0.5) & (lines[1] < -0.5) & (lines[2] > 0.5)  # outer lips are magenta
    columns = torch.nonzero(outline.any(0)).flatten()
    assert 64 / 1.25 - 5 < columns.max() - columns.min() < 64 / 1.25 + 5
    rows = torch.nonzero(hole.amax(1) > 0.1).flatten()
    assert 4 < len(rows) < 30 and 20 < rows.float().mean() < 44
    assert sample.patch_corner.tolist() == [8, 8]


def test_a_square_is_what_would_be_cut_out_of_the_changed_picture_but_sharper(clips):
    random, (clip, _) = np.random.default_rng(0), clips
    for _ in range(4):
        change = Augmentation.draw(random, 128)
        face = change.face(clip.landmarks[0])
        place = replace(MOUTH.crop_box(face), size=64)
        twice, once = place.cut(change.picture(clip.frames[0])), change.warp_crop(clip.frames[0], place)
        assert np.abs(twice.astype(int) - once).mean() < 4
        assert np.diff(once.astype(float), axis=1).std() > np.diff(twice.astype(float), axis=1).std()


def test_an_eye_is_cut_out_whole_with_its_lashes(clips):
    drawn = [RegionCrops(clips, 8, PLAIN, size=64, part="eyes")[i] for i in range(8)]
    for sample in drawn:
        hole, lines = sample.hole[0], sample.stickman
        outline = (lines[0] < -0.5) & (lines[2] > 0.5)  # eyes are blue
        inside = hole > 0.1
        assert (outline & ~inside)[16:48, 10:54].sum() < 0.2 * outline[16:48, 10:54].sum()
        columns = torch.nonzero(inside.any(0)).flatten()
        assert 64 / 2.2 - 4 < columns.max() - columns.min() < 64 / 2.2 + 8
        assert 24 < columns.float().mean() < 40, "in the middle"
    assert len({tuple(sample.target.flatten()[:9].tolist()) for sample in drawn}) > 2, "right ones and left ones"


def test_a_lid_is_cut_out_from_below_its_brow_to_its_lashes_wherever_it_is(mona, reenactor):
    face = reenactor.detectors[0].detect(mona)[0]
    shut = replace(face, points=close_lids(face.points[None], np.ones(1))[0])
    for lid, eye in zip(EYELIDS, EYES, strict=True):
        box = replace(lid.crop_box(face), size=64)
        assert box == replace(eye.crop_box(face), size=64)
        upper, lower = face.points[lid.outline][[1, 2]], face.points[lid.outline][[5, 4]]

        def covered(mask, points, box=box):
            x, y = np.moveaxis(np.int32((points - [box.left, box.top]) * 64 / box.side), -1, 0)
            return mask[y, x]

        for each in (face, shut):
            mask = lid.mask(box.to_crop(each), 64)
            assert covered(mask, each.points[lid.outline][[1, 2]]).min() > 0.8
            assert covered(mask, each.points[lid.brow]).max() < 0.1 and mask[[0, -1]].max() < 0.1
        ball = (upper + lower) / 2
        assert covered(mask, ball).min() > 0.9 and covered(lid.mask(box.to_crop(face), 64), lower).max() < 0.3


def test_lids_are_drawn_from_shut_to_open(clips):
    crops = RegionCrops(clips, 1, PLAIN, part="lids")
    drawn = [crops._draw_frame(np.random.default_rng(i)) for i in range(80)]
    openings = np.array([smaller_eye_aspect_ratio(clip.landmarks[frame]) for _, clip, frame in drawn])
    everything = np.concatenate([smaller_eye_aspect_ratio(np.asarray(clip.landmarks)) for clip in clips])
    narrow = np.median(everything)
    assert (openings < narrow).mean() > 0.7 and np.ptp(openings) > 0.5 * np.ptp(everything[everything < 0.25])


def test_footage_without_an_open_mouth_is_refused():
    with pytest.raises(BadInput, match="no open mouth in 640 frames"):
        RegionCrops(mona_footage(), 2, PLAIN)[0]


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(BadInput, match="size=72: expected a multiple of 16"):
        Inpainter(72)


def test_what_is_hidden_is_not_seen_and_what_is_around_stays():
    torch.manual_seed(0)
    inpainter = Inpainter(32, (4, 8, 8)).eval()
    picture, stickman = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 12:20, 8:24] = 1
    with torch.no_grad():
        paint = inpainter.paint(picture, hole, stickman)
        assert torch.equal(paint, inpainter.paint(torch.where(hole > 0, -picture, picture), hole, stickman))
        filled = inpainter(picture, hole, stickman)
        torch.testing.assert_close(filled, torch.where(hole > 0, paint, picture))
        changed = inpainter.paint(torch.where(hole > 0, picture, picture * 0.5), hole, stickman)
    assert (changed - paint)[hole.expand_as(paint) > 0].abs().max() > 1e-3, "what is around it says what it is like"


def test_whose_mouth_it_is_matters_and_averaged_weights_show_nobody_s(clips):
    torch.manual_seed(0)
    inpainter, crops = Inpainter(64, (16, 32), 3), RegionCrops(clips, 2, PLAIN)
    inpainter.people = nn.Embedding(crops.rows, 3)
    batch = collate([crops[0]] * 2)._replace(identity=torch.tensor([0, 1]))
    with torch.no_grad():
        one, other = predict(inpainter.train(), batch)[0]
        mean, again = predict(inpainter.eval(), batch)[0]
    inside = batch.hole[0].expand_as(one) > 0.5
    assert (one - other)[inside].abs().max() > 1e-3 and torch.equal(mean, again)
    assert not torch.equal(mean, one) and not torch.equal(mean, other)


def test_a_mirrored_person_is_another_one(clips):
    crops = RegionCrops(clips, 40, replace(PLAIN, augment=1.0))
    assert {int(crops[i].identity) for i in range(40)} == set(range(4)) and len(crops.identities) == 2
    assert crops.rows == 4


def test_mouths_are_drawn_from_hardly_open_to_wide_open(clips):
    crops, openings = RegionCrops(clips, 1, PLAIN), []
    for i in range(60):
        _, clip, frame = crops._draw_frame(np.random.default_rng(i))
        openings += mouth_aspect_ratios(clip.landmarks[[frame]]).tolist()
    everything = np.concatenate([mouth_aspect_ratios(clip.landmarks) for clip in clips])
    shown = everything[everything > 0.06]
    assert min(openings) > 0.06 and np.percentile(openings, 15) < np.median(shown) < np.percentile(openings, 85)


def test_every_parameter_learns(clips):
    inpainter, crops = Inpainter(64, (4, 8), 3), RegionCrops(clips, 2, PLAIN)
    inpainter.people = nn.Embedding(crops.rows, 3)
    batch = collate([crops[i] for i in range(2)])
    frame, e_hat = predict(inpainter, batch)
    assert frame.shape == (2, 3, 64, 64) and e_hat is None
    (frame - batch.target).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in inpainter.parameters())


def test_paint_stays_between_the_lips(opened, reenactor):
    frame, face, (left, top, right, bottom) = opened
    result = inpaint(MOUTH, frame, face, 1.0, np.eye(3), reenactor.inpainters["mouth"])
    y, x = np.nonzero((result != frame).any(2))
    soft = 6  # pixels of the edge
    assert len(y) > 200 and left - soft < x.min() and x.max() < right + soft
    assert top - soft < y.min() and y.max() < bottom + soft
    assert inpaint(MOUTH, frame, face, 0.0, np.eye(3), reenactor.inpainters["mouth"]) is frame
    half = inpaint(MOUTH, frame, face, 0.5, np.eye(3), reenactor.inpainters["mouth"]).astype(float)
    np.testing.assert_allclose(half, (result.astype(float) + frame) / 2, atol=1.1)


def test_an_open_mouth_is_dark_inside_and_has_teeth(opened, reenactor):
    """The lips of the Mona Lisa are neither: shut in the picture, they fill the hole with their own red."""
    frame, face, _ = opened
    result = inpaint(MOUTH, frame, face, 1.0, np.eye(3), reenactor.inpainters["mouth"])
    inside = (result != frame).any(2)
    before, after = (picture[inside].mean(1) for picture in (frame, result))
    assert np.percentile(after, 10) < 0.6 * np.percentile(before, 10)
    assert np.ptp(np.percentile(after, [10, 90])) > 40


def test_paint_takes_the_colors_of_the_picture(opened, reenactor):
    frame, face, _ = opened
    gray = np.repeat(frame.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    inside = (inpaint(MOUTH, gray, face, 1.0, np.eye(3), reenactor.inpainters["mouth"]) != gray).any(2)
    levels = inpaint(MOUTH, gray, face, 1.0, np.eye(3), reenactor.inpainters["mouth"])[inside].astype(float)
    assert np.ptp(levels, axis=1).mean() < 20
    dark = inpaint(MOUTH, frame // 3, face, 1.0, np.eye(3), reenactor.inpainters["mouth"])[inside].mean()
    assert dark < 0.6 * inpaint(MOUTH, frame, face, 1.0, np.eye(3), reenactor.inpainters["mouth"])[inside].mean()


@pytest.mark.parametrize("at", [(0, 100), (199, 100), (100, 0), (-500, 100)])
def test_a_mouth_at_the_edge_of_a_frame_is_no_error(opened, reenactor, at):
    _, face, _ = opened
    frame = np.full((256, 200, 3), 90, np.uint8)
    there = face.moved(np.float32(face.points[INNER_LIPS].mean(0) - at))
    result = inpaint(MOUTH, frame, there, 1.0, np.eye(3), reenactor.inpainters["mouth"])
    assert result.shape == frame.shape and (result != frame).any() == (at[0] >= 0)


def test_paint_that_was_learnt_elsewhere_is_taken(mona, driver_frames, reenactor):
    torch.manual_seed(0)
    inpainter = Inpainter(32, (4, 8)).eval()
    paint = Network(32, TorchRun(lambda *inputs: (inpainter.paint(*inputs),), torch.device("cpu")))
    paints = {**reenactor.inpainters, "mouth": paint}
    other = Reenactor(reenactor.checkpoint, "cpu", reenactor.detectors, paints, "torch")
    head, motion = reenactor.embed([mona]), reenactor.track(driver_frames)
    options = {"paste_back": False, "mouth": "inpainted"}
    one, two = (np.stack(list(each.animate(head, motion, **options))) for each in (reenactor, other))
    assert (one != two).any()
    np.testing.assert_array_equal(*(np.stack(list(each.animate(head, motion))) for each in (reenactor, other)))


@pytest.fixture(scope="module")
def asleep(mona, reenactor):
    """Mona Lisa with her eyes shut: the skin of her cheeks over them; her landmarks so, and awake."""
    awake = reenactor.detectors[0].detect(mona)[0]
    points, frame = awake.points.copy(), mona.copy()
    for eye in (RIGHT_EYE, LEFT_EYE):
        low, high = np.int32(points[eye].min(0) - 6), np.int32(points[eye].max(0) + 6)
        frame[low[1] : high[1], low[0] : high[0]] = frame[high[1] + 8, low[0] : high[0]]
        points[eye.start + 1 : eye.start + 3, 1] = points[eye.start + 4 : eye.stop, 1][::-1] - 0.5
    return frame, replace(awake, points=points), awake


def test_an_eye_that_was_shut_is_painted_with_its_iris(asleep, reenactor):
    frame, _, awake = asleep
    for eye, iris in zip(EYES, (68, 69), strict=True):
        result = inpaint(eye, frame, awake, 1.0, np.eye(3), reenactor.inpainters["eyes"])
        changed = (result != frame).any(2)
        x, y = np.int32(awake.points[iris])
        assert changed[y, x] and changed.sum() < 4 * np.ptp(awake.points[eye.outline], axis=0).prod()
        gray = result.mean(2)
        assert gray[y - 1 : y + 2, x - 1 : x + 2].mean() < 0.8 * frame[y, x].mean(), "an iris is darker than skin"


def test_eyes_that_are_shut_in_the_picture_open_by_paint_and_others_do_not(asleep, mona, reenactor):
    frame, shut, awake = asleep
    paint = {"mouth": reenactor.inpainters["mouth"]}
    without = Reenactor(reenactor.checkpoint, "cpu", reenactor.detectors, paint, "torch")
    for picture, own, painted in ((frame, shut, True), (mona, awake, False)):
        head = replace(reenactor.embed([mona]), picture=picture)
        crop = head.crop
        texture, landmarks = crop.cut(picture), [crop.to_crop(own)]
        layers = separate(texture, landmarks[0])
        views = {"textures": texture[None], "heads": layers.head[None]}
        head = replace(head, **views, body=layers.body, background=layers.background, landmarks=landmarks)
        goal = Motion([awake], [], [(0, 1)], mona.shape[:2])
        one, two = (
            next(each.animate(head, goal, "absolute", paste_back=False, mouth="inpainted"))
            for each in (reenactor, without)
        )
        assert (one != two).any() == painted


def test_every_part_has_weights_in_the_package(reenactor):
    assert set(reenactor.inpainters) == set(REGIONS)


def test_a_mouth_that_the_driver_does_not_show_whole_is_painted(mona, driver_frames, reenactor):
    head, motion = reenactor.embed([mona]), reenactor.track(driver_frames)
    hidden = replace(motion, mouths=[replace(mouth, visible_fraction=0.5) for mouth in motion.mouths])
    one, two = (
        np.stack(list(reenactor.animate(head, each, paste_back=False, mouth=mouth)))
        for each, mouth in ((hidden, "driver"), (motion, "inpainted"))
    )
    np.testing.assert_array_equal(one, two)


def test_every_command_that_animates_takes_it(mona, driver_frames, reenactor, tmp_path):
    spec = {"architecture": "inpainter", "part": "mouth", "size": 32, "embedding": 4, "channels": [4, 8]}
    torch.manual_seed(0)
    path = save_checkpoint(build(spec), tmp_path, "other", {"spec": spec})
    other = opened_library({**load_config("animate", [f"inpainters=[{path},eyes]"]), "device": "cpu"})
    motion = replace(reenactor.track(driver_frames[-4:]), mouths=None)
    heads = [reenactor.embed([mona])]
    for frames_of in (lambda each: moved(each, heads, motion), lambda each: each.animate(heads[0], motion)):
        assert (np.stack(list(frames_of(other))) != np.stack(list(frames_of(reenactor)))).any()
    casts, face = (
        (IdentityBlend(each, heads) for each in (other, reenactor)),
        reenactor_faces(reenactor, heads[0], motion),
    )
    one, two = (cast.render([face], [face], cast.style(cast.e_hats, np.eye(1)), np.eye(1)) for cast in casts)
    assert (one != two).any()


def reenactor_faces(reenactor, head, motion):
    return retarget(head.landmarks[0], motion.cropped(reenactor.size, within=head.usual), side=reenactor.size)[0]


def test_weights_of_something_else_are_refused(reenactor, tmp_path):
    with pytest.raises(WeightsMismatch, match="paints no part of a face"):
        open_inpainters(["realtime"])
    mouth = load_checkpoint("mouth")
    partless = {"spec": {key: value for key, value in mouth.about["spec"].items() if key != "part"}}
    with pytest.raises(WeightsMismatch, match="paints no part of a face"):
        open_inpainters([save_checkpoint(mouth.networks, tmp_path, "mouth", partless)])
    for other in ("mouth", "parsing"):
        with pytest.raises(WeightsMismatch, match="not weights of a generator"):
            Reenactor(load_checkpoint(other), "cpu", reenactor.detectors)
    with pytest.raises(BadInput, match="no weights named 'moth'"):
        open_inpainters(["moth"])
