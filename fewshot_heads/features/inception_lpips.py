"""The networks of FID and LPIPS, from the packages that define these metrics."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

import numpy as np
import torch

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import UNREADABLE, import_optional, read_state_dict
from fewshot_heads.imaging.convert import pair, signed, unit, unit_to_uint8

_DOWNLOAD_TIMEOUT_S = 15.0  # without a limit, a silent server would stop the program


class InceptionFeatures:
    """Features for `metrics.frechet_distance`: pool3 of the Inception network of FID, from torch-fidelity.

    Source: Heusel et al., NeurIPS 2017.
    """

    def __init__(self, weights_path: str | Path, batch: int = 16) -> None:
        """Loads the weights.

        Args:
            weights_path: state dict, usually named pt_inception-2015-12-05-6726825d.pth.
            batch: number of images per forward pass.

        Raises:
            BadInput: if torch-fidelity is missing or the file holds other weights.
        """
        package, self.batch = import_optional("torch_fidelity", "InceptionFeatures"), batch
        try:
            # Checked first, because torch-fidelity unpickles any file. Some of its versions stay in training mode.
            read_state_dict(weights_path)
            self.network = package.FeatureExtractorInceptionV3("fid", ["2048"], str(weights_path)).eval()
        except BadInput:
            raise
        except UNREADABLE as error:
            raise BadInput(f"{weights_path}: not the weights of FID's Inception; name its state dict") from error

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the features, float64 [N, 2048].

        Args:
            images: uint8 or float from 0 to 1, RGB [N, H, W, 3].
        """
        batches = torch.from_numpy(unit_to_uint8(unit(images))).permute(0, 3, 1, 2).split(self.batch)
        return torch.cat([self.network(batch)[0] for batch in batches]).double().numpy()


class LPIPS:
    """Learned perceptual image patch similarity, from the package lpips.

    Source: Zhang et al., CVPR 2018.
    """

    def __init__(self, network: str = "alex", batch: int = 8) -> None:
        """Loads the network. torchvision downloads its ImageNet weights once.

        Args:
            network: "alex", "vgg" or "squeeze".
            batch: number of image pairs per forward pass.

        Raises:
            BadInput: if the network is another, lpips is missing or the weights cannot be fetched.
        """
        if network not in ("alex", "vgg", "squeeze"):
            raise BadInput(f"LPIPS: network {network!r}, expected alex, vgg or squeeze")
        package, self.batch = import_optional("lpips", "LPIPS"), batch
        default_timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # lpips uses a deprecated argument of torchvision
                self.network = package.LPIPS(net=network, verbose=False)
        except UNREADABLE as error:
            remedy = f"put torchvision's file into {torch.hub.get_dir()}/checkpoints"
            raise BadInput(f"LPIPS: no ImageNet weights of {network} ({first_line(error)}); {remedy}") from error
        finally:
            socket.setdefaulttimeout(default_timeout)

    @torch.inference_mode()
    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Returns the distance of each image pair, float64 [N].

        Args:
            a: uint8 or float from 0 to 1, RGB [N, H, W, 3].
            b: images of the same shape.
        """
        batches = zip(*(signed(images).split(self.batch) for images in pair(a, b)), strict=True)
        return torch.cat([self.network(x, y).flatten() for x, y in batches]).double().numpy()
