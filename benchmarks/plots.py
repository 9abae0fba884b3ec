"""Strip plots as inline SVG: every case a faint dot, the mean and its interval over them, one line for each column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH, ROW, AXIS, PAD = 480, 26, 24, 12
CHARACTER = 6.4  # width of one at the style sheet's 12 px
LABEL = 180  # the widest a column's name may be


class Strip(NamedTuple):
    """One line of a plot."""

    label: str
    cases: dict[str, float]
    mean: Sequence[float]  # with its low and high bound; alone; or nothing
    accent: bool = False


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` round numbers (1, 2 or 5 times a power of ten) within low < high."""
    decade = 10 ** math.floor(math.log10((high - low) / most))
    for step in (decade * factor for factor in (1, 2, 5, 10, 20, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [i * step for i in range(first, last + 1)]


def strip_plot(title: str, strips: Sequence[Strip], digits: int) -> str:
    """An <svg> of the strips from top to bottom over one axis; empty where no two values differ in the shown digits."""
    values = [value for strip in strips for value in (*strip.cases.values(), *strip.mean)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 10**-digits:
        return ""
    left = min(LABEL, max(len(strip.label) for strip in strips) * CHARACTER) + 2 * PAD
    bottom = len(strips) * ROW

    def x(value: float) -> str:
        return _number(left + (value - low) / (high - low) * (WIDTH - PAD - left))

    marks = ticks(low, high)
    places = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9)) if len(marks) > 1 else digits
    lines = [f'<line class="grid" x1="{x(mark)}" x2="{x(mark)}" y1="4" y2="{bottom}"/>' for mark in marks]
    lines += [f'<text class="tick" x="{x(mark)}" y="{bottom + 16}">{mark:.{places}f}</text>' for mark in marks]
    for i, strip in enumerate(strips):
        lines += _strip(strip, i * ROW + ROW // 2, left - PAD, x, digits)
    label = escape(f"{title}: every case, the mean and its interval, for {', '.join(strip.label for strip in strips)}")
    return f'<svg viewBox="0 0 {WIDTH} {bottom + AXIS}" role="img" aria-label="{label}">{"".join(lines)}</svg>'


def _strip(strip: Strip, y: int, label_end: float, x: Callable[[float], str], digits: int) -> Iterator[str]:
    """The parts of one line, at height y; x places a value."""
    fits = int(LABEL / CHARACTER)
    shown = strip.label if len(strip.label) <= fits else strip.label[: fits - 1] + "…"
    yield '<g class="accent">' if strip.accent else "<g>"
    yield f'<text class="label" x="{_number(label_end)}" y="{y + 4}">{escape(shown)}</text>'
    for i, (case, value) in enumerate(strip.cases.items()):
        spread = _number(y + ((i * 0.618) % 1 - 0.5) * 10)  # equal values stay apart
        tip = escape(f"{case}: {value:.{digits}f}", quote=False)
        yield f'<circle class="case" cx="{x(value)}" cy="{spread}" r="2.5"><title>{tip}</title></circle>'
    if len(strip.mean) == 3:
        yield f'<line class="interval" x1="{x(strip.mean[1])}" x2="{x(strip.mean[2])}" y1="{y}" y2="{y}"/>'
    if strip.mean:
        tip = f"mean: {strip.mean[0]:.{digits}f}"
        yield f'<circle class="mean" cx="{x(strip.mean[0])}" cy="{y}" r="4.5"><title>{tip}</title></circle>'
    yield "</g>"


def _number(value: float) -> str:
    """Short, for a coordinate."""
    return f"{value:.1f}".removesuffix(".0")
