"""Weights on disk: fp16 safetensors named by their hash, with a JSON specification beside them."""

from __future__ import annotations

import hashlib
import json
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
from fewshot_heads.media.files import atomic_write, write_error
from fewshot_heads.models import build, build_discriminator
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.models.inpainter import Inpainter

WEIGHTS = Path(__file__).parent.parent / "weights"
_CRITIC = ".critic.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Networks ready to run, and who they are.

    networks: `models.Networks`, or an `Inpainter`; in eval mode, float32.
    name: of the preset; sha256: of the weights file, `path`; about: the whole JSON beside it.
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
    """Writes `<name>-<first 8 of sha256>.safetensors` and `.json` into folder; returns the former.

    about: must hold "spec" (see `models.build`); training data, licence and the like go along.
    critic: kept beside them as `.critic.safetensors`, without its table of people: fine-tuning starts from it.
    Raises OutputError.
    """
    data = _packed(networks.state_dict())
    digest = hashlib.sha256(data).hexdigest()
    path = Path(folder) / f"{name}-{digest[:8]}.safetensors"
    about = {"name": name, "sha256": digest, **about}
    files = {path: data, path.with_suffix(".json"): (json.dumps(about, indent=2) + "\n").encode()}
    if critic is not None:
        kept = {key: value for key, value in critic.state_dict().items() if not key.startswith("W.")}
        files[path.with_suffix(_CRITIC)] = _packed(kept)
    with ExitStack() as all_or_none:  # they take their places at its end, in reverse: the weights come last
        for file, content in files.items():
            part = all_or_none.enter_context(atomic_write(file, (file.suffix,), overwrite=True))
            try:
                part.write_bytes(content)
            except OSError as error:
                raise write_error(file, error) from error
    return path


def _packed(tensors: Mapping[str, Tensor]) -> bytes:
    return save({key: value.detach().cpu().half().contiguous() for key, value in tensors.items()})


def load_discriminator(checkpoint: Checkpoint) -> ProjectionDiscriminator | None:
    """The discriminator and w0 a checkpoint was trained against, W empty; None where they were not kept."""
    path = checkpoint.path.with_suffix(_CRITIC)
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
    """A preset that ships with the package, a `.safetensors` with its `.json` beside it, or a folder with one.

    Raises BadInput for an unknown name, WeightsMismatch when file and specification disagree.
    """
    path = _find(name_or_path)
    about_path = path.with_suffix(".json")
    try:
        about = json.loads(about_path.read_text())
        name, expected, spec = about["name"], about["sha256"], about["spec"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{about_path}: no readable specification of the weights; it lies beside them") from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise WeightsMismatch(
            f"{path}: sha256 is {digest[:12]}..., {about_path.name} says {expected[:12]}...; fetch the file again"
        )
    try:
        networks = build(spec)
        networks.load_state_dict({key: value.float() for key, value in load(data).items()})
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsMismatch(f"{path}: does not fit the networks in {about_path.name}; fetch both again") from error
    return Checkpoint(networks.eval().requires_grad_(False), name, digest, about, path)


def load_inpainters(names_or_paths: Sequence[str | Path] = ("mouth", "eyes")) -> dict[str, Inpainter]:
    """What paints the inside of parts that open, by part (`landmarks.regions.REGIONS`); each as of `load_checkpoint`.

    Raises WeightsMismatch for other networks.
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


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        if path.is_file():
            return path
        raise BadInput(f"{path}: no such weights file")
    shipped = {p.stem.rsplit("-", 1)[0]: p for p in _weights_in(WEIGHTS)}
    if path.is_dir() and str(name_or_path) not in shipped:
        if newest := max(_weights_in(path), key=lambda p: p.stat().st_mtime, default=None):
            return newest
        raise BadInput(f"{path}: no weights in this folder; a run of meta_learn writes them at its end")
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    known = ", ".join(sorted(shipped)) or "none"
    raise BadInput(f"no weights named '{name_or_path}'; shipped are {known}, or give the path of a .safetensors")


def _weights_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.safetensors") if not path.name.endswith(_CRITIC)]


def pick_device(device: str = "auto") -> torch.device:
    """ "auto" takes CUDA, then Apple's MPS, then the CPU."""
    if device != "auto":
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise BadInput(f"device={device} is not there; use device=auto or device=cpu") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
