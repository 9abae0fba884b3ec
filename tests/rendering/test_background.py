"""What several pictures know of the scene behind a head, and what they must not be asked."""

import cv2
import numpy as np
import pytest
import torch

from fewshot_heads.imaging.warping import identity_grid, resize_flow, sample
from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.rendering.background import BackgroundModel, blend_backgrounds
from fewshot_heads.rendering.background_inpainting import clean_plate_wide, inpaint_background
from fewshot_heads.rendering.occlusion import frames_of_same_scene, head_mask, head_occlusion_mask

SIZE = 128


def scene(seed: int) -> np.ndarray:
    """A wall with large colored patches."""
    patches = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(patches, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def disc(x: float, y: float = 64, radius: float = 18) -> np.ndarray:
    """Control points [84, 2] of a head there: as many as there are landmarks, then its crown's."""
    angles = np.linspace(0, 2 * np.pi, N_POINTS + 14, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1).astype(np.float32)


def before(wall: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The wall with a red head before it."""
    head = head_mask(points, SIZE)[..., None]
    return (wall * (1 - head) + np.array([255, 0, 0]) * head).astype(np.uint8)


def people(points, hair=1.0):
    """The mattes [K, S, S] of such pictures, so many times as wide as the heads."""
    return np.stack([head_mask(each.mean(0) + hair * (each - each.mean(0)), SIZE) for each in points])


@pytest.fixture(scope="module")
def wall():
    return scene(0)


def behind(images, points, driver, hair=1.0):
    """The backdrop uint8 [S, S, 3] for one driver, the plate's share of it [S, S], and where only heads are seen."""
    backdrop = BackgroundModel(np.stack(images), np.stack(points), people(points, hair), torch.device("cpu"))
    use, shares, hidden = backdrop.render(torch.from_numpy(driver)[None])
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 1, SIZE, SIZE))
    pictures = torch.from_numpy(np.stack(images)).float().permute(0, 3, 1, 2)
    seen = blend_backgrounds(pictures, backdrop.plate(pictures), use, shares)[0].permute(1, 2, 0).numpy()
    return seen, shares[0, -1, 0].numpy(), hidden[0, 0].numpy()


def test_behind_the_head_of_one_picture_is_what_lies_beside_it(wall):
    striped = np.repeat(wall[:, :1], SIZE, axis=1)
    picture, points = before(striped, disc(40)), disc(40)
    seen, guessed, _ = behind([picture], [points], disc(98))
    assert guessed[head_mask(points, SIZE) > 0.99].min() > 0.98
    off = np.abs(seen - striped)[guessed > 0.99]
    assert off.mean() < 2 and off.max() < 8  # rows run into each other
    away = guessed < 1e-3
    np.testing.assert_allclose(seen[away], picture[away], atol=0.5)


def test_a_frame_around_a_picture_is_no_background():
    wall, points = np.full((SIZE, SIZE, 3), 128, np.uint8), disc(64)
    wall[:, :3], wall[:, -3:] = 0, 0
    seen, *_ = behind([before(wall, points)], [points], disc(100))
    column = seen[4:-4, 64]
    assert np.abs(column - 128).max() < 8


def test_a_head_that_is_brought_elsewhere_leaves_no_ghost(wall):
    """The still layer is moved to where another rests, and what bars it with it."""
    picture, points, rest, driver = before(wall * 0, disc(60)), disc(60), disc(46), disc(60)
    backdrop = BackgroundModel(picture[None], points[None], people([points]), torch.device("cpu"))
    images = torch.from_numpy(picture[None]).float().permute(0, 3, 1, 2)
    use, shares, only_heads = backdrop.render(torch.from_numpy(driver)[None])
    shift = identity_grid(64, images) + torch.tensor([(60 - 46) * 2 / SIZE, 0.0])
    moved = [
        sample(each, resize_flow(shift, SIZE))
        for each in (blend_backgrounds(images, backdrop.plate(images), use, shares), only_heads)
    ]
    barred = np.maximum(moved[1][0, 0].numpy(), head_occlusion_mask(points, driver, SIZE))
    red = moved[0][0, 0].numpy()
    assert red[head_mask(rest, SIZE) > 0.9].max() > 150  # there is a ghost
    assert red[barred < 0.05].max() < 60  # and it is not to be seen


def test_what_a_head_hides_need_not_be_guessed(wall):
    picture, points = before(wall, disc(40)), disc(40)
    _, guessed, _ = behind([picture], [points], points)
    assert guessed.max() < 0.3 and guessed[head_mask(points, SIZE) > 0.99].max() < 0.01


def test_a_narrow_strip_beside_a_head_is_stretched_and_says_little():
    picture, known, nobody = torch.zeros(3, SIZE, SIZE), torch.ones(SIZE, SIZE), torch.zeros(1, SIZE, SIZE)
    picture[0] = torch.arange(SIZE) / SIZE
    known[30:60, 2:80] = 0
    made = inpaint_background(picture, known, nobody, SIZE)
    torch.testing.assert_close(made[:, :30], picture[:, :30])
    row = made[0, 45, 2:80]
    assert row[40:].min() > 0.5  # of the wide side nearly everywhere
    assert row[-1] == pytest.approx(80 / SIZE, abs=0.02)  # where the right side begins
    assert (row.diff().abs() < 0.1).all()
    assert torch.isfinite(inpaint_background(picture, torch.zeros_like(known), nobody, SIZE)).all()


def test_background_goes_on_rather_than_clothes():
    picture, known, person = torch.zeros(3, SIZE, SIZE), torch.ones(SIZE, SIZE), torch.zeros(1, SIZE, SIZE)
    picture[0, :, 64:] = person[0, :, 64:] = 1  # a red coat on the right
    known[30:60, 40:90] = 0
    assert inpaint_background(picture, known, person, SIZE)[0, 30:60, 40:75].max() < 0.15
    assert inpaint_background(picture, known, person * 0, SIZE)[0, 30:60, 66:75].min() > 0.5


def test_what_one_head_hides_is_taken_from_a_picture_that_sees_it(wall):
    left, right = disc(30), disc(98)
    seen, _, hidden = behind([before(wall, left), before(wall, right)], [left, right], left)
    behind_it = head_mask(left, SIZE) > 0.95
    assert hidden[behind_it].max() < 0.1
    assert np.abs(seen - wall)[behind_it].mean() < 2
    alone, guessed, _ = behind([before(wall, left)], [left], right)
    assert np.abs(alone - wall)[behind_it].mean() > 20 and guessed[behind_it].min() > 0.8


def test_of_many_pictures_the_far_one_shows_what_the_near_ones_hide(wall):
    points = [disc(x) for x in (28, 30, 32, 34, 36, 98)]
    seen, _, hidden = behind([before(wall, each) for each in points], points, disc(32))
    behind_it = head_mask(disc(32), SIZE) > 0.95
    assert hidden[behind_it].mean() < 0.05
    assert np.abs(seen - wall)[behind_it].mean() < 8


def test_where_all_of_several_heads_are_only_heads_are_seen(wall):
    near, nearer = disc(60), disc(64)
    pictures = np.stack([before(wall, near), before(wall, nearer)])
    both = np.minimum(head_mask(near, SIZE), head_mask(nearer, SIZE)) > 0.99
    for count, least, most in ((2, 0.9, 1.01), (1, 0.0, 0.01)):  # of a lone one what is behind it is guessed instead
        held = np.stack([near, nearer])[:count]
        backdrop = BackgroundModel(pictures[:count], held, people(held), torch.device("cpu"))
        only_heads = backdrop.render(torch.from_numpy(disc(100))[None])[2][0, 0].numpy()
        assert least <= only_heads[both].min() <= only_heads[both].max() <= most


def test_the_picture_whose_head_is_nearest_counts_most(wall):
    """Shoulders move with the head: the backdrop is that of the moment."""
    light, dark = np.clip(wall.astype(int) + 4, 0, 255).astype(np.uint8), np.clip(wall.astype(int) - 4, 0, 255)
    points = [disc(30), disc(98)]
    images = [before(light, points[0]), before(dark.astype(np.uint8), points[1])]
    away = np.s_[100:, :]  # from both heads
    for i in (0, 1):
        seen, *_ = behind(images, points, points[i])
        assert np.abs(seen - images[i])[away].mean() < 0.5
        assert np.abs(seen - images[1 - i])[away].mean() > 5


def test_another_place_lends_nothing(wall):
    left, right = disc(30), disc(98)
    images = [before(wall, left), before(scene(1), right), before(wall, right)]
    heads = np.stack([head_mask(points, SIZE) for points in (left, right, right)])
    assert frames_of_same_scene(np.stack(images), heads) == [0, 2]
    seen, guessed, _ = behind(images[:2], [left, right], left)
    np.testing.assert_allclose(seen[guessed < 1e-3], images[0][guessed < 1e-3], atol=0.5)


def test_heads_that_fill_their_pictures_say_nothing_of_the_place(wall):
    large = head_mask(disc(64, radius=80), SIZE)
    assert frames_of_same_scene(np.stack([wall, wall]), np.stack([large, large])) == [0]


def test_hair_goes_with_the_head_once_that_has_gone_far(wall):
    points = disc(64)
    head = head_mask(points, SIZE)
    guessed = [behind([before(wall, points)], [points], points + np.float32([way, 0]), hair=2)[1] for way in (2, 40)]
    assert guessed[0][head < 0.01].max() < 0.02
    around = (head < 0.01) & (guessed[1] > 0.9)
    assert around.sum() > 500


def test_a_head_covers_its_hull_and_far_from_its_place_its_hair():
    points = disc(64)
    np.testing.assert_array_equal(
        head_occlusion_mask(points, points + np.float32([2, 0]), SIZE), head_mask(disc(66), SIZE)
    )
    far = head_occlusion_mask(points, points + np.float32([40, 0]), SIZE)
    head = head_mask(disc(104), SIZE)
    assert (far >= head).all() and ((head < 0.01) & (far > 0.9)).sum() > 300


def test_below_the_chin_a_neck_goes_on_and_no_shoulders():
    picture, known, person = torch.zeros(3, SIZE, SIZE), torch.ones(SIZE, SIZE), torch.zeros(1, SIZE, SIZE)
    for rows, columns in (
        (slice(20, 60), slice(45, 85)),
        (slice(60, 80), slice(55, 75)),
        (slice(80, SIZE), slice(35, 95)),
    ):
        picture[0, rows, columns] = person[0, rows, columns] = 1  # head, neck, shoulders
    known[18:84, 43:87] = 0
    made = inpaint_background(picture, known, person, chin=60)[0]
    neck, beside, above = made[70:84, 58:72], made[64:76, 44:52], made[20:58]
    assert neck.min() > 0.9 and beside.max() < 0.1 and above.max() < 0.01
    assert inpaint_background(picture, known, person * 0, chin=60)[0, :74].max() < 0.05  # a wall is no neck


def test_deep_inside_a_guess_no_row_stands_alone():
    picture, known = torch.zeros(3, SIZE, SIZE), torch.ones(SIZE, SIZE)
    picture[:, ::2] = 1
    known[20:100, 30:90] = 0
    made = inpaint_background(picture, known, torch.zeros(1, SIZE, SIZE), SIZE)[0]
    assert made[40:80, 45:75].std() < 0.1 and made[40:80, :29].std() > 0.4


def wide_hat():
    """A picture 1.5 crops wide before a blue wall, its matte, and its head's points in the crop."""
    size = 3 * SIZE // 2
    picture, person = torch.zeros(3, size, size), np.zeros((size, size), np.float32)
    picture[2] = 1
    hat = np.s_[50:70, 20 : size - 20]  # wider than the crop, which is 32 to 160
    person[hat], picture[(0, *hat)], picture[(2, *hat)] = 1, 1, 0
    return picture, person, disc(64, 60)


def test_behind_a_hat_as_wide_as_the_crop_is_what_lies_beside_it():
    picture, person, points = wide_hat()
    plate = clean_plate_wide(picture, person, points, 1.5, (slice(0, 192), slice(0, 192)))
    row = plate[2, 60 - 32]
    assert row[32:96].min() > 0.8  # the wall, and where the hat goes on outside, hat
    assert row[0] < 0.1 and row[-1] < 0.1


def test_what_is_mirrored_beyond_a_picture_is_no_background():
    picture, person, points = wide_hat()
    crop = slice(32, 160)
    plate = clean_plate_wide(picture, person, points, 1.5, (slice(0, 192), crop))
    assert plate[2, 60 - 32].max() < 0.1  # nothing but the hat is known


def test_what_the_nearest_head_hides_is_filled_by_one_not_much_farther(wall):
    left, right = disc(40), disc(54)
    driver = disc(44)
    seen, *_ = behind([before(wall, left), before(wall, right)], [left, right], driver)
    strip = (head_mask(left, SIZE) > 0.95) & (head_mask(right, SIZE) < 0.01) & (head_mask(driver, SIZE) < 0.9)
    assert strip.sum() > 100 and np.abs(seen - wall)[strip].mean() < 5


def test_between_two_heads_each_picture_shows_what_the_other_hides(wall):
    left, right = disc(30), disc(98)
    seen, _, hidden = behind([before(wall, left), before(wall, right)], [left, right], disc(64))
    for points in (left, right):
        there = head_mask(points, SIZE) > 0.95
        assert hidden[there].max() < 0.05 and np.abs(seen - wall)[there].mean() < 2


def test_a_white_wall_is_no_scene_where_the_clothes_are_others(wall):
    head = disc(64, y=50)

    def portrait(*jacket):
        picture = np.full((SIZE, SIZE, 3), 240, np.uint8)
        picture[96:] = jacket
        return before(picture, head)

    heads = np.stack([head_mask(head, SIZE)] * 3)
    assert frames_of_same_scene(
        np.stack([portrait(20, 40, 160), portrait(165, 15, 25), portrait(22, 42, 158)]), heads
    ) == [0, 2]


def test_hair_is_a_person_about_a_head_or_above_the_chin(wall):
    """A tall hat goes along; the shoulders far below stay."""
    points = disc(64, 70, 12)
    person = people([points])[0]
    person[10:70, 58:70] = 1
    person[100:] = 1
    backdrop = BackgroundModel(before(wall, points)[None], points[None], person[None], torch.device("cpu"))
    _, shares, _ = backdrop.render(torch.from_numpy(points + np.float32([40, 0]))[None])
    guessed = shares[0, -1, 0].numpy()
    assert guessed[40:60, 60:68].min() > 0.9 and guessed[105:].max() < 0.01


def test_a_hat_as_wide_as_the_picture_goes_on_as_a_hat():
    hat = np.full((SIZE, SIZE, 3), (200, 150, 20), np.uint8)
    backdrop = BackgroundModel(hat[None], disc(64)[None], np.ones((1, SIZE, SIZE), np.float32), torch.device("cpu"))
    plate = backdrop.plate(torch.from_numpy(hat).permute(2, 0, 1)[None].float())
    assert (plate - plate[:, :1, :1]).abs().max() < 1
