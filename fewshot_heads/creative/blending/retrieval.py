"""Reads a gallery of faces and finds a person's nearest neighbours in it."""

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
from fewshot_heads.media.files import check_readable_folder
from fewshot_heads.media.images import PICTURES
from fewshot_heads.metrics import csim
from fewshot_heads.reenactor import Reenactor

logger = logging.getLogger(__name__)

_SYNTHETIC_PEOPLE = 24
_SOFTMAX_TEMPERATURE = 0.1  # of cosines: a neighbour farther by this much counts e times less


@dataclass(frozen=True)
class Neighbour:
    """A face of the gallery.

    Attributes:
        name: file name without its suffix, or `invented_<number>`.
        head: the face.
        similarity: cosine of its e_hat with the person's, -1 to 1.
        share: weight among the neighbours, 0 to 1.
    """

    name: str
    head: Head
    similarity: float
    share: float


def load_gallery(reenactor: Reenactor, folder: Path, excluded: Path | None = None) -> Iterator[tuple[str, Head]]:
    """Yields names and heads of a folder's saved heads and pictures, in the order of their names.

    Files without a face or that cannot be read are left out, with one warning at the end.

    Args:
        reenactor: the library that embeds pictures, the largest face of each.
        folder: the gallery.
        excluded: a file to leave out, such as the person's own picture.

    Raises:
        BadInput: no file of the folder shows a face.
    """
    files = gallery_files(folder, excluded)
    left_out = []
    for path in tqdm(files, "gallery", disable=None, unit="face", leave=False):
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
    """Yields names and heads of 24 synthetic identities, the same ones each time."""
    people = tqdm(
        sample(reenactor, Sample(count=_SYNTHETIC_PEOPLE)), "gallery", _SYNTHETIC_PEOPLE, disable=None, leave=False
    )
    return ((f"invented_{number}", person.head) for number, person in enumerate(people))


def nearest(head: Head, gallery: Iterable[tuple[str, Head]], count: int) -> list[Neighbour]:
    """Returns the nearest faces of a gallery by cosine of e_hat, the nearest first.

    Shares are the softmax of cosines at temperature 0.1. At most `count` heads are in memory.

    Args:
        head: the person.
        gallery: names and heads, read once.
        count: number of neighbours; fewer if the gallery has fewer faces.
    """
    e_hat = head.e_hat
    compared = ((float(csim(e_hat, other.e_hat)), name, other) for name, other in gallery)
    found = heapq.nlargest(count, compared, key=lambda entry: entry[0])
    powers = np.exp([(similarity - found[0][0]) / _SOFTMAX_TEMPERATURE for similarity, _, _ in found])
    shares = powers / powers.sum()
    return [
        Neighbour(name, other, similarity, float(share))
        for (similarity, name, other), share in zip(found, shares, strict=True)
    ]


def gallery_files(folder: Path, excluded: Path | None) -> list[Path]:
    """Returns a gallery's pictures and saved heads in the order of their names.

    Args:
        folder: the gallery.
        excluded: a file to leave out.

    Raises:
        BadInput: there is no such folder, no such file in it, or one may not be read.
    """
    if not folder.is_dir():
        raise BadInput(f"gallery={folder}: no such folder; give one with pictures of faces or saved heads")
    check_readable_folder(folder)  # of each file, the mark has a hash
    left_out = excluded.resolve() if excluded else None
    suffixes = {*PICTURES, ".safetensors"}
    visible = sorted(folder.glob("[!.]*"))  # a hidden file may be an unfinished one
    files = [path for path in visible if path.suffix.lower() in suffixes and path.resolve() != left_out]
    if not files:
        raise BadInput(f"gallery={folder}: no pictures and no saved heads in it; put faces there, a file each")
    return files
