"""Every error a user can cause, as one line that names the thing and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FewshotHeadsError(ValueError):
    """Base of this library's errors; the command lines print it as one line and exit with 1."""


class BadInput(FewshotHeadsError):
    """A picture, video, head or option that cannot be used as given."""


class UsageError(BadInput):
    """A command line or configuration that cannot be understood; exit code 2."""


class NoFaceFound(FewshotHeadsError):
    """No face where one is needed."""


class OutputError(FewshotHeadsError):
    """The result cannot be written: it exists, the folder refuses, the disk is full."""


class WeightsMismatch(FewshotHeadsError):
    """Weights that do not match their hash or specification, or a head of another generator."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'WORD'?" for the known word nearest to it, or nothing."""
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def first_line(error: Exception) -> str:
    """What went wrong, for a message of one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises BadInput for a value that is none of the choices.

    Args:
        name: the option, as its user spells it.
        value: what the user gave.
        choices: every value allowed.
    """
    choices = tuple(choices)
    if value not in choices:
        raise BadInput(f"{name}={value!r}: expected {' or '.join(map(repr, choices))}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raises BadInput for a number below the least one allowed."""
    if value < least:
        raise BadInput(f"{name}={value}: expected {least:g} or more")


def check_share(name: str, value: float) -> None:
    """Raises BadInput for a number outside 0 to 1."""
    if not 0 <= value <= 1:
        raise BadInput(f"{name}={value}: expected a number from 0 to 1")
