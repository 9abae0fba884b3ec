"""The contract of an export: every file with its inputs and outputs, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads._version import __version__
from fewshot_heads.deployment import CONTRACT, vectors
from fewshot_heads.deployment.networks import ExportedNetwork, Port
from fewshot_heads.models.checkpoint import Checkpoint

_FORMAT = "fewshot_heads.export.1"


def write_contract(
    folder: Path, checkpoint: Checkpoint, files: Sequence[tuple[ExportedNetwork, Sequence[Path]]], rate: float | None
) -> None:
    """Writes the contract of a folder that has everything else.

    Args:
        folder: the folder.
        checkpoint: weights of embedder and generator.
        files: the networks with their files.
        rate: frames per second of the test data; None without test data.
    """
    contract = {
        "format": _FORMAT,
        "library": {"name": "fewshot_heads", "version": __version__},
        "model": {"name": checkpoint.name, "licence": checkpoint.about.get("licence")},
        "networks": [
            {
                "name": network.name,
                "weights_sha256": network.weights,
                "files": [{"name": path.name, "sha256": _sha256(path)} for path in paths],
                "inputs": [_port(port) for port in network.inputs],
                "outputs": [_port(port) for port in network.outputs],
            }
            for network, paths in files
        ],
    }
    if rate is not None:
        contract["data"] = _data(folder, rate)
    (folder / CONTRACT).write_text(json.dumps(contract, indent=2) + "\n", encoding="utf-8")


def _port(port: Port) -> dict[str, Any]:
    """Returns a port as JSON. A name in the shape is a dynamic axis."""
    limits = None if port.range is None else list(port.range)
    return {
        "name": port.name,
        "type": "float32",
        "shape": list(port.shape),
        "range": limits,
        "meaning": port.meaning,
    }


def _data(folder: Path, rate: float) -> dict[str, Any]:
    head, frames = folder / vectors.HEAD, sorted((folder / vectors.FRAMES).iterdir())
    return {
        "rate": rate,
        "resolution": _resolution(head),
        "encodings": vectors.ENCODINGS,
        "head": {"name": head.name, "sha256": _sha256(head), "arrays": vectors.described(head, vectors.OF_HEAD)},
        "frames": [{"name": f"{vectors.FRAMES}/{path.name}", "sha256": _sha256(path)} for path in frames],
        "frame_arrays": vectors.described(frames[0], vectors.OF_FRAME),
    }


def _resolution(head: Path) -> int:
    """Returns the side R of the frames, pixels."""
    with np.load(head) as arrays:
        return arrays["large_images"].shape[1]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
