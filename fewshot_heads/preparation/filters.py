"""What a shot has to be to become a clip, and what is said of one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]  # a clip's metadata: source, kind, start and end in seconds, and its measures


@dataclass(frozen=True)
class Reject:
    """What was left out: a stretch of a video (seconds) or a whole file, and why.

    reason: one word. value and limit: the measure that failed, if there is one; detail: else, in words.
    """

    source: str
    reason: str
    start: float | None = None
    end: float | None = None
    value: float | None = None
    limit: float | None = None
    detail: str | None = None

    @classmethod
    def of(cls, facts: Facts, reason: str, value: float | None = None, limit: float | None = None) -> Reject:
        """The stretch or file that the facts are of."""
        rounded = None if value is None else round(value, 4)
        return cls(facts["source"], reason, facts.get("start"), facts.get("end"), rounded, limit)


@dataclass(frozen=True)
class Filters:
    """What a shot is cut to and has to be; the keys of conf/prepare.yaml, with their units."""

    size: int
    crop: str
    rate: float | None
    min_seconds: float
    max_seconds: float
    min_face: float
    min_sharpness: float
    max_missing_fraction: float
    max_out_of_frame: float

    def fails(self, facts: Facts) -> Reject | None:
        """The first limit a shot does not keep, of those that need no pixels."""
        video = facts["kind"] == "video"
        seconds = facts["end"] - facts["start"] if video else 0.0
        if video and seconds < self.min_seconds:
            return Reject.of(facts, "short", seconds, self.min_seconds)
        if video and facts["lost"] > self.max_missing_fraction:
            return Reject.of(facts, "lost", facts["lost"], self.max_missing_fraction)
        if facts["face"] < self.min_face:
            return Reject.of(facts, "small_face", facts["face"], self.min_face)
        if facts["outside"] > self.max_out_of_frame:
            return Reject.of(facts, "outside", facts["outside"], self.max_out_of_frame)
        return None

    def blurred(self, facts: Facts) -> Reject | None:
        """That facts["sharpness"] is below the limit."""
        failed = facts["sharpness"] < self.min_sharpness
        return Reject.of(facts, "blurred", facts["sharpness"], self.min_sharpness) if failed else None
