"""The environment is one in which the package works: what pip can install side by side and still break."""

import re
from importlib import metadata

import cv2

OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")


def _installed() -> dict[str, str]:
    """The OpenCV distributions of this environment and their versions."""
    versions = {}
    for name in OPENCV:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def test_opencv__all_distributions_have_the_version_of_cv2():
    """The distributions write into one folder. Of two versions, cv2 would be a mixture."""
    installed = _installed()
    assert installed
    assert set(installed.values()) == {cv2.version.opencv_version}, installed
    assert cv2.version.opencv_version.startswith(f"{cv2.__version__}.")


def test_opencv__one_distribution_is_required():
    """face-alignment requires opencv-python. With another distribution, cv2 would be the one installed last."""
    required = [line for line in metadata.requires("fewshot_heads") or [] if "extra" not in line]
    assert [re.split(r"[^a-z-]", line)[0] for line in required if line.startswith("opencv")] == ["opencv-python"]
