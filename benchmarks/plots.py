"""Strip plots as inline SVG: a dot for every case, the mean, the interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH_PX, ROW_PX, AXIS_PX, PAD_PX = 480, 26, 24, 12
CHARACTER_PX = 6.4  # width of a character at the style sheet's 12 px
MAX_LABEL_PX = 180


class Strip(NamedTuple):
    """One line of a plot.

    Attributes:
        label: name of the column.
        cases: case -> value.
        mean: (mean, low, high), (mean,) or empty.
        accent: whether the line is highlighted.
    """

    label: str
    cases: dict[str, float]
    mean: Sequence[float]
    accent: bool = False


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns at most `most` round numbers from low to high.

    A step is 1, 2 or 5 times a power of ten.
    """
    decade = 10 ** math.floor(math.log10((high - low) / most))
    for step in (decade * factor for factor in (1, 2, 5, 10, 20, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [i * step for i in range(first, last + 1)]


def strip_plot(title: str, strips: Sequence[Strip], digits: int) -> str:
    """Returns an <svg> of the strips from top to bottom over one axis.

    The result is empty if no two values differ in the given digits.

    Args:
        title: name of the measure.
        strips: the lines.
        digits: after the point.
    """
    values = [value for strip in strips for value in (*strip.cases.values(), *strip.mean)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 10**-digits:
        return ""
    left = min(MAX_LABEL_PX, max(len(strip.label) for strip in strips) * CHARACTER_PX) + 2 * PAD_PX
    bottom = len(strips) * ROW_PX

    def x(value: float) -> str:
        return _number(left + (value - low) / (high - low) * (WIDTH_PX - PAD_PX - left))

    marks = ticks(low, high)
    decimals = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9)) if len(marks) > 1 else digits
    lines = [f'<line class="grid" x1="{x(mark)}" x2="{x(mark)}" y1="4" y2="{bottom}"/>' for mark in marks]
    lines += [f'<text class="tick" x="{x(mark)}" y="{bottom + 16}">{mark:.{decimals}f}</text>' for mark in marks]
    for i, strip in enumerate(strips):
        lines += _strip(strip, i * ROW_PX + ROW_PX // 2, left - PAD_PX, x, digits)
    label = escape(f"{title}: every case, the mean and its interval, for {', '.join(strip.label for strip in strips)}")
    return f'<svg viewBox="0 0 {WIDTH_PX} {bottom + AXIS_PX}" role="img" aria-label="{label}">{"".join(lines)}</svg>'


def _strip(strip: Strip, y: int, label_end: float, x: Callable[[float], str], digits: int) -> Iterator[str]:
    """Yields the elements of one line.

    Args:
        strip: the line.
        y: its height, pixels.
        label_end: right end of the label, pixels.
        x: value -> horizontal coordinate.
        digits: after the point.
    """
    max_characters = int(MAX_LABEL_PX / CHARACTER_PX)
    short = len(strip.label) <= max_characters
    label = strip.label if short else strip.label[: max_characters - 1] + "…"
    yield '<g class="accent">' if strip.accent else "<g>"
    yield f'<text class="label" x="{_number(label_end)}" y="{y + 4}">{escape(label)}</text>'
    for i, (case, value) in enumerate(strip.cases.items()):
        spread = _number(y + ((i * 0.618) % 1 - 0.5) * 10)  # separates equal values: steps of the golden ratio
        tip = escape(f"{case}: {value:.{digits}f}", quote=False)
        yield f'<circle class="case" cx="{x(value)}" cy="{spread}" r="2.5"><title>{tip}</title></circle>'
    if len(strip.mean) == 3:
        yield f'<line class="interval" x1="{x(strip.mean[1])}" x2="{x(strip.mean[2])}" y1="{y}" y2="{y}"/>'
    if strip.mean:
        tip = f"mean: {strip.mean[0]:.{digits}f}"
        yield f'<circle class="mean" cx="{x(strip.mean[0])}" cy="{y}" r="4.5"><title>{tip}</title></circle>'
    yield "</g>"


def _number(value: float) -> str:
    """Returns a coordinate with at most one digit after the point."""
    return f"{value:.1f}".removesuffix(".0")
