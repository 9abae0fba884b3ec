import dataclasses

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fewshot_heads import BadInput, Head, NoFaceFound, Reenactor, WeightsMismatch
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.landmarks import Landmarks, pose
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import NECK, Pose, fit_pose, landmarks_3d
from fewshot_heads.media.images import read_image
from fewshot_heads.metrics import psnr
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import load_checkpoint, save_checkpoint
from fewshot_heads.rendering.renderer import HeadRenderer


@pytest.fixture(scope="module")
def head(reenactor, mona_path):
    return reenactor.embed([mona_path])


@pytest.fixture(scope="module")
def motion(reenactor, driver_frames):
    return reenactor.track(driver_frames)


def inside(head, image):
    crop = head.crop
    return crop.cut(image)


def test_the_whole_picture_comes_back_moving_and_the_rest_stays(reenactor, head, motion, mona):
    frames = list(reenactor.animate(head, motion))
    assert len(frames) == len(motion) and all(f.shape == mona.shape and f.dtype == np.uint8 for f in frames)
    bottom = frames[-1][-20:] if head.crop.top + head.crop.side < mona.shape[0] - 20 else frames[-1][:, :10]
    same = mona[-20:] if head.crop.top + head.crop.side < mona.shape[0] - 20 else mona[:, :10]
    np.testing.assert_array_equal(bottom, same)
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 30


def test_a_picture_driven_by_itself_comes_back(reenactor, head, mona):
    (frame,) = reenactor.animate(head, [mona])
    assert psnr(inside(head, frame), inside(head, mona)) >= 30
    shift = inside(head, frame).astype(float).mean((0, 1)) - inside(head, mona).astype(float).mean((0, 1))
    assert np.abs(shift).max() < 1


def test_frames_come_lazily_and_alike_in_any_batch(reenactor, head, motion):
    one, four = (reenactor.animate(head, motion, batch=n) for n in (1, 4))
    for _ in range(5):
        difference = np.abs(next(one).astype(int) - next(four))
        assert difference.max() <= 2


def test_without_pasting_back_the_crop_has_the_resolution_of_the_source_or_the_asked_one(reenactor, head, motion):
    assert next(reenactor.animate(head, motion, paste_back=False)).shape == head.textures[0].shape
    assert next(reenactor.animate(head, motion, paste_back=False, resolution=512)).shape == (512, 512, 3)


def test_the_result_does_as_the_driver_does(reenactor, head, motion):
    frames = list(reenactor.animate(head, motion))
    seen = reenactor.track(frames, smooth=0)
    wanted, got = ([CanonicalFace.of(f).mouth_opening() for f in m.landmarks] for m in (motion, seen))
    assert np.corrcoef(wanted, got)[0, 1] > 0.7
    turned = [[CanonicalFace.of(f).pose.rotation[0, 2] for f in m.landmarks] for m in (motion, seen)]
    assert np.corrcoef(*turned)[0, 1] > 0.7


def test_a_pose_is_fitted_once_for_each_set_of_landmarks(reenactor, head, motion, monkeypatch):
    fitted = []
    umeyama = pose._umeyama
    monkeypatch.setattr(pose, "_umeyama", lambda landmarks: fitted.append(landmarks) or umeyama(landmarks))
    frames = list(reenactor.animate(head, motion))
    # The driver's face when the reference is chosen, when it is retargeted and when its skin is shaded, the retargeted
    # one, that one with its eyelids open, and the enlargement of both for the face parts.
    assert len(frames) * 2 <= len(fitted) <= len(frames) * 7
    assert len({id(landmarks) for landmarks in fitted}) == len(fitted)


def test_a_head_of_an_older_format_says_what_to_do(head, tmp_path):
    path = tmp_path / "old.safetensors"
    head.save(path)
    with safe_open(path, "pt") as file:
        about = {**file.metadata(), "format": "fewshot_heads.head.2"}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, about)
    with pytest.raises(BadInput, match="old.safetensors: a head of another version of fewshot_heads; embed its"):
        Head.load(path)


def test_a_head_is_saved_and_loaded_whole(reenactor, head, motion, tmp_path):
    head.save(tmp_path / "mona.safetensors")
    again = Head.load(tmp_path / "mona.safetensors")
    np.testing.assert_array_equal(again.e_hat, head.e_hat)
    np.testing.assert_array_equal(again.picture, head.picture)
    assert again.crop == head.crop
    np.testing.assert_array_equal(next(reenactor.animate(again, motion)), next(reenactor.animate(head, motion)))
    assert [p.name for p in tmp_path.iterdir()] == ["mona.safetensors"]


def test_a_file_that_is_no_head_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not a head")
    with pytest.raises(BadInput, match="x.safetensors: not a head"):
        Head.load(path)


def test_several_pictures_of_a_real_clip_beat_one(reenactor, driver_frames):
    sources, held_out = [driver_frames[i] for i in (0, 5, 11)], [driver_frames[i] for i in (3, 7, 9)]
    results = {}
    for count in (1, 3):
        head = reenactor.embed(sources[:count])
        assert len(head.textures) == len(head.landmarks) == count
        frames = reenactor.animate(head, [driver_frames[0], *held_out], reference=0, paste_back=False, resolution=256)
        truth = [head.crop.cut(frame) for frame in (driver_frames[0], *held_out)]
        results[count] = np.mean([psnr(f, t) for f, t in list(zip(frames, truth, strict=True))[1:]])
    assert results[3] > results[1]


def test_a_gray_portrait_stays_gray(reenactor, mona, motion):
    """But for the rounding of layers whose colors are divided by their opacity."""
    gray = np.repeat(mona.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    for frame in list(reenactor.animate(reenactor.embed([gray]), motion))[::4]:
        assert np.ptp(frame.astype(int), axis=2).max() <= 3


def test_a_head_that_stays_in_its_pose_is_its_picture(reenactor, head):
    """The layers put together again, without the network's part. Only single hairs on the wall are lost."""
    renderer = HeadRenderer(head, shows_the_composite(reenactor))
    frame = renderer.render(head.landmarks)[0]
    assert psnr(frame, head.textures[0]) > 40


def test_body_and_background_stay_where_a_head_turns(reenactor, head):
    renderer = HeadRenderer(head, shows_the_composite(reenactor))
    face, behind_image = head.landmarks[0], to_uint8(renderer.large.behind.still)[0]
    seat = fit_pose(face)
    for angle in (-0.5, 0.5):
        rotation = cv2.Rodrigues(np.array([0, angle, 0]))[0] @ seat.rotation
        neck = seat.apply(NECK)[0]
        turned_pose = Pose(rotation, neck - seat.scale * rotation @ NECK[0], seat.scale)
        turned = Landmarks.from_array(turned_pose.apply(seat.undo(landmarks_3d(face))))
        (frame,) = renderer.render([turned])
        moved = np.abs(frame.astype(int) - behind_image).max(2) > 2
        assert 0.1 < moved.mean() < 0.7  # the head, and nothing else
        behind = cv2.erode((head.heads[0, ..., 3] == 0).astype(np.uint8), np.ones((9, 9))) > 0
        assert np.abs(behind_image.astype(int) - head.textures[0])[behind].mean() < 3


def shows_the_composite(reenactor):
    """The generator, but it adds nothing."""

    def nothing(images, hint, style):
        size = images.shape[-1]
        return np.zeros((len(images), 3, size, size), np.float32), np.zeros((len(images), size, size, 2), np.float32)

    return dataclasses.replace(reenactor.generator, run=nothing)


def test_options_that_do_not_exist_are_named(reenactor, head, motion, mona):
    for options in ({"motion": "absolut"}, {"crop": "ful"}, {"batch": 0}, {"resolution": 8}):
        with pytest.raises(BadInput, match=next(iter(options))):
            reenactor.animate(head, motion, **options)
    with pytest.raises(BadInput, match="crop='ful'"):
        reenactor.embed([mona], crop="ful")


def test_a_picture_without_a_face_is_named(reenactor, tmp_path):
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(NoFaceFound, match="wall.png: no face found"):
        reenactor.embed([path])


def test_asking_for_a_face_that_is_not_there_says_how_many_are(reenactor, mona_path):
    with pytest.raises(NoFaceFound, match="face 3 asked for, 1 found"):
        reenactor.embed([mona_path], face=3)


@pytest.mark.parametrize("faces", [-1, [1], [0, 0]])
def test_faces_that_cannot_be_are_refused(reenactor, mona_path, faces):
    with pytest.raises(BadInput if isinstance(faces, list) and len(faces) != 1 else NoFaceFound, match="face"):
        reenactor.embed([mona_path], face=faces)


def test_a_lone_picture_and_a_path_of_a_driver_will_do(reenactor, head, mona_path, driver_path):
    np.testing.assert_array_equal(reenactor.embed(str(mona_path)).e_hat, head.e_hat)
    np.testing.assert_array_equal(reenactor.embed(read_image(mona_path)).e_hat, head.e_hat)
    assert next(iter(reenactor.animate(head, reenactor.track(driver_path)))).shape == head.picture.shape


def test_a_head_of_another_generator_is_refused(reenactor, head, motion):
    other = dataclasses.replace(reenactor.checkpoint, sha256="0" * 64)
    with pytest.raises(WeightsMismatch, match="another generator"):
        Reenactor(other, "cpu", reenactor.detectors, backend="torch").animate(head, motion)


def test_gray_and_wrongly_typed_arrays_are_refused(reenactor):
    with pytest.raises(BadInput, match=r"expected uint8 \[H, W, 3\]"):
        reenactor.embed([np.zeros((64, 64), np.uint8)])


TINY = {"size": 64, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}


def test_a_checkpoint_comes_back_in_half_precision_and_knows_its_hash(tmp_path):
    networks = build(TINY)
    path = save_checkpoint(networks, tmp_path, "tiny", {"spec": TINY})
    loaded = load_checkpoint(path)
    assert path.stem == f"tiny-{loaded.sha256[:8]}" and loaded.name == "tiny"
    for ours, theirs in zip(networks.parameters(), loaded.networks.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_changed_weights_do_not_match_their_hash(tmp_path):
    path = save_checkpoint(build(TINY), tmp_path, "tiny", {"spec": TINY})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsMismatch, match="sha256"):
        load_checkpoint(path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    wider = {**TINY, "embedding": 16}
    path = save_checkpoint(build(TINY), tmp_path, "tiny", {"spec": wider})
    with pytest.raises(WeightsMismatch, match="does not fit"):
        load_checkpoint(path)


def test_an_unknown_model_lists_the_shipped_ones():
    with pytest.raises(BadInput, match="shipped are eyes, lids, mouth, parsing, realtime"):
        load_checkpoint("nosuch")


def test_an_absent_device_is_named():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BadInput, match="device=cuda"):
        Reenactor.from_pretrained(device="cuda")


def test_absolute_motion_knows_that_a_crop_was_raised_and_widened(reenactor, mona):
    head, size = reenactor.embed([mona]), reenactor.size
    assert 1 < head.usual.top < 0.25 * size and 0.65 * size < head.usual.side < 0.99 * size
    motion = reenactor.track([mona], smooth=0)
    (frame,) = reenactor.animate(head, motion, "absolute")
    assert np.abs(frame.astype(int) - mona).mean() < 1
    assert reenactor.embed([mona, mona]).usual == head.usual


def test_the_renderer_of_the_last_head_is_kept(reenactor, head):
    renderer = reenactor.renderer(head)
    assert reenactor.renderer(head) is renderer and reenactor.editor(head).renderer is renderer
    square = reenactor.renderer(head, paste_back=False, resolution=128)
    assert square.place(square.render(head.landmarks[:1])[0]).shape == (128, 128, 3)
    assert reenactor.renderer(head) is not renderer
