"""`preparation.frames`: runs of frames."""

import numpy as np

from fewshot_heads.preparation.frames import face_runs


def test_runs_of_frames_with_a_face():
    with_face = np.array([2, 3, 4, 6, 7, 20, 21, 22])
    runs, gaps = face_runs(with_face, [0, 4], max_gap=5, count=30)
    assert [run.tolist() for run in runs] == [[2, 3], [4, 6, 7], [20, 21, 22]]
    assert gaps == [(8, 20), (23, 30)]
