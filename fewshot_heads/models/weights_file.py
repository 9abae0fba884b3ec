"""Finds weights and checks that they are whole. This needs no torch."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot_heads.errors import BadInput, WeightsMismatch
from fewshot_heads.imaging.threads import forks_on_one_thread
from fewshot_heads.media.files import check_readable, check_readable_folder
from fewshot_heads.models.specification import read_specification

WEIGHTS = Path(__file__).parent.parent / "weights"
MAX_FILE_BYTES = 2**30  # eight times the paper's networks
DISCRIMINATOR_SUFFIX = ".critic.safetensors"


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, of which the sum was checked.

    Attributes:
        name: name of the preset.
        sha256: hash of the weights file.
        about: content of the JSON file.
        path: the weights file.
    """

    name: str
    sha256: str
    about: dict[str, Any]
    path: Path


def read_weights(name_or_path: str | Path = "realtime") -> tuple[WeightsFile, bytes]:
    """Returns the weights of a preset, a weights file or a folder, and the content of the file.

    Args:
        name_or_path: a preset of the package, a `.safetensors` file with its `.json`, or a folder with such files, of
            which the newest is taken.

    Raises:
        BadInput: no such preset, file or specification.
        WeightsMismatch: file and specification disagree.
    """
    forks_on_one_thread()
    path = _find(name_or_path)
    about_path = path.with_suffix(".json")
    about = read_specification(about_path)
    check_readable(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadInput(f"{path}: too large for weights; give a file that save_checkpoint wrote")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != about["sha256"]:
        expected = f"{about_path.name} says {about['sha256'][:12]}..."
        raise WeightsMismatch(f"{path}: sha256 is {digest[:12]}..., {expected}; fetch the file again")
    return WeightsFile(about["name"], digest, about, path), data


def _find(name_or_path: str | Path) -> Path:
    """Returns the weights file of a preset, a file or a folder."""
    path = Path(name_or_path)
    if path.suffix.lower() == ".safetensors":
        check_readable(path)
        return path
    shipped = {p.stem.rsplit("-", 1)[0]: p for p in _weights_in(WEIGHTS)}
    if os.path.isdir(path) and str(name_or_path) not in shipped:
        check_readable_folder(path)
        if newest := max(_weights_in(path), key=lambda p: p.stat().st_mtime, default=None):
            return newest
        raise BadInput(f"{path}: no weights in this folder; a run of meta_learn writes them at its end")
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    known = ", ".join(sorted(shipped)) or "none"
    raise BadInput(f"no weights named '{name_or_path}'; shipped are {known}, or give the path of a .safetensors")


def _weights_in(folder: Path) -> list[Path]:
    """Returns the weights files of a folder, without discriminators and without unfinished, hidden files."""
    found = folder.glob("[!.]*.safetensors")
    return [path for path in found if not path.name.endswith(DISCRIMINATOR_SUFFIX)]
