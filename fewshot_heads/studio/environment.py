"""What must be set before Gradio is imported: no message to anybody, and one folder for all files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def own_folder() -> Iterator[Path]:
    """Gives the folder of all uploads and results, and deletes it at the end. Gradio reads its name when imported."""
    with TemporaryDirectory(prefix="fewshot_heads_studio_", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        yield folder
