"""A memory for portraits: the people of a bank, and who of them is nearest to a sitter."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fewshot_heads.creative.blending.identity_blend import load_person
from fewshot_heads.creative.blending.sampling import Sample, sample
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.head import Head
from fewshot_heads.media.images import PICTURES
from fewshot_heads.metrics import csim
from fewshot_heads.reenactor import Reenactor

logger = logging.getLogger(__name__)

_INVENTED = 24  # people of a bank that nobody gave
_NEARNESS = 0.1  # of cosine: somebody so much farther away counts e times less


@dataclass(frozen=True)
class Neighbour:
    """Somebody of the bank. similarity: cosine of e_hat with the sitter's; share of the memory, 0 to 1."""

    name: str
    head: Head
    similarity: float
    share: float


def load_gallery(reenactor: Reenactor, folder: Path, besides: Path | None = None) -> Iterator[tuple[str, Head]]:
    """Names and heads of a folder's saved heads and pictures, the largest face of each, in the order of their names.

    besides: a file that is no memory, the sitter's own. What shows no face or cannot be read is left out, with one
    warning at the end. Raises BadInput for a folder without anybody.
    """
    files = bank_files(folder, besides)
    left_out = []
    for path in tqdm(files, "bank", disable=None, unit="face", leave=False):
        try:
            yield path.stem, load_person(reenactor, path)
        except (NoFaceFound, BadInput):
            left_out.append(path.name)
    if len(left_out) == len(files):
        raise BadInput(f"{folder}: no file of {len(files)} shows a face; give a folder of pictures with a face each")
    if left_out:
        logger.warning(
            "%s: %d of %d files show no face; the first is %s", folder, len(left_out), len(files), left_out[0]
        )


def synthetic_gallery(reenactor: Reenactor) -> Iterator[tuple[str, Head]]:
    """Names and heads of people who do not exist, always the same: a memory for who brings none."""
    people = tqdm(sample(reenactor, Sample(count=_INVENTED)), "bank", _INVENTED, disable=None, leave=False)
    return ((f"invented_{number}", each.head) for number, each in enumerate(people))


def nearest(sitter: Head, bank: Iterable[tuple[str, Head]], count: int) -> list[Neighbour]:
    """The sitter's count nearest of the bank by cosine of e_hat, the nearest first; fewer if there are no more.

    Shares are the softmax of cosines over 0.1. Of the bank, read once, no more than count heads are held.
    """
    own = sitter.e_hat.numpy()
    alike = ((float(csim(own, head.e_hat.numpy())), name, head) for name, head in bank)
    found = heapq.nlargest(count, alike, key=lambda each: each[0])
    powers = np.exp([(similarity - found[0][0]) / _NEARNESS for similarity, _, _ in found])
    shares = powers / powers.sum()
    return [Neighbour(name, head, alike, float(s)) for (alike, name, head), s in zip(found, shares, strict=True)]


def bank_files(folder: Path, besides: Path | None) -> list[Path]:
    """The bank's pictures and saved heads in the order of their names, but for `besides`. Raises BadInput for none."""
    if not folder.is_dir():
        raise BadInput(f"gallery={folder}: no such folder; give one with pictures of faces or saved heads")
    own = besides.resolve() if besides else None
    kinds = {*PICTURES, ".safetensors"}
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in kinds and path.resolve() != own]
    if not files:
        raise BadInput(f"gallery={folder}: no pictures and no saved heads in it; put faces there, a file each")
    return files
