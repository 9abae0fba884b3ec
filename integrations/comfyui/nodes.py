"""The nodes: each calls one method of `fewshot_heads.Reenactor`.

Images are ComfyUI's: float32 [B, H, W, 3], RGB, 0 to 1. A head and a motion travel along edges of types of their own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from fewshot_heads import BadInput, Head, Reenactor
from fewshot_heads.driving.controls import CONTROLS

HEAD, MOTION = "FEWSHOT_HEAD", "FEWSHOT_MOTION"
PARTS = ("lips", "lids", "brows", "gaze")


@cache
def reenactor() -> Reenactor:
    """Returns the library with the weights in the package, opened once."""
    return Reenactor.from_pretrained()


def to_uint8(images: torch.Tensor) -> list[np.ndarray]:
    """Returns a batch of ComfyUI as images uint8 RGB [H, W, 3]."""
    return list((images[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def to_batch(frames: Any) -> torch.Tensor:
    """Returns frames uint8 RGB [H, W, 3] as a batch of ComfyUI."""
    return torch.stack([torch.from_numpy(frame).float() / 255 for frame in frames])


def gain(help: str) -> tuple[str, dict[str, Any]]:
    """Returns the input of a strength, 0 to 2."""
    return ("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0, "step": 0.05, "tooltip": help})


class Node:
    """What all nodes share."""

    CATEGORY = "fewshot_heads"
    FUNCTION = "run"


class LoadHead(Node):
    """Makes a head of one picture or several of a person, or loads a saved one."""

    RETURN_TYPES, RETURN_NAMES = (HEAD,), ("head",)
    DESCRIPTION = "A person that can be animated: of pictures of one person, or saved by fine_tune."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        face = {"default": 0, "min": 0, "max": 99, "tooltip": "which face of each picture; 0 is the largest"}
        path = {"default": "", "tooltip": "a .safetensors that fine_tune wrote, instead of pictures"}
        return {
            "required": {},
            "optional": {"images": ("IMAGE",), "face": ("INT", face), "saved_head": ("STRING", path)},
        }

    def run(self, images: torch.Tensor | None = None, face: int = 0, saved_head: str = "") -> tuple[Head]:
        if saved_head:
            head = Head.load(saved_head)
            reenactor().check_made_here(head, saved_head)
            return (head,)
        if images is None:
            raise BadInput("Load Head: connect pictures of a person, or name a saved head")
        return (reenactor().embed(to_uint8(images), face),)


class TrackDriver(Node):
    """Reads the motion of a driving video."""

    RETURN_TYPES, RETURN_NAMES = (MOTION,), ("motion",)
    DESCRIPTION = "The motion of a face in a video, given as a batch of frames."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        rate = {"default": 25.0, "min": 0.1, "max": 1000.0, "step": 0.01, "tooltip": "frames per second"}
        smoothing = {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.1, "tooltip": "of the landmarks, 0 is off"}
        face = {"default": 0, "min": 0, "max": 99, "tooltip": "which face of the first frame; 0 is the largest"}
        return {
            "required": {
                "frames": ("IMAGE",),
                "rate": ("FLOAT", rate),
                "smoothing": ("FLOAT", smoothing),
                "face": ("INT", face),
            }
        }

    def run(self, frames: torch.Tensor, rate: float, smoothing: float, face: int) -> tuple[Any]:
        return (reenactor().track(to_uint8(frames), face, smoothing, rate),)


class Animate(Node):
    """Moves a head as a driver moves."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE",), ("frames",)
    DESCRIPTION = "Frames of the head, as many as the driver has."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        whole = {"default": True, "tooltip": "the whole picture; off gives the square crop of the head"}
        return {
            "required": {
                "head": (HEAD,),
                "driver": (MOTION,),
                "motion": (["relative", "absolute"], {"tooltip": "absolute copies the driver's face shape too"}),
                "mouth": (["driver", "inpainted"], {"tooltip": "inside of a mouth that is closed in the picture"}),
                "paste_back": ("BOOLEAN", whole),
                "pose": gain("strength of the head motion"),
                "expression": gain("strength of the facial expression"),
                **{part: gain(f"further strength of the {part}") for part in PARTS},
            }
        }

    def run(
        self, head: Head, driver: Any, motion: str, mouth: str, paste_back: bool, pose: float, expression: float,
        **parts: float,
    ) -> tuple[torch.Tensor]:  # fmt: skip
        frames = reenactor().animate(
            head, driver, motion=motion, mouth=mouth, paste_back=paste_back, pose=pose, expression=expression,
            parts=parts,
        )  # fmt: skip
        return (to_batch(frames),)


class Edit(Node):
    """Edits the face of a head by sliders."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE",), ("image",)
    DESCRIPTION = "The picture of the head with an edited face; at 0 it is the picture itself."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        sliders = {
            name: {
                "default": 0.0, "min": float(control.low), "max": float(control.high),
                "step": 1.0 if control.unit else 0.05, "tooltip": control.help,
            }
            for name, control in CONTROLS.items()
        }  # fmt: skip
        return {"required": {"head": (HEAD,), **{name: ("FLOAT", slider) for name, slider in sliders.items()}}}

    def run(self, head: Head, **controls: float) -> tuple[torch.Tensor]:
        return (to_batch([reenactor().edit(head, **controls)]),)


NODE_CLASS_MAPPINGS = {
    "FewshotHeadsLoadHead": LoadHead,
    "FewshotHeadsTrackDriver": TrackDriver,
    "FewshotHeadsAnimate": Animate,
    "FewshotHeadsEdit": Edit,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "FewshotHeadsLoadHead": "Load Head",
    "FewshotHeadsTrackDriver": "Track Driver",
    "FewshotHeadsAnimate": "Animate Head",
    "FewshotHeadsEdit": "Edit Head",
}
