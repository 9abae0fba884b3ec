"""`preparation.sources`: which files are footage, and whom their folders name."""

import pytest

from fewshot_heads.preparation.sources import find_sources


@pytest.mark.parametrize(
    ("path", "identity", "split"),
    [
        ("ann/a.mp4", "ann", None),
        ("ann/session 1/a.mp4", "ann", None),
        ("a.mp4", None, None),
        ("train/ann/a.mp4", "ann", "train"),
        ("val/ann/videos/a.mp4", "ann", "val"),
        ("Test/ann/a.mp4", "ann", "val"),
        ("train/a.mp4", None, "train"),
        ("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "id00012", None),
        ("vox1/whatever/id10270/x/00001.mp4", "id10270", None),
        ("ann/data/a.mp4", "ann", None),
    ],
)
def test_folders_name_people(path, identity, split, tmp_path):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    (source,) = find_sources(tmp_path)
    assert (source.name, source.identity, source.split) == (path, identity, split)


def test_pictures_in_no_folder_are_sources_of_their_own(tmp_path):
    for name in ("1.jpg", "2.jpg", ".hidden.jpg", "ann/1.jpg", "ann/2.jpg", "ann/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [source.name for source in find_sources(tmp_path)] == ["1.jpg", "2.jpg", "ann", "ann/a.mp4"]
    assert len(find_sources(tmp_path, people_in_folders=False)) == 5


def test_linked_folders_are_followed_once(footage, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/cara").symlink_to(footage / "ann")
    (tmp_path / "links/loop").symlink_to(tmp_path / "links")
    assert [source.name for source in find_sources(tmp_path / "links")] == ["cara/a.mp4"]
