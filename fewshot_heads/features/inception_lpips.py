"""Features of FID and LPIPS, from the packages that define them."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

import numpy as np
import torch

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import UNREADABLE, import_optional, to_bytes
from fewshot_heads.imaging.convert import pair, signed, unit

_PATIENCE = 15.0  # seconds that a silent server may take, for a download that would otherwise hang


class InceptionFeatures:
    """The Inception of FID (2048-d pool3) by torch-fidelity: images -> float64 [N,2048] for `frechet_distance`.

    weights_path: its state dict, a file named pt_inception-2015-12-05-6726825d.pth.
    """

    def __init__(self, weights_path: str | Path, batch: int = 16) -> None:
        package, self.batch = import_optional("torch_fidelity", "InceptionFeatures"), batch
        try:
            # Read once beforehand: torch-fidelity may unpickle whatever the file holds. Some versions forget eval.
            torch.load(weights_path, map_location="cpu", weights_only=True)
            self.network = package.FeatureExtractorInceptionV3("fid", ["2048"], str(weights_path)).eval()
        except UNREADABLE as error:
            raise BadInput(f"{weights_path}: not the weights of FID's Inception ({first_line(error)})") from error

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        pictures = torch.from_numpy(to_bytes(unit(images))).permute(0, 3, 1, 2)
        return torch.cat([self.network(part)[0] for part in pictures.split(self.batch)]).double().numpy()


class LPIPS:
    """Learned perceptual distance (Zhang et al. 2018) by PyPI lpips: two stacks of images -> float64 [N].

    network: alex, vgg or squeeze; torchvision fetches that network's ImageNet weights once, if they are not there.
    """

    def __init__(self, network: str = "alex", batch: int = 8) -> None:
        if network not in ("alex", "vgg", "squeeze"):
            raise BadInput(f"LPIPS: network {network!r}, expected alex, vgg or squeeze")
        package, self.batch, before = import_optional("lpips", "LPIPS"), batch, socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it asks torchvision in a way that has been renamed
                self.network = package.LPIPS(net=network, verbose=False)
        except UNREADABLE as error:
            remedy = f"put torchvision's file into {torch.hub.get_dir()}/checkpoints"
            raise BadInput(f"LPIPS: no ImageNet weights of {network} ({first_line(error)}); {remedy}") from error
        finally:
            socket.setdefaulttimeout(before)

    @torch.inference_mode()
    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        parts = zip(*(signed(images).split(self.batch) for images in pair(a, b)), strict=True)
        return torch.cat([self.network(x, y).flatten() for x, y in parts]).double().numpy()
