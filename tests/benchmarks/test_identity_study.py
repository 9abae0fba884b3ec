"""The study of what identity lacks: parts of the truth in a result."""

import numpy as np
import pytest

from benchmarks.studies.identity import mixtures
from tests.faces import face

SIZE = 256
FACE = face()


def picture(level):
    """A noisy gray picture."""
    noise = np.random.default_rng(0).integers(-20, 20, (SIZE, SIZE, 3))
    return (level + noise).astype(np.uint8)


def test_parts_of_an_equal_picture_change_nothing():
    truth = picture(120)
    for title, image in mixtures(truth, truth, FACE).items():
        if "contrast" not in title:
            assert np.abs(image.astype(int) - truth).max() <= 2, title


@pytest.mark.parametrize(("title", "landmark"), [("nose", 30), ("mouth", 62), ("eyes and brows", 37)])
def test_a_part_is_the_truth_in_its_place_and_nowhere_else(title, landmark):
    result, truth = picture(60), picture(180)
    image = mixtures(result, truth, FACE)[title].astype(int)
    x, y = FACE.points[landmark].round().astype(int)
    assert np.abs(image[y, x] - truth[y, x]).max() < 12
    assert np.abs(image[:10] - result[:10]).max() == 0


def test_fine_and_coarse_parts_share_the_truth():
    result, truth = picture(60), picture(180)
    parts = mixtures(result, truth, FACE)
    assert abs(parts["coarser than 2 pixels"].mean() - truth.mean()) < 2
    assert abs(parts["finer than 2 pixels"].mean() - result.mean()) < 2
