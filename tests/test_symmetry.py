"""The hidden cheek of a turned picture comes from its mirror image; everything else stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot_heads.landmarks.geometry import Crop, facing, fit_pose, turned_in_space
from fewshot_heads.models.generator import Texture
from fewshot_heads.painter import Painter
from fewshot_heads.symmetry import OtherSide

SIZE = 256


@pytest.fixture(scope="module")
def frontal(reenactor, mona):
    """A face that looks at the viewer, pixels of its crop."""
    face = reenactor.detectors[0].detect(mona)[0]
    face = Crop.around([face], SIZE).to_crop(face)
    x, _, z = fit_pose(face).rotation[:, 2]
    front = turned_in_space(face, [0, -np.arctan2(x, z), 0])
    return front


def turned(face, degrees):
    return turned_in_space(face, [0, np.radians(degrees), 0])


def texture(image, still=0.0):
    """A picture [3, S, S] all of which is person, before a still layer of one level."""
    one = torch.ones(1, 1, 1, SIZE, SIZE)
    flow = torch.zeros(1, 1, SIZE, SIZE, 2)
    empty = torch.zeros(1, 1, SIZE, SIZE)
    return Texture(image[None, None], one, flow, one[:, :, 0, 0, 0], empty.expand(1, 3, -1, -1) + still, *[empty] * 3)


def stripes():
    return torch.sign(torch.sin(torch.arange(SIZE) * 2.0))[:, None].expand(3, SIZE, SIZE).contiguous()


def test_a_picture_that_hides_nothing_has_no_other_side(frontal):
    assert OtherSide.of(frontal, SIZE) is None
    assert OtherSide.of(turned(frontal, 45), SIZE) is not None
    assert OtherSide.of(replace(turned(frontal, 45), surface=None), SIZE) is None


@pytest.mark.parametrize("degrees", [45, -45])
def test_what_a_turn_reveals_is_the_mirror_image_and_the_rest_is_as_it_was(frontal, degrees):
    other = OtherSide.of(turned(frontal, degrees), SIZE)
    frame = torch.zeros(1, 3, SIZE, SIZE)
    same = other.over(frame, texture(stripes()), [turned(frontal, degrees)])
    torch.testing.assert_close(same, frame)

    made = other.over(frame, texture(stripes()), [frontal])[0, 0].abs()
    middle, x = frontal.points[27:31, 0].mean(), np.arange(SIZE)
    far, near = (
        (x > middle + 20, x < middle - 20) if hides_right(frontal, degrees) else (x < middle - 20, x > middle + 20)
    )
    cheek = slice(int(frontal.points[28, 1]), int(frontal.points[33, 1]))
    assert made[cheek][:, far].max() > 0.5
    assert made[cheek][:, near].max() < 0.05
    assert made[: int(frontal.points[19, 1] - fit_pose(frontal).scale)].max() < 0.05  # hats stay


def hides_right(face, degrees) -> bool:
    """Whether that turn hides what is to the right of the nose."""
    change = facing(turned(face, degrees)) - facing(face)
    right = face.surface[:, 0] > face.points[30, 0] + 10
    return change[right].mean() < change[~right].mean()


def test_beside_the_cheek_is_what_the_mirror_has_of_a_person_and_else_the_still_layer(frontal):
    other, picture = OtherSide.of(turned(frontal, 60), SIZE), torch.zeros(3, SIZE, SIZE)
    frame = torch.zeros(1, 3, SIZE, SIZE)
    behind = texture(picture, still=1.0)
    nobody = behind._replace(mattes=behind.mattes * 0)
    person, wall = (other.over(frame, each, [frontal])[0, 0] for each in (behind, nobody))
    assert person.abs().max() < 0.05  # a dark person is before the bright wall
    assert wall.max() > 0.3


def test_light_comes_from_where_both_sides_show(frontal):
    """The mirror image of a cheek takes the level that the frame has beside it."""
    other, dark = OtherSide.of(turned(frontal, 45), SIZE), torch.full((3, SIZE, SIZE), -0.5)
    frame = torch.full((1, 3, SIZE, SIZE), 0.5)
    made = other.over(frame, texture(dark, still=0.5), [frontal])
    assert (made - 0.5).abs().max() < 0.15


def test_a_head_of_several_pictures_needs_no_mirror(reenactor, mona):
    generator, device = reenactor.networks.generator, reenactor.device
    one, two = (Painter(reenactor.embed([mona] * k), generator, reenactor.size, device) for k in (1, 2))
    assert one.other_side is not None and two.other_side is None
