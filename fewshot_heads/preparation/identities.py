"""Groups clips by person, and divides people into training and validation splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def cluster(embeddings: np.ndarray, identity_threshold: float) -> list[int]:
    """Returns the person of each clip, [N], numbered in the order of first appearance.

    The method is agglomerative clustering with average linkage of cosine distances.

    Args:
        embeddings: [N, E], one face embedding a clip.
        identity_threshold: two groups join while the mean cosine between them is at least this value, -1 to 1.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(embeddings) < 2:
        return [0] * len(embeddings)
    tree = linkage(embeddings.astype(np.float64), "average", "cosine")
    labels = fcluster(tree, 1 - identity_threshold, "distance")
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return [numbers[label] for label in labels.tolist()]


def assign_splits(given: Mapping[str, str | None], val_fraction: float, seed: int = 0) -> dict[str, str]:
    """Returns the split of every identity, "train" or "val".

    An identity without a given split is assigned by a hash of (seed, name). The assignment does not change when
    more people join. Two or more people fill both splits, unless `val_fraction` is 0.

    Args:
        given: identity -> the split that its folders name, which is kept, or None.
        val_fraction: fraction of the people to hold out, 0 to 1.
        seed: of the hash.
    """
    splits = {identity: split for identity, split in given.items() if split}
    free = sorted((name for name in given if name not in splits), key=lambda name: _hash(name, seed))
    val_count = sum(_hash(name, seed) < val_fraction for name in free)
    if val_fraction > 0 and len(given) > 1:
        fewest = 0 if "val" in splits.values() else 1
        most = len(free) if "train" in splits.values() else len(free) - 1
        val_count = min(max(val_count, fewest), most)
    elif len(given) == 1:
        val_count = 0
    return splits | {name: "val" if rank < val_count else "train" for rank, name in enumerate(free)}


def _hash(name: str, seed: int) -> float:
    """Returns a number that is uniform in [0, 1) and the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
