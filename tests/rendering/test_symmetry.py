"""The hidden cheek of a turned picture comes from its mirror image; everything else stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot_heads.imaging.warping import FLOW_SIZE, identity_grid, tps_flow_from_landmarks
from fewshot_heads.landmarks.control_points import warp_points
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.pose import fit_pose, rotate_3d, surface_visibility
from fewshot_heads.models.compositing import WarpInputs
from fewshot_heads.rendering.renderer import HeadRenderer
from fewshot_heads.rendering.symmetry import MirrorCompletion

SIZE = 256


@pytest.fixture(scope="module")
def frontal(reenactor, mona):
    """A face that looks at the viewer, pixels of its crop."""
    face = reenactor.detectors[0].detect(mona)[0]
    face = Crop.around([face], SIZE).to_crop(face)
    x, _, z = fit_pose(face).rotation[:, 2]
    front = rotate_3d(face, [0, -np.arctan2(x, z), 0])
    return front


def turned(face, degrees):
    return rotate_3d(face, [0, np.radians(degrees), 0])


def texture(image, background=0.0):
    """A picture [3, S, S] all of which is person, before a still layer of one level."""
    one = torch.ones(1, 1, 1, SIZE, SIZE)
    flow = identity_grid(FLOW_SIZE, one)[None]
    empty = torch.zeros(1, 1, SIZE, SIZE)
    return WarpInputs(
        image[None, None], one, flow, one[:, :, 0, 0, 0], empty.expand(1, 3, -1, -1) + background, *[empty] * 3
    )


def stripes():
    return torch.sign(torch.sin(torch.arange(SIZE) * 2.0))[:, None].expand(3, SIZE, SIZE).contiguous()


def test_a_picture_that_hides_nothing_has_no_other_side(frontal):
    assert MirrorCompletion.of(frontal, SIZE) is None
    assert MirrorCompletion.of(turned(frontal, 45), SIZE) is not None
    assert MirrorCompletion.of(replace(turned(frontal, 45), surface=None), SIZE) is None


@pytest.mark.parametrize("degrees", [45, -45])
def test_what_a_turn_reveals_is_the_mirror_image_and_the_rest_is_as_it_was(frontal, degrees):
    other = MirrorCompletion.of(turned(frontal, degrees), SIZE)
    frame = torch.zeros(1, 3, SIZE, SIZE)
    same = other.apply(frame, texture(stripes()), [turned(frontal, degrees)])
    torch.testing.assert_close(same, frame)

    made = other.apply(frame, texture(stripes()), [frontal])[0, 0].abs()
    middle, x = frontal.points[27:31, 0].mean(), np.arange(SIZE)
    far, near = (
        (x > middle + 20, x < middle - 20) if hides_right(frontal, degrees) else (x < middle - 20, x > middle + 20)
    )
    cheek = slice(int(frontal.points[28, 1]), int(frontal.points[33, 1]))
    assert made[cheek][:, far].max() > 0.5
    assert made[cheek][:, near].max() < 0.05
    assert made[: int(frontal.points[19, 1] - fit_pose(frontal).scale)].max() < 0.05  # hats stay


def test_where_the_picture_is_torn_more_than_its_mirror_image_that_takes_its_place(frontal):
    picture = turned(frontal, 35)
    other, kept = MirrorCompletion.of(picture, SIZE), texture(torch.ones(3, SIZE, SIZE))
    source, driver = (torch.from_numpy(warp_points(face))[None] for face in (picture, frontal))
    torn = kept._replace(flows=tps_flow_from_landmarks(source, driver, SIZE).float()[None])
    frame = torch.zeros(1, 3, SIZE, SIZE)
    some, more = (other.apply(frame, each, [frontal]).mean() for each in (kept, torn))
    assert more > 1.1 * some > 0
    torch.testing.assert_close(other.apply(frame, torn, [picture]), frame)  # nothing is wanted of it there


def hides_right(face, degrees) -> bool:
    """Whether that turn hides what is to the right of the nose."""
    change = surface_visibility(turned(face, degrees)) - surface_visibility(face)
    right = face.surface[:, 0] > face.points[30, 0] + 10
    return change[right].mean() < change[~right].mean()


def test_beside_the_cheek_is_what_the_mirror_has_of_a_person_and_else_the_still_layer(frontal):
    other, picture = MirrorCompletion.of(turned(frontal, 45), SIZE), torch.zeros(3, SIZE, SIZE)
    frame = torch.zeros(1, 3, SIZE, SIZE)
    behind = texture(picture, background=1.0)
    nobody = behind._replace(alpha_mattes=behind.alpha_mattes * 0)
    person, wall = (other.apply(frame, each, [frontal])[0, 0] for each in (behind, nobody))
    assert person.abs().max() < 0.05  # a dark person is before the bright wall
    assert (wall > 0.3).sum() > 500


@pytest.mark.parametrize("degrees", [50, 60, 75])
def test_what_lies_beside_does_not_vanish_in_large_turns(frontal, degrees):
    other, empty = MirrorCompletion.of(turned(frontal, degrees), SIZE), torch.zeros(3, SIZE, SIZE)
    wall = texture(empty, background=1.0)
    made = other.apply(torch.zeros(1, 3, SIZE, SIZE), wall._replace(alpha_mattes=wall.alpha_mattes * 0), [frontal])
    assert (made > 0.3).sum() > 3 * 1000


def test_what_opens_stays_as_it_was_painted(frontal):
    other, frame = MirrorCompletion.of(turned(frontal, 45), SIZE), torch.zeros(1, 3, SIZE, SIZE)
    painted = texture(stripes())._replace(disocclusion=torch.ones(1, 1, SIZE, SIZE))
    torch.testing.assert_close(other.apply(frame, painted, [frontal]), frame)


def test_the_mirror_image_takes_the_light_that_both_sides_show(frontal):
    other, frame = MirrorCompletion.of(turned(frontal, 45), SIZE), torch.full((1, 3, SIZE, SIZE), 0.5)
    made = other.apply(frame, texture(0.3 * stripes() - 0.5, background=0.5), [frontal])
    changed = (made - frame)[0, 0][(made - frame)[0, 0].abs() > 0.1]
    assert len(changed) > 500 and changed.mean().abs() < 0.05


def test_frames_are_each_their_own_and_of_any_size(frontal):
    """In a batch, at twice the size, from a picture that goes on beyond its crop."""
    other, faces = MirrorCompletion.of(turned(frontal, 45), SIZE), [turned(frontal, 45), frontal]
    picture = texture(stripes())
    wide = torch.nn.functional.pad(stripes()[None], (64, 64, 64, 64), mode="replicate")
    wide = torch.nn.functional.interpolate(wide, (768, 768), mode="nearest")[None]
    still = torch.zeros(2, 3, 512, 512)
    many = picture._replace(
        images=wide, background=still, disocclusion=still[:, :1], background_unknown=still[:, :1], crop_ratio=1.5
    )
    many = many._replace(flows=picture.flows.expand(2, -1, -1, -1, -1))
    first, second = other.apply(torch.zeros(2, 3, 512, 512), many, faces)
    alone = other.apply(torch.zeros(1, 3, 512, 512), many, [frontal])[0]
    assert first.abs().max() == 0 and second.abs().max() > 0.5
    torch.testing.assert_close(second, alone)
    small = other.apply(torch.zeros(1, 3, SIZE, SIZE), picture, [frontal])[0, 0].abs() > 0.1
    large = torch.nn.functional.avg_pool2d(second[None, :1].abs(), 2)[0, 0] > 0.1
    assert (small & large).sum() > 0.7 * small.sum()


def test_a_head_that_leans_is_completed_alike(frontal):
    def beside(roll):
        other = MirrorCompletion.of(rotate_3d(turned(frontal, 45), [0, 0, roll]), SIZE)
        wall = texture(torch.zeros(3, SIZE, SIZE), background=1.0)
        face = rotate_3d(frontal, [0, 0, roll])
        return (
            other.apply(torch.zeros(1, 3, SIZE, SIZE), wall._replace(alpha_mattes=wall.alpha_mattes * 0), [face]) > 0.3
        ).sum()

    upright = beside(0.0)
    for roll in (-1.2, 1.2):
        assert 0.6 * upright < beside(roll) < 1.6 * upright


def test_a_head_of_several_pictures_needs_no_mirror(reenactor, mona):
    generator, device = reenactor.networks.generator, reenactor.device
    one, two = (HeadRenderer(reenactor.embed([mona] * k), generator, reenactor.size, device) for k in (1, 2))
    assert one.other_side is not None and two.other_side is None
