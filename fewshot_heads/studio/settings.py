"""Values of the page as the configuration of a task."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from fewshot_heads.cli.config import load_config

_HYDRA = threading.Lock()  # hydra composes one configuration at a time


def task_config(task: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the configuration of a task with values of the page.

    Args:
        task: name of the configuration, conf/<task>.yaml.
        values: the page's values by key. Whoever calls the server by its API may send anything.

    Raises:
        UsageError: a key does not take its value.
    """
    with _HYDRA:
        return load_config(task, [f"{key}={_text(value)}" for key, value in (values or {}).items()])


def _text(value: Any) -> str:
    """Returns a value as it stands on a command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
