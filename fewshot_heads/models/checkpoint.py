"""Saves and loads networks: float16 safetensors named by their hash, each with a JSON specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from fewshot_heads.errors import BadInput, WeightsMismatch
from fewshot_heads.media.files import atomic_write, write_error
from fewshot_heads.models.building import build, build_discriminator
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.models.specification import specification_sha256
from fewshot_heads.models.weights_file import DISCRIMINATOR_SUFFIX, WeightsFile, read_weights


@dataclass(frozen=True)
class Checkpoint(WeightsFile):
    """Networks in torch, and their origin.

    Attributes:
        networks: `Networks`, `Inpainter` or `Parser`, float32, in eval mode.
    """

    networks: Any


def save_checkpoint(
    networks: nn.Module,
    folder: str | Path,
    name: str,
    about: dict[str, Any],
    critic: ProjectionDiscriminator | None = None,
) -> Path:
    """Writes weights and their specification, and returns the path of the weights.

    Tables with a row for each person of the training data stay in the run. The files are
    `<name>-<first 8 digits of sha256>.safetensors` and `.json`.

    Args:
        networks: the networks.
        folder: where the files are written.
        name: name of the preset.
        about: content of the JSON file. It has "spec" (see `models.build`), and may have training data and licence. Its
            name and sums are replaced, so the content of another JSON file will do.
        critic: written to `.critic.safetensors`. Fine-tuning starts from it.

    Raises:
        OutputError: a file cannot be written. In that case none is.
    """
    data = _packed(_without_tables(networks))
    digest = hashlib.sha256(data).hexdigest()
    path = Path(folder) / f"{name}-{digest[:8]}.safetensors"
    sums = {"sha256": digest, "spec_sha256": specification_sha256(about["spec"])}
    about = {"name": name, "sha256": digest, **about} | {"name": name, **sums}  # `about` may be that of other weights
    files = {path: data, path.with_suffix(".json"): (json.dumps(about, indent=2) + "\n").encode()}
    if critic is not None:
        files[path.with_suffix(DISCRIMINATOR_SUFFIX)] = _packed(_without_tables(critic))
    with ExitStack() as all_or_none:  # moves the files into place at its end, in reverse: the weights come last
        for file, content in files.items():
            part = all_or_none.enter_context(atomic_write(file, (file.suffix,), overwrite=True))
            try:
                part.write_bytes(content)
            except OSError as error:
                raise write_error(file, error) from error
    return path


def _without_tables(networks: nn.Module) -> dict[str, Tensor]:
    """Returns the state dict without `ProjectionDiscriminator.W` and `Inpainter.people`."""
    return {key: value for key, value in networks.state_dict().items() if not key.startswith(("W.", "people."))}


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
    path = checkpoint.path.with_suffix(DISCRIMINATOR_SUFFIX)
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
    """Returns the networks of weights, which are found as by `read_weights`.

    Args:
        name_or_path: a preset, a `.safetensors` file or a folder.

    Raises:
        BadInput: no such preset, file or specification.
        WeightsMismatch: file and specification disagree.
    """
    weights, data = read_weights(name_or_path)
    about_path = weights.path.with_suffix(".json")
    try:
        networks = _filled(weights.about["spec"], load(data))
    except BadInput as error:
        raise BadInput(f"{about_path}: {error}") from error
    except (SafetensorError, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        message = f"{weights.path}: does not fit the networks in {about_path.name}; fetch both again"
        raise WeightsMismatch(message) from error
    return Checkpoint(**vars(weights), networks=networks.eval().requires_grad_(False))


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
