"""What a command imports before it works: `--help` and the errors of a command line answer at once."""

import subprocess
import sys

import pytest

from fewshot_heads.cli.conf_files import keys_of
from fewshot_heads.cli.config import load_config

COMMANDS = [
    "animate", "batch", "edit", "export", "fine_tune", "live", "meta_learn", "prepare", "studio", "track", "verify",
    "creative.appearance", "creative.audio", "creative.morph", "creative.portrait", "creative.sample",
    "creative.sound.fit_expression_basis",
]  # fmt: skip
NETWORKS = {"torch", "openvino", "cv2", "scipy"}  # seconds of import
CONFIGURATION = {"hydra", "omegaconf"}  # an eighth of a second
RUN = """
import runpy, sys
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    print("exit", end.code)
print("imported", *sys.modules)
"""


def imported(module: str, *arguments: str) -> tuple[str, set[str]]:
    """Exit code of a command, and the modules that it imported."""
    done = subprocess.run([sys.executable, "-c", RUN, module, *arguments], capture_output=True, text=True, check=True)
    *_, code, modules = done.stdout.splitlines()
    return code.removeprefix("exit "), set(modules.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_neither_networks_nor_hydra(command):
    code, modules = imported(f"fewshot_heads.{command}", "--help")
    assert code == "0"
    assert not modules & (NETWORKS | CONFIGURATION)


@pytest.mark.parametrize("arguments", [(), ("a.jpg", "b.mp4", "--strnegth", "1"), ("a.jpg", "--crf")])
def test_an_argument_error_imports_neither_networks_nor_hydra(arguments):
    code, modules = imported("fewshot_heads.animate", *arguments)
    assert code == "2"
    assert not modules & (NETWORKS | CONFIGURATION)


@pytest.mark.parametrize(
    ("command", "arguments", "expected"),
    [
        ("animate", ("a.jpg", "b.mp4", "crf=99"), "2"), ("animate", ("a.jpg",), "2"),
        ("animate", ("a.jpg", "no_such.mp4"), "1"),
        ("edit", ("a.jpg", "smile=2"), "2"), ("track", ("no.mp4",), "1"),
        ("animate", ("a.jpg", "b.mp4", "-o", "c.txt"), "1"),
        ("fine_tune", ("a.jpg", "-o", "c.txt"), "1"), ("meta_learn", ("steps=3", "-o", "run"), "2"),
        ("live", ("a.jpg", "pose=3"), "2"), ("live", ("a.jpg", "-o", "c.txt"), "1"),
        ("prepare", ("videos",), "2"), ("creative.morph", ("a.jpg",), "2"), ("creative.sample", ("a.jpg",), "2"),
        ("creative.portrait", ("strength=2",), "2"), ("creative.audio", ("a.jpg",), "2"),
        ("studio", ("port=http",), "2"), ("studio", ("a.jpg",), "2"),
    ],
)  # fmt: skip
def test_a_wrong_option_or_file_is_told_before_networks_are_imported(command, arguments, expected):
    code, modules = imported(f"fewshot_heads.{command}", *arguments)
    assert code == expected
    assert not modules & NETWORKS


def test_the_package_imports_its_names_late_and_lists_them():
    code = "import fewshot_heads, sys; print(*dir(fewshot_heads)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, modules = map(set, map(str.split, done.stdout.splitlines()))
    assert {"Reenactor", "read_video", "BadInput"} <= names
    assert not modules & {*NETWORKS, *CONFIGURATION, "numpy", "av"}


@pytest.mark.parametrize(
    "task", ["animate", "audio", "benchmark", "fine_tune", "live", "meta_learn", "morph", "prepare"]
)
def test_the_keys_that_are_read_as_text_are_those_that_hydra_composes(task):
    assert keys_of(task) - {"experiment"} == set(load_config(task)) | (keys_of(task) & {"mode"})
