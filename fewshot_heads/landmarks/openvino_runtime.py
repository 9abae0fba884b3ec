"""OpenVINO without its telemetry."""

from __future__ import annotations

import sys
from types import ModuleType


def load_openvino() -> ModuleType:
    """Returns the package openvino. Every import of it goes through this function.

    On its import, openvino reports to Google Analytics by its dependency openvino_telemetry, from a forked process, and
    leaves an identifier in the home folder. If that dependency cannot be imported, openvino does without.
    """
    name = "openvino_telemetry"
    if "openvino" not in sys.modules and name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]  # imports of it fail
        try:
            import openvino
        finally:
            del sys.modules[name]
    import openvino

    return openvino
