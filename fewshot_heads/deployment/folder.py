"""Writes an export: networks, contract and test data in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.deployment import exported_files, vectors
from fewshot_heads.deployment.contract import write_contract
from fewshot_heads.deployment.formats import write_network
from fewshot_heads.deployment.networks import exported_networks
from fewshot_heads.driving.motion import Motion
from fewshot_heads.head import Head
from fewshot_heads.media.folders import atomic_folder
from fewshot_heads.models.checkpoint import load_checkpoint
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.animation import retargeted_faces
from fewshot_heads.rendering.renderer import HeadRenderer


def export_to(
    path: Path, reenactor: Reenactor, inpainters: Sequence[str | Path], format: str, overwrite: bool,
    animation: tuple[Head, Motion, int] | None = None,
) -> Path:  # fmt: skip
    """Writes the networks of a reenactor to a folder, and returns its path.

    Args:
        path: the folder.
        reenactor: the networks, on the processor, run by torch.
        inpainters: weights of its inpainters, as in `read_weights`.
        format: "onnx" or "openvino".
        overwrite: whether an earlier export is replaced.
        animation: a head from one source image, a motion, and the number of frames of the test data. None writes none.

    Raises:
        OutputError: the folder cannot be written.
        WeightsMismatch: the weights are not those of the realtime preset, or another generator made the head.
    """
    painters = {checkpoint.about["spec"]["part"]: checkpoint for checkpoint in map(load_checkpoint, inpainters)}
    networks = exported_networks(reenactor.checkpoint, painters)
    with atomic_folder(path, exported_files, overwrite) as folder:
        files = [(network, write_network(network, folder, format)) for network in networks]
        if animation:
            _write_data(reenactor, *animation, folder)
        rate = float(animation[1].rate) if animation else None
        write_contract(folder, reenactor.checkpoint, files, rate)
    return path


def _write_data(reenactor: Reenactor, head: Head, motion: Motion, count: int, folder: Path) -> None:
    reenactor.check_made_here(head)
    faces = retargeted_faces(head, motion, reenactor.size)[:count]
    renderer = HeadRenderer(head, reenactor.generator)
    vectors.write_head(renderer, head, folder)
    vectors.write_frames(renderer, faces, folder)
