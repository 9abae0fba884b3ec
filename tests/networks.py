"""Small stand-ins for the networks and images that measures compare."""

from __future__ import annotations

import numpy as np
import torch

from fewshot_heads.features.mobilefacenet import ARCFACE_POINTS, MobileFaceNet


def image_pair() -> tuple[np.ndarray, np.ndarray]:
    """Returns two smooth images and the same two with noise, uint8 [2, 48, 40, 3]."""
    random = np.random.default_rng(0)
    smooth = np.kron(random.random((2, 6, 5, 3)), np.ones((1, 8, 8, 1)))
    truth = (255 * smooth).astype(np.uint8)
    return truth, np.clip(truth + random.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)


def save_vgg19(path):
    """Writes VGG-19 of random weights up to conv3_1, in the layout of the caffe model."""
    random, channels, arrays = np.random.default_rng(0), 3, {}
    for name, out in (("conv1_1", 64), ("conv1_2", 64), ("conv2_1", 128), ("conv2_2", 128), ("conv3_1", 256)):
        arrays[f"{name}.weight"] = random.normal(0, (2 / (9 * channels)) ** 0.5, (out, channels, 3, 3))
        arrays[f"{name}.bias"] = random.normal(0, 0.1, out)
        channels = out
    np.savez(path, **arrays)
    return path


def save_mobilefacenet(path):
    """Writes MobileFaceNet of random weights."""
    torch.manual_seed(0)
    torch.save(MobileFaceNet().state_dict(), path)
    return path


def alignable_face(scale: float = 1.0, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Returns 70 points whose five alignment points are those of ArcFace, moved by a similarity."""
    eye_a, eye_b, nose, mouth_a, mouth_b = np.array(ARCFACE_POINTS)
    points = np.full((70, 2), 56.0)
    points[36:42], points[42:48] = eye_a, eye_b
    points[30], points[48], points[54] = nose, mouth_a, mouth_b
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


def noisy_weights(reenactor) -> dict[str, np.ndarray]:
    """Returns the generator's weights with noise, as those of a head that was fine-tuned to be another."""
    random = np.random.default_rng(0)
    weights = reenactor.checkpoint.networks.generator.state_dict()
    return {
        name: value.numpy() + np.float32(0.3 * value.numpy().std() * random.standard_normal(value.shape))
        for name, value in weights.items()
    }
