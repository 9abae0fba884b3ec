"""The conditions that a shot must meet, and the record of a rejected shot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Metadata of a shot. "source": path below the root. "kind": "video" or "stills". "start", "end": seconds, of a video.
# "lost": fraction of frames without a face. "face": median face size, pixels of the source.
# "outside": how far the face reaches out of the frame, in face sizes. "sharpness": see `frames.sharpness`.
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Reject:
    """A stretch of a video, or a whole file, with the reason of its rejection.

    Attributes:
        source: path of the file below the root.
        reason: one word, such as "short" or "unreadable".
        start: first second of the stretch; None for a whole file.
        end: end of the stretch in seconds; None for a whole file.
        value: the measure that failed; None if the reason is no measure.
        limit: the bound that the value does not keep.
        detail: the reason in words, where there is no measure.
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
        """Makes the record for the stretch or file that the facts describe.

        Args:
            facts: metadata of the shot.
            reason: one word.
            value: the measure that failed. It is rounded to four digits.
            limit: the bound that the value does not keep.
        """
        rounded = None if value is None else round(value, 4)
        return cls(facts["source"], reason, facts.get("start"), facts.get("end"), rounded, limit)


@dataclass(frozen=True)
class Filters:
    """The form of a clip and the conditions for a shot, as in conf/prepare.yaml.

    Attributes:
        size: side of the stored frames, pixels.
        crop: "head" (a square around the head) or "full" (the whole frame).
        rate: frames a second to which a video is thinned; None keeps its own rate.
        min_seconds: a shorter shot is rejected.
        max_seconds: a longer shot is cut into equal pieces.
        min_face: larger side of the face in the source, pixels.
        min_sharpness: variance of the Laplacian of the stored face, squared gray levels.
        max_missing_fraction: fraction of a shot's frames that may lack a face, 0 to 1.
        max_out_of_frame: how far the face may reach out of the frame, in face sizes.
    """

    size: int
    crop: str
    rate: float | None
    min_seconds: float
    max_seconds: float
    min_face: float
    min_sharpness: float
    max_missing_fraction: float
    max_out_of_frame: float

    def geometry_reject(self, facts: Facts) -> Reject | None:
        """Returns the first failure of length, lost frames, face size or framing, or None.

        Args:
            facts: metadata of the shot, without "sharpness".
        """
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

    def sharpness_reject(self, facts: Facts) -> Reject | None:
        """Returns a failure if the stored face is blurred, or None.

        Args:
            facts: metadata of the shot, with "sharpness".
        """
        failed = facts["sharpness"] < self.min_sharpness
        return Reject.of(facts, "blurred", facts["sharpness"], self.min_sharpness) if failed else None
