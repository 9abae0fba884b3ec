import numpy as np
import pytest

from fewshot_heads.landmarks.plausibility import are_faces, opacity_at
from tests.faces import face


def points(**options):
    return face(center=(64, 64), scale=30, surface=0.0, **options).to_array()


@pytest.mark.parametrize("yaw", [0, 45, 89])
def test_faces_in_any_pose_are_faces(yaw):
    assert are_faces(np.stack([points(turn=(0.1, np.radians(yaw), 0)), points()]))


def test_a_face_without_measured_depth_is_a_face():
    flat = points()
    flat[:70, 2] = np.nan
    assert are_faces(flat[None])


def test_a_strong_expression_is_a_face():
    open_mouth = points(mouth=0.6)
    open_mouth[[57, 58, 56, 8], 1] += 18
    assert are_faces(np.stack([open_mouth, points(shape=np.random.default_rng(0).normal(0, 0.05, (70, 3)))]))


@pytest.mark.parametrize("count", [70, 221])
@pytest.mark.parametrize("depth", [True, False])
def test_noise_in_the_box_of_a_face_is_no_face(count, depth):
    random = np.random.default_rng(0)
    good = points()[:count]
    for noise in (random.uniform(good.min(0), good.max(0), (20, count, 3)), random.permuted(good[None], axis=1)):
        for face_points in noise:
            if not depth:
                face_points[:70, 2] = np.nan
            assert not are_faces(np.stack([good, face_points]))
    with_noise = good.copy()
    with_noise[:70] = random.uniform(good.min(0), good.max(0), (70, 3))
    assert are_faces(good[None]) and not are_faces(with_noise[None])


@pytest.mark.parametrize(
    "spoil",
    [lambda p: p * 0 + 64, lambda p: p * 0.001, lambda p: p * [1, 0, 0], lambda p: p[:, [0, 0, 2]],
     lambda p: p * [1, 1, 1000],
     lambda p: np.concatenate([p[:36], p[36:37].repeat(12, 0), p[48:]]),
     lambda p: np.concatenate([p[:48], p[48:49].repeat(20, 0), p[68:]])],
    ids=["a point", "a tenth of a pixel", "a line", "a slanted line", "deep", "no eyes", "no mouth"],
)  # fmt: skip
def test_one_spoiled_face_among_others_is_found(spoil):
    assert not are_faces(np.stack([points(), spoil(points())]))


def test_opacity_is_read_at_the_nearest_pixel():
    alpha = np.zeros((4, 6), np.uint8)
    alpha[3, 5] = 255
    assert opacity_at(np.array([[5.0, 3.0], [99.0, 99.0], [0.0, 0.0], [-7.0, 2.0]]), alpha) == 0.5
