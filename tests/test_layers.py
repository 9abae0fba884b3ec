"""The house: who may import whom, how long a module is, where a test stands. Read from the source, nothing is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "fewshot_heads"
# Rooms and modules of the package from the ground up: each imports only what stands below its row, or its own room.
LAYERS = (
    ("errors", "_version"),
    ("landmarks", "media"),
    ("imaging", "head"),
    ("models", "driving", "features"),
    ("layers",),
    ("rendering", "metrics"),
    ("datasets",),
    ("training", "preparation"),
    ("reenactor",),
    ("", "cli", "streaming", "deployment"),  # "" is the package's own __init__
    ("animate", "batch", "edit", "export", "fine_tune", "live", "meta_learn", "prepare", "track", "verify", "creative"),
    ("studio",),
    ("benchmarks",),
)
LEVEL = {room: level for level, row in enumerate(LAYERS) for room in row}
ENTRY_POINTS = ("animate", "batch", "edit", "export", "fine_tune", "live", "meta_learn", "prepare", "track", "verify")
INFERENCE = (
    "layers", "rendering", "driving", "models", "reenactor", "streaming", "head", "imaging", "landmarks", "media",
)  # fmt: skip
TRAINING = ("datasets", "training", "preparation", "metrics", "features")
# The one exception: fine-tuning is a method of `Reenactor`, imported when it is called (and for its types).
LAZY = {("fewshot_heads.reenactor", f"fewshot_heads.training.{name}") for name in ("fine_tuning", "head_tuner")}
MAX_LINES = 250

FILES = {
    path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in (PACKAGE, "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
MODULES = set(FILES.values())


def room(module: str) -> str:
    """The room of a module: the first part of its name below the package, "" for the package itself."""
    first, *rest = module.split(".")
    return first if first != PACKAGE else rest[0] if rest else ""


def imports(path: Path, module: str) -> Iterator[tuple[str, bool]]:
    """Modules of this project that a file imports, and whether it does so when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) or _type_checking(function)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import; name the module from the root"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] in (PACKAGE, "benchmarks"):
                yield (name if name in MODULES else name.rpartition(".")[0]), id(node) not in late


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


EDGES = [(module, *edge) for path, module in FILES.items() for edge in imports(path, module)]


def test_every_imported_module_exists():
    assert {(module, target) for module, target, _ in EDGES if target not in MODULES} == set()


def test_every_room_has_its_layer():
    assert {room(module) for module in MODULES} == set(LEVEL)


def test_a_room_imports_only_what_stands_below_it():
    upward = {
        (module, target)
        for module, target, _ in EDGES
        if room(target) != room(module) and LEVEL[room(target)] >= LEVEL[room(module)]
    }
    assert upward == set()


def test_nobody_imports_an_entry_point():
    assert {(module, target) for module, target, _ in EDGES if room(target) in ENTRY_POINTS} == set()


def test_inference_imports_nothing_of_training():
    edges = {edge for edge in EDGES if room(edge[0]) in INFERENCE and room(edge[1]) in TRAINING}
    assert {edge[:2] for edge in edges} == LAZY
    assert not any(early for _, _, early in edges)


def test_landmarks_know_only_errors():
    assert {room(target) for module, target, _ in EDGES if room(module) == "landmarks"} <= {"landmarks", "errors"}


def rooms_that_import(*packages: str, late: bool) -> set[str]:
    """Rooms that import a package when they are imported themselves; `late` also inside functions and for types."""
    rooms = set()
    for path, module in FILES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree) if late else tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if {name.split(".")[0] for name in names} & set(packages):
                rooms.add(room(module))
    return rooms


def test_hydra_stays_in_cli():
    assert rooms_that_import("hydra", "omegaconf", late=True) == {"cli"}


def test_torch_is_imported_only_where_networks_are_defined_trained_or_exported():
    """What animates does without. `models` has networks of torch, and others that need none."""
    assert rooms_that_import("torch", late=False) - {"benchmarks"} == {"models", "deployment", *TRAINING}


@pytest.mark.parametrize("depth", ["modules", "rooms"])
def test_there_are_no_circles(depth):
    group = room if depth == "rooms" else str
    below: dict[str, set[str]] = {}
    for module, target, early in EDGES:
        if early and group(module) != group(target):
            below.setdefault(group(module), set()).add(group(target))
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for target in sorted(below.get(name, ())):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(below):
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=FILES.values())
def test_a_module_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_files_of_strangers_have_one_way_in():
    ways = {"Image.open": {"fewshot_heads.media.images"}, "av.open": {"fewshot_heads.media.decoding"}}
    ways["av.open"].add("fewshot_heads.media.encoding")  # writes
    for call, homes in ways.items():
        users = {
            module
            for path, module in FILES.items()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == call and module.startswith(PACKAGE)
        }
        assert users == homes


def test_the_package_root_holds_only_the_front_door():
    names = {path.stem for path in (ROOT / PACKAGE).glob("*.py")}
    assert names == {"__init__", "_version", "errors", "head", "reenactor", *ENTRY_POINTS}


def test_tests_stand_in_the_room_that_they_test():
    rooms = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert rooms <= {*LEVEL, "docs", "hostile", "integrations"}  # pages, bad inputs of every command, nodes
