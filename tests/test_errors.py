"""The errors that check a value."""

import math

import pytest

from fewshot_heads.errors import BadInput, check_at_least, check_choice, check_gain, check_share, printable


@pytest.mark.parametrize(
    ("check", "wrong", "line"),
    [
        (lambda value: check_choice("crop", value, ("auto", "full")), "no", "crop='no': expected 'auto' or 'full'"),
        (lambda value: check_at_least("batch", value, 1), 0, "batch=0: expected 1 or more"),
        (lambda value: check_at_least("smooth", value, 0), math.nan, "smooth=nan: expected 0 or more"),
        (lambda value: check_at_least("smooth", value, 0), math.inf, "smooth=inf: expected 0 or more"),
        (lambda value: check_gain("pose", value), math.nan, "pose=nan: expected a number from -100 to 100"),
        (lambda value: check_share("strength", value), math.nan, "strength=nan: expected a number from 0 to 1"),
        (lambda value: check_share("strength", value), 1.5, "strength=1.5: expected a number from 0 to 1"),
    ],
)
def test_a_value_that_does_not_fit_says_what_does(check, wrong, line):
    with pytest.raises(BadInput) as caught:
        check(wrong)
    assert str(caught.value) == line


def test_values_that_fit_pass():
    check_choice("crop", "auto", ("auto", "full"))
    check_at_least("batch", 1, 1)
    check_share("strength", 1)


def test_printable__keeps_words_and_escapes_what_would_break_a_line():
    assert printable("照片 a\nb\x1b[2J\udcff.png") == r"照片 a\nb\x1b[2J\udcff.png"
