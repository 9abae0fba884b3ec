import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ["fewshot_heads", "conf", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools writes into the tree and would take files of an earlier build along."""
    checkout = tmp_path_factory.mktemp("checkout")
    for source in (ROOT / name for name in SOURCES):
        if source.is_dir():
            shutil.copytree(source, checkout / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, checkout)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, checkout]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(out.glob("fewshot_heads-*.whl"))


@pytest.fixture(scope="module")
def contents(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run(code: str, unpacked: Path, folder: Path) -> str:
    """What `code` prints with nothing but the unpacked wheel in front of the path."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_file_of_the_package_is_in_the_wheel(contents):
    package = ROOT / "fewshot_heads"
    files = {path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= contents


def test_the_face_model_and_the_weights_are_in_the_wheel(contents):
    assert "fewshot_heads/weights/face_landmarker.task" in contents
    weights = {name for name in contents if Path(name).match("fewshot_heads/weights/*.safetensors")}
    assert any(name.startswith("fewshot_heads/weights/realtime-") for name in weights)
    assert {name.replace(".safetensors", ".json") for name in weights} <= contents


def test_every_config_is_in_the_wheel(contents):
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    assert "conf/animate.yaml" in configs
    assert {f"fewshot_heads/{name}" for name in configs} <= contents


def test_nothing_but_the_package_is_in_the_wheel(contents):
    strays = {name for name in contents if not name.startswith("fewshot_heads")}
    assert strays == set()
    assert not any("/tests/" in name or name.endswith(".pyc") for name in contents)


def test_the_licence_and_the_notice_travel_along(contents):
    shipped = {Path(name).name for name in contents if ".dist-info/licenses/" in name}
    assert shipped == {"LICENSE", "NOTICE"}


def test_the_wheel_has_the_version_of_the_package(wheel, unpacked, tmp_path):
    version = run("from fewshot_heads import __version__; print(__version__)", unpacked, tmp_path)
    assert wheel.name == f"fewshot_heads-{version}-py3-none-any.whl"


@pytest.mark.parametrize(
    "task", ["animate", "batch", "edit", "export", "fine_tune", "meta_learn", "prepare", "track", "verify"]
)
def test_every_task_has_a_console_script_and_it_points_at_a_function_that_exists(unpacked, tmp_path, task):
    entry_points = next(unpacked.glob("*.dist-info/entry_points.txt")).read_text()
    assert f"fewshot-heads-{task.replace('_', '-')} = fewshot_heads.{task}:main" in entry_points
    assert run(f"from fewshot_heads.{task} import main; print(callable(main))", unpacked, tmp_path) == "True"


def test_the_config_composes_from_the_unpacked_wheel(unpacked, tmp_path):
    code = (
        "from fewshot_heads.cli.conf_files import CONF_DIR\nfrom fewshot_heads.cli.config import compose_config\n"
        "print(CONF_DIR, compose_config('animate', ['landmarks=face_alignment']).landmarks.backend)"
    )
    assert run(code, unpacked, tmp_path) == f"{unpacked / 'fewshot_heads' / 'conf'} face_alignment"


def test_animating_imports_nothing_of_training(unpacked, tmp_path):
    code = "import sys, fewshot_heads.animate, fewshot_heads.cli.session\n"
    code += "print(sorted(m for m in sys.modules if m.startswith('fewshot_heads.')))"
    loaded = ast.literal_eval(run(code, unpacked, tmp_path))
    assert "fewshot_heads.reenactor" in loaded
    rooms = {module.split(".")[1] for module in loaded}
    assert not rooms & {"training", "datasets", "preparation", "metrics", "features", "creative"}
