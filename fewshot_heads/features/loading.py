"""Weights of other projects, optional packages, and the pixel ranges that pretrained networks expect."""

from __future__ import annotations

import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.media.files import check_readable

INSTALL_HINT = "pip install 'fewshot_heads[benchmark]'"
# What torch and other packages raise for a file that holds no weights of theirs.
UNREADABLE = (OSError, RuntimeError, UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError)
# What NumPy raises for a damaged .npy or .npz: its header is Python text with sizes.
UNREADABLE_ARRAY = (
    OSError, ValueError, EOFError, zipfile.BadZipFile, tokenize.TokenError, SyntaxError, MemoryError, RecursionError,
    OverflowError, NotImplementedError, zlib.error,
)  # fmt: skip

BGR_MEAN = (103.939, 116.779, 123.68)  # mean color of ImageNet in the order and range of caffe, 0 to 255
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colors, 0 to 1, from torchvision


def read_arrays(path: str | Path, names: list[str]) -> dict[str, Tensor]:
    """Returns the named arrays of an .npz file as float32 tensors.

    Args:
        path: the file.
        names: the arrays that the file must hold.

    Raises:
        BadInput: if the file is no .npz, or one of the arrays is missing.
    """
    check_readable(Path(path))
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name].astype(np.float32)) for name in names}
    except (*UNREADABLE_ARRAY, KeyError, AttributeError, TypeError) as error:
        expected = f"an .npz with the arrays {names[0]} ... {names[-1]}"
        raise BadInput(f"{path}: not {expected} ({first_line(error)}); name such a file") from error


def read_state_dict(path: str | Path) -> Any:
    """Returns the content of a file of torch. No code of the file runs.

    Args:
        path: the file.

    Raises:
        BadInput: if the path is no file that can be read.
        Exception: one of `UNREADABLE`, if the file is none of torch, or holds no dictionary.
    """
    check_readable(Path(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as about the protocol of a damaged pickle
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise TypeError(f"holds {type(state).__name__}")
    return state


def import_optional(name: str, needed_by: str) -> ModuleType:
    """Returns a module of a package that an extra installs.

    Args:
        name: the module.
        needed_by: what the error message names.

    Raises:
        BadInput: if the module cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise BadInput(f"{needed_by}: {name} cannot be imported ({first_line(error)}); {INSTALL_HINT}") from error


def to_caffe(images: Tensor, mean: Tensor) -> Tensor:
    """Returns images in the form of caffe: BGR, 0 to 255, minus the mean color.

    Args:
        images: RGB [B, 3, H, W], -1 to 1.
        mean: BGR [1, 3, 1, 1], 0 to 255.

    Raises:
        BadInput: if the shape is another.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise BadInput(f"images of shape {tuple(images.shape)}, expected [B,3,H,W] in [-1,1]")
    return (images.flip(1) + 1) * 127.5 - mean


def to_torchvision(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Returns images in the form of torchvision: RGB, 0 to 1, normalized.

    Normalized values are color minus mean, over standard deviation.

    Args:
        images: RGB [B, 3, H, W], -1 to 1.
        mean: RGB [1, 3, 1, 1], 0 to 1.
        std: RGB [1, 3, 1, 1], 0 to 1.
    """
    return ((images + 1) / 2 - mean) / std
