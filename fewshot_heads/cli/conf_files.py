"""Reads conf/ as text: help, keys and groups of a task, without hydra and OmegaConf.

Users read the YAML, and its comments are the help text.
"""

from __future__ import annotations

import re
from pathlib import Path

from fewshot_heads.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent
# Inside the package in an installed wheel, beside it in a checkout.
CONF_DIR = next((path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir()), _PACKAGE / "conf")


def describe(name: str) -> list[tuple[str, str, str]]:
    """Returns (key, default, help) of each line of conf/<name>.yaml that ends in a comment."""
    matches = (re.fullmatch(r"(?:  - )?(\w+): *([^#]*?) +# *(.+)", line) for line in _text(name).splitlines())
    return [(match[1], match[2], match[3]) for match in matches if match]


def groups_of(name: str) -> set[str]:
    """Returns the groups in a task's defaults list, whose options a user can choose.

    Raises:
        UsageError: there is no such task.
    """
    return set(re.findall(r"^ *- (\w+):", _defaults(_text(name)), re.MULTILINE))


def keys_of(name: str) -> frozenset[str]:
    """Returns the keys and groups of a task, without the keys inside a group."""
    groups = groups_of(name)
    texts = [_text(name)]
    for group in groups:
        options = [path.read_text(encoding="utf-8") for path in (CONF_DIR / group).glob("*.yaml")]
        texts += [text for text in options if text.startswith("# @package _global_")]  # keys of the task itself
    keys = {key for text in texts for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    return frozenset(keys - {"defaults"} | groups)


def module_of(task: str) -> str:
    """Returns the module that `python -m` runs for a task."""
    modules = {"benchmark": "benchmarks.quality"}
    modules |= {name: f"fewshot_heads.creative.{name}" for name in ("morph", "audio", "sample", "portrait")}
    return modules.get(task, f"fewshot_heads.{task}")


def _text(name: str) -> str:
    path = CONF_DIR / f"{name}.yaml"
    if not path.is_file():
        known = sorted(path.stem for path in CONF_DIR.glob("*.yaml"))
        raise UsageError(f"no configuration '{name}' in {CONF_DIR}; there is {', '.join(known) or 'none'}")
    return path.read_text(encoding="utf-8")


def _defaults(text: str) -> str:
    """Returns the lines of the defaults list."""
    match = re.search(r"^defaults:((?:\n +- .*)*)", text, re.MULTILINE)
    return match[1] if match else ""
