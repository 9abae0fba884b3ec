"""Changes the expression of the person in a video, frame by frame; pose, body and background stay the video's own.

A head that does not move uncovers nothing. So each frame is a head of its own whose only layer is the frame, warped by
the spline of its expression, corrected by the generator and laid over the frame where it differs (`Editor`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from fewshot_heads.driving.covered_mouth import lips_are_covered
from fewshot_heads.driving.expression_transfer import ExpressionTransfer
from fewshot_heads.driving.motion import Motion
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.errors import BadInput, check_choice
from fewshot_heads.head import Head
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.models.network import GeneratorNetwork, Network
from fewshot_heads.rendering.animation import FrameRenderer, embed_crops
from fewshot_heads.rendering.editing import Editor
from fewshot_heads.rendering.parallel import in_parallel
from fewshot_heads.rendering.source_crop import texture_size


def edit_video(
    frames: Iterable[np.ndarray], tracked: Motion, driver: Motion, embedder: Network, generator: GeneratorNetwork,
    inpainters: Mapping[str, Network], expression: float = 1.0, reference: int | None = None,
    mouth: str = "driver", parts: Mapping[str, float] | None = None,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Returns an iterator over frames of a video whose person has the driver's expression, uint8 [H, W, 3].

    Frames are paired one by one, as many as the shorter of both has.

    Args:
        frames: of the video, uint8 [H, W, 3], at the driver's rate.
        tracked: motion of the person in the video.
        driver: motion of the driver.
        embedder: the embedder.
        generator: the generator.
        inpainters: networks by face region.
        expression: strength of the expression, 1 as in the driver.
        reference: driver frame that corresponds to the usual face of a shot. None: the motion's, or chosen.
        mouth: fills a mouth that is closed in the video: "driver" or "inpainted".
        parts: as in `retargeting.retarget`.

    Raises:
        BadInput: an option is out of range, or the weights synthesize every pixel.
    """
    check_choice("mouth", mouth, ("driver", "inpainted"))
    if not generator.textured:
        raise BadInput("these weights make every pixel anew; take weights of the realtime preset")
    size = generator.size
    reference = driver.reference if reference is None else reference
    transfer = ExpressionTransfer(
        tracked.cropped(size), tracked.shots, driver.cropped(size), expression, reference, parts
    )
    shown, mouths = islice(frames, min(len(tracked), len(driver))), driver.mouths if mouth == "driver" else None
    return _render(shown, tracked, transfer.face, mouths, embedder, generator, inpainters)


def _render(
    frames: Iterable[np.ndarray],
    motion: Motion,
    face: Callable[[int, bool], Landmarks],
    mouths: Sequence[MouthCrop] | None,
    embedder: Network,
    generator: GeneratorNetwork,
    inpainters: Mapping[str, Network],
) -> Iterator[np.ndarray]:
    """Yields the frames of a video with other expressions, uint8 [H, W, 3]. A frame without a face stays as it is.

    Args:
        frames: of the video, uint8 [H, W, 3]. They may be fewer than those of the motion.
        motion: of the person in the video.
        face: returns the face to show in a frame, pixels of the frame's crop, with its own lips if they are covered.
        mouths: of a driver, one a frame; None leaves all mouths to the inpainter.
        embedder: the embedder.
        generator: the generator.
        inpainters: networks by face region.
    """
    crops, lost = motion.crops(generator.size), set(motion.lost)
    # The first face of each shot, which has one crop, gives e_hat, style, and whether something covers the mouth.
    codes: dict[Crop, tuple[np.ndarray, np.ndarray]] = {}
    covered: dict[Crop, bool] = {}

    def inputs() -> Iterator[np.ndarray | tuple[Head, Landmarks, MouthCrop | None]]:
        for i, frame in enumerate(frames):
            if i in lost:
                yield frame
                continue
            own = crops[i].to_crop(motion.landmarks[i])
            if crops[i] not in codes:
                codes[crops[i]] = embed_crops(crops[i].cut(frame)[None], [own], embedder)
                covered[crops[i]] = lips_are_covered(frame, motion.landmarks[i], motion.name)
            head = _still_head(frame, own, crops[i], *codes[crops[i]])
            yield head, face(i, covered[crops[i]]), mouths[i] if mouths else None

    def render(item: np.ndarray | tuple[Head, Landmarks, MouthCrop | None]) -> np.ndarray:
        if isinstance(item, np.ndarray):
            return item
        head, shown, mouth = item
        return Editor(FrameRenderer(head, generator, inpainters, True)).show(shown, mouth)

    yield from in_parallel(render, inputs())


def _still_head(frame: np.ndarray, face: Landmarks, crop: Crop, e_hat: np.ndarray, style: np.ndarray) -> Head:
    """Returns a frame as a head that keeps its place: the whole crop is its head layer, and there is nothing behind.

    Args:
        frame: uint8 [H, W, 3].
        face: pixels of the crop.
        crop: of the frame.
        e_hat: [E], of the person.
        style: [P], of the person.
    """
    texture = replace(crop, size=texture_size([crop])).cut(frame)
    opaque = np.full((*texture.shape[:2], 1), 255, np.uint8)
    layer, nothing = np.concatenate([texture, opaque], 2), np.concatenate([texture, 0 * opaque], 2)
    return Head(e_hat, style, texture[None], layer[None], nothing, texture, [face], frame, crop, generator="")
