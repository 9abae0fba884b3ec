import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CODE = """
import os, sys
import fewshot_heads.landmarks.networks as networks
networks.load("face_blendshapes")
print("openvino" in sys.modules, *(name for name in sys.modules if name.startswith("openvino_telemetry")))
"""


def test_openvino_is_imported_without_telemetry_and_leaves_nothing_in_the_home_folder(tmp_path):
    words, environment = [sys.executable, "-c", CODE], {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert list(tmp_path.iterdir()) == []


def test_every_import_of_openvino_goes_through_one_function():
    users = set()
    for path in (*(ROOT / "fewshot_heads").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "openvino" for name in names):
                users.add(path.name)
    assert users == {"openvino_runtime.py"}


def test_nothing_but_openvino_core_makes_a_core():
    """`openvino.compile_model` makes one too; `openvino_core` says why there may be only one."""
    makers = set()
    for folder in ("fewshot_heads", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    maker, called = node.func.value, node.func.attr
                    is_module = "openvino" in ast.unparse(maker) and ast.unparse(maker) != "openvino_core()"
                    if is_module and called in ("Core", "compile_model"):
                        makers.add((path.name, ast.unparse(node)))
    assert makers == {("openvino_runtime.py", "load_openvino().Core()")}
