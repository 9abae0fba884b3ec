"""Optional packages and foreign weights, with one-line errors when they are missing."""

from __future__ import annotations

from importlib import import_module
from pickle import UnpicklingError
from types import ModuleType

import numpy as np

from fewshot_heads.errors import BadInput, first_line

INSTALL_HINT = "pip install 'fewshot_heads[benchmark]'"
UNREADABLE = (OSError, RuntimeError, UnpicklingError, EOFError, AttributeError, KeyError, TypeError, ValueError)


def to_bytes(scaled: np.ndarray) -> np.ndarray:
    """[0,1] -> uint8; what came as uint8 comes back as it was."""
    return (scaled * 255).round().clip(0, 255).astype(np.uint8)


def import_optional(name: str, needed_by: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise BadInput(f"{needed_by}: {name} cannot be imported ({first_line(error)}); {INSTALL_HINT}") from error
