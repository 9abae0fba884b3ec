"""Names and ranges of the controls of a face: each moves one thing by an amount that a person chooses."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

from fewshot_heads.errors import BadInput, did_you_mean


class Control(NamedTuple):
    """A control, whose value 0 changes nothing.

    Attributes:
        low: least value.
        high: largest value.
        unit: what it counts: degrees, or 1 for full strength.
        help: what a positive value does.
    """

    low: float
    high: float
    unit: str
    help: str


# "Left" and "right" of winks are the person's own, as in ARKit's blendshapes. Yaw and gaze are the viewer's.
CONTROLS: Mapping[str, Control] = {
    "yaw": Control(-30, 30, "degrees", "turns the head to the viewer's right"),
    "pitch": Control(-20, 20, "degrees", "lifts the head"),
    "roll": Control(-30, 30, "degrees", "tilts the head clockwise"),
    "smile": Control(0, 1, "", "smiles"),
    "mouth": Control(0, 1, "", "opens the mouth"),
    "pucker": Control(0, 1, "", "puckers the lips"),
    "brows": Control(-1, 1, "", "lifts the brows; a negative value lowers them"),
    "eyes": Control(-1, 1, "", "opens the eyes wider; a negative value narrows them"),
    "blink": Control(0, 1, "", "closes both eyes"),
    "wink_left": Control(0, 1, "", "closes the person's left eye"),
    "wink_right": Control(0, 1, "", "closes the person's right eye"),
    "gaze_x": Control(-1, 1, "", "looks to the viewer's right"),
    "gaze_y": Control(-1, 1, "", "looks up"),
}


def check_controls(values: Mapping[str, float]) -> None:
    """Raises BadInput for a control that does not exist, or whose value is out of range.

    Args:
        values: control -> value.
    """
    for name, value in values.items():
        if name not in CONTROLS:
            raise BadInput(f"unknown control '{name}'{did_you_mean(name, CONTROLS)}; there is {', '.join(CONTROLS)}")
        control = CONTROLS[name]
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not (is_number and control.low <= value <= control.high):
            raise BadInput(f"{name}={value}: expected a number from {control.low:g} to {control.high:g}")
