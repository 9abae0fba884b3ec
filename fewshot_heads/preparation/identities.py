"""Who is who, and who is held out: clustering of face embeddings, and a split that never divides a person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def cluster(embeddings: np.ndarray, same_person: float) -> list[int]:
    """The person each clip shows, numbered in the order of first appearance.

    embeddings: [N, E]. Clips join while the mean cosine between two groups is at least `same_person`
    (agglomerative clustering, average linkage).
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(embeddings) < 2:
        return [0] * len(embeddings)
    tree = linkage(embeddings.astype(np.float64), "average", "cosine")
    labels = fcluster(tree, 1 - same_person, "distance")
    order = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return [order[label] for label in labels.tolist()]


def assign_splits(given: Mapping[str, str | None], val_share: float, seed: int = 0) -> dict[str, str]:
    """The split, "train" or "val", of every identity.

    given: identity -> the split its folders name, which is kept, or None. The others are split by a hash of
    (seed, name), so a person stays where they are when more join. Of two people or more at least one is in each
    split, unless val_share is 0.
    """
    splits = {identity: split for identity, split in given.items() if split}
    free = sorted((name for name in given if name not in splits), key=lambda name: _hash(name, seed))
    held_out = sum(_hash(name, seed) < val_share for name in free)
    if val_share > 0 and len(given) > 1:
        fewest = 0 if "val" in splits.values() else 1
        most = len(free) if "train" in splits.values() else len(free) - 1
        held_out = min(max(held_out, fewest), most)
    elif len(given) == 1:
        held_out = 0
    return splits | {name: "val" if rank < held_out else "train" for rank, name in enumerate(free)}


def _hash(name: str, seed: int) -> float:
    """Uniform in [0, 1), the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
