"""Renamed keys and values of conf/; the old names work for one version, with a warning."""

from __future__ import annotations

import logging
from collections.abc import Collection

_log = logging.getLogger(__name__)

# Old and new last part of a key: data.worn is now data.degradation_prob.
KEYS = {
    "adversarial_from": "adversarial_start",
    "bank": "gallery",
    "clips_per_identity": "max_clips_per_identity",
    "colours_of": "appearance_of",
    "face": "source_face",
    "hold_out": "holdout_fraction",
    "judge": "face_recognizer",
    "keep": "weight_interpolation",
    "limit": "max_identities",
    "liveliness": "idle_motion_gain",
    "look_every": "eval_every",
    "max_lost": "max_missing_fraction",
    "max_outside": "max_out_of_frame",
    "opened": "disoccluded",
    "paired": "relativistic",
    "patch": "patch_size",
    "pseudo": "pseudo_pair_prob",
    "run": "sequence_length",
    "same_person": "identity_threshold",
    "save_minutes": "checkpoint_minutes",
    "shard_mib": "shard_size_mib",
    "size": "resolution",
    "smooth": "smoothing",
    "start": "init_from",
    "toward": "target_identity",
    "val_share": "val_fraction",
    "worn": "degradation_prob",
}
VALUES = {
    ("mouth", "painted"): "inpainted",
    ("crop", "around"): "head",
    ("data", "insides"): "region_crops",
    ("data", "episodes"): "uniform",
}


def current_key(key: str, known: Collection[str]) -> str:
    """Returns the current name of a key, with a warning for an old name.

    Args:
        key: as the user wrote it.
        known: keys of the task; a key among them is never renamed.
    """
    prefix, dot, last = key.rpartition(".")
    new = f"{prefix}{dot}{KEYS.get(last, last)}"
    if key in known or new not in known or new == key:
        return key
    _log.warning("option %s is now %s; the old name goes with the next version", key, new)
    return new


def current_value(key: str, value: str) -> str:
    """Returns the current name of a value, with a warning for an old name."""
    new = VALUES.get((key, value), value)
    if new != value:
        _log.warning("option %s=%s is now %s=%s; the old name goes with the next version", key, value, key, new)
    return new
