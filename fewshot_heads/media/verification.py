"""Tells whether a file is marked as synthetic, by all three marks: metadata, Content Credentials and watermark."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.content_credentials import ContentCredentials, is_available, read_credentials
from fewshot_heads.media.images import read_image
from fewshot_heads.media.provenance import COMPOSITE, SYNTHETIC, read_mark
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.watermark_search import Detection, detect

KINDS = {SYNTHETIC: "synthetic", COMPOSITE: "partly synthetic"}  # digital source type -> plain words
# Of a video: frames that are looked at, and distance between them. Neighbors are too alike to add much.
_FRAMES, _FRAME_STEP = 32, 4


@dataclass(frozen=True)
class Verification:
    """What the three marks of a file say. True if one of them says that the file is synthetic.

    Attributes:
        metadata: as `read_mark` returns it, None without a mark.
        content_credentials: None without any that can be read.
        watermark: None if the file holds no picture that can be decoded.
        not_checked: why a mark was not looked for, by name of the mark.
    """

    metadata: dict[str, str] | None
    content_credentials: ContentCredentials | None
    watermark: Detection | None
    not_checked: dict[str, str]

    def __bool__(self) -> bool:
        return self.in_metadata or self.in_content_credentials or self.in_pixels

    @property
    def in_metadata(self) -> bool:
        """Whether the metadata say that the file is synthetic, completely or in part."""
        return bool(self.metadata) and self.source_type in KINDS

    @property
    def in_content_credentials(self) -> bool:
        """Whether valid Content Credentials say so."""
        return self.content_credentials is not None and self.content_credentials.is_synthetic

    @property
    def in_pixels(self) -> bool:
        """Whether the watermark is found."""
        return self.watermark is not None and self.watermark.found

    @property
    def source_type(self) -> str:
        """URI of the IPTC term in the metadata, "" without one."""
        return (self.metadata or {}).get("digital_source_type", "")

    @property
    def verdict(self) -> str:
        """The result in a few plain words."""
        if self.in_metadata:
            return KINDS[self.source_type]
        if self.in_content_credentials and self.content_credentials:
            return next(KINDS[term] for term in self.content_credentials.digital_source_types if term in KINDS)
        if self.in_pixels:
            return "synthetic, completely or in part"
        return f"marked as {self.source_type}, which is not synthetic" if self.metadata else "no mark"

    def lines(self) -> list[str]:
        """Returns one line about each mark, in plain words."""
        return [
            f"metadata: {self._about_metadata()}",
            f"content credentials: {self._about_credentials()}",
            f"watermark: {self._about_watermark()}",
        ]

    def _about_metadata(self) -> str:
        facts = {name: text for name, text in (self.metadata or {}).items() if name != "digital_source_type"}
        return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in facts.items()) or "no mark"

    def _about_credentials(self) -> str:
        found = self.content_credentials
        if found is None:
            reason = self.not_checked.get("content_credentials")
            return f"not checked ({reason})" if reason else "none"
        if not found.is_valid:
            return f"not valid: changed after {found.signer!r} signed it, or the certificate is not in order"
        listed = "on a trust list" if found.is_trusted else "on no trust list"
        made = [f"model {found.model} (sha256 {found.model_sha256})"] if found.model else []
        made += ["from " + ", ".join(title for title, _ in found.ingredients)] if found.ingredients else []
        return ", ".join([f"valid, signed by {found.signer!r}, who is {listed}", *made])

    def _about_watermark(self) -> str:
        found = self.watermark
        if found is None:
            return f"not checked ({self.not_checked.get('watermark', '')})"
        score = f"score {found.score:.1f}, {found.threshold:.1f} expected of a mark"
        if not found.found:
            return f"none ({score})"
        model = f"hash of the model begins with {found.model}" if found.model else "model not readable"
        return f"made with fewshot_heads, {model} ({score})"

    def as_json(self) -> dict[str, Any]:
        """Returns the result for `json.dumps`: the fields of the metadata, and an object for each other mark."""
        credentials, watermark = self.content_credentials, self.watermark
        told: dict[str, Any] = {"synthetic": bool(self), **(self.metadata or {})}
        told["content_credentials"] = asdict(credentials) if credentials else None
        told["watermark"] = {**asdict(watermark), "found": watermark.found} if watermark else None
        return {**told, **({"not_checked": self.not_checked} if self.not_checked else {})}


def verify(path: str | Path) -> Verification:
    """Looks for the three marks in a picture or video.

    Of a video, 128 frames from the start are searched for the watermark.

    Args:
        path: the file.

    Raises:
        BadInput: if the file is missing, no regular file, empty or may not be read.
    """
    path, not_checked = Path(path), {}
    metadata, credentials, watermark = read_mark(path), None, None
    if is_available():
        credentials = read_credentials(path)
    else:
        not_checked["content_credentials"] = "needs c2pa-python; pip install 'fewshot_heads[c2pa]'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged file: what is left of it is searched
            watermark = detect(_frames(path))
    except BadInput:
        not_checked["watermark"] = "the file holds no picture that can be decoded"
    return Verification(metadata, credentials, watermark, not_checked)


def _frames(path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video or the one of a picture. Raises BadInput."""
    try:
        video = read_video(path)
    except BadInput:  # a single picture is no video
        yield read_image(path)
        return
    yield from islice(video, 0, _FRAMES * _FRAME_STEP, _FRAME_STEP)
