"""Errors that a user can cause.

Each message is one line that names the thing and the remedy.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral

TORCH_MISSING = "torch, which fine-tuned heads and GPUs need, is not installed: pip install 'fewshot_heads[torch]'"
MAX_GAIN = 100  # largest strength of a motion or an expression; 1 is the driver's


class FewshotHeadsError(ValueError):
    """Base class of this library's errors.

    A command line prints the message as one line and exits with code 1.
    """


class BadInput(FewshotHeadsError):
    """An image, video, head or option cannot be used as given."""


class UsageError(BadInput):
    """A command line or configuration cannot be understood. The exit code is 2."""


class NoFaceFound(FewshotHeadsError):
    """No face was found where one is needed."""


class OutputError(FewshotHeadsError):
    """The result cannot be written, because the file exists or the system refuses."""


class WeightsMismatch(FewshotHeadsError):
    """Weights do not match their hash or specification, or a head belongs to another generator."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns "; did you mean 'WORD'?" with the most similar known word, or "".

    Args:
        word: the word that is not known.
        known: the words to choose from.
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message.

    An empty message gives the name of the error's class.

    Args:
        error: the error, usually of another library.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def printable(text: str) -> str:
    """Returns a text without line breaks and control characters, which names of files may have.

    Args:
        text: such as a message that quotes a name. A character that cannot be printed is escaped, as `\\n`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
    """Raises BadInput for a number below the least one allowed, and for NaN and infinity."""
    if not least <= value < math.inf:
        raise BadInput(f"{name}={value}: expected {least:g} or more")


def check_gain(name: str, value: float) -> None:
    """Raises BadInput for a strength beyond 100 times the driver's, whose powers overflow, and for NaN."""
    if not abs(value) <= MAX_GAIN:
        raise BadInput(f"{name}={value}: expected a number from -{MAX_GAIN} to {MAX_GAIN}")


def check_whole(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raises BadInput for anything but a whole number in a range; `most` None sets no upper limit."""
    if not isinstance(value, Integral) or value < least or (most is not None and value > most):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise BadInput(f"{name}={value}: expected {allowed}, a whole number")


def check_share(name: str, value: float) -> None:
    """Raises BadInput for a number outside 0 to 1."""
    if not 0 <= value <= 1:
        raise BadInput(f"{name}={value}: expected a number from 0 to 1")
