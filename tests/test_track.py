"""The command that saves a motion, and the motion as a driver of every command."""

import numpy as np
import pytest

from fewshot_heads import BadInput, Head, animate, batch, read_video, track
from fewshot_heads.creative import morph, portrait, sample
from fewshot_heads.driving.motion import Motion
from tests.conftest import write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, driver_frames, reenactor, mona):
    """A clip of three frames at 12.5 per second, its saved motion, and a saved head."""
    folder = tmp_path_factory.mktemp("motion")
    write_clip(folder / "talk.mp4", driver_frames[:3], 12.5)
    reenactor.embed([mona]).save(folder / "mona.safetensors")
    assert track.main([str(folder / "talk.mp4"), "-o", str(folder / "talk_motion.safetensors")]) == 0
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_a_saved_motion_animates_as_its_video(inside, reenactor):
    video, saved = read_video("talk.mp4"), Motion.load("talk_motion.safetensors")
    tracked = reenactor.track(video)
    assert all(
        np.array_equal(a.to_array(), b.to_array()) for a, b in zip(tracked.landmarks, saved.landmarks, strict=True)
    )
    assert (saved.rate, saved.frame_size, saved.name) == (video.rate, tracked.frame_size, "talk.mp4")
    head = Head.load("mona.safetensors")
    options = {"paste_back": False, "resolution": 128}
    from_video = list(reenactor.animate(head, tracked, mouth="inpainted", shading=0, **options))
    from_file = list(reenactor.animate(head, saved, **options))
    assert np.array_equal(from_video, from_file)


def test_the_file_has_no_pixels(inside):
    motion = Motion.load("talk_motion.safetensors")
    with pytest.raises(BadInput, match="not a head"):
        Head.load("talk_motion.safetensors")
    assert motion.mouths is None and (inside / "talk_motion.safetensors").stat().st_size < 4000 * len(motion)


def test_commands_take_a_saved_motion(inside):
    assert animate.main(["mona.safetensors", "talk_motion.safetensors", "-o", "a.mp4", "paste_back=false"]) == 0
    a = read_video("a.mp4")
    assert (a.rate, a.has_audio, len(list(a))) == (12.5, False, 3)
    (inside / "jobs.tsv").write_text("sources\tdriver\toutput\nmona.safetensors\ttalk_motion.safetensors\tb.mp4\n")
    assert batch.main(["jobs.tsv", "workers.processes=0", "paste_back=false"]) == 0
    assert read_video("b.mp4").rate == 12.5


def test_creative_commands_tell_a_motion_from_a_head(inside, capsys):
    assert sample.main(["talk_motion.safetensors", "-o", "c.gif", "count=1", "resolution=64"]) == 0
    assert len(list(read_video("c.gif"))) == 3
    motion, head = "talk_motion.safetensors", "mona.safetensors"
    assert morph.main([motion, head]) == 2 and "comes last" in capsys.readouterr().err
    assert portrait.main([motion, head]) == 2 and "comes last" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mona.safetensors", "talk_motion.safetensors", "side_by_side=true"], "no pictures to show"),
        (["mona.safetensors", "mona.safetensors"], "not a motion"),
    ],
)
def test_what_a_saved_motion_cannot_do_is_told(inside, capsys, arguments, told):
    before = set(inside.iterdir())
    assert animate.main([*arguments, "-o", "d.mp4"]) in (1, 2)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ") and told in line and set(inside.iterdir()) == before
