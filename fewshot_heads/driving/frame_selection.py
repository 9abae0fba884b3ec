"""Selects the frames of a video whose poses differ most."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fewshot_heads.driving.tracking import Motion, nearest
from fewshot_heads.landmarks import Detector
from fewshot_heads.landmarks.pose_distance import farthest_point_sample


def frames_of_different_pose(
    video: Iterable[np.ndarray], motion: Motion, count: int, detector: Detector
) -> tuple[list[np.ndarray], list[int]]:
    """Returns frames of a tracked video spread over its poses, and which face of each was tracked.

    Args:
        video: frames uint8 [H, W, 3], RGB. Only selected frames stay in memory.
        motion: the tracked motion of that video. Frames without a face are never selected.
        count: number of frames; fewer if the video is shorter.
        detector: finds the tracked person among the faces of a frame. The person need not be the largest in each.
    """
    with_face = sorted(set(range(len(motion))) - set(motion.lost))
    spread = farthest_point_sample([motion.landmarks[i] for i in with_face], count)
    indices = [with_face[i] for i in spread]
    selected = {i: frame for i, frame in enumerate(video) if i in set(indices)}
    faces = [nearest(detector.detect(selected[i]), motion.landmarks[i]) for i in indices]
    return [selected[i] for i in indices], faces
