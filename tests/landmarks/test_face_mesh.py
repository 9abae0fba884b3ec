import numpy as np

from fewshot_heads.landmarks.face_detector import FaceDetector
from fewshot_heads.landmarks.face_mesh import FaceMesh, blendshapes
from fewshot_heads.landmarks.turned_square import TurnedSquare


def test_the_mesh_lies_in_the_square_of_its_face(mona):
    (square,) = FaceDetector(0.4)(mona, 1)
    mesh, confidence = FaceMesh()(mona, square)
    assert mesh.shape == (478, 3) and confidence > 0.9
    assert (np.abs(mesh[:, :2] - square.center) < square.side / 2).all()


def test_the_mesh_hardly_depends_on_the_square_it_is_looked_for_in(mona):
    find, (square,) = FaceMesh(), FaceDetector(0.4)(mona, 1)
    expected, _ = find(mona, square)
    size = np.ptp(expected[:, :2], axis=0).max()
    for change in ({"side": 1.2 * square.side}, {"angle": square.angle + 0.2}, {"center": square.center + 0.1 * size}):
        other = square._replace(**change)
        far, near = (
            np.linalg.norm((mesh - expected)[:, :2], axis=1).mean() / size
            for mesh, _ in (find.run(mona, other), find(mona, other))
        )
        assert near < 0.008 and near < far


def test_the_mesh_of_the_mirrored_image_needs_no_mirrored_image(mona):
    find, flipped = FaceMesh(), np.ascontiguousarray(mona[:, ::-1])
    (square,) = FaceDetector(0.4)(flipped, 1)
    expected, _ = find.run(flipped, square)
    np.testing.assert_allclose(find.run(mona, square, mirrored=True)[0], expected, atol=0.01 * square.side)


def test_a_square_without_a_face_has_little_confidence(mona):
    _, confidence = FaceMesh()(mona, TurnedSquare(np.array([60.0, 300.0]), 80.0))
    assert confidence < 0.1


def test_blendshapes_do_not_depend_on_the_size_of_the_image(mona):
    (square,) = FaceDetector(0.4)(mona, 1)
    mesh, _ = FaceMesh()(mona, square)
    np.testing.assert_allclose(blendshapes(mesh), blendshapes(mesh * 3), atol=1e-3)
