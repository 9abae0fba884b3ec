"""Reads the JSON file beside weights. Every value is checked, because the hash of the weights covers none of them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from fewshot_heads.errors import BadInput
from fewshot_heads.media.files import check_readable

_SIZES_PIXELS = range(32, 1024 + 1, 32)  # sides of an image of the networks, which halve it up to five times
MAX_CHANNELS = 4096  # also of an embedding; the paper's networks have 512
_MAX_LEVELS = 16  # length of a list of channels
_MAX_NAME_LENGTH = 100  # characters
_MAX_FILE_BYTES = 2**20  # shipped specifications have under 10 kB


def read_specification(path: Path) -> dict[str, Any]:
    """Returns the content of a specification, with "name", "sha256" and "spec" checked.

    Args:
        path: the JSON file.

    Raises:
        BadInput: the file is missing or no JSON, or a value has another type or is out of range.
    """
    try:
        check_readable(path)
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError("too large")
        about = json.loads(path.read_text(encoding="utf-8"))
        name, sha256, spec = about["name"], about["sha256"], about["spec"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{path}: no readable specification of the weights; expected the .json that was saved with them"
        ) from error
    if not _is_name(name):
        raise BadInput(f"{path}: got the name {name!r:.40}, expected up to {_MAX_NAME_LENGTH} printable characters")
    if not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise BadInput(f"{path}: got sha256 {sha256!r:.40}, expected 64 hexadecimal digits")
    if not isinstance(spec, dict):
        raise BadInput(f"{path}: got spec {spec!r:.40}, expected sizes by name")
    _check_sizes(path, spec)
    if about.get("spec_sha256", specification_sha256(spec)) != specification_sha256(spec):  # older files have no hash
        raise BadInput(f"{path}: got sizes that do not match spec_sha256; fetch the file again")
    return about


def specification_sha256(spec: dict[str, Any]) -> str:
    """Returns the hash of a specification, hexadecimal, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def _check_sizes(path: Path, spec: dict[str, Any]) -> None:
    """Raises BadInput for a specification of anything but words, sizes, lists of sizes and one more level of these."""
    for key, value in spec.items():
        if isinstance(value, dict) and not any(isinstance(inner, dict) for inner in value.values()):
            _check_sizes(path, value)
        elif key == "size" and value not in _SIZES_PIXELS:
            raise BadInput(f"{path}: got size {value!r:.40}, expected a multiple of 32 pixels up to 1024")
        elif not (_is_name(value) or _is_count(value) or _is_list_of_counts(value)):
            raise BadInput(f"{path}: got {key} {value!r:.40}, expected whole numbers from 1 to {MAX_CHANNELS}")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME_LENGTH and value.isprintable()


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_CHANNELS


def _is_list_of_counts(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _MAX_LEVELS and all(map(_is_count, value))
