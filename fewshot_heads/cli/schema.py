"""The values that the keys of conf/ take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fewshot_heads.driving.controls import CONTROLS

LARGEST = 1e9  # of any number; beyond, sums of the library overflow or memory runs out


@dataclass(frozen=True)
class Rule:
    """Values that a key takes: one of some words, or a number in a range.

    Attributes:
        words: allowed words, `None`, `True` and `False` among them.
        number: type of an allowed number; None allows none.
        low: least number.
        high: largest number.
    """

    words: tuple[Any, ...] = ()
    number: type[int] | type[float] | None = None
    low: float = -LARGEST
    high: float = LARGEST

    def allows(self, value: Any) -> bool:
        """Returns whether a key may have this value."""
        if any(type(value) is type(word) and value == word for word in self.words):
            return True
        kinds = (int, float) if self.number is float else (int,)
        return self.number is not None and type(value) in kinds and self.low <= value <= self.high

    def __str__(self) -> str:
        choices = [{None: "null", True: "true", False: "false"}.get(word, str(word)) for word in self.words]
        if self.number is not None:
            kind = "whole number" if self.number is int else "number"
            lower = f" from {self.low:g}" if self.low > -LARGEST else ""
            upper = f" to {self.high:g}" if self.high < LARGEST else f" up to {LARGEST:g}" if lower else ""
            choices.append(f"a {kind}{lower}{upper}")
        return " or ".join(choices)


# By key, or by task and key where tasks differ.
RULES = {
    "motion": Rule(("relative", "absolute")),
    "mouth": Rule(("driver", "inpainted")),
    "pose": Rule(number=float, low=0, high=2),
    "expression": Rule(number=float, low=0, high=2),
    **dict.fromkeys(("lips", "lids", "brows", "gaze"), Rule(number=float, low=0, high=2)),
    "shading": Rule(number=float, low=0, high=1),
    "reference": Rule(("auto",), int, 0),
    "smoothing": Rule(number=float, low=0),
    "source_face": Rule(number=int, low=0),
    "driver_face": Rule(number=int, low=0),
    "paste_back": Rule((True, False)),
    "side_by_side": Rule((True, False)),
    "crf": Rule(number=int, low=0, high=51),
    "backend": Rule(("auto", "torch", "openvino")),
    "format": Rule(("onnx", "openvino")),
    "batch": Rule(number=int, low=1),
    "threads": Rule((None,), int, 1, 256),  # 100,000 threads end the process
    "steps": Rule(number=int, low=0),
    "seed": Rule(number=int, low=0),
    "checkpoint_minutes": Rule(number=float, low=0),
    "grid_every": Rule(number=int, low=1),
    "weight_interpolation": Rule(number=float, low=0, high=1),
    "eval_every": Rule(number=int, low=1),
    "frames": Rule(number=int, low=1),
    "augment": Rule(number=float, low=0, high=2),
    "degradation_prob": Rule(number=float, low=0, high=1),
    "pseudo_pair_prob": Rule(number=float, low=0, high=1),
    "ema": Rule(number=float, low=0, high=1),
    "patch_size": Rule((None,), int, 16),
    "data.k_shot": Rule(number=int, low=1),
    "data.sampling": Rule(("uniform", "hard")),
    "data.holdout_fraction": Rule(number=float, low=0, high=0.9),
    "optim.schedule": Rule(("constant", "cosine")),
    "optim.warmup": Rule(number=int, low=0),
    "optim.clip": Rule(number=float, low=0),
    "optim.discriminator_steps": Rule(number=int, low=1),
    "optim.adversarial_start": Rule(number=float, low=0, high=1),
    "runtime.precision": Rule(("float32", "bfloat16")),
    "runtime.workers": Rule(number=int, low=0),
    "size": Rule(number=int, low=64, high=1024),
    "crop": Rule(("head", "full")),
    "rate": Rule((None,), float, 1, 1000),
    "live.rate": Rule(number=float, low=1, high=1000),
    "min_seconds": Rule(number=float, low=0),
    "max_seconds": Rule(number=float, low=1),
    "min_face": Rule(number=float, low=0),
    "min_sharpness": Rule(number=float, low=0),
    "max_missing_fraction": Rule(number=float, low=0, high=1),
    "max_out_of_frame": Rule(number=float, low=0, high=1),
    "identity": Rule(("auto", "folder", "cluster", "file")),
    "identity_threshold": Rule(number=float, low=-1, high=1),
    "val_fraction": Rule(number=float, low=0, high=1),
    "shard_size_mib": Rule(number=int, low=1),
    "sequence_length": Rule(number=int, low=1),
    "drivers": Rule(number=int, low=0),
    "max_clips_per_identity": Rule(number=int, low=0),
    "max_identities": Rule(number=int, low=0),
    "tuning_steps": Rule(number=int, low=0),
    "split": Rule(("val", "train")),
    "lpips": Rule((None, "alex", "vgg")),
    "workers.processes": Rule((None,), int, 0),
    "landmarks.min_confidence": Rule(number=float, low=0, high=1),
    "landmarks.dimensions": Rule((2, 3)),
    "path": Rule(("linear", "spherical", "spline")),
    "easing": Rule(("linear", "smooth", "hold")),
    "truncation": Rule(number=float, low=0, high=1),
    "shape_of": Rule((None,), int, 0),
    "appearance_of": Rule((None,), int, 0),
    "seconds": Rule(number=float, low=0.1),
    "resolution": Rule(("auto",), int, 64, 2048),
    "strength": Rule(number=float, low=0, high=1),
    "neighbours": Rule(number=int, low=1),
    "count": Rule(number=int, low=1),
    "min_distance": Rule((None,), float, 0),
    "report": Rule(number=float, low=0),
    "edit.seconds": Rule(number=float, low=0.2, high=60),
    **{f"edit.{name}": Rule(number=float, low=control.low, high=control.high) for name, control in CONTROLS.items()},
    "port": Rule(number=int, low=1, high=65535),
    "share": Rule((True, False)),
    "upload_mib": Rule(number=int, low=1, high=4096),
    "max_pictures": Rule(number=int, low=1, high=128),
    "keep_minutes": Rule(number=float, low=1),
    "queue": Rule(number=int, low=1, high=10_000),
    "jobs": Rule((None,), int, 1, 64),
    # In every group, by the last part of the key:
    "lr": Rule(number=float, low=0),
    "lr_discriminator": Rule(number=float, low=0),
    "weight": Rule(number=float, low=0),
}
