"""The hostile cases: every way in which a file or an option enters a command, with something bad in its place.

`hostile_cases` gives the same cases for the same seed. The first are listed, all others are drawn.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fewshot_heads.cli.config import load_config
from fewshot_heads.errors import printable
from tests.hostile import damage
from tests.hostile.good_files import (
    ALL,
    ARRAYS,
    FOOTAGE,
    GALLERY,
    HEAD,
    JOBS,
    MOTION,
    PICTURES,
    PREPARED,
    RECORDINGS,
    RUN,
    SOUNDS,
    STATE,
    VIDEOS,
    WEIGHTS,
    copy_good_file,
)  # fmt: skip
from tests.hostile.spoiled_heads import SPOILED_HEADS

Spoil = Callable[[Path, Random], None]


@dataclass(frozen=True)
class Place:
    """A way in which a file enters a command.

    Attributes:
        command: module of the package.
        arguments: with BAD for the path of the bad file. All other files are good.
        kinds: good files that belong here.
        leaves: what the command may leave behind after an error.
    """

    command: str
    arguments: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A command with something bad.

    Attributes:
        name: unique.
        place: the command.
        told: texts, one of which the line of the error has.
        file: name of the bad file, "" for none.
        kind: good file that is spoiled; "" starts from nothing.
        spoil: makes the bad file.
        options: further arguments.
    """

    name: str
    place: Place
    told: tuple[str, ...]
    file: str = ""
    kind: str = ""
    spoil: Spoil | None = None
    options: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Returns the command line."""
        return [*(part.replace("BAD", self.file) for part in self.place.arguments), *self.options]

    def make(self, folder: Path, good: Path, seed: int) -> None:
        """Fills a folder with the good files that the command names, the bad one, and a file that must survive."""
        for name in set(map(_name, (*self.place.arguments, *self.options))) & set(ALL):
            copy_good_file(name, good, folder / name)
        (folder / "precious.mp4").write_bytes(b"precious")
        if self.kind:
            copy_good_file(self.kind, good, folder / self.file)
        if self.spoil is not None:
            self.spoil(folder / self.file, Random(f"{seed} {self.name}"))


def _name(argument: str) -> str:
    """Returns the file in an argument such as `gallery=FOLDER`."""
    return argument.rpartition("=")[2]


_SMOKE = ("experiment=smoke", "runtime=cpu", "data.holdout_fraction=0.5")
_STOPS = "init_from=absent.safetensors"  # read last, so that nothing is trained where the data are good enough
PLACES = {
    "source": Place("animate", ("BAD", "video.mp4"), (*PICTURES, HEAD)),
    "driver": Place("animate", (HEAD, "BAD"), VIDEOS),
    "portrait": Place("live", ("BAD", "--input", "video.mp4", "-o", "live.mp4"), (*PICTURES, HEAD)),
    "camera": Place("live", (HEAD, "--input", "BAD", "-o", "live.mp4"), VIDEOS),
    "motion": Place("animate", ("picture.jpg", "BAD"), (MOTION,)),
    "tracked": Place("track", ("BAD",), VIDEOS),
    "edited": Place("edit", ("BAD", "smile=1"), (*PICTURES, HEAD)),
    "exported": Place("export", ("BAD", "video.mp4"), PICTURES),
    "model": Place("animate", (HEAD, "video.mp4", "model=BAD/tiny.safetensors"), (WEIGHTS,)),
    "inpainter": Place("animate", (HEAD, "video.mp4", "inpainters=[BAD]"), (WEIGHTS,)),
    "jobs": Place("batch", ("BAD", "workers.processes=0"), (JOBS,)),
    "tuned": Place("fine_tune", ("BAD",), (*PICTURES, *VIDEOS)),
    "vgg19": Place("fine_tune", (HEAD, "criterion.vgg19.weight=1", "criterion.vgg19.weights=BAD"),
                   (ARRAYS, STATE)),
    "person": Place("creative.morph", (HEAD, "BAD", "video.mp4"), (*PICTURES, HEAD)),
    "sound": Place("creative.audio", ("picture.jpg", "BAD"), SOUNDS),
    "identity": Place("creative.audio", (HEAD, "sound.wav", "react.bass=identity:1", "target_identity=BAD"), PICTURES),
    "gallery": Place("creative.portrait", (HEAD, "gallery=BAD"), (GALLERY,)),
    "recognizer": Place("creative.portrait", ("picture.jpg", "face_recognizer=BAD"), (STATE,)),
    "sampled": Place("creative.sample", ("BAD", "count=1"), VIDEOS),
    "people": Place("creative.appearance.__main__", ("BAD",), (PREPARED,)),
    "hair": Place("creative.appearance.__main__", (PREPARED, "--hair", "BAD"), (STATE,)),
    "data": Place("meta_learn", ("BAD", "-o", "new", *_SMOKE, _STOPS), (PREPARED,)),
    "start": Place("meta_learn", (PREPARED, "-o", "new", *_SMOKE, "init_from=BAD/tiny.safetensors"), (WEIGHTS,)),
    "checkpoint": Place("meta_learn", (PREPARED, "-o", "BAD", *_SMOKE), (RUN,)),
    "footage": Place("prepare", ("BAD", "out", "workers.processes=0"), (FOOTAGE,), ("out", "out/rejected.jsonl")),
    "recordings": Place("prepare", ("BAD", "out", "workers.processes=0"), (RECORDINGS,), ("out", "out/rejected.jsonl")),
    "mark": Place("verify", ("BAD",), ("picture.png", "picture.jpg", "video.webm", "video.mp4")),
}  # fmt: skip
# Commands without a bad file, for options, outputs and arguments. No file shows a face, so none succeeds.
COMMANDS = {
    "animate": Place("animate", (HEAD, "video.mp4")),
    "track": Place("track", ("video.mp4",)),
    "edit": Place("edit", ("picture.jpg", "yaw=15")),
    "fine_tune": Place("fine_tune", ("picture.jpg",)),
    "live": Place("live", ("picture.jpg", "--input", "video.mp4", "-o", "live.mp4")),  # it plays a head by any video
    "batch": Place("batch", (JOBS, "workers.processes=0")),
    "morph": Place("creative.morph", ("picture.jpg", "picture.png")),
    "audio": Place("creative.audio", ("picture.jpg", "sound.wav")),
    "portrait": Place("creative.portrait", ("picture.jpg",)),
    "sample": Place("creative.sample", ("video.mp4", "count=1")),
    "meta_learn": Place("meta_learn", (PREPARED, "-o", "new", *_SMOKE, _STOPS)),
    "prepare": Place("prepare", (FOOTAGE, "out", "workers.processes=0"), (), ("out", "out/rejected.jsonl")),
}
_NAMES = ("new\nline.jpg", "\x1b[31mred.png", "\udcff\udcfe.mp4", "n" * 300 + ".jpg", "照片.png", "12:30.mp4",
          "http:x.mp4", "picture.jpg/x.jpg", "a=b.webp", "%s%n{0}.jpg")  # fmt: skip
_VALUES = ("", "nan", "inf", "-inf", "-1", "1e300", "1e999", "9" * 400, "[[[1]]]", "{a: 1}", "[", "'", "null", "true",
           "meta", "${oc.env:HOME}", "${a", "../x", "a\nb", "é", "!!python/name:os.system", "0x10", "1_000", "*a",
           "&a b", "[" * 2000, "[nan]", "[anna,anna]", "0.1.2", "- anna", "@", "%", "`")  # fmt: skip


def hostile_cases(count: int, seed: int) -> list[Case]:
    """Returns the listed cases, and `count` drawn ones."""
    listed = [*_missing_files(), *_odd_names(), *_outputs(), *_command_lines(), *_spoiled_heads()]
    return listed + list(itertools.islice(_drawn(Random(seed)), count))


def _missing_files() -> Iterator[Case]:
    """Everything under a name that is no regular file with content."""
    for place, spoil in itertools.product(PLACES, damage.NO_FILES):
        if place == "checkpoint" or (spoil is damage.unreadable_file and os.geteuid() == 0):
            continue  # a new run starts where nothing is; root reads every file
        file = f"bad_{PLACES[place].kinds[0]}"
        yield Case(f"{place}-{spoil.__name__}", PLACES[place], (file,), file, "", spoil)


def _odd_names() -> Iterator[Case]:
    """Names that break messages, or that a library might take for something else."""
    for number, name in enumerate(_NAMES):
        told = name.encode("ascii", "ignore").decode()[-8 if len(name) < 99 else 0 :][:8]
        for place in ("source", "driver", "mark"):
            yield Case(f"{place}-name-{number}", PLACES[place], (told,), name)


def _outputs() -> Iterator[Case]:
    """Outputs that cannot be written, or must not be."""
    outputs = {
        "precious.mp4": "precious.mp4: exists", ".": "folder", "absent/out.mp4": "absent",
        "precious.mp4/out.mp4": "there is no folder", "out.exe": "out.exe", "out": "out",
        "n" * 300 + ".mp4": "too long", "\n.mp4": ".mp4", "/dev/full": "/dev/full", "/dev/null": "/dev/null",
        "picture.jpg": "picture.jpg", "video.mp4": "video.mp4",
    }  # fmt: skip
    for command, (output, told) in itertools.product(("animate", "fine_tune", "audio", "sample"), outputs.items()):
        if output != "\n.mp4" or command == "fine_tune":
            yield Case(f"{command}-output-{output[:20]!a}", COMMANDS[command], (told, output), options=("-o", output))
    for command in ("meta_learn", "prepare"):
        place = COMMANDS[command]
        arguments = tuple("precious.mp4" if part in ("new", "out") else part for part in place.arguments)
        yield Case(f"{command}-output-file", Place(place.command, arguments), ("precious.mp4",))


def _command_lines() -> Iterator[Case]:
    """Arguments that say nothing, too much, or something else."""
    for command, place in COMMANDS.items():
        yield Case(f"{command}-unknown-key", place, ("sharpnes=1",), options=("sharpnes=1",))
        yield Case(f"{command}-unknown-flag", place, ("--sharpnes",), options=("--sharpnes",))
        yield Case(f"{command}-unknown-group", place, ("landmarks=no", "model=no"),
                   options=("model=no" if command == "meta_learn" else "landmarks=no",))  # fmt: skip
        yield Case(f"{command}-no-file", Place(place.command, ()), ("required", "--preview"),
                   options=("--preview=1",) if command == "sample" else ())  # fmt: skip


def _spoiled_heads() -> Iterator[Case]:
    """A head whose values do not fit, to animate and to one more command."""
    others = itertools.cycle(("portrait", "edited", "tuned", "person"))
    for name, spoil in SPOILED_HEADS.items():
        for place in ("source", next(others)):
            yield Case(f"{place}-{name}", PLACES[place], (f"bad_{HEAD}",), f"bad_{HEAD}", HEAD, spoil)


def _drawn(random: Random) -> Iterator[Case]:
    """Damaged files in every place in turn, and options of every command in turn, without end."""
    keys = {command: sorted(_keys(load_config(command))) for command in COMMANDS}
    places, commands = itertools.cycle(PLACES), itertools.cycle(COMMANDS)
    for number in itertools.count():
        if number % 4 == 3:
            command = next(commands)
            key, value = random.choice(keys[command]), random.choice(_VALUES)
            first = printable(value).strip("[]- ").partition(",")[0]  # a message names the first of a list
            names = (key.rpartition(".")[2], first or value or key)
            told = (*names, *map(_name, COMMANDS[command].arguments))
            yield Case(f"{command}-option-{number}", COMMANDS[command], told, options=(f"{key}={value}",))
            continue
        name = next(places)
        place, kind = PLACES[name], random.choice(PLACES[name].kinds)
        bad = f"bad_{kind}"
        options = ("-o", "precious.mp4", "--overwrite") if place.command == "animate" and random.random() < 0.5 else ()
        # Damage may be harmless. Then another file of the command is the first that cannot be used.
        told = (bad, *map(_name, place.arguments))
        yield Case(f"{name}-{kind}-{number}", place, told, bad, kind, damage.damage_file, options)


def _keys(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields the keys of a configuration, with those of its groups."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
