"""Networks and test data for programs without Python or torch."""

import json
from pathlib import Path

CONTRACT = "contract.json"  # in every export; named here, where a command can read it before it imports torch


def exported_files(folder: Path) -> set[str]:
    """Returns the files that the contract of an export names, and the contract; an empty set without a contract.

    Args:
        folder: any folder.
    """
    try:
        contract = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
        files = [file for network in contract["networks"] for file in network["files"]]
        if data := contract.get("data"):
            files += [data["head"], *data["frames"]]
        return {CONTRACT, *(file["name"] for file in files)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return set()
