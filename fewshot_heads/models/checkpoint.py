"""Saves and loads weights: float16 safetensors named by their hash, each with a JSON specification."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from fewshot_heads.errors import BadInput, WeightsMismatch
from fewshot_heads.imaging.opencv_threads import forks_on_one_thread
from fewshot_heads.media.files import atomic_write, check_readable, check_readable_folder, write_error
from fewshot_heads.models import build, build_discriminator
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.parsing import Parser
from fewshot_heads.models.specification import read_specification, specification_sha256

WEIGHTS = Path(__file__).parent.parent / "weights"
MAX_FILE_BYTES = 2**30  # eight times the paper's networks
_DISCRIMINATOR_SUFFIX = ".critic.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Networks that are ready to run, and their origin.

    Attributes:
        networks: `Networks`, `Inpainter` or `Parser`, float32, in eval mode.
        name: name of the preset.
        sha256: hash of the weights file.
        about: content of the JSON file.
        path: the weights file.
    """

    networks: Any
    name: str
    sha256: str
    about: dict[str, Any]
    path: Path


def save_checkpoint(
    networks: nn.Module,
    folder: str | Path,
    name: str,
    about: dict[str, Any],
    critic: ProjectionDiscriminator | None = None,
) -> Path:
    """Writes weights and their specification, and returns the path of the weights.

    The files are `<name>-<first 8 digits of sha256>.safetensors` and `.json`.

    Args:
        networks: the networks.
        folder: where the files are written.
        name: name of the preset.
        about: content of the JSON file. It has "spec" (see `models.build`), and may have training data and licence. Its
            name and sums are replaced, so the content of another JSON file will do.
        critic: written to `.critic.safetensors` without its identity table. Fine-tuning starts from it.

    Raises:
        OutputError: a file cannot be written. In that case none is.
    """
    data = _packed(networks.state_dict())
    digest = hashlib.sha256(data).hexdigest()
    path = Path(folder) / f"{name}-{digest[:8]}.safetensors"
    sums = {"sha256": digest, "spec_sha256": specification_sha256(about["spec"])}
    about = {"name": name, "sha256": digest, **about} | {"name": name, **sums}  # `about` may be that of other weights
    files = {path: data, path.with_suffix(".json"): (json.dumps(about, indent=2) + "\n").encode()}
    if critic is not None:
        without_table = {key: value for key, value in critic.state_dict().items() if not key.startswith("W.")}
        files[path.with_suffix(_DISCRIMINATOR_SUFFIX)] = _packed(without_table)
    with ExitStack() as all_or_none:  # moves the files into place at its end, in reverse: the weights come last
        for file, content in files.items():
            part = all_or_none.enter_context(atomic_write(file, (file.suffix,), overwrite=True))
            try:
                part.write_bytes(content)
            except OSError as error:
                raise write_error(file, error) from error
    return path


def _packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Returns tensors as a float16 safetensors file."""
    return save({key: value.detach().cpu().half().contiguous() for key, value in tensors.items()})


def load_discriminator(checkpoint: Checkpoint) -> ProjectionDiscriminator | None:
    """Returns the discriminator and w0 that a checkpoint was trained against, without W.

    Args:
        checkpoint: the networks.

    Returns:
        None if the discriminator was not saved.

    Raises:
        WeightsMismatch: the file does not fit the checkpoint.
    """
    path = checkpoint.path.with_suffix(_DISCRIMINATOR_SUFFIX)
    if not path.is_file():
        return None
    spec = checkpoint.about["spec"]
    critic = ProjectionDiscriminator(build_discriminator(spec), 1, spec["embedding"])
    try:
        critic.load_state_dict({key: value.float() for key, value in load_file(path).items()}, strict=False)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsMismatch(f"{path}: does not fit the networks beside it; fetch both again") from error
    return critic


def load_checkpoint(name_or_path: str | Path = "realtime") -> Checkpoint:
    """Returns the networks of a preset, a weights file or a folder.

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
    try:
        networks = _filled(about["spec"], load(data))
    except BadInput as error:
        raise BadInput(f"{about_path}: {error}") from error
    except (SafetensorError, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise WeightsMismatch(f"{path}: does not fit the networks in {about_path.name}; fetch both again") from error
    return Checkpoint(networks.eval().requires_grad_(False), about["name"], digest, about, path)


def _filled(spec: dict[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Returns the networks of a specification with weights.

    Shapes are compared before memory is reserved for networks. Raises ValueError if a shape or a value does not fit.
    """
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build(spec).state_dict().items()}
    if shapes != {key: value.shape for key, value in tensors.items()}:
        raise ValueError("tensors of other names or shapes")
    if not all(value.half().isfinite().all() for value in tensors.values()):
        raise ValueError("values that float16 does not hold")
    networks = build(spec)
    networks.load_state_dict({key: value.float() for key, value in tensors.items()})
    return networks


def load_inpainters(names_or_paths: Sequence[str | Path] = ("mouth", "eyes")) -> dict[str, Inpainter]:
    """Returns inpainting networks by their face region, a key of `landmarks.regions.REGIONS`.

    Args:
        names_or_paths: weights, each as in `load_checkpoint`.

    Raises:
        BadInput: as `load_checkpoint`.
        WeightsMismatch: the weights are of other networks.
    """
    inpainters = {}
    for checkpoint in map(load_checkpoint, names_or_paths):
        part = checkpoint.about["spec"].get("part")
        if not isinstance(checkpoint.networks, Inpainter) or part is None:
            raise WeightsMismatch(
                f"{checkpoint.path}: paints no part that opens; take weights trained with experiment=mouth or eyes"
            )
        inpainters[part] = checkpoint.networks
    return inpainters


def load_parser(name_or_path: str | Path = "parsing") -> Parser:
    """Returns the network that parses portraits.

    Args:
        name_or_path: weights, as in `load_checkpoint`.

    Raises:
        BadInput: as `load_checkpoint`.
        WeightsMismatch: the weights are of another network.
    """
    checkpoint = load_checkpoint(name_or_path)
    if not isinstance(checkpoint.networks, Parser):
        raise WeightsMismatch(f"{checkpoint.path}: parses no portraits; take weights trained with experiment=parsing")
    return checkpoint.networks


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
    return [path for path in found if not path.name.endswith(_DISCRIMINATOR_SUFFIX)]


def pick_device(device: str = "auto") -> torch.device:
    """Returns the device to run on.

    Args:
        device: name of torch's device. "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        BadInput: the machine has no such device.
    """
    if device != "auto":
        try:
            probe = torch.zeros(1, device=device)
            probe.cpu()  # fails on the device "meta", which holds no values
            return probe.device
        except (RuntimeError, AssertionError, ImportError) as error:  # torch imports a module for some devices
            raise BadInput(f"device={device} is not there; use device=auto or device=cpu") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
