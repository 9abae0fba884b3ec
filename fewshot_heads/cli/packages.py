"""Packages that a command needs beyond those that are always installed."""

from __future__ import annotations

from importlib.util import find_spec

from fewshot_heads.errors import BadInput


def check_installed(extra: str, *packages: str) -> None:
    """Checks that packages are installed, before a command begins its work.

    Args:
        extra: of this package, which brings them all.
        packages: names as in an import.

    Raises:
        BadInput: one is missing.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        raise BadInput(f"{missing[0]} is not installed: pip install 'fewshot_heads[{extra}]'")
