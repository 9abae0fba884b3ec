"""Clean plates: walls and gradients go on, known pixels stay, the neck goes up under the head and nothing beside it."""

import cv2
import numpy as np
import pytest

from fewshot_heads.layers.patch_fill import fill, membrane
from fewshot_heads.layers.plates import background_plate, body_layer
from tests.faces import face

SIZE, UNIT = 256, 50.0
SKIN, SHIRT, WALL, HAIR = (200, 150, 120), (30, 60, 140), (190, 190, 180), (60, 40, 20)
CENTER = (128.0, 100.0)  # of the face, between the eyes
CHIN = CENTER[1] + 1.17 * UNIT


def ellipse(center, axes, size=SIZE):
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, tuple(round(v) for v in center), tuple(round(v) for v in axes), 0, 0, 360, 255, -1, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def portrait(wall=WALL, hair_width=0.0):
    """A head before a wall, on a neck and shoulders: image, mattes of person and head, landmarks."""
    image = np.full((SIZE, SIZE, 3), wall, np.uint8) if np.ndim(wall) == 1 else wall.copy()
    head = ellipse((CENTER[0], CENTER[1] + 5), (0.85 * UNIT, 1.1 * UNIT))
    if hair_width:
        hair = ellipse((CENTER[0], CENTER[1] + 30), (hair_width * UNIT, 2.0 * UNIT))
        hair[round(CENTER[1] + 2.0 * UNIT) :] = 0
        head = np.maximum(head, hair)
    neck = np.zeros((SIZE, SIZE), np.float32)
    neck[100:220, round(128 - 0.5 * UNIT) : round(128 + 0.5 * UNIT)] = 1
    shoulders = ellipse((128, 250), (120, 50))
    for mask, color in ((neck, SKIN), (shoulders, SHIRT), (head, HAIR)):
        image = np.rint(image + mask[..., None] * (np.array(color) - image)).astype(np.uint8)
    face_only = ellipse((CENTER[0], CENTER[1] + 15), (0.7 * UNIT, 0.9 * UNIT))
    image = np.rint(image + face_only[..., None] * (np.array(SKIN) - image)).astype(np.uint8)
    return image, np.maximum(np.maximum(neck, shoulders), head), head, face(scale=UNIT, center=CENTER)


def test_a_plain_wall_goes_on():
    image, person, _, _ = portrait()
    np.testing.assert_allclose(background_plate(image, person).astype(int), np.broadcast_to(WALL, image.shape), atol=1)


def test_a_gradient_goes_on():
    ramp = np.linspace(60, 200, SIZE)
    wall = np.broadcast_to(ramp[None, :, None], (SIZE, SIZE, 3)).astype(np.uint8)
    image, person, _, _ = portrait(wall)
    error = np.abs(background_plate(image, person).astype(float) - ramp[None, :, None])
    assert error.mean() < 1.5
    assert error[: round(CHIN)].max() < 8


def test_grain_goes_on():
    grain = np.random.default_rng(0).normal(0, 6, (SIZE, SIZE, 1))
    image, person, _, _ = portrait((np.array(WALL) + grain).clip(0, 255).astype(np.uint8))
    hidden = cv2.erode((person > 0.5).astype(np.uint8), np.ones((9, 9))) > 0
    assert 4 < background_plate(image, person)[hidden][:, 0].std() < 8


def test_a_texture_goes_on():
    y, x = np.mgrid[:SIZE, :SIZE]
    checks = np.where((y // 8 + x // 8) % 2 == 0, 60, 200).astype(np.uint8)
    image, person, _, _ = portrait(np.repeat(checks[..., None], 3, 2))
    plate = background_plate(image, person)[..., 0].astype(float)
    rim = (person > 0.5) & (cv2.distanceTransform((person > 0.5).astype(np.uint8), cv2.DIST_L2, 5) < 12)
    rim[round(CHIN) :] = False
    assert np.abs(plate - checks)[rim].mean() < 35  # the wall's mean is 70 levels from each check


def test_background_beyond_the_margin_is_untouched():
    rng = np.random.default_rng(1)
    image, person, _, _ = portrait(rng.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8))
    far = cv2.dilate((person > 0).astype(np.uint8), np.ones((41, 41))) == 0
    assert (background_plate(image, person) == image)[far].all()


def test_single_hairs_on_a_plain_wall_go():
    image, person, _, _ = portrait()
    cv2.line(image, (172, 60), (186, 45), HAIR, 1, cv2.LINE_AA)
    cv2.line(image, (84, 60), (72, 40), HAIR, 1, cv2.LINE_AA)
    np.testing.assert_allclose(background_plate(image, person).astype(int), np.broadcast_to(WALL, image.shape), atol=3)


def test_wall_in_a_curl_is_inpainted():
    """Its edge shows the curl, of which bits would stay on the wall when the head turns."""
    rough = np.random.default_rng(0).integers(100, 250, (SIZE, SIZE, 3)).astype(np.uint8)
    image, person, _, _ = portrait(wall=rough)
    person[60:120, 180:240] = 1
    person[82:98, 202:218], image[82:98, 202:218] = 0, HAIR
    assert background_plate(image, person)[86:94, 206:214].mean() > 140


def test_a_thing_on_the_wall_stays():
    image, person, _, _ = portrait()
    cv2.rectangle(image, (186, 40), (216, 70), HAIR, -1)
    plate = background_plate(image, person)
    assert (plate[42:69, 188:215] == image[42:69, 188:215]).all()


def test_the_neck_goes_up_under_the_head():
    image, person, head, landmarks = portrait()
    rgb, alpha, _, _ = body_layer(image, person, head, landmarks)
    assert alpha[round(CHIN - 0.4 * UNIT), 128] > 0.9
    light = rgb[[round(CHIN + height * UNIT) for height in (-0.4, -0.1, 0.2)], 128] / np.array(SKIN)
    assert (np.diff(light, axis=0) > 0.03).all()  # the farther under the head, the darker
    assert light.min() > 0.5 and np.ptp(light, axis=1).max() < 0.1  # and still skin
    assert alpha[: round(CENTER[1])].max() == 0  # no neck at the eyes
    assert alpha[round(CHIN - 0.3 * UNIT), [128 - 45, 128 + 45]].max() < 0.05  # and none beside the jaw
    widths = (alpha > 0.5).sum(1)[round(CHIN - 0.7 * UNIT) : round(CHIN + 0.3 * UNIT)]
    assert (np.diff(widths) >= -1).all()  # the neck does not narrow downward
    assert np.diff(widths).max() < 0.2 * UNIT  # and has no step


def test_the_neck_beside_a_beard_stays():
    image, person, head, landmarks = portrait()
    beard = ellipse((CENTER[0], CHIN), (0.35 * UNIT, 0.5 * UNIT))
    head = np.maximum(head, beard)
    _, alpha, hole, _ = body_layer(image, np.maximum(person, beard), head, landmarks)
    beside = hole & (head < 0.05) & (person > 0.95)
    beside[: round(CHIN - 0.1 * UNIT)] = False
    assert beside.sum() > 100 and alpha[beside].min() > 0.9


def test_known_body_is_untouched():
    image, person, head, landmarks = portrait()
    rgb, alpha, _, _ = body_layer(image, person, head, landmarks)
    below = np.s_[round(CHIN + 0.4 * UNIT) :]
    assert (rgb[below] == image[below]).all()
    np.testing.assert_allclose(alpha[below], person[below], atol=0.05)  # the faintest edge is cut


def test_shoulders_go_on_behind_hair():
    image, person, head, landmarks = portrait(hair_width=1.5)
    rgb, alpha, _, _ = body_layer(image, person, head, landmarks)
    row = round(CENTER[1] + 1.95 * UNIT)
    hidden = (head[row] > 0.5) & (ellipse((128, 250), (120, 50))[row + 6] > 0.5)
    assert hidden.sum() > 40
    assert alpha[row][hidden].mean() > 0.6
    assert np.abs(rgb.astype(int) - HAIR).sum(2)[(alpha > 0.5) & (head > 0.5)].min() > 60  # no hair stays at the neck
    assert alpha[round(CENTER[1]), [70, 186]].max() < 0.05  # wall, not body, is behind the hair's upper half


@pytest.mark.parametrize("column", [87, 102, 164])
def test_wall_between_two_strands_of_hair_does_not_end_the_body(column):
    image, person, head, landmarks = portrait(hair_width=1.5)
    _, expected, _, _ = body_layer(image, person, head, landmarks)
    gap = np.s_[192:216, column : column + 5]
    image[gap], person[gap], head[gap] = WALL, 0, 0
    _, alpha, _, _ = body_layer(image, person, head, landmarks)
    assert np.abs(alpha - expected).mean() < 0.002  # the gap itself is half as much


def test_hair_that_lies_on_shoulders_stays_and_bares_none_beside_a_low_neckline():
    image, person, head, landmarks = portrait(hair_width=1.5)
    beside = np.abs(np.arange(SIZE) - CENTER[0])
    below = np.s_[round(CHIN + 0.4 * UNIT) :]
    image[below, beside < 30], image[below, (beside >= 30) & (beside < 75)] = SKIN, HAIR
    head[below, (beside >= 30) & (beside < 75)] = 1
    rgb, alpha, _, _ = body_layer(image, np.maximum(person, head), head, landmarks)
    hidden = (alpha > 0.9) & (beside > 45)[None] & (beside < 50)[None]  # skin is as near as the shirt
    assert hidden.sum() > 40
    assert np.abs(rgb.astype(int) - HAIR).max(2)[hidden].max() < 20


def test_a_head_that_the_side_cuts_off_hides_wall():
    image, person, head, landmarks = portrait(hair_width=1.5)
    shift = SIZE // 2 - 50
    image, person, head = (cv2.copyMakeBorder(x[:, :-shift], 0, 0, shift, 0, cv2.BORDER_REPLICATE)
                           for x in (image, person, head))  # fmt: skip
    person[190:220, -60:] = 1  # hair on the shoulder, all of it at the side of the image
    _, alpha, _, _ = body_layer(image, person, head, landmarks.moved(-np.array([shift, 0.0])))
    assert alpha[round(CENTER[1]), -10:].max() < 0.05


def test_things_on_a_plain_wall_have_no_copies():
    image, person, _, _ = portrait()
    marks = np.random.default_rng(3).random((SIZE // 8, 4)) < 0.2
    image[:, 20:52][np.kron(marks, np.ones((8, 8))) > 0] = 20
    plate = background_plate(image, person)
    hidden = cv2.erode((person > 0.5).astype(np.uint8), np.ones((9, 9))) > 0
    assert np.abs(plate.astype(int) - WALL)[hidden].max() < 60  # a mark differs by 170


@pytest.mark.parametrize("person_level, head_level", [(0, 0), (1, 0), (1, 1), (0.5, 0.5)])
def test_empty_and_full_mattes(person_level, head_level):
    image, _, _, landmarks = portrait()
    person, head = (np.full((SIZE, SIZE), level, np.float32) for level in (person_level, head_level))
    plate = background_plate(image, person)
    assert plate.shape == image.shape and plate.dtype == np.uint8
    if person_level == 0:
        assert (plate == image).all()
    rgb, alpha, _, _ = body_layer(image, person, head, landmarks)
    assert rgb.dtype == np.uint8 and alpha.dtype == np.float32
    assert np.isfinite(alpha).all() and alpha.min() >= 0 and alpha.max() <= 1


@pytest.mark.parametrize("offset", [(-100, 0), (100, 0), (0, -90), (0, 90), (-120, 110)])
def test_a_head_at_the_edge(offset):
    image, person, head, landmarks = portrait()
    shift = np.float32([[1, 0, offset[0]], [0, 1, offset[1]]])
    image, person, head = (
        cv2.warpAffine(each, shift, (SIZE, SIZE), borderValue=value)
        for each, value in ((image, WALL), (person, 0), (head, 0))
    )
    landmarks = landmarks.moved(-np.array(offset, float))
    np.testing.assert_allclose(background_plate(image, person).astype(int), np.broadcast_to(WALL, image.shape), atol=4)
    _, alpha, _, _ = body_layer(image, person, head, landmarks)
    assert np.isfinite(alpha).all() and alpha.min() >= 0 and alpha.max() <= 1


@pytest.mark.parametrize("shape", [(24, 24), (40, 17), (9, 31)])
def test_tiny_gray_images(shape):
    height, width = shape
    image = np.full((height, width, 3), 128, np.uint8)
    person = np.zeros(shape, np.float32)
    person[height // 3 :, width // 3 : 2 * width // 3] = 1
    head = person.copy()
    head[2 * height // 3 :] = 0
    landmarks = face(scale=width / 8, center=(width / 2, height / 2))
    assert (background_plate(image, person) == 128).all()
    rgb, alpha, _, _ = body_layer(image, person, head, landmarks)
    assert (rgb == 128).all() and np.isfinite(alpha).all()


def test_plates_repeat():
    image, person, head, landmarks = portrait(np.random.default_rng(2).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    assert (background_plate(image, person) == background_plate(image, person)).all()
    first, second = (body_layer(image, person, head, landmarks) for _ in range(2))
    assert (first[0] == second[0]).all() and (first[1] == second[1]).all()


def test_a_membrane_is_linear_between_two_sides():
    known = np.ones((64, 64), bool)
    known[:, 16:48] = False
    image = np.broadcast_to(np.arange(64, dtype=np.float32)[None, :, None], (64, 64, 1))
    np.testing.assert_allclose(membrane(np.where(known[..., None], image, 0), known), image, atol=1.5)


def test_without_a_known_pixel_the_image_stays():
    image = np.full((16, 16, 3), 9, np.uint8)
    assert (fill(image, np.zeros((16, 16), bool)) == 9).all()


def test_a_neck_that_is_seen_in_the_shadow_of_the_chin_only_is_skin():
    image, person, head, landmarks = portrait()
    collar = round(CHIN + 0.2 * UNIT)  # of a shirt that reaches up to the hole's margin
    image[collar:][person[collar:] > 0.5] = SHIRT
    rgb, alpha, _, _ = body_layer(image, person, head, landmarks)
    under_head = rgb[round(CHIN - 0.3 * UNIT), 128].astype(int)
    assert alpha[round(CHIN - 0.3 * UNIT), 128] > 0.9
    assert under_head[0] > under_head[2] + 20  # red as skin, not blue as the shirt


def test_the_neck_of_pale_skin_is_not_gray_as_the_shirt():
    """Gray is nearer to the hue of pale skin than dark skin is."""
    image, person, head, landmarks = portrait()
    shirt = (image == SHIRT).all(2)
    image[(image == SKIN).all(2)], image[shirt] = (203, 161, 142), (170, 168, 167)
    collar = round(CHIN + 0.2 * UNIT)
    image[collar:][person[collar:] > 0.5] = (170, 168, 167)
    rgb = body_layer(image, person, head, landmarks).colors[round(CHIN - 0.3 * UNIT), 128].astype(int)
    assert rgb[0] > rgb[2] + 40


def test_a_neck_under_the_head_is_not_as_dark_as_its_rim_at_a_collar():
    image, person, head, landmarks = portrait()
    bright = body_layer(image, person, head, landmarks).colors[round(CHIN - 0.3 * UNIT), 128].sum(dtype=int)
    rim, collar = round(CHIN + 0.3 * UNIT), round(CHIN + 0.5 * UNIT)
    image[rim:collar, 104:152] = np.rint(0.6 * np.array(SKIN))
    image[collar:][person[collar:] > 0.5] = SHIRT
    dark = body_layer(image, person, head, landmarks).colors[round(CHIN - 0.3 * UNIT), 128].sum(dtype=int)
    assert dark > 0.8 * bright


def test_the_chin_throws_a_soft_shadow_on_the_painted_neck():
    image, person, head, landmarks = portrait()
    plain = body_layer(image, person, head, landmarks).colors
    below = np.s_[round(CHIN) : round(CHIN + 0.26 * UNIT), 112:144]
    image[below] = np.rint(image[below] * 0.8)
    shaded = body_layer(image, person, head, landmarks).colors
    light = (shaded.sum(2) / plain.sum(2))[:, 120:136].mean(1)
    chin = round(CHIN)
    assert 0.75 < light[chin - 10] < 0.98 and 0.75 < light[chin + 2] < 0.95  # and on under the head
    assert light[round(CHIN + 0.4 * UNIT)] > 0.98
    assert np.abs(np.diff(light[chin - 20 : chin + 30])).max() < 0.04, "no line"
