"""What the tabs Create and Fine-tune do, without a page."""

import base64
import re
import wave
from dataclasses import replace

import numpy as np
import pytest

from fewshot_heads import Head, read_image, read_video, write_image
from fewshot_heads.creative.blending.sampling import Sample, sample
from fewshot_heads.errors import BadInput
from fewshot_heads.media.verification import verify
from fewshot_heads.studio import animate, creations, edit
from fewshot_heads.studio.fine_tune import STAGES as TUNING_STAGES
from fewshot_heads.studio.fine_tune import fine_tune
from fewshot_heads.studio.jobs import Job
from fewshot_heads.studio.settings import task_config
from fewshot_heads.studio.uploads import Files
from tests.conftest import write_clip


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path, max_seconds=2, max_pictures=3, keep_minutes=10)


def test_morph(files, reenactor, mona, mona_path, tmp_path):
    write_image(tmp_path / "mirrored.png", np.ascontiguousarray(mona[:, ::-1]))
    config, job = task_config("morph", {"seconds": 0.1, "resolution": 256}), Job(creations.MORPH_STAGES)
    output = creations.morph_people(files, [mona_path, tmp_path / "mirrored.png"], None, config, reenactor, job)
    assert output.name == "mona_lisa_to_mirrored.mp4" and len(list(read_video(output))) == 5
    assert verify(output) and job.progress().share == 1


def test_sound(files, reenactor, mona_path, tmp_path):
    pytest.importorskip("librosa")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(4410) / 20)).astype(np.int16).tobytes())
    config = task_config("audio", {"mode": "speech", "paste_back": False})
    sound, job = files.sound(tmp_path / "tone.wav"), Job(creations.SOUND_STAGES)
    output = creations.animate_with_sound(files, mona_path, sound, config, reenactor, job)
    video = read_video(output)
    assert len(list(video)) == 5 and video.has_audio
    assert verify(output) and job.progress().share == 1


def test_people_and_a_portrait_among_them(files, reenactor, mona_path, monkeypatch):
    config, job = task_config("sample", {"count": 1, "seed": 3}), Job(creations.PEOPLE_STAGES)
    output = creations.invent_people(files, None, config, reenactor, job)
    assert output.name == "people_3.jpg" and verify(output) and read_image(output).std() > 20
    people = [("invented_0", person.head) for person in sample(reenactor, Sample(count=1))]
    monkeypatch.setattr(creations, "synthetic_gallery", lambda reenactor: iter(people))
    config = task_config("portrait", {"strength": 0.4})
    output = creations.reimagine(files, mona_path, None, config, reenactor, Job(creations.REIMAGINED_STAGES))
    assert output.name == "mona_lisa_reimagined.jpg" and verify(output)
    del creations._galleries[reenactor]


def test_animate__a_video_takes_the_expression_of_a_driver(files, reenactor, driver_frames, tmp_path):
    small = [frame[::2, ::2] for frame in driver_frames[:4]]
    write_clip(tmp_path / "talk.mp4", small[:3])
    write_clip(tmp_path / "smile.mp4", small)
    driver, job = files.driver(tmp_path / "smile.mp4"), Job(animate.STAGES)
    output = animate.animate_video(
        files, tmp_path / "talk.mp4", driver, driver.path, task_config("animate", {}), reenactor, job
    )
    assert output.name == "talk_smile.mp4" and len(list(read_video(output))) == 3
    assert verify(output) and job.progress().share == 1


def test_fine_tune__says_how_far_it_is_and_saves_the_head(files, reenactor, mona, mona_path, monkeypatch):
    def tune(self, head, tuning, criterion, on_step):  # seconds; tests/training has the true one
        assert tuning.steps == 4 and criterion
        on_step(3, 4)
        seen.append(job.progress().stage)
        return head

    seen: list[str] = []
    monkeypatch.setattr(type(reenactor), "fine_tune", tune)
    monkeypatch.setattr("fewshot_heads.studio.fine_tune.before_and_after", lambda *_: mona)
    config, job = task_config("fine_tune", {"steps": 4}), Job(TUNING_STAGES)
    head, picture = fine_tune(files, [mona_path], config, reenactor, job)
    assert seen == ["Fine-tuning 3 of 4"]
    reenactor.check_made_here(Head.load(head))
    assert head.name == "mona_lisa_head.safetensors" and verify(picture)


def test_edit__the_preview_is_marked_and_the_saved_picture_is_that_of_the_command(files, reenactor, mona, mona_path):
    values, job = {"smile": 1.0, "yaw": 15.0}, Job(edit.STAGES)
    page = edit.show(edit.open_preview(mona_path, reenactor, job), values, reenactor, job)
    shown = files.new("shown.jpg")
    shown.write_bytes(base64.b64decode(re.search('base64,([^"]+)', page)[1]))
    assert verify(shown).metadata and verify(shown).watermark.found
    saved = edit.save(files, mona_path, values, ".png", reenactor, job)
    assert (
        verify(saved)
        and np.abs(read_image(saved) - reenactor.edit(reenactor.embed(mona), **values).astype(int)).max() < 20
    )
    pose = edit.save(files, mona_path, values, ".safetensors", reenactor, job)
    assert files.motion(pose).reference == 0 and job.progress().share == 0.8
    with pytest.raises(BadInput, match="mona_lisa_edited.safetensors: 0 s long; 0.01 s are allowed"):
        replace(files, max_seconds=0.01).motion(pose)
    config, job = task_config("animate", {"pose": 0.5}), Job(animate.STAGES)
    video = animate.animate(files, [mona_path], files.motion(pose), pose, config, reenactor, job)
    assert video.name == "mona_lisa_mona_lisa_edited.mp4" and len(list(read_video(video))) == 2
