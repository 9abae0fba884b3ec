"""The models of OpenVINO beside weights, which need no torch. The generator has 8-bit numbers, which are faster.

`python -m benchmarks.quantize` writes them: `<weights>.<network>.xml` and `.bin` of each network, and
`<weights>.openvino.json` with their hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from fewshot_heads.errors import WeightsMismatch
from fewshot_heads.landmarks.openvino_runtime import ProcessorNetwork, openvino_core
from fewshot_heads.media.files import check_readable
from fewshot_heads.models.weights_file import WeightsFile

SPECIFICATION = ".openvino.json"  # suffix of the file beside weights
GENERATOR_INPUTS = ("images", "hint", "style")  # of its model, in order; see `models.generator.Generator.predict`


def model_paths(weights: Path, network: str) -> tuple[Path, Path]:
    """Returns the two files of a network's model.

    Args:
        weights: the weights file.
        network: "embedder", "generator", "inpainter" or "parser".
    """
    return weights.with_suffix(f".{network}.xml"), weights.with_suffix(f".{network}.bin")


def has_models(weights: Path) -> bool:
    """Returns whether a weights file has models of OpenVINO beside it."""
    return weights.with_suffix(SPECIFICATION).is_file()


def load_models(weights: WeightsFile, networks: Sequence[str]) -> dict[str, ProcessorNetwork]:
    """Returns networks of weights by their names, each run by OpenVINO on the processor.

    Args:
        weights: whose models are beside it.
        networks: their names, as in `model_paths`.

    Raises:
        BadInput: a file cannot be read.
        WeightsMismatch: a model is not that of the weights.
    """
    specification = weights.path.with_suffix(SPECIFICATION)
    check_readable(specification)
    try:
        about = json.loads(specification.read_bytes())
        models = [about["models"][name] for name in networks]
        sums = {name: (each["xml_sha256"], each["bin_sha256"]) for name, each in zip(networks, models, strict=True)}
        fits = about["weights_sha256"] == weights.sha256
    except (ValueError, LookupError, TypeError, RecursionError):
        sums, fits = {}, False
    contents = {}
    for name, expected in sums.items():
        paths = model_paths(weights.path, name)
        for path in paths:
            check_readable(path)
        contents[name] = tuple(path.read_bytes() for path in paths)
        fits &= tuple(hashlib.sha256(content).hexdigest() for content in contents[name]) == expected
    if not fits:
        raise WeightsMismatch(f"{specification}: not the hashes of the files beside it; fetch them again")
    return {name: _compiled(*content) for name, content in contents.items()}


@cache
def _compiled(xml: bytes, weights: bytes) -> ProcessorNetwork:
    """Returns a model, which is compiled once in a process."""
    return ProcessorNetwork(openvino_core().read_model(xml, weights))
