"""Works of the tab Create: morph, sound, people who do not exist, portraits re-imagined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from fewshot_heads.cli.inputs import settings_of
from fewshot_heads.creative.blending.identity_blend import load_person
from fewshot_heads.creative.blending.morphing import Morph, morph
from fewshot_heads.creative.blending.portraits import Portrait, portrait
from fewshot_heads.creative.blending.retrieval import nearest, synthetic_gallery
from fewshot_heads.creative.blending.sampling import Sample, grid, moved, sample
from fewshot_heads.creative.sound.animation import animated
from fewshot_heads.creative.sound.features import analyse
from fewshot_heads.creative.sound.performance import motion_from_audio
from fewshot_heads.head import Head
from fewshot_heads.imaging.resizing import resized
from fewshot_heads.media.audio import Audio
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import Video, exact_rate
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.studio.jobs import Job
from fewshot_heads.studio.steps import DRIVER, FRAMES, PORTRAIT, STAGES, track, write_video
from fewshot_heads.studio.uploads import Files

PEOPLE, GALLERY = "Inventing people", "Looking for similar faces"
MORPH_STAGES, SOUND_STAGES = STAGES, {PORTRAIT: 0.1, FRAMES: 0.9}
PEOPLE_STAGES = {PEOPLE: 0.4, DRIVER: 0.2, FRAMES: 0.4}
REIMAGINED_STAGES = {PORTRAIT: 0.1, GALLERY: 0.4, DRIVER: 0.2, FRAMES: 0.3}

_INVENTED = 24  # people of `synthetic_gallery`
_ANALYSIS_KEYS = ("bass", "vocal", "attack", "release", "gate", "onset_gap")
_PERFORMANCE_KEYS = ("seed", "idle_motion_gain", "blinks", "clamp")
_galleries: WeakKeyDictionary[Reenactor, list[tuple[str, Head]]] = WeakKeyDictionary()


def morph_people(
    files: Files, people: Sequence[Path], driver: Video | None, config: Mapping[str, Any], reenactor: Reenactor,
    job: Job,
) -> Path:  # fmt: skip
    """Returns a video in which each person becomes the next.

    Args:
        files: where the video goes.
        people: a picture of each, two or more.
        driver: moves them; None gives idle motion.
        config: the keys of conf/morph.yaml.
        reenactor: makes the frames.
        job: has the stages `MORPH_STAGES`.
    """
    settings = settings_of(Morph, config)
    heads = [load_person(reenactor, path) for path in job.watch(PORTRAIT, people, len(people))]
    motion = track(reenactor, job, files, driver, config) if driver else None
    count = settings.frames(len(heads)) if motion is None else len(motion)
    output = files.new(f"{people[0].stem}_to_{people[-1].stem}.mp4")
    frames, like = morph(reenactor, heads, motion, settings), driver or exact_rate(settings.rate)
    mark = reenactor.provenance(composite=False).made_from((*people, *_paths(driver)))
    return write_video(job, frames, count, output, like, mark, config["crf"])


def animate_with_sound(
    files: Files, source: Path, sound: Audio, config: Mapping[str, Any], reenactor: Reenactor, job: Job
) -> Path:
    """Returns a video of a portrait that moves with music or speech.

    Args:
        files: where the video goes.
        source: a picture.
        sound: what is heard.
        config: the keys of conf/audio.yaml.
        reenactor: makes the frames.
        job: has the stages `SOUND_STAGES`.
    """
    job.step(PORTRAIT)
    rate = exact_rate(config["rate"])
    curves = analyse(sound, rate, **{key: config[key] for key in _ANALYSIS_KEYS})
    motion = motion_from_audio(curves, config["react"], rate, **{key: config[key] for key in _PERFORMANCE_KEYS})
    head = load_person(reenactor, source)
    frames = animated(reenactor, head, motion, None, config["paste_back"], config["batch"])
    output = files.new(f"{source.stem}_{sound.path.stem}.mp4")
    mark = reenactor.provenance(config["paste_back"]).made_from((source, sound.path))
    return write_video(job, frames, len(motion) - 1, output, rate, mark, config["crf"], sound)


def invent_people(
    files: Files, driver: Video | None, config: Mapping[str, Any], reenactor: Reenactor, job: Job
) -> Path:
    """Returns a picture of people who do not exist or, with a driver, a video.

    Args:
        files: where the result goes.
        driver: moves all of them alike; None gives a picture.
        config: the keys of conf/sample.yaml.
        reenactor: makes the frames.
        job: has the stages `PEOPLE_STAGES`.
    """
    settings = settings_of(Sample, config)
    heads = [person.head for person in job.watch(PEOPLE, sample(reenactor, settings), settings.count)]
    mark, name = reenactor.provenance(composite=False).made_from(_paths(driver)), f"people_{settings.seed}"
    if driver is None:
        side = settings.side or heads[0].picture.shape[0]
        return _write_picture(files, name, grid([resized(head.picture, side) for head in heads]), mark)
    motion = track(reenactor, job, files, driver, config)
    frames = moved(reenactor, heads, motion, settings)
    return write_video(job, frames, len(motion), files.new(f"{name}.mp4"), driver, mark, config["crf"])


def reimagine(
    files: Files, source: Path, driver: Video | None, config: Mapping[str, Any], reenactor: Reenactor, job: Job
) -> Path:
    """Returns a portrait blended with similar people who do not exist, as a picture or, with a driver, a video.

    Args:
        files: where the result goes.
        source: a picture.
        driver: moves the portrait; None gives a picture.
        config: the keys of conf/portrait.yaml.
        reenactor: makes the frames.
        job: has the stages `REIMAGINED_STAGES`.
    """
    settings = settings_of(Portrait, config)
    job.step(PORTRAIT)
    head = load_person(reenactor, source)
    if reenactor not in _galleries:  # some seconds, the first time
        _galleries[reenactor] = list(job.watch(GALLERY, synthetic_gallery(reenactor), _INVENTED))
    neighbours = nearest(head, _galleries[reenactor], settings.neighbours)
    mark = reenactor.provenance(composite=False).made_from((source, *_paths(driver)))
    name = f"{source.stem}_reimagined"
    if driver is None:
        return _write_picture(files, name, next(portrait(reenactor, head, neighbours, None, settings)), mark)
    motion = track(reenactor, job, files, driver, config)
    frames = portrait(reenactor, head, neighbours, motion, settings)
    return write_video(job, frames, len(motion), files.new(f"{name}.mp4"), driver, mark, config["crf"])


def _paths(driver: Video | None) -> list[Path]:
    """Returns the path of a driver, if there is one."""
    return [driver.path] if driver else []


def _write_picture(files: Files, name: str, picture: Any, mark: Any) -> Path:
    """Writes a picture with its mark and returns its path."""
    output = files.new(f"{name}.jpg")
    write_image(output, picture, mark)
    return output
