"""Assembles an episode from footage: images, layers, flows and target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from fewshot_heads.datasets.augment import Augmentation, rotate_in_depth
from fewshot_heads.datasets.batches import EpisodeBatch
from fewshot_heads.datasets.clips import Clip
from fewshot_heads.datasets.layer_store import separate_image
from fewshot_heads.imaging.convert import to_float, to_tensor
from fewshot_heads.imaging.masks import disocclusion_mask, region_masks
from fewshot_heads.landmarks.aspect_ratio import disocclusion_amount
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.layers.separation import PortraitLayers
from fewshot_heads.rendering.behind_head import BehindHead, rgba_layers
from fewshot_heads.rendering.head_views import HeadViews


def assemble(
    clip: Clip,
    shots: Sequence[int],
    source_index: int,
    target: int,
    change: Augmentation,
    turn: np.random.Generator | None = None,
    layers_of: Callable[[np.ndarray, np.ndarray], PortraitLayers] = separate_image,
) -> EpisodeBatch:
    """Returns one episode without patch and identity; all images have the same augmentation.

    Args:
        clip: the footage.
        shots: K frame numbers of the source images.
        source_index: which of the K images is warped.
        target: number of the frame to reenact.
        change: the augmentation.
        turn: random numbers for `rotate_in_depth` of the source images. None does not rotate them.
        layers_of: returns the layers of an image [S, S, 3] with landmarks [70 or 221, 3].
    """
    landmarks, size = np.asarray(clip.landmarks), change.size
    valid = np.ones((size, size), np.float32)
    sources = {i: (clip.frames[i], landmarks[i], valid) for i in dict.fromkeys(shots)}
    if turn is not None:
        sources = {i: rotate_in_depth(image, points, turn) for i, (image, points, _) in sources.items()}
    images = {i: change.picture(image) for i, (image, _, _) in sources.items()}
    faces = {i: change.face(points) for i, (_, points, _) in sources.items()}
    source = shots[source_index]
    valid = change.warp(sources[source][2]).round()
    stickmen = {i: draw_stickman(face.points, size) for i, face in faces.items()}
    source_face, target_face = faces[source], change.face(landmarks[target])
    disocclusion = disocclusion_mask(target_face, disocclusion_amount(source_face, target_face), size)
    layers = change.layers(layers_of(*sources[source][:2]))
    head_views = HeadViews([source_face], layers.head[None], size, layers.body)
    views = head_views.blend(target_face)
    behind = BehindHead(rgba_layers(layers.body[None])[0], to_float(layers.background))
    background = head_views.back.draw(behind.follow([source_face], [target_face], size), [views.back])[0]
    regions = np.stack([*region_masks(target_face.points, size), disocclusion]).astype(np.float32)
    return EpisodeBatch(
        images=to_tensor(np.stack([images[i] for i in shots])),
        stickmen=to_tensor(np.stack([stickmen[i] for i in shots])),
        source_index=torch.tensor(source_index),
        views=torch.from_numpy(head_views.images(rgba_layers(layers.head[None]))),
        flows=torch.from_numpy(views.flows),
        weights=torch.from_numpy(views.weights),
        confidence=torch.from_numpy(views.confidence),
        background=torch.from_numpy(background),
        disocclusion=torch.from_numpy(disocclusion)[None],
        target=to_tensor(change.picture(clip.frames[target])),
        stickman=to_tensor(draw_stickman(target_face.points, size)),
        regions=torch.from_numpy(regions),
        valid_mask=torch.from_numpy(np.ascontiguousarray(valid))[None],
        face_box=torch.from_numpy(target_face.box.astype(np.float32)),
    )
